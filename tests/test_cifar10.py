"""CIFAR-10: where each byte of the binary version goes, and how bad files are met."""

import os
import re

import numpy as np
import pytest

from minialex.datasets import DataError, cifar10
from minialex.datasets.sets.cifar10 import CLASSES

pytestmark = pytest.mark.ch10

FILES = [f"data_batch_{number}.bin" for number in range(1, 6)] + ["test_batch.bin"]
RECORD = 3073


def record(label, image):
    """By the description: a byte, then all of red, all of green, all of blue, row by row."""
    channels = (bytes(int(pixel[channel]) for row in image for pixel in row)
                for channel in range(3))
    return bytes([label]) + b"".join(channels)


@pytest.fixture
def folder(tmp_path, rng):
    """File i holds i + 1 images; what they show lies beside it as .npz."""
    for index, name in enumerate(FILES):
        images = rng.integers(0, 256, (index + 1, 32, 32, 3), dtype=np.uint8)
        labels = rng.integers(0, 10, index + 1)
        (tmp_path / name).write_bytes(b"".join(map(record, labels, images)))
        np.savez(tmp_path / f"{name}.npz", images=images, labels=labels)
    return tmp_path


@pytest.mark.parametrize(("split", "names"), [("train", FILES[:5]), ("test", FILES[5:])])
def test_every_byte_has_its_place(folder, split, names):
    images, labels = cifar10(split, folder)
    expected = [np.load(folder / f"{name}.npz") for name in names]
    np.testing.assert_array_equal(images, np.concatenate([part["images"] for part in expected]))
    np.testing.assert_array_equal(labels, np.concatenate([part["labels"] for part in expected]))
    assert images.dtype == np.uint8 and labels.dtype == np.int64
    assert images.flags.c_contiguous and images.flags.writeable and labels.flags.writeable
    assert not np.array_equal(images, images.transpose(0, 2, 1, 3)), "rows could be columns"


def test_red_comes_first(tmp_path):
    for name in FILES:
        (tmp_path / name).write_bytes(b"\3" + b"\xff" * 1024 + bytes(2048))
    images, labels = cifar10("test", str(tmp_path))
    assert images[0, 5, 7].tolist() == [255, 0, 0] and labels.tolist() == [3]


def test_classes():
    assert len(CLASSES) == len(set(CLASSES)) == 10
    assert (CLASSES[0], CLASSES[3], CLASSES[9]) == ("airplane", "cat", "truck")


def fails(path, *parts):
    pattern = "^" + re.escape(str(path)) + ".*" + ".*".join(map(re.escape, parts))
    return pytest.raises(DataError, match=pattern + r"[^\n]*\Z")


BAD = {
    "empty": (b"", ["has 0 bytes", "not a multiple of 3073", "get the file again"]),
    "cut off": (bytes(2 * RECORD - 1), ["has 6145 bytes", "not a multiple of 3073"]),
    "one more": (bytes(RECORD + 1), ["has 3074 bytes"]),
    "label": (bytes(RECORD) + b"\x0a" + bytes(RECORD - 1), ["has the label 10, not 0 to 9"]),
}


@pytest.mark.parametrize(("content", "parts"), BAD.values(), ids=BAD)
@pytest.mark.parametrize(("split", "name"), [("train", FILES[3]), ("test", FILES[5])])
def test_bad_file_is_named(folder, split, name, content, parts):
    (folder / name).write_bytes(content)
    with fails(folder / name, *parts):
        cifar10(split, folder)


def test_missing_file(folder):
    (folder / FILES[4]).unlink()
    with fails(folder / FILES[4], "no such file", "get it again"):
        cifar10("train", folder)
    assert len(cifar10("test", folder)[1]) == 6


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("make", ["mkdir", "mkfifo"])
def test_what_is_no_file_is_not_waited_for(folder, make):
    (folder / FILES[5]).unlink()
    getattr(os, make)(folder / FILES[5])
    with fails(folder / FILES[5], "no such file"):
        cifar10("test", folder)


def test_file_of_many_gigabytes_is_not_read(folder):
    with open(folder / FILES[5], "r+b") as file:
        file.truncate(2**33)  # holes: it takes no room on the disk
    with fails(folder / FILES[5], "more than", "get the file again"):
        cifar10("test", folder)


def test_missing_folder(tmp_path):
    with fails(tmp_path / "none", "no such file", "six .bin files", "get it again"):
        cifar10("train", tmp_path / "none")


def test_unknown_split(folder):
    with pytest.raises(DataError, match="split is 'val'; it must be 'train' or 'test'"):
        cifar10("val", folder)
