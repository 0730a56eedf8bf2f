"""A trained network at work: in Python, and the command that says what it sees."""

import io
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import runs
from PIL import Image
from runs import CLASSES, MODEL, SHARES, dark_and_bright, learn, mistake, save_picture

from minialex import backend
from minialex.datasets import DataError
from minialex.tools import cli
from minialex.tools import predict as predict_module
from minialex.training import CheckpointError, Classifier
from minialex.training.checkpoint import load_arrays, save_arrays

pytestmark = pytest.mark.ch11

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def photographs(tmp_path_factory):
    return dark_and_bright(tmp_path_factory.mktemp("data") / "photographs")


@pytest.fixture(scope="session")
def run(tmp_path_factory, photographs, pytestconfig):
    return learn(photographs, tmp_path_factory.mktemp("runs") / "run",
                 pytestconfig.getoption("--device"))


@pytest.fixture
def make_run(tmp_path):
    def make(name="made", **changes):
        return runs.make_run(tmp_path / name, **changes)

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
    with pytest.raises(ValueError, match=r"Classifier\.load: 3 devices are too many; name one"):
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
    (np.zeros((32, 32, 3), np.float32), r"the array is float32 \(32, 32, 3\); this network "
                                        r"needs uint8 \(32, 32, 3\); save it as a picture"),
    (np.zeros((32, 33, 3), np.uint8), r"uint8 \(32, 33, 3\); this"),
    ("nowhere.jpg", r"nowhere.jpg: there is no such file; correct the name"),
    (__file__, r"test_predict.py: not a readable picture"),
], ids=["type", "shape", "missing", "no picture"])
def test_what_is_no_picture(make_run, picture, message):
    with pytest.raises(DataError, match=message):
        Classifier.load(make_run()).predict([picture])


def damage(folder, how):
    path = folder / MODEL
    if how == "missing":
        path.unlink()
    elif how == "half":
        path.write_bytes(path.read_bytes()[:-1])
    elif how == "no folder":
        return folder / "nowhere"
    return folder


@pytest.mark.parametrize(("how", "message"), [
    ("no folder", r"nowhere: there is no such folder; name the folder of a run"),
    ("missing", r"made: there is no model.safetensors in it, .*; name the folder of a run"),
    ("half", r"model.safetensors: damaged, or not written by minialex .*; use another"),
])
def test_run_that_cannot_be_loaded(make_run, how, message):
    with pytest.raises(CheckpointError, match=message):
        Classifier.load(damage(make_run(), how))


@pytest.mark.parametrize("changes", [
    {"recipe": {"colours": "BGR"}}, {"recipe": {"width": 0.1}}, {"model": "alexnet", "classes": []},
    {"recipe": {"init": "kaiming"}}, {"classes": CLASSES[:3]}, {"classes": None}, {"model": []},
    {"recipe": None}, {"classes": ["Ant" * 10**6, *CLASSES[1:]]}],
    ids=lambda changes: str(changes)[:40])
def test_weights_of_another_version_are_refused(make_run, changes):
    """A setting that is not known here may change what the weights mean."""
    message = (r"model.safetensors: written by minialex 9.8.7, and not to be used with this one "
               r"\(.+\); install that version")
    folder = make_run()
    arrays, config = load_arrays(folder / MODEL)
    recipe = changes.get("recipe", {})
    config = {**config, **changes,
              "recipe": recipe if recipe is None else {**config["recipe"], **recipe}}
    save_arrays(folder / MODEL, arrays, config)
    with pytest.raises(CheckpointError, match=message):
        Classifier.load(folder)


@pytest.mark.parametrize("name", ["columns.0.conv1.weight", "input.mean"])
def test_weights_that_are_no_numbers_are_refused(make_run, name):
    folder = make_run()
    arrays, config = load_arrays(folder / MODEL)
    arrays[name].flat[3] = np.nan
    save_arrays(folder / MODEL, arrays, config)
    with pytest.raises(CheckpointError, match=f"{name} holds what is no number"):
        Classifier.load(folder)


def test_network_that_overflows_gives_no_guesses(minialex, make_run, album):
    folder = make_run()
    arrays, config = load_arrays(folder / MODEL)
    config["recipe"]["scale"] = 1e308
    save_arrays(folder / MODEL, arrays, config)
    result = minialex("predict", folder, album)
    assert mistake(result, f"{folder / MODEL}: the network overflows; its weights, or its settings")


# The command


@pytest.fixture
def album(tmp_path):
    """A folder with two pictures, and something else."""
    folder = tmp_path / "album"
    save_picture(folder / "b.jpg", 10)
    save_picture(folder / "a.PNG", 250, size=(3, 200))
    (folder / "notes.txt").write_text("no picture")
    return folder


def guesses(text):
    """[(picture, [(class, per cent, bar), ...]), ...], as they are printed."""
    found = []
    for line in text.splitlines():
        if line and not line.startswith(" "):
            found.append((line, []))
        elif line:
            name, share, drawn = re.fullmatch(r"  (.+?) +(\d+\.\d)%(.*)", line).groups()
            found[-1][1].append((name, float(share), drawn.strip()))
    return found


def test_guesses_in_plain_text(minialex, make_run, album):
    """Best first, and bars as long as they are likely; plain letters where there is no terminal."""
    result = minialex("predict", make_run(), album / "b.jpg", "--top", 2)
    assert (result.code, result.err) == (0, "")
    [(title, [ant, bee])] = guesses(result.out)
    assert title == str(album / "b.jpg") and ant[:2] == ("Ant", 50) and bee[:2] == ("Bee", 25)
    assert set(ant[2]) == {"#"} and len(ant[2]) == 2 * len(bee[2]) > 10


@pytest.mark.parametrize("columns", [None, 200, 80, 60, 40])
def test_guesses_on_a_terminal(minialex, make_run, album, monkeypatch, columns):
    """As wide as it is, and at most 80 columns; long names are cut."""
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns:
        monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(predict_module, "shows_blocks", lambda _: True)
    sure = np.array([1, 0, 0, 0, 0, 0, 0]) * (1 - 7e-7) + 1e-7
    for shares in SHARES, sure.astype(np.float32):
        folder = make_run(f"run {shares[0]}", shares=shares)
        result = minialex("predict", folder, album / "b.jpg", "--top", 100)
        lines = result.out.splitlines()[1:-1]
        [(_, rows)] = guesses(result.out)
        assert len(rows) == 7 and rows[-1][0].startswith("a goat that") and rows[-1][0][-1] == "…"
        assert max(map(len, lines)) <= min(columns or 80, 80)
        if columns != 40:  # where there is no room for a bar
            assert len(lines[0]) == min(columns or 80, 80) or shares[0] < 1
            assert set(rows[0][2]) <= set("█▏▎▍▌▋▊▉")


def titles(result):
    return [title for title, _ in guesses(result.out)]


def test_folder_means_its_pictures(minialex, make_run, album):
    """Also those in folders of classes; but not what other programs leave in there."""
    save_picture(album / "dogs" / "old" / "c.jpeg", 10)
    save_picture(album / ".b.jpg", 10)
    save_picture(album / "._a.jpg", 10)
    save_picture(album / ".thumbs" / "d.jpg", 10)
    save_picture(album / "@eaDir" / "b.jpg", 10)
    save_picture(album / "__MACOSX" / "b.jpg", 10)
    result = minialex("predict", make_run(), album, album / "b.jpg")
    assert (result.code, result.err) == (0, "")
    assert titles(result) == [str(album / name)
                              for name in ("a.PNG", "b.jpg", "dogs/old/c.jpeg", "b.jpg")]


def test_bad_pictures_are_reported_and_the_others_answered(minialex, make_run, album, tmp_path):
    (album / "empty.jpg").write_bytes(b"")
    (tmp_path / "nothing").mkdir()
    result = minialex("predict", make_run(), "nowhere.jpg", album, tmp_path / "nothing")
    assert result.code == 2 and len(titles(result)) == 2
    lost, empty, nothing = result.err.splitlines()
    assert lost == "minialex: nowhere.jpg: there is no such file; correct the name"
    assert re.match(rf"minialex: {album}/empty.jpg: not a readable picture \(", empty)
    assert nothing.startswith(f"minialex: {tmp_path}/nothing: no pictures in this folder")


def test_warning_of_pillow_is_not_shown(minialex, make_run, tmp_path):
    """It would name a file of the library, not the picture."""
    with io.BytesIO() as file:
        Image.new("RGB", (9, 9)).save(file, "TIFF")
        (tmp_path / "cut.tif").write_bytes(file.getvalue()[:30])
    done = minialex("predict", make_run(), tmp_path / "cut.tif")
    assert mistake(done, tmp_path / "cut.tif", "no picture, or of an unknown format")


def test_picture_for_which_the_memory_is_too_small_leaves_the_others(minialex, make_run, album,
                                                                     monkeypatch):
    def read(self, picture, real=Classifier.read):
        if getattr(picture, "name", "") == "a.PNG":
            raise MemoryError
        return real(self, picture)

    monkeypatch.setattr(Classifier, "read", read)
    result = minialex("predict", make_run(), album)
    assert result.code == 2 and titles(result) == [str(album / "b.jpg")]
    assert result.err == f"minialex: {album / 'a.PNG'}: too large for the memory\n"


@pytest.mark.parametrize("name", [MODEL, "best.safetensors", "checkpoint"])
def test_file_of_weights_stands_for_its_run(minialex, run, album, name):
    path = max(run.glob(f"{name}*"))
    result = minialex("predict", path, album, "--json")
    assert (result.code, result.err) == (0, "")
    found = json.loads(result.out)
    assert found["run"] == str(run)
    assert found["weights"] == (path.name if name != "checkpoint" else MODEL)


def test_file_that_is_no_weights(minialex, make_run, album):
    folder = make_run()
    (folder / "notes.txt").touch()
    assert mistake(minialex("predict", folder / "notes.txt", album), folder / "notes.txt",
                   "name the folder of the run")


@pytest.mark.parametrize("hostile", ["\x1b[2J", "\u202egpj", "a\nminialex: b", "\x9b1m", "日本é"])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_names_cannot_steer_the_terminal(make_run, tmp_path, monkeypatch, hostile, encoding):
    """Of files and of classes."""
    folder = make_run(classes=[f"{hostile}{name}" for name in CLASSES])
    with open(tmp_path / "out", "w+", encoding=encoding) as out:
        monkeypatch.setattr("sys.stdout", out)
        code = cli.main(["predict", str(folder),
                         str(save_picture(tmp_path / f"x{hostile}.png", 1))])
        monkeypatch.undo()
    text = (tmp_path / "out").read_text(encoding=encoding)
    assert code == 0 and len(text.splitlines()) == 7
    assert all(line.isprintable() for line in text.splitlines())


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_folders_whose_names_are_no_text(minialex, make_run, tmp_path):
    name = os.fsdecode(b"r\xfcn")
    folder = make_run(name)
    picture = save_picture(tmp_path / os.fsdecode(b"\xe4.png"), 10)
    result = minialex("predict", folder, picture, "--json")
    assert result.code == 0 and json.loads(result.out)["pictures"][0]["picture"] == str(picture)
    assert titles(minialex("predict", folder, picture)) == [f"{tmp_path}/?.png"]


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


@pytest.mark.parametrize(("ending", "begins"), [
    ("png", b"\x89PNG"), ("jpg", b"\xff\xd8\xff"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_plot_shows_the_pictures_that_could_be_read(minialex, make_run, album, tmp_path, ending,
                                                    begins):
    """In the format that its name says."""
    for options, stream in ([], "out"), (["--json"], "err"):
        path = tmp_path / f"{stream}.{ending}"
        result = minialex("predict", make_run(stream), album, "nowhere.jpg", "--plot", path,
                          *options)
        assert getattr(result, stream).endswith(f"wrote {path}, with 2 of 3 pictures\n")
        assert path.read_bytes().startswith(begins)
        if ending == "png":
            with Image.open(path) as picture:
                assert picture.size[0] > 400
    assert not list(tmp_path.glob("*.part"))
    json.loads(result.out)


def test_plot_in_place_of_a_picture_is_refused(minialex, make_run, tmp_path):
    """It would be lost, and the guesses drawn in its place."""
    path = save_picture(tmp_path / "album" / "a.png", 9)
    before, run = path.read_bytes(), make_run()
    for plot in (path, path.parent / "." / ".." / path.parent.name / path.name):
        assert mistake(minialex("predict", run, path.parent, "--plot", plot),
                       "--plot ", "is one of the pictures; choose another name")
    assert path.read_bytes() == before


def test_plot_of_nothing_is_none(minialex, make_run, tmp_path):
    assert mistake(minialex("predict", make_run(), "nowhere.jpg", "--plot", tmp_path / "x.png"),
                   "nowhere.jpg: there is no such file")
    assert not (tmp_path / "x.png").exists()


@pytest.mark.parametrize("command", [["evaluate"], ["predict", "x.jpg"]], ids=lambda c: c[0])
def test_commands_say_which_run_is_missing(minialex, command):
    name, *pictures = command
    assert mistake(minialex(name, "nowhere", *pictures),
                   "nowhere: there is no such folder; name the folder of a run")
