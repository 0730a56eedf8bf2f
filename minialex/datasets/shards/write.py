"""Pictures packed for training: 1,024 JPEGs of one size in a zip, and lists of what is inside.

    prepared.json      what was asked for: side, quality, and a digest of the source
    train-00000.zip    a shard: JPEGs as CLASS/NAME.jpg, stored without further packing, and
                       train-00000.csv with a row for each file, also for those left out
    classes.csv        label, folder of the class, its name
    mean.npy, mean.png, statistics.json    of the training images: mean image, colour covariance
    skipped.csv        the files that were left out, with the reason
    manifest.csv       a row for each image, and where it lies; written last

A shard appears whole or not at all, and depends only on the source and the settings. So after an
interruption the missing ones are made, with the same bytes for any number of threads. The
authors put 1,024 images into a file too; and Krizhevsky's cuda-convnet2 shuffles the training
images once, when it writes its files.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from ...files import LOCK, check_writable, locked, replacing, sweep
from ..errors import DataError
from ..feed.threads import in_order, pool
from ..formats.picture import MOST_BYTES, PictureError, as_jpeg, to_square
from ..images import Sums
from ..sets.imagenet import class_names
from ..sets.source import File, Source, content
from .read import ABOUT, MANIFEST, about, whole

__all__ = ["Report", "Shard", "begun", "finish", "missing", "pack", "plan"]

IN_SHARD = 1024
# Columns of the lists
_OF_SHARD = ("member", "label", "source", "sha256", "skipped")
_OF_MANIFEST = ("split", "shard", "member", "label", "class", "source", "offset", "bytes", "sha256")
_OF_SKIPPED = ("split", "shard", "source", "reason")
_THREADS = "minialex-prepare"


class Shard(NamedTuple):
    """What lies in NAME.zip: files of the source, and the names that they get there."""

    name: str
    split: str
    files: list[File]
    members: list[str]


class Report(NamedTuple):
    """What was packed. images: how many in each split; skipped: split, shard, file and reason;
    unseen: the classes without a training image.
    """

    images: Counter[str]
    skipped: list[tuple[str, str, str, str]]
    unseen: list[str]


@contextmanager
def begun(folder: Path, source: Source, side: int, quality: int) -> Iterator[None]:
    """Hold the folder for this source and these settings; shards may be written inside.

    Raises DataError if something else lies in it, and FileError if another process writes into it,
    or if it cannot be written.
    """
    inside = {path.name for path in check_writable(folder).iterdir()}
    # A run that was killed at once leaves only its lock, and part of a file.
    if ABOUT not in inside and any(name != LOCK and not name.endswith(".part") for name in inside):
        raise DataError(f"{folder}: is not empty, and no prepared set; choose another folder")
    wanted = {"format": 1, "side": side, "quality": quality, "source": source.digest()}
    with locked(folder / LOCK, "choose another folder"):
        if not (folder / ABOUT).exists():
            _write(folder / ABOUT, json.dumps(wanted, indent=2).encode())
        found = about(folder)
        for name in ("side", "quality"):
            if found.get(name) != wanted[name]:
                raise DataError(f"{folder}: was begun with {name} {found.get(name)}, not "
                                f"{wanted[name]}; keep to it, or choose another folder")
        if found != wanted:
            raise DataError(f"{folder}: was begun with other pictures, or divided in other shares, "
                            "or the pictures have changed since; choose another folder")
        yield


def plan(source: Source) -> list[Shard]:
    """Which file goes where: training files are shuffled once, the others stay in order."""
    shards = []
    for split, files in source.splits.items():
        members = _member_names(files, source.classes)
        order = np.arange(len(files))
        if split == "train":
            order = np.random.default_rng(0).permutation(order)
        for number, start in enumerate(range(0, len(files), IN_SHARD)):
            chosen = order[start : start + IN_SHARD]
            shards.append(Shard(f"{split}-{number:05}", split, [files[i] for i in chosen],
                                [members[i] for i in chosen]))
    return shards


def _member_names(files: Sequence[File], classes: Sequence[str]) -> list[str]:
    """CLASS/NAME.jpg for each file, as any system can unpack it: no name comes twice."""
    names, taken = [], set()
    last: dict[str, int] = {}  # the number that a stem got last; lower ones are taken
    for file in files:
        stem = f"{classes[file.label]}/{PurePosixPath(file.name).stem}"
        stem = name = re.sub(r'[<>:"\\|?*]', "_", stem)
        number = last.get(stem.casefold(), 1)
        while name.casefold() in taken:  # both a.png and A.jpg would be a.jpg
            number += 1
            name = f"{stem}-{number}"
        last[stem.casefold()] = number
        taken.add(name.casefold())
        names.append(name + ".jpg")
    return names


def missing(folder: Path, shards: Iterable[Shard]) -> list[Shard]:
    """The shards that are still to be written."""
    return [shard for shard in shards if not (folder / f"{shard.name}.zip").is_file()]


def pack(folder: Path, shards: Sequence[Shard], side: int, quality: int, threads: int = 1,
         strict: bool = False, done: Callable[[], object] = lambda: None) -> None:
    """Write these shards; `done` is called after each file.

    A file that is no picture is left out, and noted; if `strict`, it raises DataError.
    """
    def convert(file: File) -> tuple[bytes, str]:
        try:
            return as_jpeg(content(file), side, quality), ""
        except PictureError as error:
            return b"", str(error)

    files = (file for shard in shards for file in shard.files)
    with pool(threads, _THREADS) as workers:
        converted = in_order(workers, convert, files, 2 * IN_SHARD)
        for shard in shards:
            rows = []
            with (replacing(folder / f"{shard.name}.zip") as zipped,
                  zipfile.ZipFile(zipped, "w") as packed):
                for file, member in zip(shard.files, shard.members, strict=True):
                    jpeg, reason = next(converted)
                    digest = "" if reason else hashlib.sha256(jpeg).hexdigest()
                    if not reason:
                        _store(packed, member, jpeg)
                    elif strict:
                        raise _refused(file.name, reason)
                    rows.append((member, file.label, file.name, digest, reason))
                    done()
                _store(packed, f"{shard.name}.csv", _table(_OF_SHARD, *rows))


def _refused(name: str, reason: str) -> DataError:
    return DataError(f"{name}: {reason}; repair or remove it, or let it be left out")


def _store(packed: zipfile.ZipFile, name: str, data: bytes) -> None:
    """Add a member with the same date, rights and system wherever and whenever it is made."""
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.create_system, info.external_attr = 3, 0o644 << 16  # Unix, readable
    packed.writestr(info, data)


def finish(folder: Path, source: Source, shards: Sequence[Shard], side: int, threads: int = 1,
           strict: bool = False, done: Callable[[int], object] = lambda files: None) -> Report:
    """Read all shards, measure the training images, and write the lists.

    `done` is called with the number of files of each shard. Raises DataError if a shard is damaged,
    if there is no training image, or if something was left out and must not be (`strict`).
    """
    report = Report(Counter(), [], [])
    seen: set[int] = set()  # labels of training images
    sums = Sums((side, side, 3))
    with replacing(folder / MANIFEST) as manifest, pool(threads, _THREADS) as workers:
        manifest.write(_table(_OF_MANIFEST))
        inspected = in_order(workers, lambda shard: _inspect(folder, shard, source.classes, side),
                              shards, threads)
        for shard, found in zip(shards, inspected, strict=True):
            if strict and found.skipped:
                raise _refused(*found.skipped[0][2:])
            manifest.write(_table(*found.images))
            report.images[shard.split] += len(found.images)
            report.skipped.extend(found.skipped)
            seen.update(int(label) for split, _, _, label, *_ in found.images if split == "train")
            sums.merge(found.sums)
            done(len(shard.files))
        if not report.images["train"]:
            raise DataError(f"{folder}: none of the training pictures can be read: "
                            f"{report.skipped[0][2]}: {report.skipped[0][3]}, and so on")
        report.unseen.extend(name for label, name in enumerate(source.classes) if label not in seen)
        _write_statistics(folder, sums)
        classes = zip(range(len(source.classes)), source.classes, class_names(source.classes),
                      strict=True)
        _write(folder / "classes.csv", _table(("label", "class", "name"), *classes))
        _write(folder / "skipped.csv", _table(_OF_SKIPPED, *report.skipped))
    sweep(folder)
    return report


class _Content(NamedTuple):
    """Of a shard: rows of the lists, and sums over its training images."""

    images: list[tuple]
    skipped: list[tuple[str, str, str, str]]
    sums: Sums


def _inspect(folder: Path, shard: Shard, classes: Sequence[str], side: int) -> _Content:
    images, skipped, sums = [], [], Sums((side, side, 3))
    with whole(folder / f"{shard.name}.zip") as path, zipfile.ZipFile(path) as packed:
        rows = _member(packed, f"{shard.name}.csv")[1].decode()
        for row in csv.DictReader(io.StringIO(rows)):
            if row["skipped"]:
                skipped.append((shard.split, shard.name, row["source"], row["skipped"]))
                continue
            info, jpeg = _member(packed, row["member"])
            offset = info.header_offset + 30 + len(info.filename.encode())  # of the JPEG
            images.append((shard.split, shard.name, row["member"], row["label"],
                           classes[int(row["label"])], row["source"], offset, info.file_size,
                           row["sha256"]))
            if shard.split == "train":
                sums.add(np.asarray(to_square(jpeg, side)[0])[np.newaxis])
    return _Content(images, skipped, sums)


def _member(packed: zipfile.ZipFile, name: str) -> tuple[zipfile.ZipInfo, bytes]:
    info = packed.getinfo(name)
    if info.file_size > MOST_BYTES:
        raise zipfile.BadZipFile(f"{name} has {info.file_size:,} bytes")
    return info, packed.read(info)


def _write_statistics(folder: Path, sums: Sums) -> None:
    from PIL import Image

    measured = sums.statistics()
    pixels = sums.images * sums.total[..., 0].size
    colour = (sums.total.sum(axis=(0, 1)) / pixels).tolist()
    text = json.dumps({"images": sums.images, "mean colour": colour,
                       "covariance": measured.covariance.tolist(),
                       "deviations": measured.deviations.tolist(),
                       "directions": measured.directions.tolist()}, indent=2)
    _write(folder / "statistics.json", text.encode())
    with replacing(folder / "mean.npy") as file:
        np.save(file, measured.mean)
    with replacing(folder / "mean.png") as file:
        Image.fromarray(measured.mean.round().astype(np.uint8)).save(file, "PNG")


def _table(*rows: Iterable[object]) -> bytes:
    """Rows as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _write(path: Path, data: bytes) -> None:
    with replacing(path) as file:
        file.write(data)
