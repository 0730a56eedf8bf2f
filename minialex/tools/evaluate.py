"""`minialex evaluate`: the errors of a trained network, and which classes it confuses."""

from __future__ import annotations

import argparse
import csv
import io
import json
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import backend
from ..datasets import Batch, Data, ImageSet, batches
from ..datasets.sets.imagenet import class_names
from ..errors import InputError
from ..files import check_writable, replacing
from ..training import Classifier, evaluate
from . import trained
from .arguments import add_data_dir, path, whole
from .images import open_data
from .text import command, count, cut, fact, progress_bar, say, say_json, table, width

__all__ = ["DESCRIPTION", "SUMMARY", "add_arguments", "as_csv", "as_text", "hardest", "run"]

SUMMARY = "count the errors of a trained network"
DESCRIPTION = ("Test a trained network on images that it has not seen. Prints the errors over all "
               "images and for each class, and which classes are confused. Writes confusion.png, "
               "confusion.csv and evaluation.json. With another split, other data or other "
               "weights, the names of the files say so, as in evaluation-val.json. If the right "
               "class ties with another one, this counts as an error.")
ROWS = 20  # classes in the printed table
VIEWS = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    trained.add_arguments(parser)
    parser.add_argument("--data", type=path, metavar="NAME|FOLDER",
                        help="other images of the same classes (default: the data of the run)")
    add_data_dir(parser, default="as in the run")
    parser.add_argument("--split", choices=("test", "val", "train"),
                        help="which images of the data (default: test, or val if there is no test)")
    parser.add_argument("--ten-view", action="store_true",
                        help="also test with the average over ten views of each image, as in "
                             "2012: the four corners, the centre, and their mirror images")
    parser.add_argument("--batch", type=whole(1), default=128, metavar="N",
                        help="number of views in a batch (default: %(default)s)")
    parser.add_argument("--json", action="store_true",
                        help="print the contents of evaluation.json, and nothing else")
    parser.add_argument("--out", type=path, metavar="FOLDER", help="where to write (default: RUN)")


def run(options: argparse.Namespace) -> int:
    """Print errors and the classes that are hard, and write the confusion matrix."""
    source = trained.load(options)
    classifier = source.classifier
    images, split, usual = _images(options, source)
    folder = Path(options.out or source.folder)
    check_writable(folder, "choose another --out")
    if not options.json:
        used = dict.fromkeys(str(p.device) for p in classifier.net.parameters())
        fact("network", f"{classifier.config['model']} of {source.folder}")
        fact("devices", f"{' and '.join(used)}: {source.why}")
        fact("data", f"{images.name}: {count(len(images), f'{split} image')}, "
                     f"{count(len(images.classes), 'class')}")
    report = {"run": str(source.folder), "weights": source.file, "data": images.name,
              "split": split, "images": len(images)}
    for views in ("centre", "ten_views") if options.ten_view else ("centre",):
        # Counted anew for each, so that the last one stays: the ten views, if asked for.
        confusion = np.zeros((len(images.classes), len(images.classes)), np.int64)
        began = time.perf_counter()
        result = evaluate(classifier.net, _feed(classifier, images, options.batch, views),
                          confusion)
        if not math.isfinite(result.loss):
            raise InputError(f"{source.folder}: the network of {source.file} overflows; its "
                             "weights, or its settings, are damaged; use those of another run")
        report[views] = {"top1_error": result.top1_error, "top5_error": result.top5_error,
                         "loss": result.loss, "seconds": round(time.perf_counter() - began, 3)}
    report |= {"confusion_of": views, "classes": hardest(confusion, images.classes)}
    if not options.json:
        say(*as_text(report).split("\n"))
    unusual = [source.kind] * bool(source.kind) + [split] * (not usual)
    unusual += [images.name] * (options.data is not None)
    written = _write(folder, "".join(f"-{word}" for word in unusual), report, confusion,
                     images.classes)
    if options.json:
        say_json(report)
    else:
        say("", f"wrote {', '.join(written)} to {folder}")
    return 0


def _write(folder: Path, end: str, report: dict[str, Any], confusion: np.ndarray,
           classes: Sequence[str]) -> list[str]:
    """Three files. `end` goes into their names, so that no evaluation overwrites another."""
    from . import plots  # Matplotlib is slow to import

    names = [f"confusion{end}.csv", f"confusion{end}.png", f"evaluation{end}.json"]
    texts = {names[0]: as_csv(confusion, classes), names[2]: json.dumps(report, indent=2)}
    for name, text in texts.items():
        with replacing(folder / name) as file:
            file.write(f"{text}\n".encode())
    plots.confusion(confusion, classes, folder / names[1])
    return names


def _images(options: argparse.Namespace, source: trained.Trained) -> tuple[ImageSet, str, bool]:
    """The images asked for, their split, and whether it is the usual one."""
    classifier = source.classifier
    name = options.data or classifier.config.get("data")
    if not name:
        raise InputError(f"{source.folder}: this network was imported, without its pictures; name "
                         f"some: {command('evaluate', Path(options.folder), '--data', 'FOLDER')}")
    data = open_data(name, classifier.config["model"],
                     options.data_dir or classifier.config.get("data_dir"), not options.data,
                     classifier.preparation.squeeze)
    splits = _splits(data)
    usual = list(splits)[-1]
    split = options.split or usual
    if split not in splits:
        raise InputError(f"--split {split}: {name} has {' and '.join(splits)} only")
    images = splits[split]
    theirs, ours = list(images.classes), list(classifier.classes)
    if ours not in (theirs, class_names(theirs)):
        raise InputError(f"--data {name}: its classes ({_difference(theirs, ours)}) are not those "
                         f"of the run ({_difference(ours, theirs)}); give the data of the run, or "
                         "pictures in folders of the same names")
    if images.shape != classifier.preparation.mean.shape:
        raise InputError(f"--data {name}: its images have shape {images.shape}, the network of "
                         f"{source.folder} needs {classifier.preparation.mean.shape}; give data "
                         "of the kind that it was trained on")
    return images, split, split == usual


def _splits(data: Data) -> dict[str, ImageSet]:
    """The splits there are; the last one is for the final figure."""
    splits = {"train": data.train, data.val_name: data.val}
    return splits if data.val is data.test else {**splits, "test": data.test}


def _difference(some: Sequence[str], others: Sequence[str]) -> str:
    """"10: Shirt, Coat, ...": how many classes, and some that the others lack."""
    own = [name for name in some if name not in set(others)] or list(some)
    return f"{len(some):,}: {', '.join(own[:3])}{', ...' if len(own) > 3 else ''}"


def _feed(classifier: Classifier, images: ImageSet, batch: int, views: str) -> Iterator[Batch]:
    """All images in batches of `batch` views, with a bar."""
    ten = views == "ten_views"
    batch = max(1, batch // VIEWS) if ten else batch
    with progress_bar(views.replace("_", " "), -(-len(images) // batch), "batch") as bar:
        for item in batches(images, classifier.preparation, batch, ten_views=ten,
                            threads=backend.threads()):
            yield item
            bar.update()


def hardest(confusion: np.ndarray, classes: Sequence[str]) -> list[dict[str, Any]]:
    """The errors of each class, the worst first; classes without images last.

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
    figures = [("", *(views.replace("_", " ") for views in ways))]
    for name, key, form in (("top-1 error", "top1_error", ".2%"),
                            ("top-5 error", "top5_error", ".2%"),
                            ("loss (nats)", "loss", ".3f"), ("seconds", "seconds", ".1f")):
        figures.append((name, *(_number(report[views][key], form) for views in ways)))
    rows: list[tuple[str, ...]] = [("class", "images", "top-1 error", "most often taken for")]
    room = (width() - len("  images  top-1 error   (1,234)")) // 2  # for each of two names
    for row in report["classes"][:ROWS]:
        other = f"{_shortened(row['taken_for'], room)} ({row['times']:,})" if row["times"] else "-"
        rows.append((_shortened(row["class"], room), f"{row['images']:,}",
                     _number(row["top1_error"], ".2%"), other))
    text = f"\n{table(figures)}\n\n{table(rows, left=(0, 3))}"
    if len(report["classes"]) > ROWS:
        text += (f"\n... and {len(report['classes']) - ROWS:,} classes with no more errors: see "
                 "the JSON file")
    return text


def _shortened(name: str, room: int) -> str:
    return cut(name, room).rstrip()


def _number(number: float | None, form: str) -> str:
    return "-" if number is None else format(number, form)
