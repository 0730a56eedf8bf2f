"""Evaluation: averages of views, ties, confusion, and the command that counts errors."""

import contextlib
import csv
import io
import json
import re

import numpy as np
import pytest
from PIL import Image
from runs import CLASSES, MODEL, dark_and_bright, learn, make_run, mistake, save_picture

from minialex import nn, ops
from minialex.datasets import Batch, ImageSet, Preparation, batches
from minialex.tensor import Tensor
from minialex.tools import cli
from minialex.tools import evaluate as evaluate_module
from minialex.training import Classifier, evaluate, ranks
from minialex.training.evaluate import first_guesses, log_probabilities

pytestmark = pytest.mark.ch11

WRITTEN = ["confusion.csv", "confusion.png", "evaluation.json"]


class Said(nn.Module):
    """A net whose scores are its input."""

    def __init__(self, device):
        self.device = device

    def forward(self, images):
        return Tensor(images, self.device)


class Linear(nn.Module):
    """(N, 4, 4, 1) -> three classes. With dropout, which must not be seen."""

    def __init__(self, device):
        self.drop = nn.Dropout(0.5, rng=1)
        self.layer = nn.Linear(16, 3, rng=2, device=device)

    def forward(self, images):
        return self.layer(self.drop(ops.flatten(Tensor(images, self.layer.weight.device))))


def softmax(scores):
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return shares / shares.sum(axis=-1, keepdims=True)


# Views and ties


def test_probabilities_are_averaged_not_scores(device):
    """One view is sure of the first class, two lean to the second: the scores say the first."""
    scores = np.array([[20, 0, 0], [0, 3, 0], [0, 3, 0], [0, 0, 1], [0, 0, 1], [0, 0, 1]],
                      np.float32)
    averaged = softmax(scores).reshape(2, 3, 3).mean(axis=1)
    assert scores.reshape(2, 3, 3).mean(axis=1).argmax(axis=1).tolist() == [0, 2]
    assert averaged.argmax(axis=1).tolist() == [1, 2]
    found = log_probabilities(Said(device), scores, views=3)
    np.testing.assert_allclose(np.exp(found), averaged, rtol=1e-6)
    labels = np.array([1, 2])
    result = evaluate(Said(device), [Batch(scores, labels)])
    assert result.top1_error == 0 and result.images == 2
    assert result.loss == pytest.approx(-np.log(averaged[[0, 1], labels]).mean(), rel=1e-6)


def test_one_view_changes_nothing(device, rng):
    scores = rng.standard_normal((5, 3), np.float32)
    np.testing.assert_array_equal(log_probabilities(Said(device), scores),
                                  ops.log_softmax(Tensor(scores, device)).numpy())


@pytest.fixture
def pictures(rng):
    """Seven images of 6 x 6 pixels, and how a net for 4 x 4 pixels wants them."""
    images = rng.integers(0, 256, (7, 6, 6, 1), np.uint8)
    mean = rng.uniform(100, 150, (6, 6, 1)).astype(np.float32)
    return images, Preparation(4, mean, scale=1 / 64)


def by_hand(net, images, mean, ten):
    """Probabilities: crops of 4 x 4 at hand-written places, each with its mirror image."""
    weight, bias = net.layer.weight.numpy(), net.layer.bias.numpy()
    centre = mean[1:5, 1:5]
    answers = []
    for image in images:
        views = []
        for top, left in [(0, 0), (0, 2), (2, 0), (2, 2), (1, 1)] if ten else [(1, 1)]:
            crop = image[top : top + 4, left : left + 4].astype(np.float32)
            views += [crop - centre, crop[:, ::-1] - centre] if ten else [crop - centre]
        scores = np.stack(views).reshape(-1, 16) / 64 * 0.5 @ weight + bias  # 0.5: dropout's
        answers.append(softmax(scores).mean(axis=0))
    return np.stack(answers)


@pytest.mark.parametrize("ten", [False, True])
def test_evaluation_of_views_is_the_one_by_hand(device, pictures, rng, ten):
    images, preparation = pictures
    labels = rng.integers(0, 3, 7)
    data = ImageSet.of_arrays("toy", images, labels, "abc")
    net = Linear(device)
    expected = by_hand(net, images, preparation.mean, ten)
    counts = np.zeros((3, 3), int)
    result = evaluate(net, batches(data, preparation, 3, ten_views=ten), counts)
    assert result.loss == pytest.approx(-np.log(expected[range(7), labels]).mean(), rel=1e-5)
    assert result.top1_error == (expected.argmax(axis=1) != labels).mean()
    assert counts.sum() == result.images == 7
    other = by_hand(net, images, preparation.mean, not ten)
    assert abs(np.log(other / expected)).max() > 0.01, "negative control"


@pytest.mark.parametrize("ten", [False, True])
def test_classifier_gives_the_probabilities_by_hand(device, pictures, ten):
    images, preparation = pictures
    images = np.concatenate(6 * [images])  # more than it takes at once
    net = Linear(device)
    found = Classifier(net, "abc", preparation).predict(images, ten_views=ten)
    np.testing.assert_allclose(found, by_hand(net, images, preparation.mean, ten), rtol=1e-5)
    assert found.dtype == np.float32 and net.training, "left as it was, but seen without dropout"
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize(("scores", "label", "guess"), [
    ([0, 1, 2], 2, 2),
    ([0, 1, 2], 0, 2),
    ([1, 2, 2], 2, 1),
    ([1, 2, 2], 1, 2),
    ([1, 2, 2], 0, 1),
    ([3, 3, 3], 0, 1),
    ([0, np.nan, 2], 2, 1),
    ([0, 1, np.nan], 2, 1),
    ([np.nan, np.nan, np.nan], 0, 1),
    ([5], 0, 0),
], ids=str)
def test_first_guess_of_a_tie_is_not_the_right_class(scores, label, guess):
    scores, label = np.array([scores], np.float32), np.array([label])
    assert first_guesses(scores, label).tolist() == [guess]


def test_confusion_agrees_with_errors_where_many_classes_tie(device, rng):
    scores = rng.integers(0, 3, (300, 6)).astype(np.float32)  # six classes, three scores
    labels = rng.integers(0, 6, 300)
    guesses = first_guesses(scores, labels)
    np.testing.assert_array_equal(guesses == labels, ranks(scores, labels) == 0)
    assert (scores[range(300), guesses] == scores.max(axis=1)).all(), "it is a best one"
    counts = np.zeros((6, 6), int)
    result = evaluate(Said(device), [Batch(scores, labels)], counts)
    assert result.top1_error == pytest.approx(1 - np.trace(counts) / 300)
    plain = (scores.argmax(axis=1) != labels).mean()
    assert plain < result.top1_error, "negative control: argmax takes some ties for right"


def test_confusion_has_right_classes_in_rows_and_adds_up(device):
    """Right classes 0 0 1 2 1, first guesses 0 2 1 1 1."""
    scores = np.eye(3, dtype=np.float32)[[0, 2, 1, 1, 1]]
    labels = np.array([0, 0, 1, 2, 1])
    counts = np.zeros((3, 3), int)
    feed = [Batch(scores[:2], labels[:2]), Batch(scores[2:], labels[2:])]
    evaluate(Said(device), feed, counts)
    assert counts.tolist() == [[1, 0, 1], [0, 2, 0], [0, 1, 0]]


# What is printed and written


COUNTS = np.array([[5, 0, 0, 0], [3, 6, 1, 0], [0, 0, 0, 0], [2, 2, 0, 4]])
NAMES = ["ant", 'bee, or "wasp"', "cat", "dog"]


def test_classes_with_most_errors_come_first_and_empty_ones_last():
    rows = evaluate_module.hardest(COUNTS, NAMES)
    assert [row["class"] for row in rows] == ["dog", 'bee, or "wasp"', "ant", "cat"]
    assert [row["images"] for row in rows] == [8, 10, 5, 0]
    assert [row["top1_error"] for row in rows] == [0.5, 0.4, 0, None]
    assert [(row["taken_for"], row["times"]) for row in rows] == [
        ("ant", 2), ("ant", 3), (None, 0), (None, 0)]


def test_csv_can_be_read_back():
    header, *rows = csv.reader(io.StringIO(evaluate_module.as_csv(COUNTS, NAMES)))
    assert header == ["right class / first guess", *NAMES]
    assert [name for name, *_ in rows] == NAMES
    assert [[int(count) for count in counts] for _, *counts in rows] == COUNTS.tolist()


def report(counts, classes, **views):
    views = views or {"centre": {"top1_error": 0.25, "top5_error": None, "loss": 1.5,
                                 "seconds": 2.0}}
    return {**views, "classes": evaluate_module.hardest(counts, classes)}


def test_table_of_few_classes():
    text = evaluate_module.as_text(report(COUNTS, NAMES))
    assert re.search(r"^top-1 error +25.00%$", text, re.MULTILINE)
    assert re.search(r"^top-5 error +-$", text, re.MULTILINE), "there is no such figure"
    assert re.search(r"^dog +8 +50.00%  ant \(2\)$", text, re.MULTILINE)
    assert re.search(r"^cat +0 +-  -$", text, re.MULTILINE)
    assert "and" not in text


@pytest.mark.parametrize("width", [60, 80])
def test_table_of_many_classes_is_cut_and_says_so(monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    classes = [f"a rather long name of a class, number {number}" for number in range(1000)]
    counts = np.diag(np.arange(1000)) + 10 * np.eye(1000, k=1, dtype=int)  # the first are hard
    text = evaluate_module.as_text(report(counts, classes))
    assert "... and 980 classes with no more errors: see the JSON file" in text
    assert len(re.findall(r"^a rather .*…  .*…? \(10\)$", text, re.MULTILINE)) == 20
    assert max(map(len, text.splitlines())) <= width


# The command


@pytest.fixture(scope="session")
def photographs(tmp_path_factory):
    return dark_and_bright(tmp_path_factory.mktemp("data") / "photographs")


@pytest.fixture(scope="session")
def run(tmp_path_factory, photographs, pytestconfig):
    return learn(photographs, tmp_path_factory.mktemp("runs") / "run",
                 pytestconfig.getoption("--device"))


@pytest.fixture(scope="session")
def evaluated(run, tmp_path_factory):
    """The folder of an evaluation with ten views, and what was printed."""
    folder = tmp_path_factory.mktemp("evaluations") / "out"
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        code = cli.main(["evaluate", str(run), "--ten-view", "--out", str(folder)])
    assert code == 0
    return folder, printed.getvalue()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def rows_of(path):
    return list(csv.reader(path.read_text().splitlines()))


def test_evaluation_writes_three_files(evaluated):
    folder, printed = evaluated
    assert names(folder) == WRITTEN
    assert printed.endswith(f"wrote {', '.join(WRITTEN)} to {folder}\n")
    with Image.open(folder / "confusion.png") as picture:
        assert picture.format == "PNG" and min(picture.size) > 300


def test_confusion_is_what_the_photographs_are(evaluated):
    """Four of each class, and one of the bright ones is dark."""
    assert rows_of(evaluated[0] / "confusion.csv") == [
        ["right class / first guess", "bright", "dark"], ["bright", "3", "1"], ["dark", "0", "4"]]


def test_evaluation_as_json(evaluated, run):
    found = json.loads((evaluated[0] / "evaluation.json").read_text())
    assert list(found) == ["run", "weights", "data", "split", "images", "centre", "ten_views",
                           "confusion_of", "classes"]
    assert [found[key] for key in ("run", "weights", "data", "split", "images")] == [
        str(run), MODEL, "photographs", "test", 8]
    for views in ("centre", "ten_views"):
        assert list(found[views]) == ["top1_error", "top5_error", "loss", "seconds"]
        assert found[views]["top1_error"] == 0.125 and found[views]["top5_error"] is None
        assert 0 < found[views]["loss"] < 3 and found[views]["seconds"] > 0
    assert found["centre"]["loss"] != found["ten_views"]["loss"]
    assert found["confusion_of"] == "ten_views"
    assert found["classes"] == [
        {"class": "bright", "images": 4, "top1_error": 0.25, "taken_for": "dark", "times": 1},
        {"class": "dark", "images": 4, "top1_error": 0, "taken_for": None, "times": 0}]


def test_evaluation_is_printed(evaluated):
    for pattern in (
            r"network +alexnet-small of ", r"devices +\S+",
            r"data +photographs: 8 test images, 2 classes", r" +centre +ten views",
            r"top-1 error +12.50% +12.50%", r"top-5 error +- +-",
            r"loss \(nats\)( +\d\.\d{3}){2}", r"seconds( +\d+\.\d){2}",
            r"bright +4 +25.00% +dark \(1\)", r"dark +4 +0.00% +-"):
        assert re.search(f"^{pattern}", evaluated[1], re.MULTILINE), pattern


def test_it_is_the_error_that_the_run_has_found(run, evaluated):
    found = json.loads((evaluated[0] / "evaluation.json").read_text())["centre"]
    summary = json.loads((run / "summary.json").read_text())
    assert found["top1_error"] == summary["top1_error"]


@pytest.mark.parametrize(("options", "images", "end"), [
    (["--split", "test"], 8, ""), (["--split", "val"], 4, "-val"),
    (["--split", "train"], 24, "-train"), (["--weights", "last"], 8, ""),
    (["--weights", "best"], 8, "-best"), (["--weights", "best", "--split", "val"], 4, "-best-val"),
    (["--data", "{}", "--split", "val"], 4, "-val-photographs")], ids=str)
def test_one_evaluation_leaves_another_alone(minialex, run, photographs, tmp_path, options, images,
                                             end):
    """What is not the usual is in the names of the files."""
    options = [option.format(photographs) for option in options]
    result = minialex("evaluate", run, *options, "--json", "--out", tmp_path, "--batch", 5)
    found = json.loads(result.out)
    assert (result.code, result.err, found["images"]) == (0, "", images)
    assert found["weights"] == ("best.safetensors" if "best" in options else MODEL)
    assert "ten_views" not in found and found["confusion_of"] == "centre"
    assert names(tmp_path) == [name.replace(".", f"{end}.") for name in WRITTEN]
    assert found == json.loads((tmp_path / f"evaluation{end}.json").read_text())


def test_best_weights_are_those_of_their_checkpoint(run, devices):
    best, last = (Classifier.load(run, devices, weights) for weights in ("best", "last"))
    picture = np.full((1, 32, 32, 3), 90, np.uint8)
    assert (best.predict(picture) != last.predict(picture)).any(), "six epochs, the first is best"


def stopped(run, folder, *left):
    """What a run has in its folder that was stopped: only these files are left."""
    folder.mkdir()
    for path in run.iterdir():
        if path.name in left or path.name == "config.json":
            (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_run_that_was_stopped_is_of_use(minialex, run, photographs, tmp_path, command):
    """Its newest checkpoint, and this is said; a second one may be damaged."""
    newest, older = sorted((path.name for path in run.glob("checkpoint-*")), reverse=True)
    folder = stopped(run, tmp_path / "my run", newest, older)
    more = [photographs / "val" / "dark" / "0.jpg"] if command == "predict" else []
    result = minialex(command, folder, *more, "--json")
    assert result.code == 0 and json.loads(result.out)["weights"] == newest
    assert re.fullmatch(rf"minialex: .*my run.* not finished.*{newest}.*\n", result.err)
    asked = minialex(command, folder, *more, "--json", "--weights", "last")
    assert (asked.code, asked.err) == (0, "")
    assert json.loads(asked.out)["weights"] == newest
    if command == "evaluate":
        assert "evaluation-last.json" in names(folder)
    (folder / newest).write_bytes(b"")
    again = minialex(command, folder, *more, "--json")
    assert json.loads(again.out)["weights"] == older


def test_run_without_weights_says_how_to_go_on(minialex, run, tmp_path):
    folder = stopped(run, tmp_path / "my run")
    result = minialex("evaluate", folder)
    assert mistake(result, folder, "; or go on with the run: ", f"train --resume '{folder}'")
    (folder / "config.json").write_text("{}", encoding="utf-8")  # with which no run can go on
    result = minialex("evaluate", folder)
    assert mistake(result, folder) and "go on with" not in result.err


def test_ten_views_take_the_place_of_ten_images_in_a_batch(minialex, run, tmp_path, monkeypatch):
    sizes = []

    def noted(net, feed, confusion):
        feed = list(feed)
        sizes.append([len(batch.images) for batch in feed])
        return evaluate(net, feed, confusion)

    monkeypatch.setattr(evaluate_module, "evaluate", noted)
    for batch in (34, 1):
        assert minialex("evaluate", run, "--ten-view", "--batch", batch, "--out",
                        tmp_path).code == 0
    assert sizes == [[8], [30, 30, 20], 8 * [1], 8 * [10]]


def make_photographs(root, classes, splits=("train", "val")):
    for split in splits:
        for name in classes:
            save_picture(root / split / name / "0.png", 100)
    return root


def test_without_a_test_split_it_is_val(minialex, tmp_path):
    """Seven classes: a top-5 error. The network always says Ant, so one of seven is right."""
    data = make_photographs(tmp_path / "data", CLASSES)
    result = minialex("evaluate", make_run(tmp_path / "made", data=str(data)))
    assert result.code == 0 and re.search(r"^data +data: 7 val images", result.out, re.MULTILINE)
    assert re.search(r"^top-1 error +85.71%$", result.out, re.MULTILINE)
    assert re.search(r"^top-5 error +28.57%$", result.out, re.MULTILINE)
    assert re.search(r"^a goat that has climbed.* +1 +100.00% +Ant \(1\)$", result.out,
                     re.MULTILINE)
    assert names(tmp_path / "made") == [*WRITTEN, MODEL]


def test_network_that_cannot_decide_is_wrong(minialex, tmp_path):
    data = make_photographs(tmp_path / "data", CLASSES)
    folder = make_run(tmp_path / "made", shares=np.full(7, 1 / 7, np.float32), data=str(data))
    result = minialex("evaluate", folder, "--json")
    assert json.loads(result.out)["centre"]["top1_error"] == 1
    rows = rows_of(folder / "confusion.csv")[1:]
    assert [int(row[1 + label]) for label, row in enumerate(rows)] == 7 * [0]
    assert sum(int(count) for row in rows for count in row[1:]) == 7


def test_data_that_do_not_fit(minialex, tmp_path):
    folder = make_run(tmp_path / "made")
    same = make_photographs(tmp_path / "same", CLASSES)
    for arguments, *parts in (
            ([], "--data nowhere: no data set",
             "that is the data of the run, seen from the folder in which it was started: if it "
             "lies elsewhere, give --data"),
            (["--data", "away"], "--data away: no data set of minialex, and no folder"),
            (["--data", make_photographs(tmp_path / "others", ["Ant", "Cow"])],
             "--data ", "others: its classes (2: Cow) are not those of the run (7: Bee, Cat, Dog, "
             "...); give the data of the run"),
            (["--data", same, "--split", "test"], "--split test: ", "has train and val only"),
            (["--data", same, "--out", __file__], "", "test_evaluate.py: cannot be written (File "
             "exists); choose another --out")):
        assert mistake(minialex("evaluate", folder, *arguments), *parts), arguments
    grey = make_run(tmp_path / "grey", channels=1)
    assert mistake(minialex("evaluate", grey, "--data", same),
                   "", "same: its images have shape (32, 32, 3), the network of ", "grey needs "
                   "(28, 28, 1); give data of the kind that it was trained on")
    assert names(folder) == [MODEL], "nothing was written"
