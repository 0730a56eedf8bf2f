"""Preparing pictures: what is packed, what is left out, and what an interruption changes."""

import csv
import errno
import hashlib
import importlib
import io
import json
import multiprocessing
import os
import re
import shlex
import signal
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

from minialex.datasets import DataError, is_prepared, prepared, read_image
from minialex.datasets.sets.folder import folder_source
from minialex.datasets.sets.source import File, Source, content
from minialex.datasets.shards import write
from minialex.datasets.shards.read import LISTS
from minialex.errors import FileError
from minialex.files import locked
from minialex.tools import cli

pytestmark = pytest.mark.ch10

SIDE = 16


def picture(number, size=(24, 20)):
    """Smooth, and like no other."""
    pixels = np.random.default_rng(number).integers(0, 256, (3, 3, 3)).astype(np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


def fill(folder, count, first=0, **options):
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        picture(first + number).save(folder / f"{number:02}.jpg", quality=95, **options)


@pytest.fixture
def source(tmp_path):
    """Pictures of two classes: 13 to train, 3 to validate, 2 to test."""
    root = tmp_path / "pets"
    fill(root / "train" / "cat", 8)
    fill(root / "train" / "ant", 5, 100)
    fill(root / "validation" / "cat", 2, 200)
    fill(root / "validation" / "ant", 1, 210)
    fill(root / "test" / "cat", 2, 300)
    return root


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(write, "IN_SHARD", 4)


@pytest.fixture
def prepare(minialex):
    """Call it like `minialex data prepare`: exit code, standard output and error."""
    def run(*arguments):
        return minialex("data", "prepare", "--side", SIDE, *arguments)

    return run


@pytest.fixture
def whole(source, prepare, tmp_path):
    """The folder of a set that was prepared without any disturbance."""
    assert prepare(source, "--out", tmp_path / "whole").code == 0
    return tmp_path / "whole"


def tree(folder):
    """All files and their content, but for the lock."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())
            if path.name != ".lock"}


def table(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def mistake(result, *parts):
    """Exit code 2, and one line on standard error that holds `parts`."""
    assert result.code == 2 and result.err.count("\n") == 1, result.err
    assert "Errno" not in result.err and "Traceback" not in result.err
    for part in parts:
        assert str(part) in result.err, result.err
    return True


# What is written


SHARDS = ["train-00000.zip", "train-00001.zip", "train-00002.zip", "train-00003.zip",
          "val-00000.zip", "test-00000.zip"]


def test_files_of_a_prepared_set(whole):
    assert sorted(tree(whole)) == sorted([*SHARDS, *LISTS, "prepared.json"])
    assert is_prepared(whole)


@pytest.mark.parametrize(("number", "size"), [(0, 4), (1, 4), (2, 4), (3, 1)])
def test_shard_is_a_zip_that_any_tool_can_open(whole, number, size):
    with zipfile.ZipFile(whole / f"train-{number:05}.zip") as packed:
        assert packed.testzip() is None
        *images, listing = packed.infolist()
        assert listing.filename == f"train-{number:05}.csv" and len(images) == size
        for info in images:
            assert info.compress_type == zipfile.ZIP_STORED
            assert info.date_time == (1980, 1, 1, 0, 0, 0) and info.external_attr >> 16 == 0o644
            with Image.open(packed.open(info)) as image:
                assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (SIDE, SIDE))


def test_manifest_says_where_each_image_is(whole):
    rows = table(whole / "manifest.csv")
    assert len(rows) == 18 and [row["split"] for row in rows] == (
        13 * ["train"] + 3 * ["val"] + 2 * ["test"])
    for row in rows:
        start, size = int(row["offset"]), int(row["bytes"])
        data = (whole / f"{row['shard']}.zip").read_bytes()[start : start + size]
        assert hashlib.sha256(data).hexdigest() == row["sha256"]
        with zipfile.ZipFile(whole / f"{row['shard']}.zip") as packed:
            assert packed.read(row["member"]) == data
        assert row["member"].split("/")[0] == row["class"] == ["ant", "cat"][int(row["label"])]


def test_training_images_are_shuffled_and_the_others_in_order(whole):
    rows = table(whole / "manifest.csv")
    named = {split: [row["source"] for row in rows if row["split"] == split]
             for split in ("train", "val", "test")}
    assert named["val"] == ["validation/ant/00.jpg", "validation/cat/00.jpg",
                            "validation/cat/01.jpg"]
    assert named["test"] == ["test/cat/00.jpg", "test/cat/01.jpg"]
    assert sorted(named["train"]) == [f"train/ant/{n:02}.jpg" for n in range(5)] + [
        f"train/cat/{n:02}.jpg" for n in range(8)]
    assert named["train"] != sorted(named["train"])


def test_a_source_of_finished_jpegs_is_kept_bit_for_bit(whole, prepare, tmp_path):
    """Unpacked and prepared again, nothing is lost."""
    for split in ("train", "val", "test"):
        for path in whole.glob(f"{split}-*.zip"):
            with zipfile.ZipFile(path) as packed:
                packed.extractall(tmp_path / "unpacked" / split,
                                  [name for name in packed.namelist() if "/" in name])
    assert prepare(tmp_path / "unpacked", "--out", tmp_path / "again", "--quality", 30).code == 0
    first, second = (sorted(row["sha256"] for row in table(folder / "manifest.csv"))
                     for folder in (whole, tmp_path / "again"))
    assert first == second


# Reading


def test_prepared_set_is_read_as_images(whole, source):
    data = prepared(whole)["train"]
    assert (data.name, data.shape, list(data.classes)) == ("whole", (SIDE, SIDE, 3), ["ant", "cat"])
    assert len(data) == 13 and np.bincount(data.labels).tolist() == [5, 8]
    assert data.labels.dtype == np.int64 and data.labels.flags.c_contiguous
    rows = [row for row in table(whole / "manifest.csv") if row["split"] == "train"]
    images = data.read(np.arange(13))
    assert images.shape == (13, SIDE, SIDE, 3) and images.dtype == np.uint8
    for image, label, row in zip(images, data.labels, rows, strict=True):
        assert label == int(row["label"])
        difference = read_image(source / row["source"], SIDE).astype(int) - image
        assert np.abs(difference).mean() < 4, row["source"]


def test_images_come_in_the_order_that_was_asked_for(whole):
    """Also if several threads ask at once."""
    data = prepared(whole)["train"]
    expected = data.read(np.arange(13))
    assert data.read(np.array([], np.int64)).shape == (0, SIDE, SIDE, 3)
    orders = [np.random.default_rng(seed).integers(0, 13, 13) for seed in range(40)]
    with ThreadPoolExecutor(8) as pool:
        for order, images in zip(orders, pool.map(data.read, orders), strict=True):
            np.testing.assert_array_equal(images, expected[order])


def test_statistics_are_those_of_the_training_images(whole):
    """And they are there to look at."""
    data = prepared(whole)["train"]
    pixels = data.read(np.arange(13)).astype(np.float64)
    measured, told = data.statistics, json.loads((whole / "statistics.json").read_text())
    assert measured.mean.dtype == np.float32 and measured.mean.shape == (SIDE, SIDE, 3)
    np.testing.assert_array_equal(measured.mean, pixels.mean(axis=0).astype(np.float32))
    covariance = np.cov(pixels.reshape(-1, 3).T, bias=True)
    np.testing.assert_allclose(measured.covariance, covariance, rtol=1e-12)
    for split in ("val", "test"):
        assert prepared(whole)[split].statistics.mean.tobytes() == measured.mean.tobytes()
    assert told["images"] == 13
    np.testing.assert_allclose(told["mean colour"], pixels.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_array_equal(told["deviations"], measured.deviations)
    np.testing.assert_array_equal(told["directions"], measured.directions)
    with Image.open(whole / "mean.png") as image:
        np.testing.assert_allclose(np.asarray(image), measured.mean, atol=0.5001)


def test_classes_have_their_place_in_the_list(whole):
    assert table(whole / "classes.csv") == [{"label": "0", "class": "ant", "name": "ant"},
                                            {"label": "1", "class": "cat", "name": "cat"}]


def test_wnids_of_imagenet_get_their_names(tmp_path, prepare):
    for wnid in ("n01440764", "n02012849", "n03126707", "n99999999"):
        fill(tmp_path / "some" / "train" / wnid, 1)
    assert prepare(tmp_path / "some").code == 0
    assert list(prepared(tmp_path / "some-prepared")["train"].classes) == [
        "tench, Tinca tinca", "crane (n02012849)", "crane (n03126707)", "n99999999"]


@pytest.mark.parametrize(("ask", "message"), [
    (lambda whole: prepared(whole / "nowhere"), "nowhere: is no prepared set, or not finished; "),
    (lambda whole: prepared(whole.parent), "is no prepared set, or not finished; prepare "),
], ids=["nothing", "folder"])
def test_what_is_not_there_cannot_be_read(whole, ask, message):
    with pytest.raises(DataError, match=message):
        ask(whole)


RAW = re.compile(r"\w\(\)|codec|NoneType|invalid literal|could not convert|cannot reshape| at 0x")


@pytest.mark.parametrize(("name", "content"), [
    ("mean.npy", b"\x93NUMPY\x01\x00\x76\x00" + b"print(1)".ljust(117) + b"\n"),
    ("statistics.json", b'{"covariance": "\\ud800"}'),
    ("manifest.csv", b"split,shard,offset,bytes,sha256,label\ntrain,x,0\n"),
    ("manifest.csv", b"split,shard\ntrain,train-00000\n"), ("manifest.csv", b"\xff\xfe\x00"),
    ("classes.csv", b"what,ever\n1,2\n"), ("mean.npy", b"broken"), ("mean.npy", b""),
    ("classes.csv", b"label,class,name\n" + bytes(2**20)), ("manifest.csv", bytes(2**20)),
    ("classes.csv", b"label,class,name\n" + b"0,a,a\n" * 10**5),
    ("statistics.json", b"{}"), ("statistics.json", b'{"covariance": [1, 2]}'),
    ("statistics.json", b"[" * 100_000), ("statistics.json", b'{"covariance": {"a": NaN}}'),
    ("manifest.csv", b"split,shard,offset,bytes,sha256,label\ntrain,x,0,999999999999,00,0\n"),
    ("manifest.csv", b"split,shard,offset,bytes,sha256,label\ntrain,x,0,9,00,2\n"),
    ("manifest.csv", b"split,shard,offset,bytes,sha256,label\ntrain,x,1e99,9,00,0\n"),
    ("mean.npy", b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': "
                 b"(99999, 99999, 99), }" + b" " * 49 + b"\n")], ids=lambda value: str(value)[:50])
def test_damaged_list_is_named_and_can_be_made_again(whole, source, prepare, name, content):
    before = tree(whole)
    (whole / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"\A\S*{name}: damaged( \(.*\))?; delete it and prepare "
                                        r"the same source into this folder again") as caught:
        prepared(whole)["train"]
    assert "\n" not in str(caught.value)
    assert not RAW.search(str(caught.value)), "what Python says of our own code helps nobody"
    (whole / name).unlink()
    assert not is_prepared(whole)
    assert prepare(source, "--out", whole).code == 0
    assert tree(whole) == before


@pytest.mark.parametrize("name", ["classes.csv", "manifest.csv"])
def test_table_of_many_gigabytes_is_not_read(whole, name):
    with open(whole / name, "r+b") as file:
        file.truncate(2**33)  # holes: it takes no room on the disk
    with pytest.raises(DataError, match=rf"/{name}: damaged \(a line of 65,536 letters or more"):
        prepared(whole)


@pytest.mark.parametrize("text", [
    b"[" * 100_000, b"{", b"[]", b"\xff", b'{"side": "16"}', b'{"side": {}}', b'{"side": 0}',
    b'{"side": 1000000000}', b'{"side": true}'], ids=lambda text: text[:14].decode("latin-1"))
def test_damaged_facts_are_named(whole, text):
    (whole / "prepared.json").write_bytes(text)
    with pytest.raises(DataError, match=r"\A\S*prepared\.json: damaged \([^\n]*\); delete the "
                                        r"folder and prepare the pictures again\Z"):
        prepared(whole)["train"]


def test_jpeg_of_another_size_is_refused_before_it_is_decoded(whole, monkeypatch):
    """With the right checksum: a hundred such in a batch would fill the memory."""
    buffer = io.BytesIO()
    Image.new("RGB", (4000, 4000)).save(buffer, "JPEG")
    rows = table(whole / "manifest.csv")
    (whole / "bomb.zip").write_bytes(buffer.getvalue())
    rows[0] |= {"shard": "bomb", "offset": "0", "bytes": str(len(buffer.getvalue())),
                "sha256": hashlib.sha256(buffer.getvalue()).hexdigest()}
    with open(whole / "manifest.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    load = Mock()
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    with pytest.raises(DataError, match=r"/bomb\.zip: the image at byte 0 is damaged"):
        prepared(whole)["train"].read(np.array([0]))
    assert not load.called


def cut(path):
    path.write_bytes(path.read_bytes()[:-1500])


def other_byte(path):
    data = bytearray(path.read_bytes())
    data[400] ^= 1
    path.write_bytes(data)


def swapped(path):
    path.write_bytes(path.with_name("train-00001.zip").read_bytes())


def piped(path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes")
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("damage", [cut, other_byte, swapped, Path.unlink, piped])
def test_damaged_shard_is_named_and_can_be_made_again(whole, source, prepare, damage):
    before = tree(whole)
    damage(whole / "train-00000.zip")
    data = prepared(whole)["train"]
    assert data.read(np.arange(4, 13)).shape == (9, SIDE, SIDE, 3), "the others can be read"
    with pytest.raises(DataError, match=r"\A\S*train-00000\.zip: .*(damaged|No such file|no file)"
                                        ".* prepare the same source into this folder ") as caught:
        data.read(np.arange(13))
    assert "\n" not in str(caught.value)
    (whole / "train-00000.zip").unlink(missing_ok=True)
    done = prepare(source, "--out", whole)
    assert done.code == 0 and "packed 4 files" in done.out
    assert tree(whole) == before


def test_shard_that_is_damaged_before_the_end_is_named(whole, source, prepare):
    (whole / "manifest.csv").unlink()
    cut(whole / "train-00002.zip")
    assert mistake(prepare(source, "--out", whole), "train-00002.zip: damaged", "delete it")
    assert not is_prepared(whole)


# Always the same


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_same_bytes_with_any_number_of_threads(source, whole, prepare, tmp_path, threads):
    assert prepare(source, "--out", tmp_path / "again", "--threads", threads).code == 0
    assert tree(tmp_path / "again") == tree(whole)


def killed(place, name, countdown, arguments):
    """`minialex data prepare`, until `name` has been called so often."""
    place = importlib.import_module(place)
    function = getattr(place, name)

    def deadly(*given):
        nonlocal countdown
        countdown -= 1
        if countdown < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*given)

    write.IN_SHARD = 4
    setattr(place, name, deadly)
    cli.main(["data", "prepare", *arguments])


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no system that kills")
@pytest.mark.parametrize(("place", "name", "after", "left"), [
    ("os", "fsync", 0, 0), (write.__name__, "as_jpeg", 2, 0), ("os", "fsync", 2, 1),
    ("os", "fsync", 7, 6), ("os", "replace", 6, 5), ("os", "replace", 9, 6)])
def test_killed_run_goes_on_and_ends_with_the_same_bytes(source, whole, prepare, tmp_path, place,
                                                         name, after, left):
    out = tmp_path / "killed"
    options = [str(source), "--out", str(out), "--side", str(SIDE), "--threads", "1"]
    process = multiprocessing.get_context("spawn").Process(
        target=killed, args=(place, name, after, options))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not is_prepared(out)
    assert len(list(out.glob("*.zip"))) == left, "whole shards only"
    assert all(zipfile.ZipFile(path).testzip() is None for path in out.glob("*.zip"))
    assert prepare(source, "--out", out).code == 0
    assert tree(out) == tree(whole)


def test_finished_set_stays_as_it_is(source, whole, prepare):
    before = {name: (whole / name).stat().st_mtime_ns for name in tree(whole)}
    done = prepare(source, "--out", whole)
    assert done.code == 0
    assert "is finished already (same names and sizes); nothing to do" in done.out
    assert {name: (whole / name).stat().st_mtime_ns for name in tree(whole)} == before


def test_only_one_process_writes_into_a_folder(source, whole, prepare, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    with locked(out / ".lock", ""):
        assert mistake(prepare(source, "--out", out), "another minialex is at work here")
        assert not tree(out)
    assert prepare(source, "--out", out).code == 0
    assert tree(out) == tree(whole)


def test_the_folder_is_held_from_the_first_file_to_the_last(source, prepare, tmp_path, monkeypatch):
    """Two at once would write to the same temporary names."""
    out, replacing, seen = tmp_path / "out", write.replacing, []

    def guarded(path):
        with pytest.raises(FileError, match="another minialex is at work"), \
                locked(out / ".lock", ""):
            pass
        seen.append(path.name)
        return replacing(path)

    monkeypatch.setattr(write, "replacing", guarded)
    assert prepare(source, "--out", out).code == 0
    assert sorted(seen) == sorted(tree(out))


@pytest.mark.parametrize(("change", "options", "message"), [
    (None, ["--quality", 90], "was begun with quality 95, not 90; keep to it, or "),
    (None, ["--side", 8], "was begun with side 16, not 8; keep to it, or "),
    (lambda source: fill(source / "train" / "cat", 9), [], "was begun with other pictures, or"),
    (lambda source: (source / "train/cat/00.jpg").unlink(), [], "was begun with other pictures"),
    (lambda source: (source / "train/cat/00.jpg").write_bytes(b""), [], "the pictures have chang"),
    (lambda source: (source / "test").rename(source / "nothing"), [], "was begun with other pict"),
    (lambda source: (source / "train" / "ape").mkdir(), [], "was begun with other pictures, or"),
], ids=["quality", "side", "one more", "one less", "another", "split", "class"])
def test_another_source_or_setting_is_refused(source, whole, prepare, change, options, message):
    before = tree(whole)
    if change:
        change(source)
    assert mistake(prepare(source, "--out", whole, *options), whole, message, "choose another")
    assert tree(whole) == before


@pytest.mark.parametrize(("what", "out", "message"), [
    ("pets", "letters", "is not empty, and no prepared set; choose another folder"),
    ("pets", "letters/to whom.txt/out", "cannot be written (Not a directory); choose another fol"),
    ("pets", "pets", "lies in the source itself; choose a folder"),
    ("pets", "pets/train/out", "lies in the source itself; choose a folder"),
    ("whole", "twice", "is a prepared set already")])
def test_places_that_are_refused(source, whole, prepare, tmp_path, what, out, message):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "to whom.txt").write_text("Dear")
    before = sorted(tmp_path.rglob("*"))
    assert mistake(prepare(tmp_path / what, "--out", tmp_path / out), message)
    assert sorted(tmp_path.rglob("*")) == before


# What is left out


@pytest.fixture
def broken(source):
    """Files in train/cat that are no readable pictures -> the reason."""
    if not hasattr(os, "mkfifo"):
        pytest.skip("makes links and a pipe, which Windows does not have")
    cat = source / "train" / "cat"
    (cat / "empty.jpg").write_bytes(b"")
    (cat / "text.jpg").write_text("<html>404</html>")
    noise = np.random.default_rng(0).integers(0, 256, (50, 50, 3)).astype(np.uint8)
    Image.fromarray(noise).save(cat / "cut.jpg")
    (cat / "cut.jpg").write_bytes((cat / "cut.jpg").read_bytes()[:2000])
    (cat / "notes.db").write_bytes(b"\xd0\xcf\x11\xe0")
    (cat / "gone.jpg").symlink_to(source / "nowhere.jpg")
    (cat / "round.jpg").symlink_to(cat / "round.jpg")
    os.mkfifo(cat / "pipe.jpg")
    unknown = "no picture, or of an unknown format"
    return {"empty.jpg": "empty file", "text.jpg": unknown, "notes.db": unknown,
            "cut.jpg": "image file is truncated (", "gone.jpg": "no file, or a link to nothing",
            "pipe.jpg": "no file, or a link to nothing",
            "round.jpg": "no file, or a link to nothing"}


def test_what_is_no_picture_is_left_out_and_listed(source, broken, prepare, tmp_path, whole):
    done = prepare(source, "--out", tmp_path / "out")
    assert done.code == 0 and done.err == ""
    rows = table(tmp_path / "out" / "skipped.csv")
    assert {row["source"]: row["split"] for row in rows} == {
        f"train/cat/{name}": "train" for name in broken}
    for row in rows:
        assert row["reason"].startswith(broken[Path(row["source"]).name])
        assert (tmp_path / "out" / f"{row['shard']}.zip").is_file()
    assert "skipped   7 files, listed in " in done.out
    assert "          2 x no picture, or of an unknown format" in done.out
    assert "          1 x image file is truncated\n" in done.out, "no bytes here"
    good, bad = (sorted(row["sha256"] for row in table(folder / "manifest.csv"))
                 for folder in (whole, tmp_path / "out"))
    assert good == bad
    assert prepared(tmp_path / "out")["train"].read(np.arange(13)).shape == (13, SIDE, SIDE, 3)


@pytest.mark.parametrize("threads", [1, 5])
def test_strict_stops_at_the_first(source, broken, prepare, tmp_path, threads):
    out = tmp_path / "out"
    stopped = prepare(source, "--out", out, "--strict", "--threads", threads)
    assert mistake(stopped, "train/cat/", "; repair or remove it, or let it be left out")
    assert not is_prepared(out) and not list(out.glob("*.part"))
    prepare(source, "--out", tmp_path / "loose")
    first = table(tmp_path / "loose" / "skipped.csv")[0]
    assert f"minialex: {first['source']}: {first['reason']}; repair" in stopped.err
    assert prepare(source, "--out", out).code == 0, "and goes on without"
    assert tree(out) == tree(tmp_path / "loose")


def test_strict_looks_into_a_finished_set(source, whole, broken, prepare, tmp_path):
    """Also where its lists are still to be written."""
    out = tmp_path / "out"
    prepare(source, "--out", out)
    before = tree(out)
    for _ in range(2):
        assert mistake(prepare(source, "--out", out, "--strict"), "or let it be left out")
        assert tree(out) == before
        (out / "manifest.csv").unlink(missing_ok=True)
        before.pop("manifest.csv", None)
    for name in broken:
        (source / "train" / "cat" / name).unlink()
    before = tree(whole)
    assert prepare(source, "--out", whole, "--strict").code == 0
    assert tree(whole) == before


def test_classes_without_a_training_image_are_named(source, prepare):
    """Whether the folder is empty, or its files are no pictures."""
    (source / "train" / "yak").mkdir()
    (source / "train" / "bat").mkdir()
    (source / "train" / "bat" / "a.jpg").write_text("no picture")
    fill(source / "test" / "bat", 1)
    done = prepare(source)
    assert done.code == 0
    assert "          classes without a training image: bat, yak\n" in done.out


def test_files_beside_the_classes_are_counted(source, prepare, tmp_path):
    for path in "train/a.jpg", "train/b.jpg", "train/.DS_Store", "test/c.jpg", "README":
        (source / path).write_text("no class")
    done = prepare(source)
    assert done.code == 0 and done.out.count("beside the folders of classes are left out") == 2
    for name, count in ("train", 2), ("test", 1):
        assert f"are left out: {count} in {source / name}\n" in done.out
    done = prepare(source / "train", "--out", tmp_path / "plain")
    assert f"are left out: 2 in {source / 'train'}\n" in done.out


def test_nothing_to_learn_from(tmp_path, prepare):
    (tmp_path / "pets" / "train" / "cat").mkdir(parents=True)
    (tmp_path / "pets" / "train" / "cat" / "a.jpg").write_text("meow")
    assert mistake(prepare(tmp_path / "pets"), "none of the training pictures can be read: "
                   "train/cat/a.jpg: no picture, or of an unknown format")
    assert not is_prepared(tmp_path / "pets-prepared")


def test_pillow_does_not_speak(source, prepare, monkeypatch):
    """Of a picture of 90 million pixels Pillow warns, and in these tests a warning is an error."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 24 * 20 - 1)
    assert mistake(prepare(source), "more than 67,108,864 pixels")


def test_source_that_disappears_is_no_reason_to_leave_pictures_out(source, prepare, monkeypatch):
    def gone(file):
        (source / "train/cat/00.jpg").unlink(missing_ok=True)
        return content(file)

    monkeypatch.setattr(write, "content", gone)
    assert mistake(prepare(source), "train/cat/00.jpg: cannot be read (No such file or directory); "
                   "check the disk and its permissions, then run the same command aga")


def test_file_that_becomes_shorter(source):
    file = folder_source(source).splits["train"][0]
    Path(file.path).write_bytes(b"short")
    with pytest.raises(DataError, match=r"train/ant/00\.jpg: has become shorter while it was r"):
        content(file)


# Names


def members(folder, split="train"):
    return sorted(row["member"] for row in table(folder / "manifest.csv")
                  if row["split"] == split)


def test_names_that_would_become_equal(tmp_path, prepare):
    cat = tmp_path / "pets" / "train" / "cat"
    (cat / "more").mkdir(parents=True)
    for name in ("a.jpg", "a.png", "A.JPG", "a-2.bmp", "more/a.jpg"):
        picture(len(name)).save(cat / name)
    assert prepare(tmp_path / "pets").code == 0
    names = members(tmp_path / "pets-prepared")
    assert names == [f"cat/{name}.jpg" for name in ("A", "a-2", "a-3", "a-4", "a-5")]
    assert len({name.casefold() for name in names}) == 5


def test_many_equal_names_are_told_apart_without_trying_all_numbers():
    """As if every picture lay in a folder of its own, and they were all called a.jpg. Trying all
    numbers would take a minute for the last ones.
    """
    stems = [str(stem) for stem in np.random.default_rng(0).choice(["a", "A", "a-2", "b?"], 400)]
    expected, taken = [], set()
    for stem in stems:
        stem = "cat/" + stem.replace("?", "_")
        tries = (stem, *(f"{stem}-{number}" for number in range(2, 999)))
        expected.append(next(name for name in tries if name.casefold() not in taken))
        taken.add(expected[-1].casefold())
    files = [File(f"val/cat/{number}/{stem}.jpg", 0, "", 0, 1)
             for number, stem in enumerate([*stems, *("c" for _ in range(20_000))])]
    found = [name for shard in write.plan(Source(["cat"], {"val": files}, []))
             for name in shard.members]
    assert found[:400] == [f"{name}.jpg" for name in expected]
    assert found[-1] == "cat/c-20000.jpg" and len(set(found)) == len(found)


ODD = ["two words.jpg", "Ünïcödé.JPG", "quote\"s.jpg", "new\nline.jpg", "back\\slash.jpg",
       "carriage\rreturn.jpg", "line\u2028separator.jpg", "comma, semi;colon:.jpg", "no suffix",
       "many.dots.in.it.jpg", "日本.jpeg", "-x.jpg"]


def test_odd_names(tmp_path, prepare):
    cat = tmp_path / "pets" / "train" / "a class"
    cat.mkdir(parents=True)
    for name in ODD:
        picture(len(name)).save(cat / name, format="JPEG")
    picture(0).save(os.fsencode(cat) + b"/latin \xe9.jpg", format="JPEG")
    (cat / ".hidden.jpg").write_text("nothing")
    (cat / ".hidden").mkdir()
    (cat / ".hidden" / "a.jpg").write_text("nothing")
    done = prepare(tmp_path / "pets")
    assert done.code == 0 and "skipped" not in done.out
    assert members(tmp_path / "pets-prepared") == sorted(
        "a class/" + name for name in (
            "two words.jpg", "Ünïcödé.jpg", "quote_s.jpg", "new_nline.jpg", "back_slash.jpg",
            "carriage_rreturn.jpg", "line\u2028separator.jpg", "comma, semi;colon_.jpg",
            "no suffix.jpg", "many.dots.in.it.jpg", "日本.jpg", "-x.jpg", "latin _udce9.jpg"))
    sources = {row["source"] for row in table(tmp_path / "pets-prepared" / "manifest.csv")}
    assert {f"train/a class/{name}.jpg" for name in ("new\\nline", "latin \\udce9")} <= sources
    assert len(prepared(tmp_path / "pets-prepared")["train"].read(np.arange(13))) == 13


def test_links_are_followed(source, prepare, tmp_path):
    (source / "train" / "cat" / "linked.jpg").symlink_to(source / "test" / "cat" / "00.jpg")
    (source / "train" / "dog").symlink_to(source / "train" / "cat", target_is_directory=True)
    (source / "train" / "cat" / "self").symlink_to(source / "train", target_is_directory=True)
    assert prepare(source).code == 0
    data = prepared(f"{source}-prepared")["train"]
    assert list(data.classes) == ["ant", "cat", "dog"]
    assert np.bincount(data.labels).tolist() == [5, 9, 9]


# Splits


def test_default_folder_and_report(source, prepare):
    done = prepare(source)
    assert done.out.splitlines()[:6] == [
        f"source    {source}", "          13 train, 3 val, 2 test files in 2 classes",
        f"into      {source}-prepared", "train     13 images in 4 shards",
        "val       3 images in 1 shard", "test      2 images in 1 shard"]
    assert "packed 18 files in" in done.out.splitlines()[6] and done.err == ""


@pytest.mark.parametrize(("side", "model"), [
    (32, "alexnet-small"), (28, "alexnet-small"), (56, "alexnet-small"), (224, "alexnet"),
    (226, "alexnet"), (256, "alexnet"), (100, None), (16, None)])
def test_proposed_training_works_or_it_says_what_is_missing(tmp_path, minialex, side, model):
    fill(tmp_path / "my pets" / "train" / "cat", 3)
    fill(tmp_path / "my pets" / "train" / "ant", 3, 100)
    fill(tmp_path / "my pets" / "val" / "ant", 2, 200)
    out = minialex("data", "prepare", tmp_path / "my pets", "--side", side).out
    if model is None:
        assert "with --side 256 or --side 32" in out and " train --" not in out
        return
    words = shlex.split(out.splitlines()[-1])
    words = words[words.index("train"):]
    assert words[:3] == ["train", "--model", model]
    done = minialex(*words, "--steps", 1, "--batch", 2, "--width", 0.05, "--out", tmp_path / "run")
    assert done.code == 0, done.err


def test_proposal_where_there_is_nothing_to_test_with(tmp_path, minialex):
    fill(tmp_path / "pets" / "train" / "cat", 9)

    def proposed(source, *options):
        return minialex("data", "prepare", source, "--side", 32, "--out",
                        tmp_path / "-".join(["out", source.name, *options]), *options).out

    out = proposed(tmp_path / "pets" / "train")
    assert "with --split 80,10,10" in out and " train --" not in out
    out = proposed(tmp_path / "pets")
    assert f"with some of them in {tmp_path / 'pets' / 'val'}/CLASS/" in out
    assert " train --" not in out
    out = proposed(tmp_path / "pets" / "train", "--split", "80,10,10")
    assert " train --model alexnet-small --data" in out


def test_folder_without_train_is_all_for_training(source, prepare, tmp_path):
    done = prepare(source / "train", "--out", tmp_path / "out")
    assert "with --split 80,10,10" in done.out
    assert {split: len(images) for split, images in prepared(tmp_path / "out").items()} == {
        "train": 13}


def test_split_takes_its_share_of_each_class(tmp_path, prepare):
    fill(tmp_path / "pets" / "cat", 20)
    fill(tmp_path / "pets" / "ant", 10, 100)
    assert prepare(tmp_path / "pets", "--split", "60,30,10").code == 0
    found = {split: prepared(tmp_path / "pets-prepared")[split].labels
             for split in ("train", "val", "test")}
    assert {split: np.bincount(labels).tolist() for split, labels in found.items()} == {
        "train": [6, 12], "val": [3, 6], "test": [1, 2]}
    assert len({row["source"] for row in table(tmp_path / "pets-prepared/manifest.csv")}) == 30
    cats = [int(name[4:6]) for name in members(tmp_path / "pets-prepared", "val") if "cat" in name]
    assert len(cats) == 6 and max(cats) - min(cats) > 5, "drawn, not cut off"
    again = folder_source(tmp_path / "pets", (60, 30, 10)).splits
    assert again == folder_source(tmp_path / "pets", (60, 30, 10)).splits
    assert all(files == sorted(files) for files in again.values()), "in the order of their names"
    assert mistake(prepare(tmp_path / "pets", "--split", "60,20,20"), "or divided in other shares")
    assert prepare(tmp_path / "pets", "--split", "80,0,20", "--out", tmp_path / "out").code == 0
    assert {split: len(images) for split, images in prepared(tmp_path / "out").items()} == {
        "train": 24, "test": 6}


def test_share_so_small_that_nothing_is_left_to_learn_from(tmp_path, prepare):
    fill(tmp_path / "pets" / "cat", 9)
    assert mistake(prepare(tmp_path / "pets", "--split", "1,0,99"), "pets: no pictures")
    assert not (tmp_path / "pets-prepared").exists()


@pytest.mark.parametrize("text", ["80,20", "80,10,20", "0,50,50", "a,b,c", "90,20,-10", ""])
def test_split_that_is_none(source, prepare, text):
    assert mistake(prepare(source, f"--split={text}"),
                   f"--split {text}: give train, val and test in per cent, as in 80,10,10")


@pytest.mark.parametrize("name", ["val", "validation", "valid"])
def test_each_name_of_the_validation_folder_is_known(source, prepare, name):
    (source / "validation").rename(source / name)
    done = prepare(source)
    assert done.code == 0 and "left out" not in done.out
    assert len(prepared(f"{source}-prepared")["val"]) == 3


def test_folders_that_are_not_used_are_named(source, prepare):
    (source / "val").mkdir()  # without classes: the full one counts
    (source / "test" / "cat").rename(source / "elsewhere")
    picture(0).save(source / "test" / "1.jpg")
    fill(source / "valid2" / "cat", 1)
    fill(source / ".cache" / "cat", 1)
    done = prepare(source)
    assert done.code == 0 and done.out.count("is left out; only train, val and test with") == 4
    for name in "elsewhere", "test", "val", "valid2":
        assert f"          {name} is left out; only train, val and test with cl" in done.out
    assert len(prepared(f"{source}-prepared")["val"]) == 3


@pytest.mark.parametrize("name", ["Train", "Training", "TEST", "testing", "valid"])
def test_split_of_another_spelling_does_not_become_a_class(source, prepare, name):
    (source / "train").rename(source / name)
    for other in "validation", "test":
        (source / other).rename(source / f"{other} pictures")
    assert mistake(prepare(source), f"there is a folder {name}, but no folder train; pictures to")


@pytest.mark.parametrize(("change", "options", "message"), [
    (lambda source: (source / "validation" / "yak").mkdir(), [],
     "validation: has the class yak, for which there is no folder in "),
    (lambda source: (source / "train").rename(source / "learn"), [],
     "there is a folder test, but no folder train; "),
    (lambda source: None, ["--split", "80,10,10"], "has a folder train already; leave it out"),
    (lambda source: source.rename(source.with_name("moved")), [], "pets: no such folder; name one"),
    (lambda source: [path.unlink() for path in (source / "train").glob("*/*")], [],
     "train: no pictures; they must lie in "),
], ids=["class", "no train", "split", "nothing", "empty"])
def test_source_that_lacks_something(source, prepare, change, options, message):
    change(source)
    assert mistake(prepare(source, *options), message)
    assert not source.with_name("pets-prepared").exists()


# What may go wrong


@pytest.mark.parametrize("options", [["--side", 7], ["--quality", 0], ["--quality", 101],
                                     ["--threads", 0]], ids=str)
def test_numbers_out_of_range(source, prepare, options):
    assert mistake(prepare(source, *options), f"{options[0]} {options[1]}: give a whole number")


@pytest.mark.parametrize("name", ["train-00001.zip", "manifest.csv", "mean.npy"])
def test_full_disk(source, whole, prepare, tmp_path, monkeypatch, name):
    """The second half of a file does not fit: nothing of it stays, and the rest goes on later."""
    out, fsync = tmp_path / "out", os.fsync

    def full(number):
        if name in os.readlink(f"/proc/self/fd/{number}"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(number)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        assert mistake(prepare(source, "--out", out),
                       f"{name} cannot be written (No space left on device), and is as it was")
    assert not (out / name).exists() and not list(out.glob("*.part"))
    assert prepare(source, "--out", out).code == 0
    assert tree(out) == tree(whole)


def test_source_that_may_not_be_entered(source, prepare, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, *_: Path(path) != source)
    assert mistake(prepare(source), f"{source}: cannot be read (no permission to enter this folder"
                   "); see to it, and run the same command again")


@pytest.mark.parametrize("part", ["train", "train/cat"])
def test_folder_that_may_not_be_read(source, prepare, monkeypatch, part):
    """Its pictures must not be missed in silence."""
    def guarded(function):
        def guard(path="."):
            if Path(path) == source / part:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return function(path)
        return guard

    for place, name in ((os, "scandir"), (os, "listdir"), (Path, "iterdir")):
        monkeypatch.setattr(place, name, guarded(getattr(place, name)))
    assert mistake(prepare(source), f"{source / part}: cannot be read (Permission denied); check")


def test_ctrl_c_keeps_what_is_finished(source, whole, prepare, monkeypatch, tmp_path):
    calls, store = iter(range(99)), write._store

    def interrupted(*arguments):
        if next(calls) == 7:
            raise KeyboardInterrupt
        store(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(write, "_store", interrupted)
        stopped = prepare(source, "--out", tmp_path / "out")
    assert stopped.code == 130 and "the same command goes on from there" in stopped.err
    assert sorted(tree(tmp_path / "out")) == ["prepared.json", "train-00000.zip"]
    assert not [t for t in threading.enumerate() if t.name.startswith("minialex-prepare")]
    assert prepare(source, "--out", tmp_path / "out").code == 0
    assert tree(tmp_path / "out") == tree(whole)


@pytest.mark.slow
def test_photographs(test_data, prepare, tmp_path):
    """Some of a real set: its JPEGs have the right size already."""
    for split, count in (("train", 30), ("val", 5), ("test", 5)):
        for name in ("hat", "shoes"):
            (tmp_path / "some" / split / name).mkdir(parents=True)
            for path in sorted((test_data / "clothing-256" / split / name).iterdir())[:count]:
                (tmp_path / "some" / split / name / path.name).symlink_to(path)
    assert cli.main(["data", "prepare", str(tmp_path / "some")]) == 0
    data = prepared(tmp_path / "some-prepared")["train"]
    for row in table(tmp_path / "some-prepared" / "manifest.csv"):
        original = (test_data / "clothing-256" / row["source"]).read_bytes()
        assert hashlib.sha256(original).hexdigest() == row["sha256"]
    images = data.read(np.arange(len(data)))
    assert len(data) == 60 and 60 < images.mean() < 220 and images.std() > 20
    assert (np.diff(data.statistics.deviations) > 0).all()
    assert io.BytesIO((tmp_path / "some-prepared" / "mean.png").read_bytes())
