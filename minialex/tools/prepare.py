"""`minialex data prepare`: any folder of pictures, or ImageNet's tars, packed for training."""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

from tqdm import tqdm

from .. import backend
from ..datasets import is_prepared
from ..datasets.sets.folder import folder_source
from ..datasets.sets.imagenet import imagenet_source, is_imagenet
from ..datasets.sets.source import Source
from ..datasets.shards.write import Shard, begun, finish, missing, pack, plan
from ..errors import InputError

__all__ = ["data_prepare"]


def data_prepare(options: argparse.Namespace) -> int:
    """Prepare a set, or what is missing of it. Exit code 0, or 130 if it was interrupted."""
    _check(options)
    root = Path(options.source)
    if root.is_dir() and not os.access(root, os.R_OK | os.X_OK):
        raise InputError(f"{root}: cannot be read (no permission to enter this folder); see to it, "
                         "and run the same command again")
    if is_prepared(root):
        raise InputError(f"{root}: is a prepared set already; name the folder of its source")
    folder = Path(options.out or f"{root.resolve()}-prepared")
    if root.resolve() in (folder.resolve(), *folder.resolve().parents):
        raise InputError(f"--out {folder}: lies in the source itself; choose a folder outside")
    print(f"source    {root}", flush=True)  # to list a tar on a slow disk takes minutes
    try:
        if not is_imagenet(root):
            source = folder_source(root, options.split)
        elif options.split is None:
            source = imagenet_source(root)
        else:
            raise InputError("--split: ImageNet has splits of its own; leave it out")
        shards = plan(source)
        counts = ", ".join(f"{len(files):,} {split}" for split, files in source.splits.items())
        for line in (f"{counts} files in {len(source.classes):,} classes", *source.remarks):
            print(f"          {line}")
        if len(source.splits) == 1 and options.split is None and not (root / "train").is_dir():
            print("          to set some aside, give --split 80,10,10")
        print(f"into      {folder}")
        with begun(folder, source, options.side, options.quality), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # files that cannot be used are listed in the end
            # --strict looks into the shards of a finished set, too.
            if is_prepared(folder) and not missing(folder, shards) and not options.strict:
                print("          is finished already (same names and sizes); nothing to do")
            else:
                _prepare(folder, source, shards, options)
    except KeyboardInterrupt:
        print("\nminialex: interrupted; finished shards are kept, and the same command goes on "
              "from there", file=sys.stderr)
        return 130
    return 0


def _prepare(folder: Path, source: Source, shards: list[Shard],
             options: argparse.Namespace) -> None:
    threads = options.threads or backend.threads()
    left, began = missing(folder, shards), time.perf_counter()
    files = sum(len(shard.files) for shard in shards)
    fresh = sum(len(shard.files) for shard in left)
    with _progress_bar("packing", files, files - fresh) as bar:
        pack(folder, left, options.side, options.quality, threads, options.strict, bar.update)
    packed = time.perf_counter()
    with _progress_bar("measuring", files, 0) as bar:
        report = finish(folder, source, shards, options.side, threads, options.strict, bar.update)
    measured = time.perf_counter()
    for split, count in report.images.items():
        made = sum(shard.split == split for shard in shards)
        print(f"{split:9} {count:,} images in {made:,} {'shard' if made == 1 else 'shards'}")
    if report.skipped:
        print(f"skipped   {len(report.skipped):,} files, listed in {folder / 'skipped.csv'}:")
        reasons = Counter(reason.split(" (")[0] for *_, reason in report.skipped)
        for reason, count in reasons.most_common():
            print(f"          {count:,} x {reason}")
    if report.unseen:
        print(f"          classes without a training image: {', '.join(report.unseen)}")
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"written   {size / 1e6:,.1f} MB; packed {fresh:,} files in {packed - began:.1f} s "
          f"({fresh / (packed - began):,.0f}/s), measured in {measured - packed:.1f} s")
    print(f"next      minialex train --model alexnet --data {folder}")


def _progress_bar(name: str, total: int, done: int) -> tqdm:
    """On a terminal only."""
    return tqdm(total=total, initial=done, desc=name, unit="file", leave=False, dynamic_ncols=True,
                disable=None)


def _check(options: argparse.Namespace) -> None:
    for name, least, most in (("side", 8, 4096), ("quality", 1, 100), ("threads", 1, 1024)):
        value = getattr(options, name)
        if value is not None and not least <= value <= most:
            raise InputError(f"--{name} {value}: give a whole number from {least} to {most}")
