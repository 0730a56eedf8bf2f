"""Any set by name or folder: what `datasets.open` gives, and the one walk over folders."""

import os
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minialex import datasets, models, weights
from minialex.datasets import DataError, MissingSetError, pictures_in
from minialex.datasets.sets.folder import folder_source
from minialex.datasets.shards.write import begun, finish, pack, plan
from minialex.errors import InputTypeError

pytestmark = pytest.mark.ch10
ROOT = Path(__file__).resolve().parents[1]


def fill(folder, count=1, level=100, suffix="png"):
    """Pictures of one grey each."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.new("RGB", (24, 20), (level + number,) * 3).save(folder / f"{number}.{suffix}")


@pytest.fixture
def pets(tmp_path):
    """3 pictures to train and 1 to validate of each of two classes."""
    root = tmp_path / "pets"
    for level, name in (50, "ant"), (150, "cat"):
        fill(root / "train" / name, 3, level)
        fill(root / "val" / name, 1, level + 20)
    return root


def prepare(root, folder, side=16):
    source = folder_source(root)
    with begun(folder, source, side, 95):
        pack(folder, plan(source), side, 95)
        finish(folder, source, plan(source), side)
    return folder


# What comes


def test_embedded_set():
    data = datasets.open("fashion-mnist")
    assert (len(data.train), len(data.val), len(data.test)) == (10_000, 2_000, 2_000)
    assert data.val is data.test and (data.val_name, data.test_name) == ("test", "test")
    assert data.train.shape == (28, 28, 1) and data.train.classes[9] == "Ankle boot"
    images, labels = datasets.fashion_mnist("test")
    np.testing.assert_array_equal(data.test.labels, labels)
    np.testing.assert_array_equal(data.test.read(np.array([7, 3])), images[[7, 3]])
    assert str(data) == "fashion-mnist: 10,000 training and 2,000 test images, 10 classes"


def test_folder_as_it_is_and_prepared(pets, tmp_path):
    """The same pictures in the same classes, whatever way they take."""
    plain = datasets.open(pets, side=16)
    packed = datasets.open(str(prepare(pets, tmp_path / "packed")))
    assert str(plain) == "pets: 6 training and 2 validation images, 2 classes"
    assert (plain.val_name, plain.test_name) == ("val", "val") and plain.val is plain.test
    for split in "train", "val":
        one, other = getattr(plain, split), getattr(packed, split)
        assert one.shape == other.shape == (16, 16, 3)
        assert list(one.classes) == list(other.classes) == ["ant", "cat"]
        levels = [sorted(zip(images.labels, images.read(np.arange(len(images)))[:, 8, 8, 0],
                             strict=True)) for images in (one, other)]
        np.testing.assert_allclose(*levels, atol=1)
    assert packed.train.statistics is packed.val.statistics is not None


def test_pictures_are_cut_to_squares_or_squeezed(pets):
    """Three columns of grey: the cut keeps the middle one and parts of the others."""
    wide = Image.new("L", (90, 30), 0)
    wide.paste(100, (30, 0, 60, 30))
    wide.paste(200, (60, 0, 90, 30))
    for split in ("train", "val"):
        wide.save(pets / split / "ant" / "0.png")
    for squeeze, expected in ((False, [100, 100, 100]), (True, [0, 100, 200])):
        image = datasets.open(pets, 30, squeeze=squeeze).val.read(np.arange(1))[0]
        np.testing.assert_allclose(image[15, [5, 15, 25], 0], expected, atol=2)
        read = datasets.read_image(pets / "val" / "ant" / "0.png", 30, squeeze)
        np.testing.assert_array_equal(image, read)


def test_three_splits_are_three(pets):
    fill(pets / "test" / "cat", 2)
    data = datasets.open(pets, 8)
    assert str(data) == "pets: 6 training, 2 validation and 2 test images, 2 classes"
    assert (data.val_name, data.test_name) == ("val", "test")
    assert data.test.labels.tolist() == [1, 1]


def test_facts_of_a_public_set_come_with_its_images(tmp_path):
    folder = Path(shutil.copytree(datasets.find_set("fashion-mnist"), tmp_path / "mnist"))
    digits = datasets.open("mnist", folder=tmp_path)
    assert (digits.train.name, digits.train.mirrored) == ("mnist", False)
    assert digits.train.classes == tuple("0123456789")
    folder.rename(tmp_path / "fashion-mnist-full")
    clothes = datasets.open("fashion-mnist-full", folder=tmp_path)
    assert (clothes.train.name, clothes.test.mirrored) == ("fashion-mnist-full", True)


def test_imagenet_can_be_read_where_it_lies(pets):
    """In tars, and with a flat folder val: here its classes come from a list."""
    wnids = {"n01440764": "ant", "n01443537": "cat"}
    for wnid, name in wnids.items():
        (pets / "train" / name).rename(pets / "train" / wnid)
    for number, name in (1, "ant"), (2, "cat"):
        Image.open(pets / "val" / name / "0.png").save(
            pets / "val" / f"ILSVRC2012_val_{number:08}.JPEG", "JPEG")
        shutil.rmtree(pets / "val" / name)
    rows = "".join(f"ILSVRC2012_val_{number:08},{wnid} 1 2 3 4\n"
                   for number, wnid in enumerate(wnids, 1))
    (pets / "LOC_val_solution.csv").write_text("ImageId,PredictionString\n" + rows)
    data = datasets.open(pets, 8)
    assert data.val.labels.tolist() == [0, 1]
    assert data.val.read(np.array([0, 1]))[:, 4, 4, 0].tolist() == [70, 170]


def test_path_is_a_folder_even_if_a_set_has_its_name(pets, monkeypatch):
    monkeypatch.chdir(pets.parent)
    pets.rename("mnist")
    for folder in "./mnist", Path("mnist"):
        assert len(datasets.open(folder, 8).train) == 6


# What does not come


def test_set_that_is_not_here_says_how_to_get_it(tmp_path):
    with pytest.raises(MissingSetError, match=r"\Amnist: this set is not here yet; bring it with "
                                              r"datasets\.get_set\('mnist'\)\Z") as caught:
        datasets.open("mnist", folder=tmp_path)
    assert caught.value.name == "mnist"


@pytest.mark.parametrize(("change", "message"), [
    (shutil.rmtree, "no data set of minialex, and no folder; use one of fashion-mnist, fash"),
    (lambda pets: (pets / "train").rename(pets / "learn"), "there is no folder train; pictures "),
    (lambda pets: shutil.rmtree(pets / "val"), "there is no folder val or test with folders of"),
    (lambda pets: (pets / "val" / "yak").mkdir(), "val: has the class yak, for which there is no"),
    (lambda pets: shutil.rmtree(pets / "train" / "ant") or (pets / "train" / "ant").mkdir(),
     "pets: no train pictures of the class ant; they must lie in folders named by class and end "),
    (lambda pets: [path.unlink() for path in pets.glob("val/*/*")],
     "pets: no val pictures; they must lie in folders named by class and end "),
    (lambda pets: (pets / "prepared.json").write_text("{}"), "is no prepared set, or not finished"),
], ids=["nothing", "no train", "no val", "other class", "empty class", "empty val",
        "not finished"])
def test_folder_that_lacks_something(pets, change, message):
    change(pets)
    with pytest.raises(DataError) as caught:
        datasets.open(pets)
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert not any(word in str(caught.value) for word in ("--", "minialex data", "minialex train"))


# The walk


@pytest.mark.parametrize("name", ["@eaDir", "__MACOSX", ".hidden", "@EADIR"])
def test_by_products_are_neither_classes_nor_pictures(pets, name):
    """Of disk stations, archivers and file managers."""
    before = folder_source(pets)
    for place in pets, pets / "train", pets / "val", pets / "train" / "cat":
        fill(place / name / "cat")
    for file in "Thumbs.db", ".DS_Store", "._0.png", "desktop.ini":
        (pets / "train" / "cat" / file).write_text("by-product")
        (pets / "train" / file).write_text("by-product")
    assert folder_source(pets) == before
    assert len(pictures_in(pets)) == 8


def test_pictures_in_a_folder_of_any_depth(pets):
    (pets / "train" / "notes.txt").write_text("no picture")
    fill(pets / "more" / "deep", 1, suffix="JPG")
    found = pictures_in(pets)
    assert [path.relative_to(pets).as_posix() for path in found] == sorted([
        "more/deep/0.JPG", "val/ant/0.png", "val/cat/0.png",
        *(f"train/{name}/{number}.png" for name in ("ant", "cat") for number in range(3))])
    with pytest.raises(DataError, match=r"0\.png: cannot be read \(Not a directory\)"):
        pictures_in(pets / "train" / "ant" / "0.png")


@pytest.mark.parametrize("split", ["train", "val"])
def test_names_that_look_the_same_are_refused_with_the_reason(pets, split):
    """As a Mac and another system write an umlaut."""
    for form in "NFC", "NFD":
        (pets / split / unicodedata.normalize(form, "Bär")).mkdir()
    if len(list((pets / split).iterdir())) == 3:
        pytest.skip("this file system takes them for one")
    with pytest.raises(DataError, match=rf"{split}: two classes are called Bär; they look the "
                                        r"same, but their letters are encoded in two ways "
                                        r"\('Ba\\u0308r' and 'B\\xe4r'\); give their folders one"):
        folder_source(pets)


def test_class_of_val_that_only_looks_like_that_of_train(pets):
    for split, form in ("train", "NFC"), ("val", "NFD"):
        fill(pets / split / unicodedata.normalize(form, "Bär"))
    if (pets / "train" / unicodedata.normalize("NFD", "Bär")).exists():
        pytest.skip("this file system takes them for one")
    with pytest.raises(DataError, match=r"val: two classes are called Bär; they look the same, but "
                                        r"their letters are encoded in two ways \('Ba\\u0308r' a"):
        folder_source(pets)


def test_unusable_file_is_named_when_it_is_read(pets):
    (pets / "train" / "ant" / "1.png").write_text("broken")
    images = datasets.open(pets, 8).train
    with pytest.raises(DataError, match=r"/train/ant/1\.png: not a readable picture \(no picture,"):
        images.read(np.arange(6))


# Installed


@pytest.mark.slow
def test_installed_package_brings_its_sets(tmp_path):
    """Built of a copy of the clone with a download in it, and used outside of it."""
    pytest.importorskip("setuptools")
    clone, there = tmp_path / "clone", tmp_path / "there"
    shutil.copytree(ROOT, clone, ignore=shutil.ignore_patterns(
        ".*", "build", "dist", "*.egg-info", "runs", "benchmarks", "_build"))
    (clone / "data" / "mnist").mkdir(exist_ok=True)
    (clone / "data" / "mnist" / "train-images-idx3-ubyte.gz").write_bytes(b"downloaded")
    subprocess.run([sys.executable, "-W", "ignore", "setup.py", "-q", "build_py", "-d", there],
                   cwd=clone, check=True, capture_output=True)
    code = ("from minialex import datasets\n"
            "for name in 'fashion-mnist', 'clothing-mini':\n"
            "    data = datasets.open(name)\n"
            "    print(datasets.find_set(name), data, len(data.test.read(data.test.labels)), "
            "sep='\\n')")
    told = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True,
                          text=True, check=True, env={**os.environ, "PYTHONPATH": str(there)})
    embedded = there / "minialex" / "datasets" / "embedded"
    assert told.stdout.splitlines() == [
        str(embedded / "fashion-mnist"),
        "fashion-mnist: 10,000 training and 2,000 test images, 10 classes", "2000",
        str(embedded / "clothing-mini"),
        "clothing-mini: 200 training and 50 test images, 10 classes", "50"]
    assert {path.name for path in embedded.iterdir()} == {"fashion-mnist", "clothing-mini"}
    for folder in embedded.iterdir():
        assert {"README.md", "LICENSE"} < {path.name for path in folder.iterdir()}


DOORS = {"open": datasets.open, "read_idx": datasets.read_idx, "read_image": datasets.read_image,
         "prepared": datasets.prepared, "is_prepared": datasets.is_prepared,
         "pictures_in": datasets.pictures_in,
         "write_idx": lambda path: datasets.write_idx(path, np.zeros(3, np.uint8)),
         "mnist": lambda folder: datasets.mnist("train", folder),
         "cifar10": lambda folder: datasets.cifar10("train", folder),
         "write_onnx": lambda path: weights.write_onnx(models.LeNet5(), path)}


@pytest.mark.parametrize("value", [None, 3, -1, 1.5, b"data", ["data"], object(), "", "a\0b"],
                         ids=ascii)
@pytest.mark.parametrize("door", DOORS)
def test_what_is_no_name_of_a_file_is_refused_at_the_door(door, value):
    with pytest.raises(InputTypeError, match=rf"\A{door}: \w+ is [^\n]+; give the name of a file "
                                             r"or folder, as text or a Path\Z"):
        DOORS[door](value)


TABLES = {"datasets": datasets.get_set, "weights": weights.load, "models": models.model_info}


@pytest.mark.parametrize("value", [None, 3, ["a"], {}, np.zeros((2, 2))], ids=lambda v: repr(v)[:9])
@pytest.mark.parametrize("table", TABLES)
def test_what_is_no_name_is_not_looked_up(table, value):
    with pytest.raises(InputTypeError, match=rf"\A{table}: name is [^\n]+; give a name, as text\Z"):
        TABLES[table](value)
