"""`minialex evaluate`: the errors of a trained network, and what it takes for what."""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from .. import backend
from ..datasets import Data, ImageSet, batches
from ..errors import FileError, InputError
from ..training import Classifier, Evaluation, evaluate
from ..training.evaluate import has_top5
from . import plots
from .run import write
from .setup import choose_devices, data_of_run, load_data
from .text import columns, cut, say

__all__ = ["evaluate_run"]

ROWS = 20  # classes in the printed table
VIEWS = 10


def evaluate_run(options: argparse.Namespace) -> int:
    """Print errors and the classes that are hard, and write the confusion matrix."""
    if options.batch < 1:
        raise InputError(f"--batch {options.batch}: give a whole number of at least 1")
    if options.threads is not None:
        backend.set_threads(options.threads)
    wanted, why = choose_devices(options.devices)
    classifier = Classifier.load(options.folder, wanted)
    images, split = _images(options, classifier)
    folder = _writable(Path(options.out or options.folder))
    if not options.json:
        devices = dict.fromkeys(str(p.device) for p in classifier.net.parameters())
        say(f"network   {classifier.config['model']} of {options.folder}\n"
            f"devices   {' and '.join(devices)}: {why}\n"
            f"data      {images.name}: {len(images):,} {split} images, "
            f"{len(images.classes):,} classes")
    report = {"run": options.folder, "data": images.name, "split": split, "images": len(images)}
    for views in ("centre", "ten_views") if options.ten_view else ("centre",):
        # Counted anew for each: at last that of the ten views, where they are wanted.
        confusion = np.zeros((len(images.classes), len(images.classes)), np.int64)
        began = time.perf_counter()
        result = evaluate(classifier.net, _feed(classifier, images, options.batch, views),
                          confusion)
        report[views] = _figures(result, len(images.classes), time.perf_counter() - began)
    report |= {"confusion_of": views, "classes": hardest(confusion, images.classes)}
    write(folder / "evaluation.json", json.dumps(report, indent=2))
    write(folder / "confusion.csv", as_csv(confusion, images.classes))
    plots.confusion(confusion, images.classes, folder / "confusion.png")
    say(json.dumps(report, indent=2) if options.json else as_text(report) +
        f"\n\nwrote confusion.csv, confusion.png, evaluation.json to {folder}")
    return 0


def _images(options: argparse.Namespace, classifier: Classifier) -> tuple[ImageSet, str]:
    """The images that are asked for, and the name of their split; they must fit the network."""
    name = options.data or classifier.config["data"]
    load = load_data if options.data else data_of_run
    data = load(name, classifier.config["model"], classifier.config.get("data_dir"))
    splits = _splits(data)
    split = options.split or list(splits)[-1]
    if split not in splits:
        raise InputError(f"--split {split}: {name} has {' and '.join(splits)} only")
    images = splits[split]
    theirs, ours = list(images.classes), list(classifier.classes)
    if theirs != ours:
        raise InputError(f"--data {name}: its classes ({_difference(theirs, ours)}) are not those "
                         f"of the run ({_difference(ours, theirs)}); give the data of the run, or "
                         "pictures in folders of the same names")
    if images.shape != classifier.preparation.mean.shape:
        raise InputError(f"--data {name}: images of shape {images.shape} came, the network of "
                         f"{options.folder} needs {classifier.preparation.mean.shape}; give data "
                         "of the kind that it was trained on")
    return images, split


def _splits(data: Data) -> dict[str, ImageSet]:
    """Those that there are; last the one that the final figure is about."""
    splits = {"train": data.train, data.val_name: data.val}
    return splits if data.val is data.test else {**splits, "test": data.test}


def _difference(some: Sequence[str], others: Sequence[str]) -> str:
    """"10: Shirt, Coat, ...": how many classes, and those that the others lack."""
    own = [name for name in some if name not in set(others)] or list(some)
    return f"{len(some):,}: {', '.join(own[:3])}{', ...' if len(own) > 3 else ''}"


def _writable(folder: Path) -> Path:
    """Find out before the work is done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"minialex")
    except OSError as error:
        raise FileError(f"{folder} cannot be written ({error.strerror}); "
                        "choose another --out") from None
    return folder


def _feed(classifier: Classifier, images: ImageSet, batch: int, views: str) -> tqdm:
    ten = views == "ten_views"
    batch = max(1, batch // VIEWS) if ten else batch  # as many views at once
    feed = batches(images, classifier.preparation, batch, ten_views=ten,
                   threads=backend.threads())
    return tqdm(feed, total=-(-len(images) // batch), desc=views.replace("_", " "), unit="batch",
                leave=False, dynamic_ncols=True, disable=None, file=sys.stderr)


def _figures(result: Evaluation, classes: int, seconds: float) -> dict[str, Any]:
    return {"top1_error": result.top1_error,
            "top5_error": result.top5_error if has_top5(classes) else None,
            "loss": result.loss, "seconds": round(seconds, 3)}


def hardest(confusion: np.ndarray, classes: Sequence[str]) -> list[dict[str, Any]]:
    """What happened to the images of each class, the worst first; classes without images last.

    confusion: (classes, classes) counts, rows: right class, columns: first guess.
    """
    rows = []
    for label, name in enumerate(classes):
        images, right = int(confusion[label].sum()), int(confusion[label, label])
        wrong = confusion[label].copy()
        wrong[label] = 0
        other = int(wrong.argmax())
        rows.append({"class": name, "images": images,
                     "top1_error": 1 - right / images if images else None,
                     "taken_for": classes[other] if wrong[other] else None,
                     "times": int(wrong[other])})
    return sorted(rows, key=lambda row: -1 if row["top1_error"] is None else row["top1_error"],
                  reverse=True)


def as_csv(confusion: np.ndarray, classes: Sequence[str]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["right class / first guess", *classes])
    writer.writerows([name, *row] for name, row in zip(classes, confusion.tolist(), strict=True))
    return text.getvalue().rstrip("\n")


def as_text(report: dict[str, Any]) -> str:
    """Two tables: all images, and class by class."""
    ways = [views for views in ("centre", "ten_views") if views in report]
    lines = ["", " " * 11 + "".join(f"{views.replace('_', ' '):>12}" for views in ways)]
    for name, key, form in (("top-1 error", "top1_error", ".2%"),
                            ("top-5 error", "top5_error", ".2%"),
                            ("loss (nats)", "loss", ".3f"), ("seconds", "seconds", ".1f")):
        numbers = (report[views][key] for views in ways)
        lines.append(f"{name:11}" + "".join(f"{_number(number, form):>12}" for number in numbers))
    rows = report["classes"][:ROWS]
    wide = min(24, max(columns(row["class"]) for row in rows))
    lines += ["", f"{cut('class', wide)}  images  top-1 error  most often taken for"]
    for row in rows:
        other = f"{cut(row['taken_for'], 20).rstrip()} ({row['times']:,})" if row["times"] else "-"
        lines.append(f"{cut(row['class'], wide)}  {row['images']:6,}  "
                     f"{_number(row['top1_error'], '.2%'):>11}  {other}")
    if len(report["classes"]) > ROWS:
        lines.append(f"... and {len(report['classes']) - ROWS:,} classes with no more errors: all "
                     "are in evaluation.json")
    return "\n".join(lines)


def _number(number: float | None, form: str) -> str:
    return "-" if number is None else format(number, form)
