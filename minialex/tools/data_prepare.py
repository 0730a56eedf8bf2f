"""`minialex data prepare`: any folder of pictures, or ImageNet's tars, packed for training."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from pathlib import Path

from .. import backend, models
from ..datasets import is_prepared
from ..datasets.sets.folder import folder_source
from ..datasets.sets.imagenet import imagenet_source, is_imagenet
from ..datasets.sets.source import Source
from ..datasets.shards.write import Report, Shard, begun, finish, missing, pack, plan
from ..errors import InputError
from .arguments import add_threads, path, whole
from .images import SHARES, fitting_models
from .text import command, count, fact, progress_bar, say

__all__ = ["DESCRIPTION", "SUMMARY", "add_arguments", "run"]

SUMMARY = "make squares from any pictures, and pack them for training"
DESCRIPTION = ("Prepare pictures as in 2012. The shorter side is scaled to 256 pixels, the central "
               "square is cut out in RGB, and 1,024 JPEGs at a time are packed into a zip file. "
               "Lists of the images, their mean image and colour covariance are written, too. "
               "Files that are not readable pictures are left out and listed. After an "
               "interruption, the same command continues where it stopped.")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=path, metavar="SOURCE",
                        help="a folder that holds train/CLASS/*, with val and test beside train; "
                             "or CLASS/*; or ImageNet's ILSVRC2012_img_train.tar, "
                             "ILSVRC2012_img_val.tar and ILSVRC2012_devkit_t12.tar.gz, which are "
                             "read without unpacking them")
    parser.add_argument("--out", type=path, metavar="FOLDER",
                        help="where to write (default: SOURCE-prepared)")
    parser.add_argument("--split", type=_shares, metavar="A,B,C",
                        help="if there is no folder train: the shares of train, val and test in "
                             "per cent, drawn at random from each class, as in 80,10,10")
    parser.add_argument("--side", type=whole(8, 4096), default=256, metavar="PIXELS",
                        help="side of the squares (default: %(default)s)")
    parser.add_argument("--quality", type=whole(1, 100), default=95, metavar="N",
                        help="quality of the JPEGs, 1 to 100; a JPEG takes about 24 kB at 95, and "
                             "18 kB at 90. RGB JPEGs of the right size are kept as they are "
                             "(default: %(default)s)")
    parser.add_argument("--strict", action="store_true",
                        help="stop at the first file that is not a readable picture")
    add_threads(parser)


def _shares(text: str) -> tuple[int, ...]:
    """"80,10,10" -> (80, 10, 10)"""
    shares = tuple(int(part) for part in text.split(",") if part.isdecimal())
    if len(shares) != 3 or sum(shares) != 100 or shares[0] == 0:
        raise argparse.ArgumentTypeError(
            f"{text}: give train, val and test in per cent, as in 80,10,10")
    return shares


def run(options: argparse.Namespace) -> int:
    """Prepare a set, or what is missing from it. Exit code 0, or 130 if it was interrupted."""
    root = Path(options.source)
    folder = Path(options.out or f"{root.resolve()}-prepared")
    _check(root, folder)
    fact("source", str(root))  # to list a tar on a slow disk takes minutes
    try:
        source = _source(root, options)
        shards = plan(source)
        counts = ", ".join(f"{len(files):,} {split}" for split, files in source.splits.items())
        for line in (f"{counts} files in {count(len(source.classes), 'class')}", *source.remarks):
            fact("", line)
        fact("into", str(folder))
        with begun(folder, source, options.side, options.quality):
            # --strict looks into the shards of a finished set, too.
            if is_prepared(folder) and not missing(folder, shards) and not options.strict:
                fact("", "is finished already (same names and sizes); nothing to do")
            else:
                _prepare(folder, source, shards, options)
        _propose(folder, root, options.side, [
            split for split, files in source.splits.items() if files])
    except KeyboardInterrupt:
        say("", "minialex: interrupted; finished shards are kept, and the same command goes on "
                "from there", stream=sys.stderr)
        return 130
    return 0


def _check(root: Path, folder: Path) -> None:
    if root.is_dir() and not os.access(root, os.R_OK | os.X_OK):
        raise InputError(f"{root}: cannot be read (no permission to enter this folder); see to it, "
                         "and run the same command again")
    if is_prepared(root):
        raise InputError(f"{root}: is a prepared set already; name the folder of its source")
    if root.resolve() in (folder.resolve(), *folder.resolve().parents):
        raise InputError(f"--out {folder}: lies in the source itself; choose a folder outside")


def _source(root: Path, options: argparse.Namespace) -> Source:
    if not is_imagenet(root):
        if options.split is not None and (root / "train").is_dir():
            raise InputError(f"--split: {root} has a folder train already; leave it out")
        return folder_source(root, options.split)
    if options.split is not None:
        raise InputError("--split: ImageNet has splits of its own; leave it out")
    return imagenet_source(root)


def _prepare(folder: Path, source: Source, shards: list[Shard],
             options: argparse.Namespace) -> None:
    threads = options.threads or backend.threads()
    left, began = missing(folder, shards), time.perf_counter()
    files = sum(len(shard.files) for shard in shards)
    fresh = sum(len(shard.files) for shard in left)
    with progress_bar("packing", files, "file", done=files - fresh) as bar:
        pack(folder, left, options.side, options.quality, threads, options.strict, bar.update)
    packed = time.perf_counter()
    with progress_bar("measuring", files, "file") as bar:
        report = finish(folder, source, shards, options.side, threads, options.strict, bar.update)
    measured = time.perf_counter()
    _tell(report, folder, shards)
    size = sum(path.stat().st_size for path in folder.iterdir())
    fact("written", f"{size / 1e6:,.1f} MB; packed {count(fresh, 'file')} in "
                    f"{packed - began:.1f} s ({fresh / (packed - began):,.0f}/s), measured in "
                    f"{measured - packed:.1f} s")


def _tell(report: Report, folder: Path, shards: list[Shard]) -> None:
    """What became of the files."""
    for split, images in report.images.items():
        made = sum(shard.split == split for shard in shards)
        fact(split, f"{count(images, 'image')} in {count(made, 'shard')}")
    if report.skipped:
        skipped = count(len(report.skipped), "file")
        fact("skipped", f"{skipped}, listed in {folder / 'skipped.csv'}:")
        reasons = Counter(reason.split(" (")[0] for *_, reason in report.skipped)
        for reason, times in reasons.most_common():
            fact("", f"{times:,} x {reason}")
    if report.unseen:
        fact("", f"classes without a training image: {', '.join(report.unseen)}")


def _propose(folder: Path, root: Path, side: int, splits: list[str]) -> None:
    """The command that trains with this set, or what is missing for that."""
    fitting, missing = fitting_models(side, channels=3), []
    if not fitting:
        missing.append(f"--side 256 or --side 32, since no model sees squares of {side} pixels")
    if not {"val", "test"} & set(splits):
        missing.append((f"some of them in {root / 'val'}/CLASS/" if (root / "train").is_dir() else
                        " ".join(SHARES)) + ", to have some for testing")
    if missing:
        fact("next", "to train, prepare the pictures again, into another folder:")
        for line in missing:
            fact("", f"with {line}")
    else:
        words = ["train", "--model", fitting[0], "--data", folder]
        info = models.model_info(fitting[0])
        if side < info.image_size:
            words += ["--image-size", info.pictures[0]]
        say(f"next      {command(*words)}")
