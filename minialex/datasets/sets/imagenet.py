"""ImageNet 2012 (ILSVRC) as its owners publish it: two large tars and a list of labels.

    ILSVRC2012_img_train.tar       1,000 tars, each named by its class: n01440764.tar, ...
    ILSVRC2012_img_val.tar         50,000 pictures without classes
    ILSVRC2012_devkit_t12.tar.gz   with the classes of these, as numbers from 1 to 1000

A class is named by its wnid, the number of a noun in WordNet: n01440764 is "tench, Tinca tinca".
Source: O. Russakovsky et al., "ImageNet Large Scale Visual Recognition Challenge", IJCV 2015.
"""

from __future__ import annotations

import csv
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path, PurePath
from typing import IO

from ...files import text_lines
from ..errors import DataError
from .facts import Download, PublicSet
from .folder import folder_source, listed
from .source import File, Source, TarHeader, printable, unreadable

__all__ = ["IMAGENET", "class_names", "imagenet_source", "is_imagenet", "validation_classes",
           "wnids"]

TRAIN, VAL = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
DEVKIT, KAGGLE = "ILSVRC2012_devkit_t12.tar.gz", "LOC_val_solution.csv"
TRUTH = "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt"
_PATTERN = f"ILSVRC2012_val_{8 * '[0-9]'}.JPEG"

# Its owners give it to those who accept their terms, so there are no addresses.
IMAGENET = PublicSet(
    name="imagenet", images={"train": 1_281_167, "val": 50_000}, classes=1_000, pixels="any",
    licence="ImageNet's",  # for research and teaching, without commercial use
    citation="O. Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, "
             "International Journal of Computer Vision 115, 2015, arXiv:1409.0575",
    home="https://image-net.org/challenges/LSVRC/2012/",
    holds=("train", "val"),
    downloads=(
        Download(TRAIN, (), 147_897_477_120, "md5:1d675b47d978889d74fa0da5fadfb00e"),
        Download(VAL, (), 6_744_924_160, "md5:29b22e2961454d5413ddabcf34fc5622"),
        # Names the classes of the validation images.
        Download(DEVKIT, (), None, "md5:fa75699e90414af021442c21a62c3abf")))


@cache
def wnids() -> Mapping[str, str]:
    """The name of each of the 1,000 wnids, in the order of ILSVRC2012_ID (1 to 1000)."""
    text = Path(__file__).with_name("imagenet_classes.txt").read_text(encoding="utf-8")
    return dict(line.split(" ", 1) for line in text.splitlines() if not line.startswith("#"))


def class_names(classes: Sequence[str]) -> list[str]:
    """What to call classes: a wnid of ImageNet 2012 gets its name, any other stays as it is."""
    names = [wnids().get(key, key) for key in classes]
    # A bird and a machine are both called "crane": where a name comes twice, the wnid is added.
    often = Counter(names)
    return [name if often[name] == 1 else f"{name} ({key})"
            for key, name in zip(classes, names, strict=True)]


def is_imagenet(root: Path) -> bool:
    """Whether `root` holds the official tars, or pictures with the official flat folder val."""
    return any((root / name).is_file() for name in (TRAIN, VAL)) or _flat_val(root) is not None


def imagenet_source(root: Path) -> Source:
    """The pictures in the official tars, which are read in place, or in train and a flat val.

    Raises DataError if a tar or the labels of the validation pictures are missing or damaged.
    """
    val = _flat_val(root)
    if val:
        found = folder_source(val.parent)
        classes, files = found.classes, found.splits["train"]
        unlabelled = [listed(path, f"val/{path.name}") for path in val.glob(_PATTERN)]
    else:
        val = root / VAL
        if not (root / TRAIN).is_file():
            raise DataError(f"{root}: there is {VAL}, but no {TRAIN}; put it there")
        classes, files = _train_files(root / TRAIN)
        if not val.is_file():
            return Source(classes, {"train": files},
                          [f"no {VAL}: there are pictures for training only"])
        unlabelled = _val_files(val)
    truth = validation_classes(root)
    if len(unlabelled) < len(truth):  # cut off behind a picture, a tar looks whole
        raise DataError(f"{val}: damaged or cut off ({len(unlabelled):,} pictures, for "
                        f"{len(truth):,} labels); get it again")
    return Source(classes, {"train": files, "val": _labelled(unlabelled, truth, classes)}, [])


def _flat_val(root: Path) -> Path | None:
    """The folder val, if the validation pictures lie in it without folders of classes."""
    for folder in (root / "val", root / "ILSVRC/Data/CLS-LOC/val"):  # the latter as from Kaggle
        if next(folder.glob(_PATTERN), None) and (folder.parent / "train").is_dir():
            return folder
    return None


def _labelled(files: Sequence[File], truth: Mapping[int, str],
              classes: Sequence[str]) -> list[File]:
    """The files in the order of their numbers, with their labels."""
    labels = {name: i for i, name in enumerate(classes)}
    done = []
    for file in sorted(files):
        wnid = truth.get(int(Path(file.name).stem[-8:]), "not listed")
        if wnid not in labels:
            raise DataError(f"{file.name}: its class is {wnid}, which is not one of the "
                            f"{len(labels)} to learn; get the whole set of 2012")
        done.append(file._replace(label=labels[wnid]))
    return done


def validation_classes(root: Path) -> dict[int, str]:
    """The wnid of each validation picture, by the number in its name.

    From the official development kit, or from Kaggle's LOC_val_solution.csv, in `root`.
    Raises DataError if there is none, or it is damaged.
    """
    for path, read in ((root / DEVKIT, _labels_of_kit), (root / KAGGLE, _labels_of_kaggle)):
        if path.is_file():
            try:
                return read(path)
            except (tarfile.TarError, OSError, EOFError, LookupError, TypeError, ValueError):
                raise DataError(f"{path}: damaged; it must hold the labels of the validation "
                                "pictures; get it again") from None
    raise DataError(f"{root}: the classes of the validation pictures are missing; put {DEVKIT} "
                    f"there, from the same page as the pictures, or {KAGGLE} from Kaggle")


def _labels_of_kit(path: Path) -> dict[int, str]:
    by_number = {str(number): wnid for number, wnid in enumerate(wnids(), 1)}
    with tarfile.open(path, "r:gz", tarinfo=TarHeader) as packed:
        member = packed.extractfile(TRUTH)  # one that is missing is a KeyError, like other numbers
        numbers = member.read(2**20).decode().split() if member else []
    return {picture: by_number[number] for picture, number in enumerate(numbers, 1)}


def _labels_of_kaggle(path: Path) -> dict[int, str]:
    return {int(row["ImageId"][-8:]): row["PredictionString"].split()[0]  # of 50,000 lines such as
            for row in csv.DictReader(text_lines(path))}  # ILSVRC2012_val_00048981,n03995372 85 1


def _train_files(path: Path) -> tuple[list[str], list[File]]:
    """Classes and files of the tar of tars. A file inside begins where both offsets add up."""
    by_class = {Path(outer.name).stem: sorted(
        File(f"{path.name}/{outer.name}/{printable(inner.name)}", 0, str(path),
             outer.offset_data + inner.offset_data, inner.size)
        for inner, _ in _members(path, opened))
        for outer, opened in _members(path) if outer.name.endswith(".tar")}
    if not any(by_class.values()):
        raise DataError(f"{path}: no pictures of any class in it; get it again")
    classes = sorted(by_class)
    return classes, [file._replace(label=label) for label, name in enumerate(classes)
                     for file in by_class[name]]


def _val_files(path: Path) -> list[File]:
    return [File(f"{path.name}/{member.name}", 0, str(path), member.offset_data, member.size)
            for member, _ in _members(path) if PurePath(member.name).match(_PATTERN)]


def _members(path: Path,
             inside: IO[bytes] | None = None) -> Iterator[tuple[tarfile.TarInfo, IO[bytes]]]:
    """Each regular file of a tar, or of one `inside` it, and where to read it.

    Raises DataError if not all are there.
    """
    try:
        with tarfile.open(path, "r:", inside, tarinfo=TarHeader) as packed:
            for member in packed:
                if member.isreg() and not PurePath(member.name).name.startswith("."):
                    content = packed.extractfile(member)
                    assert content is not None, "a file has content"
                    yield member, content
            # tarfile takes a broken header for the end. The true end is zeros, or nothing.
            assert packed.fileobj is not None, "it is open"
            packed.fileobj.seek(packed.offset)
            if packed.fileobj.read(tarfile.BLOCKSIZE).strip(b"\0"):
                raise tarfile.ReadError("a header is broken")
    except tarfile.TarError as error:
        raise DataError(f"{path}: damaged or cut off ({error}); get the file again") from None
    except OSError as error:
        raise unreadable(path, error) from None
