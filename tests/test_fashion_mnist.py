"""The embedded data set: what its README promises, and that it can be cut again."""

import gzip
import hashlib
import importlib.util
import re
import zlib
from pathlib import Path

import numpy as np
import pytest

from minialex.datasets import DataError, fashion_mnist, mnist, write_idx
from minialex.datasets.sets.fashion_mnist import CLASSES

FOLDER = Path(__file__).resolve().parents[1] / "data" / "fashion-mnist"
FILES = [
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
]
SPLITS = pytest.mark.parametrize(("split", "of_each_class"), [("train", 1000), ("test", 200)])


@pytest.fixture(scope="module")
def prepare_py():
    """The script, as a module: it belongs to the data, not to the package."""
    spec = importlib.util.spec_from_file_location("prepare", FOLDER / "prepare.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# The embedded files


def test_files_are_those_of_the_readme():
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"\| `(\S+\.gz)` \| [\d,]+ \| ([\d,]+) \| `([0-9a-f]{64})` \|", readme)
    assert [name for name, _, _ in rows] == FILES
    assert sorted(path.name for path in FOLDER.glob("*.gz")) == sorted(FILES)
    for name, size, checksum in rows:
        content = (FOLDER / name).read_bytes()
        assert f"{len(content):,}" == size, name
        assert hashlib.sha256(content).hexdigest() == checksum, name


def test_folder_takes_at_most_6_mb():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 6_000_000


def test_readme_names_source_licence_and_classes():
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert "github.com/zalandoresearch/fashion-mnist" in readme
    assert "arXiv:1708.07747" in readme
    assert "| " + " | ".join(CLASSES) + " |" in readme
    assert "2017 Zalando SE" in (FOLDER / "LICENSE").read_text(encoding="utf-8")


# The arrays


@SPLITS
def test_counts_types_and_ranges(split, of_each_class):
    images, labels = fashion_mnist(split)
    assert images.shape == (10 * of_each_class, 28, 28, 1) and images.dtype == np.uint8
    assert labels.shape == (10 * of_each_class,) and labels.dtype == np.int64
    assert np.bincount(labels).tolist() == [of_each_class] * len(CLASSES)
    assert images.min() == 0 and images.max() == 255
    assert images.max(axis=(1, 2, 3)).min() > 0, "an image is empty"
    assert 70 < images.mean() < 76  # 72.9 over the full training set


@pytest.mark.parametrize(
    ("split", "first"),
    [("train", [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]), ("test", [9, 2, 1, 1, 6, 1, 4, 6, 5, 7])],
)
def test_order_is_that_of_the_original(split, first):
    """No class is full among the first ten, so they are the first ten of the original."""
    assert fashion_mnist(split)[1][:10].tolist() == first


def test_labels_belong_to_their_images():
    """The nearest class mean is right for two thirds of the test images, by chance for a tenth."""
    images, labels = fashion_mnist("train")
    means = np.stack([images[labels == c].mean(axis=0).ravel() for c in range(10)])
    images, labels = fashion_mnist("test")
    # |x - m|^2 without its term |x|^2, which is the same for all classes
    distance = (means**2).sum(axis=1) - images.reshape(len(images), -1) @ (2 * means.T)
    nearest = distance.argmin(axis=1)
    assert 0.6 < (nearest == labels).mean() < 0.75
    assert (nearest == np.roll(labels, 1)).mean() < 0.15  # negative control


def test_default_split_is_train_and_the_folder_can_be_given():
    np.testing.assert_array_equal(fashion_mnist()[1], fashion_mnist("train", FOLDER)[1])
    np.testing.assert_array_equal(fashion_mnist("test", str(FOLDER))[1], mnist("test", FOLDER)[1])


def test_unknown_split():
    with pytest.raises(DataError, match=r"split is 'val'; it must be 'train' or 'test'"):
        fashion_mnist("val")


def test_missing_folder_is_named_with_the_remedy(tmp_path):
    with pytest.raises(DataError, match=r"elsewhere/train.*: no such file, .*pass folder="):
        fashion_mnist(folder=tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte.gz: no such file"):
        fashion_mnist(folder=tmp_path)


# The cut


def test_cutting_the_subset_again_changes_nothing(prepare_py, tmp_path):
    paths = prepare_py.prepare(FOLDER, tmp_path, train=1000, test=200)
    assert [path.name for path in paths] == FILES
    for path in paths:
        cut, embedded = path.read_bytes(), (FOLDER / path.name).read_bytes()
        assert gzip.decompress(cut) == gzip.decompress(embedded), path.name
        # zlib-ng, a faster stand-in for zlib, packs equal contents into other bytes.
        assert cut == embedded or "ng" in zlib.ZLIB_RUNTIME_VERSION, path.name


def write_set(folder, labels):
    """A set whose images know their place: image i is filled with the number i."""
    labels = np.array(labels, np.uint8)
    images = np.arange(len(labels), dtype=np.uint8)[:, None, None] + np.zeros((28, 28), np.uint8)
    for prefix in "train", "t10k":
        write_idx(folder / f"{prefix}-images-idx3-ubyte.gz", images)
        write_idx(folder / f"{prefix}-labels-idx1-ubyte.gz", labels)


def test_cut_keeps_the_first_of_each_class_in_order(prepare_py, tmp_path):
    write_set(tmp_path, [4, 4, 0, 4, 7, 0, 7, 0, 4, 7])
    prepare_py.prepare(tmp_path, tmp_path / "new" / "cut", train=2, test=1)
    images, labels = mnist("train", tmp_path / "new" / "cut")
    assert images[:, 0, 0, 0].tolist() == [0, 1, 2, 4, 5, 6]
    assert labels.tolist() == [4, 4, 0, 7, 0, 7]
    images, labels = mnist("test", tmp_path / "new" / "cut")
    assert images[:, 27, 27, 0].tolist() == [0, 2, 4]
    assert labels.tolist() == [4, 0, 7]


@pytest.mark.parametrize(
    ("count", "message"),
    [(4, r"class 0 has 3 images; need 4 or more; ask for fewer"), (0, r"0 images of each class")],
)
def test_cut_refuses_a_count(prepare_py, tmp_path, count, message):
    write_set(tmp_path, [4, 4, 0, 4, 7, 0, 7, 0, 4, 7])
    with pytest.raises(DataError, match=message):
        prepare_py.prepare(tmp_path, tmp_path / "cut", train=count, test=1)


def test_script_prints_the_table_and_meets_errors_in_one_line(
    prepare_py, tmp_path, monkeypatch, capsys
):
    write_set(tmp_path, range(10))
    arguments = ["prepare.py", str(tmp_path), "--target", str(tmp_path / "cut"), "--test", "1"]
    monkeypatch.setattr("sys.argv", [*arguments, "--train", "1"])
    assert prepare_py.main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("`")[1] for line in lines] == FILES

    monkeypatch.setattr("sys.argv", [*arguments, "--train", "2"])
    assert prepare_py.main() == 2
    [message] = capsys.readouterr().err.splitlines()
    assert message.startswith("prepare.py: class 0 has 1 images; need 2 or more")
