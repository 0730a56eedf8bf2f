"""`minialex weights`, and the commands on a network that was not trained here."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest
import runs
from runs import dark_and_bright, learn, make_run, save_picture

from minialex import weights
from minialex.tools import plots
from minialex.training import Classifier
from minialex.weights import CATALOGUE, catalogue

pytest.importorskip("onnx", reason="needs onnx: pip install 'minialex[onnx]'")
pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install 'minialex[test]'")

from onnx_graphs import computed, random_weights, zoo

NAME = "bvlc-alexnet"


def mistake(result, *parts):
    return runs.mistake(result, "", *parts)


@pytest.fixture(scope="module")
def graph():
    """Caffe's AlexNet with an eighth of the kernels, and random weights."""
    return zoo(random_weights(np.random.default_rng(3), classes=1000), 12, side=224)


@pytest.fixture
def file(graph, tmp_path):
    path = tmp_path / "caffe.onnx"
    path.write_bytes(graph.SerializeToString())
    return path


@pytest.fixture
def at_home(file, graph, tmp_path, monkeypatch):
    """A folder with ./data, where the small file lies as the user would put it by hand."""
    known, content = CATALOGUE[NAME], file.read_bytes()
    download = dataclasses.replace(known.download, addresses=("http://127.0.0.1:9/a.onnx",),
                                   size=len(content),
                                   checksum=f"sha256:{hashlib.sha256(content).hexdigest()}")
    monkeypatch.setattr(catalogue, "CATALOGUE",
                        {NAME: dataclasses.replace(known, download=download)})
    path = tmp_path / "data" / "weights" / known.download.name
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    monkeypatch.chdir(tmp_path)
    return path


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    for name in plots.__all__:  # they are slow
        monkeypatch.setattr(plots, name, lambda *_, **__: None)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    return dark_and_bright(tmp_path_factory.mktemp("data") / "photographs")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, photographs, pytestconfig):
    return learn(photographs, tmp_path_factory.mktemp("runs") / "run",
                 pytestconfig.getoption("--device"))


def read(path):
    return json.loads(path.read_text())


# get, list, and the name


def test_get_makes_a_run_that_other_commands_take_by_name(minialex, at_home, tmp_path):
    picture = save_picture(tmp_path / "cat.jpg", 90)
    assert " -" in minialex("weights", "list").out.split(NAME)[1].splitlines()[0]
    assert mistake(minialex("predict", NAME, picture), NAME, "not here yet; bring them with: ",
                   f"weights get {NAME}")
    got = minialex("weights", "get", NAME)
    assert got.code == 0, got.err
    for words in ("is complete: ", "1,000 classes", "cite E. Shelhamer", "clothing-mini",
                  "57 times in 100", f"predict {NAME} PICTURE.jpg"):
        assert words in " ".join(got.out.split()), words
    assert "was there already" in minialex("weights", "get", NAME).out
    assert "weights/bvlc-alexnet" in minialex("weights", "list").out.replace("\\", "/")
    [known] = json.loads(minialex("weights", "list", "--json").out)
    assert known["folder"] and known["download"]["checksum"].startswith("sha256:")
    by_name = json.loads(minialex("predict", NAME, picture, "--json").out)
    by_folder = json.loads(minialex("predict", weights.find(NAME), picture, "--json").out)
    assert by_name == by_folder and len(by_name["pictures"][0]["best"]) == 5


def test_get_says_what_is_wrong(minialex, at_home):
    assert mistake(minialex("weights", "get", "caffenet"), "need one of bvlc-alexnet; caffenet "
                   "pools before it normalizes")
    at_home.write_bytes(at_home.read_bytes()[:-1])
    assert mistake(minialex("weights", "get", NAME), " bytes, not ", "remove it, then run")
    at_home.unlink()
    result = minialex("weights", "get", NAME)
    assert result.code == 2 and "by hand, put it into" in result.err.splitlines()[-1]
    assert list(at_home.parent.iterdir()) == [], "nothing half-written"


def test_damaged_run_of_public_weights(minialex, at_home):
    assert minialex("weights", "get", NAME).code == 0
    path = weights.find(NAME) / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)
    assert mistake(minialex("weights", "get", NAME), "wrong checksum", "or remove ",
                   "run the same command again")


# import and export


def test_import_makes_the_network_of_the_file(minialex, file, graph, tmp_path):
    imported = minialex("weights", "import", file, "--out", tmp_path / "run")
    assert imported.code == 0 and "squeezed to 256x256" in imported.out
    classifier = Classifier.load(tmp_path / "run", ("cpu:0", "cpu:1"))
    prepared = np.random.default_rng(0).normal(0, 60, (2, 227, 227, 3)).astype(np.float32)
    model = type(graph).FromString(graph.SerializeToString())
    for size, value in zip(model.graph.input[0].type.tensor_type.shape.dim, (2, 3, 227, 227),
                           strict=True):
        size.dim_value = value
    for tensor in model.graph.initializer:
        if tensor.name == "OC2_DUMMY_1":
            tensor.raw_data = np.array([2, -1]).tobytes()
    expected = computed(model, prepared[..., ::-1].transpose(0, 3, 1, 2))
    scores = classifier.net(prepared).numpy()
    found = np.exp(scores - scores.max(axis=1, keepdims=True))
    found /= found.sum(axis=1, keepdims=True)
    assert np.abs(found - expected).max() < 1e-5 * expected.max()


def test_there_and_back(minialex, trained, tmp_path, file):
    """A run of ours, and one from Caffe: the same weights, bit for bit, and the same answers."""
    assert minialex("weights", "import", file, "--out", tmp_path / "caffe").code == 0
    for run in trained, tmp_path / "caffe":
        exported, again = tmp_path / f"{run.name}.onnx", tmp_path / f"{run.name}-again"
        result = minialex("weights", "export", run, exported)
        assert result.code == 0 and "float32" in result.out
        assert minialex("weights", "import", exported, "--like", run, "--out", again).code == 0
        ours, theirs = Classifier.load(run), Classifier.load(again)
        for name, array in ours.net.state().items():
            np.testing.assert_array_equal(theirs.net.state()[name], array)
        np.testing.assert_array_equal(theirs.preparation.mean, ours.preparation.mean)
        assert theirs.preparation[2:] == ours.preparation[2:]
        assert list(theirs.classes) == list(ours.classes)


def test_export_tells_how_pixels_are_prepared(minialex, trained, tmp_path, file):
    """What is told is enough to get the same answers from another program."""
    import onnx

    assert minialex("weights", "import", file, "--out", tmp_path / "caffe").code == 0
    told = minialex("weights", "export", tmp_path / "caffe", tmp_path / "a.onnx").out
    assert "(N, 3, 227, 227) float32: blue, green, red, from 0 to 255, less 104, 117, 123" in \
        " ".join(told.split())
    mean = np.random.default_rng(1).uniform(0, 255, (32, 32, 3)).astype(np.float32)
    classifier = Classifier.load(trained)
    classifier = dataclasses.replace(classifier,
                                     preparation=classifier.preparation._replace(mean=mean))
    classifier.save(tmp_path / "ours")
    told = minialex("weights", "export", tmp_path / "ours", tmp_path / "b.onnx").out
    told = " ".join(told.split())
    assert ("(N, 3, 28, 28) float32: red, green, blue, from 0 to 255, less the central 28x28 of "
            "the mean image") in told and "times 0.015625" in told
    image = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), np.uint8)
    pixels = (image - mean)[:, 2:30, 2:30] * np.float32(1 / 64)
    answer = computed(onnx.load(tmp_path / "b.onnx"), pixels.transpose(0, 3, 1, 2))
    np.testing.assert_allclose(answer, classifier.predict([*image]), rtol=1e-4)


def test_names_of_classes_are_given_by_a_file(minialex, file, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("".join(f"kind {i}\n" for i in range(1000)))
    done = minialex("weights", "import", file, "--classes", names, "--out", tmp_path / "a")
    assert done.code == 0, done.err
    assert list(Classifier.load(tmp_path / "a").classes)[999] == "kind 999"
    names.write_text("cat\ndog\n")
    assert mistake(minialex("weights", "import", file, "--classes", names, "--out", tmp_path / "b"),
                   "1,000 outputs, and 2 names of classes came; give one for each")
    names.write_bytes(b"\xff\xfe\xfa")
    assert mistake(minialex("weights", "import", file, "--classes", names, "--out", tmp_path / "b"),
                   "--classes ", "no text in UTF-8")
    assert not (tmp_path / "b").exists()


def test_bad_files_are_one_line_and_leave_nothing(minialex, file, trained, tmp_path):
    whole = file.read_bytes()
    out = tmp_path / "out"
    for content, words in [(whole[:1000], "no ONNX file, or damaged or cut off"),
                           (b"", "no graph in it"), (b"\xff\xd8\xff\xe0 JFIF", "no ONNX file")]:
        file.write_bytes(content)
        assert mistake(minialex("weights", "import", file, "--out", out), "caffe.onnx: ", words)
    assert mistake(minialex("weights", "import", tmp_path / "none.onnx", "--out", out),
                   "there is no such file")
    assert mistake(minialex("weights", "import", tmp_path, "--out", out), "there is no such file")
    assert not out.exists()
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    file.write_bytes(whole)
    assert mistake(minialex("weights", "import", file, "--out", out),
                   "is not empty; choose another --out")
    assert mistake(minialex("weights", "export", trained, tmp_path / "net.pth"), "ends in .onnx")
    ours = tmp_path / "ours.onnx"
    assert minialex("weights", "export", trained, ours).code == 0
    assert mistake(minialex("weights", "import", ours, "--out", tmp_path / "x"),
                   "is not from Caffe", "name a run that it is like, with --like")
    assert mistake(minialex("weights", "import", file, "--like", trained, "--out", tmp_path / "x"),
                   "not of the kind and size")
    assert not (tmp_path / "x").exists()


# What other commands make of it


def test_imported_network_is_evaluated_on_given_pictures(minialex, file, tmp_path, photographs):
    """Wide pictures are squeezed, as for `predict`; the errors are those of its answers."""
    run = small_caffe(tmp_path, ["bright", "dark"])
    assert mistake(minialex("evaluate", run), "imported, without its pictures; name some: ",
                   "--data FOLDER")
    done = minialex("evaluate", run, "--data", photographs, "--out", tmp_path / "e", "--json")
    assert done.code == 0, done.err
    classifier, right = Classifier.load(run), []
    for label, name in enumerate(classifier.classes):
        paths = sorted((photographs / "test" / name).iterdir())
        right += list(classifier.predict(paths).argmax(axis=1) == label)
    assert json.loads(done.out)["centre"]["top1_error"] == pytest.approx(1 - np.mean(right))


def small_caffe(tmp_path, classes):
    """The run of a network from Caffe with these classes."""
    from minialex.weights import read_classifier

    path = tmp_path / "two.onnx"
    path.write_bytes(zoo(random_weights(np.random.default_rng(5), classes=len(classes)),
                         12).SerializeToString())
    read_classifier(path, classes=classes).save(tmp_path / "two")
    return tmp_path / "two"


def test_imported_network_is_not_gone_on_with(minialex, tmp_path):
    run = small_caffe(tmp_path, ["a", "b"])
    assert mistake(minialex("train", "--resume", run),
                   "imported, not trained here; start a new run from it: --start-from")


OPTIONS = ("--batch", 8, "--epochs", 2, "--steps", 4)


def test_fine_tuning_from_a_network_of_caffe(minialex, tmp_path, photographs, devices):
    """Its kind of normalization goes along, and the pictures are now cut."""
    source, run = small_caffe(tmp_path, ["cat", "dog", "cow"]), tmp_path / "run"
    done = minialex("train", "--start-from", source, "--freeze", "fc7", "--data", photographs,
                    "--out", run, "--devices", ",".join(devices), *OPTIONS)
    assert done.code == 0, done.err
    assert "fc8 is new; conv1 to fc7 are frozen" in " ".join(done.out.split())
    recipe = read(run / "config.json")["recipe"]
    assert (recipe["norm"], recipe["squeeze"], recipe["frozen"]) == ("caffe", False, "fc7")
    before, after = Classifier.load(source), Classifier.load(run)
    assert after.net.norm == "caffe" and list(after.classes) == ["bright", "dark"]
    np.testing.assert_array_equal(after.preparation.mean, before.preparation.mean)
    for name, array in before.net.state().items():
        assert np.array_equal(after.net.state()[name], array) == (not name.startswith("fc8"))


def test_fine_tuning_by_name(minialex, at_home, photographs, tmp_path):
    options = ("train", "--start-from", NAME, "--data", photographs)
    assert mistake(minialex(*options), "not here yet; bring them with: ", f"weights get {NAME}")
    assert minialex("weights", "get", NAME).code == 0
    told = minialex(*options, "--explain").out
    assert "a tenth of the 0.005" in " ".join(told.split()) and "last layer is new" in told
    assert not (tmp_path / "runs").exists()


def test_fine_tuning_is_resumed_bit_for_bit(minialex, trained, tmp_path, monkeypatch, devices):
    """Also after a kill before the first checkpoint, and where the first run is gone."""
    others = dark_and_bright(tmp_path / "others")
    for name in ("train", "test", "val"):
        (others / name / "bright").rename(others / name / "very bright")
    options = ("train", "--start-from", trained, "--freeze", "conv3", "--data", others, "--batch",
               8, "--epochs", 2, "--devices", ",".join(devices))
    assert minialex(*options, "--out", tmp_path / "whole").code == 0
    assert minialex(*options, "--steps", 2, "--out", tmp_path / "part").code == 0
    assert minialex("train", "--resume", tmp_path / "part", "--epochs", 2).code == 0
    expected = Classifier.load(tmp_path / "whole").net.state()
    found = Classifier.load(tmp_path / "part").net.state()
    first = Classifier.load(trained).net.state()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
        frozen = name.split(".")[-2] in ("conv1", "conv2", "conv3")
        assert np.array_equal(array, first[name]) == frozen
    config = read(tmp_path / "part" / "config.json")
    assert config["start"] == str(trained) and config["recipe"]["frozen"] == "conv3"
    killed = tmp_path / "killed"
    killed.mkdir()
    (killed / "config.json").write_text(json.dumps({**config, "steps": None}))
    assert minialex("train", "--resume", killed).code == 0
    for name, array in Classifier.load(killed).net.state().items():
        np.testing.assert_array_equal(array, expected[name])


@pytest.mark.parametrize(("options", "parts"), [
    (["--freeze", "fc6"], ["--freeze fc6: first weights must learn", "--start-from RUN"]),
    (["--start-from", "RUN", "--freeze", "fc8"], ["frozen is 'fc8'; it must be one of conv1"]),
    (["--start-from", "RUN", "--freeze", "fc66"], ["frozen is 'fc66'; it must be one of conv1"]),
    (["--start-from", "RUN", "--model", "alexnet"], ["--model alexnet: ", "alexnet-small"]),
    (["--start-from", "RUN", "--width", "0.5"], ["--width 0.5: the network has that of "]),
    (["--start-from", "RUN", "--init", "he"], ["--init he: the network has that of "]),
    (["--start-from", "nowhere"], ["nowhere: there is no such folder"]),
    (["--start-from", "RUN", "--data", "fashion-mnist"], ["shape (28, 28, 1) came", "(32, 32, 3)"]),
], ids=str)
def test_what_cannot_be(minialex, trained, photographs, tmp_path, options, parts):
    options = [trained if option == "RUN" else option for option in options]
    if "--data" not in options:
        options += ["--data", photographs]
    assert mistake(minialex("train", "--out", tmp_path / "run", *options), *parts)
    assert not (tmp_path / "run").exists()


def test_old_runs_do_not_tell_what_is_new(minialex, tmp_path, photographs):
    """The folder of a run from before there were normalizations to choose from."""
    run = make_run(tmp_path / "old")
    recipe = dict(Classifier.load(run).config["recipe"])
    assert recipe.pop("norm") == "paper" and recipe.pop("frozen") == ""
    (tmp_path / "older").mkdir()
    classifier = Classifier.load(run)
    config = {**classifier.config, "recipe": recipe}
    dataclasses.replace(classifier, config=config).save(tmp_path / "older")
    picture = save_picture(tmp_path / "a.jpg", 90)
    ours, theirs = (json.loads(minialex("predict", name, picture, "--json").out)["pictures"]
                    for name in (run, tmp_path / "older"))
    assert ours == theirs
