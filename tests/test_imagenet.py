"""ImageNet as its owners give it out: tars that are read in place, labels, and names."""

import csv
import gzip
import io
import os
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minialex.datasets import DataError, prepared
from minialex.datasets.sets.imagenet import (
    class_names,
    imagenet_source,
    is_imagenet,
    validation_classes,
    wnids,
)
from minialex.datasets.sets.source import content
from minialex.tools import cli

pytestmark = pytest.mark.ch10

FISH, SNAKE, ALP = "n01440764", "n01751748", "n09193705"
TRAIN = {ALP: 3, FISH: 4, SNAKE: 2}  # how many pictures of each
TRUTH = [490, 361, 490, 449]  # the official numbers of snake and alp and fish
VAL = [SNAKE, ALP, SNAKE, FISH]


def jpeg(number):
    """A picture that says which one it is: its red."""
    file = io.BytesIO()
    Image.new("RGB", (30, 20), (10 * number, 60, 60)).save(file, "JPEG", quality=95)
    return file.getvalue()


def red(image):
    return round(image[..., 0].mean() / 10)


def train_pictures():
    """wnid -> name -> content; numbered from 1 on."""
    numbers = iter(range(1, 99))
    return {wnid: {f"{wnid}_{10 * n}.JPEG": jpeg(next(numbers)) for n in range(count, 0, -1)}
            for wnid, count in TRAIN.items()}


def val_pictures():
    return {f"ILSVRC2012_val_{n:08}.JPEG": jpeg(20 + n) for n in range(len(VAL), 0, -1)}


def tar(members, mode="w"):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as packed:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            info.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            packed.addfile(info, io.BytesIO(data))
    return file.getvalue()


def devkit(numbers=TRUTH):
    kit = "ILSVRC2012_devkit_t12"
    truth = "".join(f"{number}\n" for number in numbers).encode()
    return tar({f"{kit}/readme.txt": b"Hello", f"{kit}/data/meta.mat": b"MATLAB",
                f"{kit}/data/ILSVRC2012_validation_ground_truth.txt": truth}, "w:gz")


def kaggle():
    return "ImageId,PredictionString\n" + "".join(
        f"ILSVRC2012_val_{n:08},{wnid} 85 1 499 272 {wnid} 1 2 3 4\n"
        for n, wnid in reversed(list(enumerate(VAL, 1))))


@pytest.fixture
def official(tmp_path):
    """The three files as they come from image-net.org, only smaller."""
    root = tmp_path / "imagenet"
    root.mkdir()
    train = {f"{wnid}.tar": tar(pictures) for wnid, pictures in train_pictures().items()}
    (root / "ILSVRC2012_img_train.tar").write_bytes(tar(train))
    (root / "ILSVRC2012_img_val.tar").write_bytes(tar(val_pictures()))
    (root / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(devkit())
    return root


def unpack(root, target, flat):
    """The same in folders: val by class, or flat as it comes."""
    folders = {f"train/{wnid}": pictures for wnid, pictures in train_pictures().items()}
    if flat:
        folders["val"] = val_pictures()
    else:
        for name, data in val_pictures().items():
            folders.setdefault(f"val/{VAL[int(name[-13:-5]) - 1]}", {})[name] = data
    for folder, pictures in folders.items():
        (target / folder).mkdir(parents=True)
        for name, data in pictures.items():
            (target / folder / name).write_bytes(data)
    if flat:
        (root / "LOC_val_solution.csv").write_text(kaggle())


# Names


def test_thousand_classes():
    assert len(wnids()) == 1000
    assert all(re.fullmatch(r"n\d{8}", wnid) for wnid in wnids())
    assert all(name and name == name.strip() for name in wnids().values())


@pytest.mark.parametrize(("number", "wnid", "name"), [
    (1, "n02119789", "kit fox, Vulpes macrotis"), (2, "n02100735", "English setter"),
    (449, FISH, "tench, Tinca tinca"), (361, ALP, "alp"), (490, SNAKE, "sea snake"),
    (179, "n02111889", "Samoyed, Samoyede"), (993, "n07697313", "cheeseburger"),
    (1000, "n03255030", "dumbbell")])
def test_official_numbers(number, wnid, name):
    assert list(wnids().items())[number - 1] == (wnid, name)


@pytest.mark.parametrize(("label", "wnid"), [
    (0, FISH), (65, SNAKE), (258, "n02111889"), (281, "n02123045"), (933, "n07697313"),
    (970, ALP), (999, "n15075141")])
def test_labels_everywhere_else_count_in_sorted_order(label, wnid):
    assert sorted(wnids())[label] == wnid


def test_names_of_classes_differ():
    names = class_names(sorted(wnids()))
    assert len(set(names)) == 1000
    assert [name for name in names if name.startswith("crane")] == [
        "crane (n02012849)", "crane (n03126707)"]
    assert class_names(["n02012849", "dog"]) == ["crane", "dog"]


# Tars


def test_tars_are_listed_in_place(official):
    assert is_imagenet(official)
    source = imagenet_source(official)
    assert source.classes == [FISH, SNAKE, ALP] and not source.remarks
    train, val = source.splits["train"], source.splits["val"]
    assert [file.label for file in train] == [0, 0, 0, 0, 1, 1, 2, 2, 2]
    assert [file.name for file in train][:2] == [
        f"ILSVRC2012_img_train.tar/{FISH}.tar/{FISH}_10.JPEG",
        f"ILSVRC2012_img_train.tar/{FISH}.tar/{FISH}_20.JPEG"]
    for file in train:
        wnid, name = file.name.split("/")[1][:-4], file.name.split("/")[2]
        assert content(file) == train_pictures()[wnid][name]
    assert [file.label for file in val] == [1, 2, 1, 0]
    assert [content(file) for file in val] == [data for _, data in sorted(val_pictures().items())]


def test_tars_with_folders_and_foreign_files_inside(official):
    inner = tar({"./": b"", **{f"./{name}": data for name, data in train_pictures()[FISH].items()},
                 "._hidden.JPEG": b"Mac"})
    (official / "ILSVRC2012_img_train.tar").write_bytes(
        tar({f"./{FISH}.tar": inner, "readme.txt": b"x", **{
            f"./{wnid}.tar": tar(train_pictures()[wnid]) for wnid in (SNAKE, ALP)}}))
    (official / "ILSVRC2012_img_val.tar").write_bytes(
        tar({f"val/{name}": data for name, data in val_pictures().items()}))
    source = imagenet_source(official)
    assert source.classes == [FISH, SNAKE, ALP]
    assert [len(source.splits[split]) for split in ("train", "val")] == [9, 4]
    assert [file.label for file in source.splits["val"]] == [1, 2, 1, 0]


def prepare(root, *options):
    return cli.main(["data", "prepare", str(root), "--side", "16", *options])


def seen(folder, split):
    """Numbers of the pictures, with their labels."""
    data = prepared(folder)[split]
    return sorted(zip(map(red, data.read(np.arange(len(data)))), data.labels.tolist(),
                      strict=True))


EXPECTED = {"train": [(n, 2) for n in (1, 2, 3)] + [(n, 0) for n in (4, 5, 6, 7)]
            + [(n, 1) for n in (8, 9)], "val": [(21, 1), (22, 2), (23, 1), (24, 0)]}


def test_prepared_from_tars(official, capsys):
    files = sorted(path.name for path in official.iterdir())
    assert prepare(official) == 0
    assert "9 train, 4 val files in 3 classes" in capsys.readouterr().out
    out = official.with_name("imagenet-prepared")
    assert list(prepared(out)["train"].classes) == ["tench, Tinca tinca", "sea snake", "alp"]
    assert {split: seen(out, split) for split in EXPECTED} == EXPECTED
    assert sorted(path.name for path in official.iterdir()) == files, "nothing is unpacked"
    with open(out / "manifest.csv", encoding="utf-8", newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["split"] == "val")
    assert row["member"] == f"{SNAKE}/ILSVRC2012_val_00000001.jpg"
    assert row["source"] == "ILSVRC2012_img_val.tar/ILSVRC2012_val_00000001.JPEG"


@pytest.mark.parametrize("flat", [False, True])
def test_prepared_from_folders(tmp_path, flat):
    root = tmp_path / "imagenet"
    unpack(root, root, flat)
    assert is_imagenet(root) == flat
    assert prepare(root) == 0
    assert {split: seen(f"{root}-prepared", split) for split in EXPECTED} == EXPECTED


def test_flat_folder_that_lacks_a_picture_is_not_whole(tmp_path, capsys):
    root = tmp_path / "imagenet"
    unpack(root, root, flat=True)
    (root / "val" / "ILSVRC2012_val_00000002.JPEG").unlink()
    assert prepare(root) == 2
    assert f"{root / 'val'}: damaged or cut off (3 pictures, for 4 labels)" in (
        capsys.readouterr().err)


@pytest.mark.parametrize("flat", [False, True])
def test_tars_of_classes_that_are_not_unpacked(tmp_path, capsys, flat):
    root = tmp_path / "imagenet"
    unpack(root, root, flat)
    for wnid, pictures in train_pictures().items():
        for name in pictures:
            (root / "train" / wnid / name).unlink()
        (root / "train" / wnid).rmdir()
        (root / "train" / f"{wnid}.tar").write_bytes(tar(pictures))
    if not flat:
        (root / "val").rename(tmp_path / "val")
    assert prepare(root) == 2
    assert (f"train: no pictures; they must lie in {root}/train/CLASS/; unpack the tars in it, or "
            "use ILSVRC2012_img_train.tar as it is") in capsys.readouterr().err


def test_prepared_from_kaggle(tmp_path):
    """Their archive: pictures deep inside, labels at the top, and a folder test without any."""
    root = tmp_path / "imagenet"
    unpack(root, root / "ILSVRC/Data/CLS-LOC", True)
    (root / "ILSVRC/Data/CLS-LOC/test").mkdir()
    assert prepare(root) == 0
    assert {split: seen(f"{root}-prepared", split) for split in EXPECTED} == EXPECTED


def test_broken_picture_in_a_tar_is_left_out(official, capsys):
    pictures = val_pictures()
    pictures["ILSVRC2012_val_00000002.JPEG"] = b""
    (official / "ILSVRC2012_img_val.tar").write_bytes(tar(pictures))
    assert prepare(official) == 0
    out = official.with_name("imagenet-prepared")
    assert "val,val-00000,ILSVRC2012_img_val.tar/ILSVRC2012_val_00000002.JPEG,empty file" in (
        (out / "skipped.csv").read_text())
    assert seen(out, "val") == [(21, 1), (23, 1), (24, 0)]


def test_split_is_for_other_sources(official, capsys):
    assert prepare(official, "--split", "80,10,10") == 2
    assert "--split: ImageNet has splits of its own; leave it out" in capsys.readouterr().err


def test_training_pictures_alone(official, capsys):
    (official / "ILSVRC2012_img_val.tar").unlink()
    (official / "ILSVRC2012_devkit_t12.tar.gz").unlink()
    assert prepare(official) == 0
    assert "no ILSVRC2012_img_val.tar: there are pictures for training only" in (
        capsys.readouterr().out)
    assert seen(official.with_name("imagenet-prepared"), "train") == EXPECTED["train"]


# Labels of the validation pictures


def packed_kit(root):
    (root / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(devkit())


def from_kaggle(root):
    (root / "LOC_val_solution.csv").write_text(kaggle())


@pytest.mark.parametrize("give", [packed_kit, from_kaggle])
def test_each_way_to_give_the_labels(tmp_path, give):
    give(tmp_path)
    assert validation_classes(tmp_path) == {1: SNAKE, 2: ALP, 3: SNAKE, 4: FISH}


@pytest.mark.parametrize(("name", "data"), [
    ("ILSVRC2012_devkit_t12.tar.gz", devkit()[:-40]),
    ("ILSVRC2012_devkit_t12.tar.gz", b"<html>"),
    ("ILSVRC2012_devkit_t12.tar.gz", gzip.compress(b"no tar")),
    ("ILSVRC2012_devkit_t12.tar.gz", tar({"kit/readme.txt": b"x"}, "w:gz")),
    ("ILSVRC2012_devkit_t12.tar.gz", devkit([1, 2, 1001])),
    ("ILSVRC2012_devkit_t12.tar.gz", devkit([1, 2, 0])),
    ("ILSVRC2012_devkit_t12.tar.gz", devkit(["n01440764"])),
    ("LOC_val_solution.csv", b"ImageId,PredictionString\nILSVRC2012_val_00000001,\n"),
    ("LOC_val_solution.csv", b"\xff\xfe"),
    ("LOC_val_solution.csv", b"a,b\n1,2\n")])
def test_damaged_labels(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=rf"\A\S*{name}: damaged; it must hold the labels "
                                        r"of the validation pictures; get it again\Z"):
        validation_classes(tmp_path)


def shorten(path, keep):
    path.write_bytes(path.read_bytes()[:keep])


def break_header(path):
    data = bytearray(path.read_bytes())
    second = data.index(b"n01440764.tar") if b"img_train" in path.name.encode() else data.index(
        b"ILSVRC2012_val_00000003")
    data[second + 148 : second + 156] = b"xxxxxxxx"  # the checksum of this header
    path.write_bytes(data)


def long_name(path):
    """Of a terabyte, all of which is there: a hole."""
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 10**12
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT))
    os.truncate(path, 2 * 10**12)


@pytest.mark.parametrize(("change", "message"), [
    (lambda root: (root / "ILSVRC2012_devkit_t12.tar.gz").unlink(),
     "the classes of the validation pictures are missing; put ILSVRC2012_devkit_t12.tar.gz there"),
    (lambda root: (root / "ILSVRC2012_img_train.tar").unlink(),
     "there is ILSVRC2012_img_val.tar, but no ILSVRC2012_img_train.tar; put it there"),
    (lambda root: (root / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(devkit(TRUTH[:3])),
     "ILSVRC2012_val_00000004.JPEG: its class is not listed, which is not one of the 3 to learn"),
    (lambda root: (root / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(devkit([])),
     "ILSVRC2012_val_00000001.JPEG: its class is not listed, which is not one of the 3 to learn"),
    (lambda root: (root / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(devkit([1, 1, 1, 1])),
     "ILSVRC2012_val_00000001.JPEG: its class is n02119789, which is not one of the 3 to learn; "),
    (lambda root: shorten(root / "ILSVRC2012_img_train.tar", 5000),
     "ILSVRC2012_img_train.tar: damaged or cut off (unexpected end of data); get the file again"),
    (lambda root: shorten(root / "ILSVRC2012_img_val.tar", 700),
     "ILSVRC2012_img_val.tar: damaged or cut off ("),
    (lambda root: shorten(root / "ILSVRC2012_img_val.tar", 0),
     "ILSVRC2012_img_val.tar: damaged or cut off (empty file)"),
    (lambda root: (root / "ILSVRC2012_img_val.tar").write_bytes(b"<html>" * 200),
     "ILSVRC2012_img_val.tar: damaged or cut off ("),
    (lambda root: (root / "ILSVRC2012_img_val.tar").write_bytes(tar(val_pictures())[:3 * 1536]),
     "ILSVRC2012_img_val.tar: damaged or cut off (3 pictures, for 4 labels); get it again"),
    (lambda root: (root / "ILSVRC2012_img_val.tar").write_bytes(tar({})),
     "ILSVRC2012_img_val.tar: damaged or cut off (0 pictures, for 4 labels); get it again"),
    (lambda root: break_header(root / "ILSVRC2012_img_train.tar"),
     "ILSVRC2012_img_train.tar: damaged or cut off (a header is broken)"),
    (lambda root: break_header(root / "ILSVRC2012_img_val.tar"),
     "ILSVRC2012_img_val.tar: damaged or cut off (a header is broken)"),
    (lambda root: long_name(root / "ILSVRC2012_img_train.tar"),
     "ILSVRC2012_img_train.tar: damaged or cut off (a header that is too long)"),
    (lambda root: (root / "ILSVRC2012_img_train.tar").write_bytes(tar({"a.txt": b"x"})),
     "ILSVRC2012_img_train.tar: no pictures of any class in it; get it again"),
], ids=["no labels", "no train", "too few", "none listed", "other classes", "train cut", "val cut",
        "val empty", "val html", "val cut behind a picture", "val without pictures",
        "train header", "val header", "long name", "no pictures"])
def test_official_files_that_are_not_all_there(official, capsys, change, message):
    change(official)
    assert prepare(official) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1
    assert not Path(f"{official}-prepared").exists()
