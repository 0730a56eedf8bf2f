"""The idx reader and writer: what they carry, and how they meet every kind of bad file."""

import gzip
import os
import re
import struct

import numpy as np
import pytest

from minialex.datasets import DataError, mnist, read_idx, write_idx
from minialex.errors import MinialexError

DTYPES = ["uint8", "int8", "int16", "int32", "float32", "float64"]
NAMES = ["a.idx", "a.idx.gz"]

GOOD = struct.pack(">4B2I", 0, 0, 0x08, 2, 2, 3) + bytes([1, 2, 3, 4, 5, 6])


def write(folder, content, name="bad-idx2-ubyte"):
    path = folder / name
    path.write_bytes(content)
    return path


def fails(path, *parts):
    """read_idx(path) raises one line that names the file and holds `parts` in this order."""
    pattern = "^" + re.escape(str(path)) + ".*" + ".*".join(map(re.escape, parts))
    return pytest.raises(MinialexError, match=pattern + r"[^\n]*\Z")


# What the format carries


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_round_trip_keeps_every_bit(tmp_path, dtype, name):
    rng = np.random.default_rng(0)
    array = (rng.standard_normal((4, 3, 2)) * 100).astype(dtype)
    write_idx(tmp_path / name, array)
    back = read_idx(tmp_path / name)
    assert back.dtype == np.dtype(dtype) and back.dtype.isnative
    assert back.flags.writeable and back.flags.owndata and back.flags.c_contiguous
    np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize("dtype", DTYPES)
def test_extreme_values_survive(tmp_path, dtype):
    limits = np.finfo(dtype) if np.dtype(dtype).kind == "f" else np.iinfo(dtype)
    array = np.array([limits.min, 0, 1, limits.max], dtype)
    write_idx(tmp_path / "a", array)
    np.testing.assert_array_equal(read_idx(tmp_path / "a"), array)


@pytest.mark.parametrize("shape", [(1,), (0,), (0, 28, 28), (2, 0, 3), (1, 2, 3, 4, 5)])
@pytest.mark.parametrize("name", NAMES)
def test_round_trip_keeps_the_shape(tmp_path, shape, name):
    write_idx(tmp_path / name, np.zeros(shape, np.int16))
    assert read_idx(tmp_path / name).shape == shape


def test_the_bytes_are_those_of_the_format(tmp_path):
    """Written by hand from the description, so that reader and writer cannot err together."""
    array = np.array([[1, -2, 3], [4, 5, 258]], np.int16)
    content = bytes.fromhex("00000b02 00000002 00000003 0001 fffe 0003 0004 0005 0102")
    np.testing.assert_array_equal(read_idx(write(tmp_path, content)), array)
    write_idx(tmp_path / "written", array)
    assert (tmp_path / "written").read_bytes() == content


def test_order_in_memory_does_not_matter(tmp_path):
    array = np.arange(24, dtype=np.int32).reshape(2, 3, 4)
    for other in (np.asfortranarray(array), array.astype(">i4"), array[::-1][::-1]):
        write_idx(tmp_path / "a", other)
        np.testing.assert_array_equal(read_idx(tmp_path / "a"), array)


def test_content_decides_what_is_packed(tmp_path):
    """Browsers unpack a download and keep its name."""
    expected = [[1, 2, 3], [4, 5, 6]]
    assert read_idx(write(tmp_path, GOOD, "plain.gz")).tolist() == expected
    assert read_idx(write(tmp_path, gzip.compress(GOOD), "packed")).tolist() == expected
    assert read_idx(str(tmp_path / "packed")).tolist() == expected


def test_equal_arrays_give_equal_files(tmp_path):
    array = np.arange(1000, dtype=np.int32)
    write_idx(tmp_path / "one.gz", array)
    write_idx(tmp_path / "two.gz", array.copy())
    content = (tmp_path / "one.gz").read_bytes()
    assert content == (tmp_path / "two.gz").read_bytes()
    assert content[3] == 0 and content[4:8] == bytes(4), "the gzip header holds a name or a time"
    write_idx(tmp_path / "two.gz", array + 1)
    assert content != (tmp_path / "two.gz").read_bytes()


# Bad files


def test_the_good_file_is_good(tmp_path):
    """Negative control: each case below differs from this file in one point."""
    assert read_idx(write(tmp_path, GOOD)).shape == (2, 3)
    assert read_idx(write(tmp_path, gzip.compress(GOOD))).shape == (2, 3)


BAD_CONTENT = {
    "empty": (b"", ["has 0 bytes", "header has 4", "get the file again"]),
    "three bytes": (GOOD[:3], ["has 3 bytes", "header has 4"]),
    "web page": (b"<html>not found</html>", ["3c 68 74 6d", "starts with 00 00", "check the path"]),
    "little-endian": (b"\x02\x08" + b"\0\0" + GOOD[4:], ["02 08 00 00", "starts with 00 00"]),
    "one magic byte": (b"\0\1" + GOOD[2:], ["00 01 08 02", "starts with 00 00"]),
    "type code": (b"\0\0\x0a" + GOOD[3:], ["0x0a is not one of 0x08 (uint8)", "0x0e (float64)"]),
    "no dimensions": (b"\0\0\x08\0", ["has 0 dimensions, not 1 to 32"]),
    "dimensions": (b"\0\0\x08\xff" + GOOD[4:], ["has 255 dimensions, not 1 to 32"]),
    "cut header": (GOOD[:11], ["header ends after 11 bytes", "2 dimensions need 12", "cut off"]),
    "no data": (GOOD[:12], ["has 0 bytes of data", "(2, 3) of uint8 needs 6", "cut off"]),
    "cut data": (GOOD[:-1], ["has 5 bytes of data", "(2, 3) of uint8 needs 6", "cut off"]),
    "trailing byte": (GOOD + b"\0", ["has more than the 6 bytes that shape (2, 3) of uint8"]),
    "wider type": (b"\0\0\x0d\2" + GOOD[4:], ["6 bytes of data", "(2, 3) of float32 needs 24"]),
    "huge shape": (
        b"\0\0\x0e\3" + b"\xff" * 12 + b"\0",
        ["(4294967295, 4294967295, 4294967295) of float64 takes more than ", "1,073,741,824 b"],
    ),
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize(("content", "parts"), BAD_CONTENT.values(), ids=BAD_CONTENT)
def test_bad_content(tmp_path, content, parts, packed):
    path = write(tmp_path, gzip.compress(content) if packed else content)
    with fails(path, *parts):
        read_idx(path)


@pytest.mark.parametrize("shape", [(2**30 + 1,), (0, 2**32 - 1, 2**32 - 1), (2**16, 2**15)])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_header_that_asks_for_more_memory_than_any_set_needs(tmp_path, shape, packed):
    """And a gzip stream that goes on for ever is not read to its end."""
    header = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()
    content = header + bytes(10**8) if packed else header
    path = write(tmp_path, gzip.compress(content, 1) if packed else content)
    with fails(path, f"shape {shape} of uint8 takes more than 1,073,741,824 bytes"):
        read_idx(path)


def test_gzip_that_unpacks_to_more_than_its_header_says(tmp_path, monkeypatch):
    path = write(tmp_path, gzip.compress(GOOD + bytes(10**8), 1))
    read, largest = gzip.GzipFile.read, []
    monkeypatch.setattr(gzip.GzipFile, "read", lambda file, size=-1: largest.append(size) or read(
        file, size))
    with fails(path, "has more than the "):
        read_idx(path)
    assert 0 < sum(largest) < 100


def test_missing_file(tmp_path):
    with fails(tmp_path / "none", "no such file; check the path"):
        read_idx(tmp_path / "none")


def test_folder_in_place_of_a_file(tmp_path):
    with fails(tmp_path, "is a folder", "name a file inside it"):
        read_idx(tmp_path)


def test_unreadable_file(tmp_path, monkeypatch):
    """The refusal is simulated: permissions do not stop an administrator."""

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    path = write(tmp_path, GOOD)
    monkeypatch.setattr("builtins.open", refuse)
    with fails(path, "cannot be read (Permission denied)", "check its permissions"):
        read_idx(path)


@pytest.mark.parametrize("kept", [2, 5, 12, -9, -4, -1])
def test_truncated_gzip(tmp_path, kept):
    path = write(tmp_path, gzip.compress(GOOD)[:kept])
    with fails(path, "gzip stream ends too early", "get the file again"):
        read_idx(path)


@pytest.mark.parametrize(
    ("position", "why"), [(-5, "CRC check failed"), (-1, "length"), (2, "method"), (12, "Error -3")]
)
def test_damaged_gzip(tmp_path, position, why):
    content = bytearray(gzip.compress(GOOD))
    content[position] ^= 0xFF
    path = write(tmp_path, bytes(content))
    with fails(path, "damaged gzip stream", why, "get the file again"):
        read_idx(path)


def test_trailing_bytes_after_gzip(tmp_path):
    path = write(tmp_path, gzip.compress(GOOD) + b"more")
    with fails(path, "damaged gzip stream", "get the file again"):
        read_idx(path)
    path = write(tmp_path, gzip.compress(GOOD) + gzip.compress(b"more"))
    with fails(path, "has more than the ", "get the file again"):
        read_idx(path)


def test_any_single_flipped_byte_gives_a_data_error_or_an_array(tmp_path):
    """Nothing but DataError ever leaves the reader; in a gzip stream the CRC sees changed data."""
    packed = gzip.compress(GOOD, mtime=0)
    for content in (GOOD, packed):
        for position in range(len(content)):
            for value in (0x00, 0x01, 0x80, 0xFF):
                changed = bytearray(content)
                changed[position] ^= value
                try:
                    array = read_idx(write(tmp_path, bytes(changed)))
                except DataError as error:
                    assert "\n" not in str(error)
                else:
                    assert array.shape == (2, 3)
                    assert content is GOOD or array.tolist() == [[1, 2, 3], [4, 5, 6]]


# Bad arrays and places


@pytest.mark.parametrize("dtype", ["bool", "int64", "uint16", "float16", "complex64", "U3"])
def test_writer_refuses_a_dtype(tmp_path, dtype):
    with fails(tmp_path / "a", "idx cannot hold ", "convert the array to uint8, int8"):
        write_idx(tmp_path / "a", np.zeros(3, dtype))
    assert list(tmp_path.iterdir()) == []


def test_writer_refuses_a_scalar(tmp_path):
    with fails(tmp_path / "a", "has 0 dimensions", "reshape it"):
        write_idx(tmp_path / "a", np.array(1, np.uint8))


def test_writer_names_a_missing_folder(tmp_path):
    path = tmp_path / "none" / "a"
    with fails(path, "cannot be written (No such file or directory)", "choose another folder"):
        write_idx(path, np.zeros(3, np.uint8))


@pytest.mark.parametrize("name", NAMES)
def test_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, name):
    def refuse(source, target):
        raise OSError(28, "No space left on device")

    path = tmp_path / name
    write_idx(path, np.arange(3, dtype=np.uint8))
    monkeypatch.setattr("os.replace", refuse)
    with fails(path, "cannot be written (No space left on device)", "make room"):
        write_idx(path, np.arange(4, dtype=np.uint8))
    assert list(tmp_path.iterdir()) == [path]
    assert read_idx(path).tolist() == [0, 1, 2]


# A folder of four files: MNIST and everything stored like it

IMAGES = np.arange(3 * 28 * 28, dtype=np.uint32).reshape(3, 28, 28).astype(np.uint8)
LABELS = np.array([7, 0, 9], np.uint8)


def write_pair(folder, images=IMAGES, labels=LABELS, prefix="train", suffix=".gz"):
    write_idx(folder / f"{prefix}-images-idx3-ubyte{suffix}", images)
    write_idx(folder / f"{prefix}-labels-idx1-ubyte{suffix}", labels)


@pytest.mark.parametrize("suffix", [".gz", ""])
@pytest.mark.parametrize(("split", "prefix"), [("train", "train"), ("test", "t10k")])
def test_mnist_reads_a_pair(tmp_path, split, prefix, suffix):
    write_pair(tmp_path, prefix=prefix, suffix=suffix)
    images, labels = mnist(split, tmp_path)
    assert images.shape == (3, 28, 28, 1) and images.dtype == np.uint8
    assert labels.shape == (3,) and labels.dtype == np.int64
    np.testing.assert_array_equal(images[..., 0], IMAGES)
    np.testing.assert_array_equal(labels, LABELS)


def test_mnist_refuses_an_unknown_split(tmp_path):
    with pytest.raises(DataError, match=r"split is 'val'; it must be 'train' or 'test'"):
        mnist("val", tmp_path)


def test_mnist_names_what_is_missing(tmp_path):
    with fails(tmp_path / "none", "no such file", "pass folder="):
        mnist("train", tmp_path / "none")
    with fails(tmp_path / "train-images-idx3-ubyte.gz", "no such file", "put the four idx files"):
        mnist("train", tmp_path)
    write_pair(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte.gz").unlink()
    with fails(tmp_path / "train-labels-idx1-ubyte.gz", "no such file"):
        mnist("train", tmp_path)


@pytest.mark.parametrize(
    ("images", "labels", "file", "parts"),
    [
        (IMAGES[:, :27], LABELS, "images-idx3", ["shape (3, 27, 28)", "(N, 28, 28)"]),
        (IMAGES[0], LABELS, "images-idx3", ["shape (28, 28)", "(N, 28, 28)"]),
        (IMAGES.astype(np.int16), LABELS, "images-idx3", ["is int16", "must be uint8"]),
        (IMAGES, LABELS[:, None], "labels-idx1", ["shape (3, 1)", "(3,)"]),
        (IMAGES, LABELS.astype(np.int32), "labels-idx1", ["is int32", "must be uint8"]),
        (IMAGES, LABELS[:2], "labels-idx1", ["shape (2,)", "must be uint8 of shape (3,)"]),
        (IMAGES[:0], LABELS[:0], "images-idx3", ["shape (0, 28, 28)", "at least one"]),
        (IMAGES, LABELS + np.uint8(1), "labels-idx1", ["up to 10", "up to 9; get both files"]),
    ],
)
def test_mnist_refuses_a_pair_that_does_not_fit(tmp_path, images, labels, file, parts):
    write_pair(tmp_path, images, labels)
    with fails(tmp_path / f"train-{file}-ubyte.gz", *parts):
        mnist("train", tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match=r"/pipe: no such file; check the path\Z"):
        read_idx(tmp_path / "pipe")


@pytest.mark.parametrize("value", [None, "text", [[1], [2, 3]], object(), 1j, [None]], ids=ascii)
def test_what_is_no_array_of_numbers_is_not_written(tmp_path, value):
    with pytest.raises(MinialexError) as caught:
        write_idx(tmp_path / "a.idx", value)
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())
