"""Evaluation and use: averages of views, ties, confusion, two commands, and Python."""

import contextlib
import csv
import io
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from minialex import backend, models, nn, ops
from minialex.datasets import Batch, DataError, ImageSet, Preparation, batches
from minialex.tensor import Tensor
from minialex.tools import cli, plots
from minialex.tools import evaluate as evaluate_module
from minialex.tools import predict as predict_module
from minialex.tools.text import bar, columns, cut, say, shows_blocks
from minialex.training import CheckpointError, Classifier, evaluate, ranks, suggest
from minialex.training.checkpoint import load_arrays, save_arrays
from minialex.training.evaluate import first_guesses, log_probabilities

pytestmark = pytest.mark.ch11

ROOT = Path(__file__).resolve().parents[1]
MODEL = "model.safetensors"
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


def test_table_of_many_classes_is_cut_and_says_so():
    classes = [f"a rather long name of a class, number {number}" for number in range(1000)]
    counts = np.diag(np.arange(1000)) + 10 * np.eye(1000, k=1, dtype=int)  # the first are hard
    text = evaluate_module.as_text(report(counts, classes))
    assert "... and 980 classes with no more errors: all are in evaluation.json" in text
    assert len(re.findall(r"^a rather long name .*…  .* \(10\)$", text, re.MULTILINE)) == 20
    assert max(map(len, text.splitlines())) <= 80


def drawn(monkeypatch, draw, *arguments):
    """The figure that would be written."""
    figures = []
    monkeypatch.setattr(plots, "_save", lambda figure, _: figures.append(figure))
    draw(*arguments)
    return figures[0]


def names_on(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


@pytest.mark.parametrize(("n", "named", "counted"), [
    (1, True, True), (20, True, True), (21, True, False), (40, True, False), (41, False, False)])
def test_confusion_picture_says_what_there_is_room_for(monkeypatch, n, named, counted):
    classes = [f"class-{number}" for number in range(n)]
    counts = np.diag(np.arange(100, 100 + n))
    figure = drawn(monkeypatch, plots.confusion, counts, classes, None)
    axes = figure.axes[0]
    assert (names_on(axes.xaxis) == names_on(axes.yaxis) == classes) == named
    assert [text.get_text() for text in axes.texts] == [
        str(100 + number) for number in range(n)] * counted
    plots.plt.close(figure)


def test_single_mistake_among_a_thousand_classes_can_be_seen(tmp_path):
    counts = np.zeros((1000, 1000), int)
    counts[700, 200] = 1
    plots.confusion(counts, ["x"] * 1000, tmp_path / "mistake.png")
    pixels = np.asarray(Image.open(tmp_path / "mistake.png").convert("RGB")).astype(int)
    inside = pixels[200:1000, 100:800]  # neither frame nor scale
    assert np.count_nonzero(inside.min(axis=2) < 150) >= 1, "no dot"
    assert np.count_nonzero(inside.min(axis=2) < 250) <= 6, "more than a dot"


def test_pictures_of_names_that_no_font_has(tmp_path, rng):
    """No warning, no error: letters without a font, formulas, and what is no letter at all."""
    names = ["日本", "$x_1$", "a\nb\udcff\x1b[1m", "😀", "x" * 300]
    plots.confusion(np.eye(5, dtype=int), names, tmp_path / "confusion.png")
    plots.guesses(rng.integers(0, 256, (5, 8, 8, 3), np.uint8), names, np.eye(5), names,
                  tmp_path / "guesses.png", right=np.arange(5))
    for name in ("confusion.png", "guesses.png"):
        with Image.open(tmp_path / name) as picture:
            assert picture.format == "PNG" and picture.size[0] < 2000


def test_guesses_beside_a_picture(monkeypatch):
    probabilities = np.array([[0.1, 0.7, 0.2]])
    images = np.zeros((1, 4, 4, 3), np.uint8)
    for right, colours in ((None, [plots.GREY] * 2), ([2], [plots.GREY, plots.LIGHT_BLUE])):
        figure = drawn(monkeypatch, plots.guesses, images, ["boat.jpg"], probabilities,
                       ["ant", "boat", "cat"], None, 2, right)
        picture, bars = figure.axes
        assert picture.get_title(loc="left") == "boat.jpg"
        assert [text.get_text() for text in bars.texts] == ["boat", "70%", "cat", "20%"]
        assert [patch.get_width() for patch in bars.patches] == [0.7, 0.2]
        assert [plots.matplotlib.colors.to_hex(patch.get_facecolor())
                for patch in bars.patches] == colours
        plots.plt.close(figure)


def test_curves_show_the_losses_of_steps_where_they_happened(monkeypatch):
    log = [{"epoch": epoch, "steps": 4 * epoch, "lr": 1, "train_loss": 2, "val_loss": 1,
            "top1_error": 0.5, "top5_error": 0.1} for epoch in (1, 2)]
    steps = [{"step": step, "loss": 10 - step} for step in range(1, 9)]
    figure = drawn(monkeypatch, plots.curves, log, "val", None, steps)
    line = figure.axes[0].lines[0]
    np.testing.assert_allclose(line.get_xdata(), np.arange(1, 9) / 4)
    np.testing.assert_allclose(line.get_ydata(), 10 - np.arange(1, 9))
    plots.plt.close(figure)
    monkeypatch.setattr(plots, "DOTS", 3)
    figure = drawn(monkeypatch, plots.curves, log, "val", None, steps)
    assert figure.axes[0].lines[0].get_ydata().tolist() == [8.5, 6.5, 4.5, 2.5], "means of two"
    plots.plt.close(figure)


# Terminal


@pytest.mark.parametrize(("text", "width", "shown"), [
    ("shirt", 8, "shirt   "), ("shirt", 5, "shirt"), ("shirts", 5, "shir…"),
    ("日本語", 6, "日本語"), ("日本語", 5, "日本…"), ("日本語", 4, "日… "),
    ("e\u0301tude", 6, "e\u0301tude "),
])
def test_cut_fills_or_shortens(text, width, shown):
    assert cut(text, width) == shown and columns(shown) == width


@pytest.mark.parametrize(("share", "blocks", "shown"), [
    (1, True, 10 * "█"), (0.5, True, 5 * "█"), (0.5125, True, 5 * "█" + "▏"), (0.0875, True, "▉"),
    (0, True, ""), (1, False, 10 * "#"), (0.26, False, "###"), (0, False, "")])
def test_bar(share, blocks, shown):
    assert bar(share, 10, blocks) == shown


@pytest.mark.parametrize(("encoding", "terminal", "blocks"), [
    ("utf-8", True, True), ("utf-8", False, False), ("ascii", True, False),
    ("latin-1", True, False), (None, True, False)])
def test_blocks_are_for_terminals_that_have_them(encoding, terminal, blocks):
    stream = SimpleNamespace(encoding=encoding, isatty=lambda: terminal)
    assert shows_blocks(stream) is blocks


def test_say_survives_a_stream_that_knows_no_accents():
    stream = io.TextIOWrapper(io.BytesIO(), "ascii")
    say("caf\u00e9 \x1b[1m \udcff", stream)
    assert stream.buffer.getvalue() == b"caf? ?[1m ?\n"


# Runs


@pytest.fixture
def minialex(capsys):
    """Call it like the command: exit code, standard output, standard error."""
    def run(*arguments):
        code = cli.main([str(argument) for argument in arguments])
        return SimpleNamespace(code=code, **capsys.readouterr()._asdict())

    return run


def mistake(result, *parts):
    """Exit code 2, and one line on standard error that holds `parts`, in this order."""
    pattern = r"\Aminialex: " + ".*".join(map(re.escape, map(str, parts))) + r".*\n\Z"
    assert result.code == 2 and re.search(pattern, result.err), result.err
    return True


def save_picture(path, level, size=(50, 40)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (level, level, level)).save(path)
    return path


@pytest.fixture(scope="session")
def photographs(tmp_path_factory):
    """Dark and bright ones in three splits; one of the bright test photographs is dark."""
    root = tmp_path_factory.mktemp("data") / "photographs"
    for split, count in (("train", 12), ("val", 2), ("test", 4)):
        for name, level in (("bright", 200), ("dark", 30)):
            for number in range(count):
                save_picture(root / split / name / f"{number}.jpg", level + 3 * number)
    save_picture(root / "test" / "bright" / "0.jpg", 30)
    return root


@pytest.fixture(scope="session")
def run(tmp_path_factory, photographs, pytestconfig):
    """A small network that has learnt to tell dark from bright: the folder of its run."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    with contextlib.redirect_stdout(io.StringIO()), pytest.MonkeyPatch.context() as patch:
        for name in plots.__all__:  # pictures are slow
            patch.setattr(plots, name, lambda *_: None)
        code = cli.main(["train", "--data", str(photographs), "--width", "0.05", "--batch", "8",
                         "--epochs", "6", "--devices", pytestconfig.getoption("--device"),
                         "--out", str(folder)])
    assert code == 0
    return folder


CLASSES = ["Ant", "Bee", "Cat", "Dog", "Emu", "Fox", "a goat that has climbed on a roof again"]
SHARES = np.array([0.5, 0.25, 0.125, 0.0625, 0.03125, 0.0234375, 0.0078125], np.float32)


@pytest.fixture
def make_run(tmp_path):
    """The folder of a run whose network says the same shares about every picture."""
    def make(name="made", classes=CLASSES, channels=3, shares=SHARES, **changes):
        recipe = suggest("alexnet-small", 100)[0]
        recipe = {**vars(recipe), "width": 0.02}
        net = models.AlexNet(("cpu:0", "cpu:0"), len(classes), 28, channels, 0.02, "he")
        weights = {path: np.zeros_like(array) for path, array in net.state().items()}
        weights["fc8.bias"] = np.log(shares)
        side = 28 if channels == 1 else 32
        config = {"version": "9.8.7", "model": "alexnet-small", "data": "nowhere",
                  "recipe": recipe, "classes": classes}
        config["recipe"].update(changes.pop("recipe", {}))
        folder = tmp_path / name
        folder.mkdir()
        weights["input.mean"] = np.full((side, side, channels), 100, np.float32)
        save_arrays(folder / MODEL, weights, {**config, **changes})
        return folder

    return make


# Python


def test_trained_network_tells_dark_from_bright(run, photographs, devices):
    classifier = Classifier.load(run, devices)
    assert list(classifier.classes) == ["bright", "dark"]
    paths = [photographs / "test" / name / "3.jpg" for name in ("dark", "bright", "dark")]
    for ten_views in (False, True):
        found = classifier.predict(paths, ten_views)
        assert found.shape == (3, 2) and found.argmax(axis=1).tolist() == [1, 0, 1]
    assert classifier.best(found[0]) == [("dark", found[0, 1]), ("bright", found[0, 0])]
    pixels = np.stack([classifier.read(path) for path in paths])
    assert pixels.shape == (3, 32, 32, 3) and pixels.dtype == np.uint8
    np.testing.assert_array_equal(classifier.predict(pixels, ten_views=True), found)
    np.testing.assert_allclose(classifier.predict(str(paths[0]), True), found[:1], rtol=1e-5)
    np.testing.assert_array_equal(classifier.predict(iter(paths), True), found)


def test_devices_are_those_that_are_asked_for(run, two_devices):
    def where(*devices):
        return [column.device.name for column in Classifier.load(run, *devices).net.columns]

    assert where() == ["cpu:0", "cpu:0"] and where(two_devices) == list(two_devices)
    for one in two_devices[1], [two_devices[1]], backend.device(two_devices[1]):
        assert where(one) == 2 * [two_devices[1]]
    with pytest.raises(ValueError, match=r"Classifier\.load: 3 devices came; name one, or one for"):
        where(3 * ["cpu:0"])


def test_device_that_is_not_there_is_no_fault_of_the_weights(run):
    with pytest.raises(backend.DeviceError, match="device 'cpu:99' does not exist"):
        Classifier.load(run, ["cpu:0", "cpu:99"])


def test_readme_shows_how(run, photographs, tmp_path, monkeypatch, capsys):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (block,) = [block for block in blocks if "Classifier" in block]
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "clothes").symlink_to(run)
    for name in ("shirt.jpg", "shoe.jpg"):
        (tmp_path / name).symlink_to(photographs / "test" / "dark" / "0.jpg")
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {})
    assert capsys.readouterr().out.startswith("[('dark', 0.")


def test_run_from_before_there_was_a_choice_of_mirror_images(make_run):
    folder = make_run()
    arrays, config = load_arrays(folder / MODEL)
    assert config["recipe"].pop("mirror") == 0.5
    save_arrays(folder / MODEL, arrays, config)
    assert Classifier.load(folder).preparation.mirror == 0.5


def test_made_run_says_its_shares(make_run):
    classifier = Classifier.load(make_run())
    found = classifier.predict(np.zeros((2, 32, 32, 3), np.uint8))
    np.testing.assert_allclose(found, [SHARES, SHARES], rtol=1e-6)
    assert classifier.best(found[0], 2) == [("Ant", pytest.approx(0.5)),
                                            ("Bee", pytest.approx(0.25))]
    assert len(classifier.best(found[0], 100)) == 7
    assert classifier.predict([]).shape == (0, 7)


def test_grey_network_sees_brightness_as_pillow_has_it(make_run, tmp_path, rng):
    classifier = Classifier.load(make_run(channels=1))
    pixels = rng.integers(0, 256, (28, 28, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "colours.png")
    image = classifier.read(tmp_path / "colours.png")
    assert image.shape == (28, 28, 1) and image.dtype == np.uint8
    expected = np.asarray(Image.fromarray(pixels).convert("L")).astype(int)
    assert abs(image[..., 0] - expected).max() <= 1
    Image.fromarray(pixels[..., 0]).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(classifier.read(tmp_path / "grey.png")[..., 0], pixels[..., 0])


@pytest.mark.parametrize(("picture", "message"), [
    (np.zeros((32, 32, 3), np.float32), r"an array of float32 \(32, 32, 3\) came; this network "
                                        r"needs uint8 \(32, 32, 3\); save it as a picture"),
    (np.zeros((32, 33, 3), np.uint8), r"uint8 \(32, 33, 3\) came"),
    ("nowhere.jpg", r"nowhere.jpg: there is no such file; correct the name"),
    (__file__, r"test_evaluate.py: not a readable picture"),
], ids=["type", "shape", "missing", "no picture"])
def test_what_is_no_picture(make_run, picture, message):
    with pytest.raises(DataError, match=message):
        Classifier.load(make_run()).predict([picture])


def damage(folder, how):
    path = folder / MODEL
    if how == "missing":
        path.unlink()
    elif how == "unfinished":
        path.rename(folder / "checkpoint-000000003.safetensors")
        (folder / "config.json").write_text("{}")
    elif how == "half":
        path.write_bytes(path.read_bytes()[:-1])
    elif how == "no folder":
        return folder / "nowhere"
    return folder


@pytest.mark.parametrize(("how", "message"), [
    ("no folder", r"nowhere: there is no such folder; name the folder of a run"),
    ("missing", r"made: there is no model.safetensors in it; name the folder of a run"),
    ("unfinished", r"made: this run is not finished, so there is no model.safetensors; "
                   r"finish it: minialex train --resume \S+made"),
    ("half", r"model.safetensors: damaged, or not written by minialex .*; or write it anew from "
             r"the checkpoints of the run: minialex train --resume \S+made\Z"),
])
def test_run_that_cannot_be_loaded(make_run, how, message):
    with pytest.raises(CheckpointError, match=message):
        Classifier.load(damage(make_run(), how))


@pytest.mark.parametrize("changes", [
    {"recipe": {"colours": "BGR"}}, {"recipe": {"width": 0.1}}, {"model": "alexnet", "classes": []},
    {"recipe": {"init": "kaiming"}}, {"classes": CLASSES[:3]}, {"classes": None}], ids=str)
def test_weights_of_another_version_are_refused(make_run, changes):
    """A setting that is not known here may change what the weights mean."""
    message = (r"model.safetensors: written by minialex 9.8.7, and not to be used with this one "
               r"\(.+\); install that version")
    folder = make_run()
    arrays, config = load_arrays(folder / MODEL)
    config = {**config, **changes, "recipe": {**config["recipe"], **changes.get("recipe", {})}}
    save_arrays(folder / MODEL, arrays, config)
    with pytest.raises(CheckpointError, match=message):
        Classifier.load(folder)


# minialex evaluate


@pytest.fixture(scope="session")
def evaluated(run, tmp_path_factory):
    """The folder of an evaluation with ten views, and what was printed."""
    folder = tmp_path_factory.mktemp("evaluations") / "out"
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        code = cli.main(["evaluate", str(run), "--ten-view", "--out", str(folder)])
    assert code == 0
    return folder, printed.getvalue()


def test_evaluation_writes_three_files(evaluated):
    folder, printed = evaluated
    assert sorted(path.name for path in folder.iterdir()) == WRITTEN
    assert printed.endswith(f"wrote {', '.join(WRITTEN)} to {folder}\n")
    with Image.open(folder / "confusion.png") as picture:
        assert picture.format == "PNG" and min(picture.size) > 300


def rows_of(folder):
    return list(csv.reader((folder / "confusion.csv").read_text().splitlines()))


def test_confusion_is_what_the_photographs_are(evaluated):
    """Four of each class, and one of the bright ones is dark."""
    assert rows_of(evaluated[0]) == [["right class / first guess", "bright", "dark"],
                                    ["bright", "3", "1"], ["dark", "0", "4"]]


def test_evaluation_as_json(evaluated, run):
    found = json.loads((evaluated[0] / "evaluation.json").read_text())
    assert list(found) == ["run", "data", "split", "images", "centre", "ten_views", "confusion_of",
                           "classes"]
    assert (found["run"], found["data"], found["split"], found["images"]) == (
        str(run), "photographs", "test", 8)
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
            r"network   alexnet-small of ", r"devices   \S+",
            r"data      photographs: 8 test images, 2 classes", r" +centre +ten views",
            r"top-1 error +12.50% +12.50%", r"top-5 error +- +-",
            r"loss \(nats\)( +\d\.\d{3}){2}", r"seconds( +\d+\.\d){2}",
            r"bright +4 +25.00%  dark \(1\)", r"dark +4 +0.00%  -"):
        assert re.search(f"^{pattern}", evaluated[1], re.MULTILINE), pattern


def test_it_is_the_error_that_the_run_has_found(run, evaluated):
    found = json.loads((evaluated[0] / "evaluation.json").read_text())["centre"]
    summary = json.loads((run / "summary.json").read_text())
    assert found["top1_error"] == summary["top1_error"]


@pytest.mark.parametrize(("split", "images"), [("test", 8), ("val", 4), ("train", 24)])
def test_splits(minialex, run, tmp_path, split, images):
    result = minialex("evaluate", run, "--split", split, "--json", "--out", tmp_path, "--batch", 5)
    found = json.loads(result.out)
    assert (result.code, result.err, found["split"], found["images"]) == (0, "", split, images)
    assert "ten_views" not in found and found["confusion_of"] == "centre"
    assert found == json.loads((tmp_path / "evaluation.json").read_text())


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


def test_without_a_test_split_it_is_val(minialex, make_run, tmp_path):
    """Seven classes: a top-5 error. The network always says Ant, so one of seven is right."""
    data = make_photographs(tmp_path / "data", CLASSES)
    result = minialex("evaluate", make_run(), "--data", data)
    assert result.code == 0 and re.search(r"^data +data: 7 val images", result.out, re.MULTILINE)
    assert re.search(r"^top-1 error +85.71%$", result.out, re.MULTILINE)
    assert re.search(r"^top-5 error +28.57%$", result.out, re.MULTILINE)
    assert re.search(r"^a goat that has climbed… +1 +100.00%  Ant \(1\)$", result.out,
                     re.MULTILINE)
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == [*WRITTEN, MODEL]


def test_network_that_cannot_decide_is_wrong(minialex, make_run, tmp_path):
    data = make_photographs(tmp_path / "data", CLASSES)
    result = minialex("evaluate", make_run(shares=np.full(7, 1 / 7, np.float32)), "--data", data,
                      "--json")
    assert json.loads(result.out)["centre"]["top1_error"] == 1
    rows = rows_of(tmp_path / "made")[1:]
    assert [int(row[1 + label]) for label, row in enumerate(rows)] == 7 * [0]
    assert sum(int(count) for row in rows for count in row[1:]) == 7


def test_data_that_do_not_fit(minialex, make_run, tmp_path):
    folder = make_run()
    same = make_photographs(tmp_path / "same", CLASSES)
    for arguments, *parts in (
            ([], "--data nowhere: no data set",
             "That is the data of the run, seen from the folder in which it was started; if it "
             "lies elsewhere, give --data"),
            (["--data", "away"], "--data away: no data set of minialex, and no folder"),
            (["--data", make_photographs(tmp_path / "others", ["Ant", "Cow"])],
             "--data ", "others: its classes (2: Cow) are not those of the run (7: Bee, Cat, Dog, "
             "...); give the data of the run"),
            (["--data", same, "--split", "test"], "--split test: ", "has train and val only"),
            (["--data", same, "--batch", 0], "--batch 0: give a whole number of at least 1"),
            (["--data", same, "--out", __file__], "", "test_evaluate.py cannot be written (File "
             "exists); choose another --out")):
        assert mistake(minialex("evaluate", folder, *arguments), *parts), arguments
    assert mistake(minialex("evaluate", make_run("grey", channels=1), "--data", same),
                   "", "same: images of shape (32, 32, 3) came, the network of ", "grey needs "
                   "(28, 28, 1); give data of the kind that it was trained on")
    assert [path.name for path in folder.iterdir()] == [MODEL], "nothing was written"


@pytest.mark.parametrize("command", [["evaluate"], ["predict", "x.jpg"]], ids=lambda c: c[0])
def test_commands_say_which_run_is_missing(minialex, command):
    name, *pictures = command
    assert mistake(minialex(name, "nowhere", *pictures),
                   "nowhere: there is no such folder; name the folder of a run")


# minialex predict


@pytest.fixture
def album(tmp_path):
    """A folder with two pictures, and something else."""
    folder = tmp_path / "album"
    save_picture(folder / "b.jpg", 10)
    save_picture(folder / "a.PNG", 250, size=(3, 200))
    (folder / "notes.txt").write_text("no picture")
    return folder


def test_guesses_in_plain_text(minialex, make_run, album):
    result = minialex("predict", make_run(), album / "b.jpg", "--top", 2)
    name = " " * (32 - 3)
    assert (result.code, result.err) == (0, "")
    assert result.out == (f"{album / 'b.jpg'}\n"
                          f"  Ant{name}   50.0%  {18 * '#'}\n"
                          f"  Bee{name}   25.0%  {9 * '#'}\n\n")


def test_guesses_on_a_terminal(minialex, make_run, album, monkeypatch):
    monkeypatch.setattr(predict_module, "shows_blocks", lambda _: True)
    result = minialex("predict", make_run(), album / "b.jpg", "--top", 100)
    lines = result.out.splitlines()[1:-1]
    assert len(lines) == 7
    assert lines[0].endswith(f"50.0%  {18 * '█'}") and lines[2].endswith("12.5%  ████▌")
    assert lines[-1].startswith("  a goat that has climbed on a ro…    0.8%")
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(("columns", "width"), [(None, 80), (200, 80), (60, 60), (40, 40)])
def test_sure_network_fills_the_line(minialex, make_run, album, monkeypatch, columns, width):
    """Of a narrow terminal, too; no line is wider."""
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns:
        monkeypatch.setenv("COLUMNS", str(columns))
    sure = np.array([1, 0, 0, 0, 0, 0, 0]) * (1 - 7e-7) + 1e-7
    result = minialex("predict", make_run(shares=sure.astype(np.float32)), album / "b.jpg")
    lines = result.out.splitlines()[1:-1]
    assert max(map(len, lines)) <= width
    assert len(lines[0]) == width or columns == 40, "no room for a bar"


def test_folder_means_its_pictures(minialex, make_run, album):
    result = minialex("predict", make_run(), album, album / "b.jpg")
    titles = [line for line in result.out.splitlines() if line and not line.startswith(" ")]
    assert titles == [str(album / name) for name in ("a.PNG", "b.jpg", "b.jpg")]


def test_bad_pictures_are_reported_and_the_others_answered(minialex, make_run, album, tmp_path):
    (album / "empty.jpg").write_bytes(b"")
    (tmp_path / "nothing").mkdir()
    result = minialex("predict", make_run(), "nowhere.jpg", album, tmp_path / "nothing")
    assert result.code == 2
    assert result.out.count("Ant") == 2
    lost, empty, nothing = result.err.splitlines()
    assert lost == "minialex: nowhere.jpg: there is no such file; correct the name"
    assert re.match(rf"minialex: {album}/empty.jpg: not a readable picture \(", empty)
    assert re.match(rf"minialex: {tmp_path}/nothing: no pictures in this folder; they must end in "
                    r"\.jpg, ", nothing)


def test_json_is_one_document_even_with_bad_pictures(minialex, make_run, album):
    folder = make_run()
    result = minialex("predict", folder, "nowhere.jpg", album, "--json", "--top", 2, "--ten-view")
    found = json.loads(result.out)
    assert result.code == 2 and len(result.err.splitlines()) == 1
    assert (found["run"], found["views"], len(found["pictures"])) == (str(folder), 10, 3)
    bad, *good = found["pictures"]
    assert bad == {"picture": "nowhere.jpg",
                   "error": "nowhere.jpg: there is no such file; correct the name"}
    for picture, name in zip(good, ("a.PNG", "b.jpg"), strict=True):
        assert picture["picture"] == str(album / name)
        assert [(guess["class"], round(guess["probability"], 4))
                for guess in picture["best"]] == [("Ant", 0.5), ("Bee", 0.25)]


def test_ten_views_see_more_than_the_centre(minialex, run, tmp_path):
    """Bright in the middle, dark around."""
    pixels = np.full((32, 32, 3), 30, np.uint8)
    pixels[8:24, 8:24] = 200
    Image.fromarray(pixels).save(tmp_path / "both.png")
    one, ten = (json.loads(minialex("predict", run, tmp_path / "both.png", "--json", *option).out)
                for option in ([], ["--ten-view"]))
    assert (one["views"], ten["views"]) == (1, 10)
    assert one["pictures"][0]["best"] != ten["pictures"][0]["best"]


def test_plot_shows_the_pictures_that_could_be_read(minialex, make_run, album, tmp_path):
    for options, stream in ([], "out"), (["--json"], "err"):
        path = tmp_path / f"{stream}.png"
        result = minialex("predict", make_run(stream), album, "nowhere.jpg", "--plot", path,
                          *options)
        assert getattr(result, stream).endswith(f"wrote {path}, with 2 of 3 pictures\n")
        with Image.open(path) as picture:
            assert picture.format == "PNG" and picture.size[0] > 400
    assert not list(tmp_path.glob("*.part"))
    json.loads(result.out)


def test_plot_of_nothing_is_none(minialex, make_run, tmp_path):
    assert mistake(minialex("predict", make_run(), "nowhere.jpg", "--plot", tmp_path / "x.png"),
                   "nowhere.jpg: there is no such file")
    assert not (tmp_path / "x.png").exists()


def test_no_guesses_at_all(minialex, make_run, album):
    assert mistake(minialex("predict", make_run(), album, "--top", 0),
                   "--top 0: give a whole number of at least 1")
