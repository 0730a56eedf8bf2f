"""The embedded photographs: what their README promises, and that they can be cut again."""

import csv
import hashlib
import importlib.util
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minialex import datasets, training
from minialex.datasets import DataError
from minialex.datasets.shards.read import LISTS

FOLDER = Path(__file__).resolve().parents[1] / "data" / "clothing-mini"
FILES = {"prepared.json", *LISTS, "train-00000.zip", "test-00000.zip"}
CLASSES = ["dress", "hat", "longsleeve", "outwear", "pants", "shirt", "shoes", "shorts", "skirt",
           "t-shirt"]


@pytest.fixture(scope="module")
def prepare_py():
    """The script, as a module: it belongs to the data, not to the package."""
    spec = importlib.util.spec_from_file_location("prepare_clothing", FOLDER / "prepare.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def data():
    return datasets.open("clothing-mini")


def rows():
    with open(FOLDER / "manifest.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# The embedded files


def test_files_are_those_of_the_readme():
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    table = re.findall(r"\| `(\S+)` \| ([\d,]+) \| `([0-9a-f]{64})` \|", readme)
    assert {name for name, _, _ in table} == FILES
    for name, size, checksum in table:
        content = (FOLDER / name).read_bytes()
        assert f"{len(content):,}" == size, name
        assert hashlib.sha256(content).hexdigest() == checksum, name


def test_folder_takes_at_most_4_mb():
    files = [path for path in FOLDER.iterdir() if path.is_file()]
    assert {path.name for path in files} == FILES | {"README.md", "LICENSE", "prepare.py"}
    assert sum(path.stat().st_size for path in files) <= 4_000_000


def test_readme_names_source_licence_and_classes():
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert "github.com/alexeygrigorev/clothing-dataset-small" in readme and "CC0 1.0" in readme
    assert "| " + " | ".join(CLASSES) + " |" in readme
    assert (FOLDER / "LICENSE").read_text(encoding="utf-8").split()[4:6] == ["CC0", "1.0"]


# The photographs


def test_balanced_squares_in_colour(data):
    assert str(data) == "clothing-mini: 200 training and 50 test images, 10 classes"
    assert data.val is data.test and data.val_name == "test" and data.train.classes == CLASSES
    for images, of_each_class in (data.train, 20), (data.test, 5):
        assert images.shape == (256, 256, 3) and images.mirrored
        assert np.bincount(images.labels).tolist() == [of_each_class] * 10
        pixels = images.read(np.arange(len(images)))
        assert pixels.std(axis=(1, 2, 3)).min() > 10, "a photograph is empty"


def test_mean_and_colours_are_those_of_the_training_photographs(data):
    images = data.train.read(np.arange(200)).astype(np.float64)
    found = data.train.measure()
    np.testing.assert_allclose(found.mean, images.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(found.covariance, np.cov(images.reshape(-1, 3).T, bias=True))


def test_no_photograph_is_in_both_splits_or_comes_twice(data):
    seen = [image.tobytes() for images in (data.train, data.test)
            for image in images.read(np.arange(len(images)))]
    assert len(set(seen)) == len(seen) == 250
    assert len({Path(row["source"]).name for row in rows()}) == 250


def test_photographs_carry_no_notes_of_a_camera():
    for split in "train", "test":
        with zipfile.ZipFile(FOLDER / f"{split}-00000.zip") as packed:
            for name in packed.namelist():
                if name.endswith(".jpg"):
                    with packed.open(name) as file, Image.open(file) as picture:
                        assert not picture.getexif() and "comment" not in picture.info, name


def test_few_photographs_get_many_epochs():
    recipe, sources = training.suggest("alexnet", 200)
    assert recipe.epochs == 10 * training.suggest("alexnet", 3_068)[0].epochs
    assert "up to ten times" in sources["epochs"]


# The cut


def made_up(folder, train, test):
    """A set in the layout of the original: photographs of 400 x 533 pixels."""
    rng = np.random.default_rng(0)
    for split, count in ("train", train), ("validation", 1), ("test", test):
        for name in "hat", "shoes":
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                small = rng.integers(0, 256, (8, 6, 3), np.uint8)
                picture = Image.fromarray(small).resize((400, 533))
                picture.save(folder / split / name / f"{number}.jpg")
    return folder


def test_cut_keeps_the_first_of_each_class(prepare_py, tmp_path):
    source = made_up(tmp_path / "source", 4, 3)
    prepare_py.prepare(source, tmp_path / "cut", train=3, test=2)
    with open(tmp_path / "cut" / "manifest.csv", newline="", encoding="utf-8") as file:
        kept = sorted(row["source"] for row in csv.DictReader(file))
    assert kept == [f"{split}/{name}/{number}.jpg" for split, count in (("test", 2), ("train", 3))
                    for name in ("hat", "shoes") for number in range(count)]
    cut = datasets.open(tmp_path / "cut")
    assert cut.train.shape == (256, 256, 3) and len(cut.train) == 6 and len(cut.test) == 4


def test_cutting_again_gives_the_same_bytes(prepare_py, tmp_path):
    source = made_up(tmp_path / "source", 3, 2)
    one, other = (prepare_py.prepare(source, tmp_path / name, train=3, test=2)
                  for name in ("one", "other"))
    assert {path.name for path in one} == FILES
    for a, b in zip(one, other, strict=True):
        assert a.read_bytes() == b.read_bytes(), a.name


def test_embedded_names_are_the_first_of_their_class():
    """In the shards they are shuffled; by name, 20 and 5 of each class remain, and no val."""
    for split, count in ("train", 20), ("test", 5):
        for name in CLASSES:
            sources = {row["source"] for row in rows() if row["source"].startswith(
                f"{split}/{name}/")}
            assert len(sources) == count
    assert {row["split"] for row in rows()} == {"train", "test"}


def test_too_few_photographs(prepare_py, tmp_path):
    source = made_up(tmp_path / "source", 3, 2)
    with pytest.raises(DataError, match="holds 3 files; need 4 or more; ask for fewer"):
        prepare_py.prepare(source, tmp_path / "cut", train=4, test=2)
    assert not (tmp_path / "cut").exists()
