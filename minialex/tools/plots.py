"""Pictures of a run, in the format that the ending of a name says."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from .. import nn
from ..datasets import ImageSet
from ..files import replacing
from .text import cut, printable

__all__ = ["confusion", "curves", "filters", "guesses", "predictions", "roofline"]

matplotlib.use("Agg")  # files only: works without a screen

from matplotlib import pyplot as plt
from matplotlib.ticker import LogFormatter, LogLocator

BLUE, ORANGE, LIGHT_BLUE = "#2b6cb0", "#c05621", "#90cdf4"
GREY, DARK_GREY = "#cbd5e0", "#718096"
DOTS = 500  # in the line of the losses of single steps
NAMED, COUNTED = 40, 20  # classes: up to here a confusion matrix has names, and counts


def _save(figure: Any, path: Path) -> None:
    with warnings.catch_warnings(), replacing(path) as file:
        warnings.filterwarnings("ignore", "Glyph .* missing")  # names in letters without a font
        figure.savefig(file, dpi=110, format=path.suffix[1:].lower(), bbox_inches="tight")
    plt.close(figure)


def curves(log: Sequence[dict[str, Any]], split: str, path: Path,
           steps: Iterable[dict[str, Any]] = ()) -> None:
    """Loss and errors by epoch, the loss of every step, and dotted lines where the rate falls.

    log, steps: the lines of log.jsonl and steps.jsonl. A point stands at the end of its epoch.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6))
    epochs = [entry["epoch"] for entry in log]
    known = np.fromiter(((e["step"], e["loss"]) for e in steps if e["loss"] is not None),
                        np.dtype((float, 2)))  # there may be millions
    if len(known):
        each = max(1, len(known) // DOTS)  # steps in one dot of the line
        some = known[: len(known) // each * each].reshape(-1, each, 2)
        number, loss = some.mean(axis=1).T
        ends = np.array([(0, 0), *((e["steps"], e["epoch"]) for e in log if e["steps"])])
        left.plot(np.interp(number, ends[:, 0], ends[:, 1]), loss, lw=0.8, color=LIGHT_BLUE,
                  label="training, by step")
    for axes, key, factor, colour, label in (
            (left, "train_loss", 1, BLUE, "training"), (left, "val_loss", 1, ORANGE, split),
            (right, "top1_error", 100, BLUE, "top-1"), (right, "top5_error", 100, ORANGE, "top-5")):
        values = [np.nan if e[key] is None else factor * e[key] for e in log]
        if not np.isnan(values).all():
            axes.plot(epochs, values, "o-", ms=3, color=colour, label=label)
    left.set(title="Loss (nats)", xlabel="epoch", ylim=(0, None))
    right.set(title=f"Error on {split} (%)", xlabel="epoch", ylim=(0, None))
    falls = [a["epoch"] for a, b in itertools.pairwise(log)
             if None not in (a["lr"], b["lr"]) and b["lr"] < a["lr"]]
    for axes in (left, right):
        for i, fall in enumerate(falls):
            axes.axvline(fall, color=DARK_GREY, ls=":", lw=1, label="_" if i else "rate / 10")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlim(0, 1.02 * max(epochs, default=1))
        axes.spines[["top", "right"]].set_visible(False)
        if axes.lines:
            axes.legend(frameon=False)
    _save(figure, path)


def filters(net: nn.Module, path: Path) -> None:
    """The kernels of the first layer, one block for each column."""
    columns = getattr(net, "columns", None)
    layers = [c.conv1 for c in columns] if columns else [net.c1]
    grids = [_tile(layer.weight.numpy()) for layer in layers]
    figure, axes = plt.subplots(1, len(grids), figsize=(4.5 * len(grids), 4), squeeze=False)
    for index, (ax, grid, layer) in enumerate(zip(axes[0], grids, layers, strict=True)):
        ax.imshow(grid.squeeze(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        ax.set_title(f"column {index} ({layer.weight.device})" if columns else "first layer")
        ax.axis("off")
    _save(figure, path)


def _tile(weight: np.ndarray) -> np.ndarray:
    """(KH, KW, C, O) -> one picture of all kernels, each stretched to the range 0 .. 1."""
    kh, kw, c, o = weight.shape
    across = int(np.ceil(np.sqrt(o)))
    down = -(-o // across)
    picture = np.ones((down * (kh + 1) - 1, across * (kw + 1) - 1, c))
    for k in range(o):
        kernel = weight[..., k] - weight[..., k].min()
        top, left = k // across * (kh + 1), k % across * (kw + 1)
        picture[top : top + kh, left : left + kw] = kernel / max(float(kernel.max()), 1e-12)
    return picture if c == 3 else picture[..., :1]


def predictions(chosen: np.ndarray, probabilities: np.ndarray, data: ImageSet, path: Path) -> None:
    """Test images, each beside its five likeliest classes; the right class in blue."""
    right = data.labels[chosen]
    guesses(data.read(chosen), [data.classes[label] for label in right], probabilities,
            data.classes, path, right=right)


def guesses(images: np.ndarray, titles: Sequence[str], probabilities: np.ndarray,
            classes: Sequence[str], path: Path, top: int = 5,
            right: Sequence[int] | None = None) -> None:
    """Pictures, each beside its likeliest classes; the right class, where it is known, in blue.

    images: uint8 (N, H, W, C); titles: one for each; probabilities: (N, classes).
    """
    across = min(3, len(images))
    down, top = -(-len(images) // across), min(top, len(classes))
    figure, axes = plt.subplots(
        down, 2 * across, figsize=(3.7 * across, max(1.6, 0.3 * top) * down), squeeze=False,
        width_ratios=[1, 1.5] * across, layout="constrained")
    for ax in axes.flat:
        ax.axis("off")
    for k, (image, title) in enumerate(zip(images, titles, strict=True)):
        left, bars = axes[k // across, k % across * 2 :][:2]
        left.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255)
        left.axis("on")  # a frame, without which a white picture would have no edge
        left.set(xticks=(), yticks=())
        left.spines[:].set(color=GREY, lw=0.8)
        left.set_anchor("NW")
        left.set_title(_label(title, 38), fontsize=10, loc="left", parse_math=False)
        best = np.argsort(-probabilities[k], kind="stable")[:top]
        known = None if right is None else right[k]
        bars.barh(range(top), probabilities[k][best], height=0.8,
                  color=[LIGHT_BLUE if label == known else GREY for label in best])
        for row, label in enumerate(best):
            bars.text(0.02, row, _label(classes[label], 22), va="center", fontsize=9,
                      parse_math=False)
            bars.text(0.98, row, f"{probabilities[k][label]:.0%}", va="center", ha="right",
                      fontsize=9)
        bars.set(xlim=(0, 1), ylim=(top - 0.4, -0.6))
    _save(figure, path)


def confusion(counts: np.ndarray, classes: Sequence[str], path: Path) -> None:
    """How often images of each class (rows) were taken for each class (columns).

    counts: (classes, classes). Few classes: the share of the images of a class as a colour, and
    the counts. Many: a dot for each pair, the numbers of the classes in place of their names, and
    a logarithmic scale, on which a single mistake can be seen.
    """
    n = len(classes)
    few = n <= NAMED
    side = min(5 + 0.2 * n, 12)
    figure, ax = plt.subplots(figsize=(side, side), layout="constrained")
    if few:
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        picture = ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        names = [_label(name, 24) for name in classes]
        ax.set_xticks(range(n), names, rotation=45, ha="right", rotation_mode="anchor",
                      parse_math=False)
        ax.set_yticks(range(n), names, parse_math=False)
        for row, column in np.argwhere(counts) if n <= COUNTED else ():
            ax.text(column, row, counts[row, column], ha="center", va="center", fontsize=9,
                    color="white" if shares[row, column] > 0.5 else "black")
    else:
        picture = ax.imshow(np.ma.masked_equal(counts, 0), cmap="copper_r", norm="log",
                            interpolation="nearest", vmin=1, vmax=max(2, counts.max()))
    ax.set(xlabel="first guess", ylabel="right class",
           title=f"{np.trace(counts):,} of {counts.sum():,} images are right")
    bar = figure.colorbar(picture, ax=ax, shrink=0.7, format="{x:.0%}" if few else "{x:,.0f}",
                          label="share of the images of a class" if few else "images")
    if not few:  # else "2 x 10^0" beside "1"
        bar.minorformatter = LogFormatter()
    _save(figure, path)


def _label(name: str, letters: int) -> str:
    return cut(printable(name), letters).rstrip()


def roofline(result: dict[str, Any], path: Path) -> None:
    """The layers of `minialex bench` under the roof that memory and arithmetic set.

    Across: operations for each byte that must be moved; up: speed of forward and backward.
    """
    peak, copy = result["product_gflops"], result["copy_gb_per_s"]
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    layers = [layer for layer in result["layers"] if layer["gflop"]]
    intensity = [1000 * layer["gflop"] / layer["megabytes"] for layer in layers]
    roof = np.geomspace(min(intensity) / 8, 2 * max(peak / copy, *intensity), 200)
    axes.loglog(roof, np.minimum(peak, copy * roof), color=DARK_GREY)
    colours = plt.get_cmap("turbo")(np.linspace(0.05, 0.95, len(layers)))
    for layer, x, colour in zip(layers, intensity, colours, strict=True):
        speeds = [1000 * layer[flop] / layer[f"{way}_ms"]
                  for way, flop in (("forward", "gflop"), ("backward", "backward_gflop"))]
        axes.plot([x, x], speeds, color=colour, lw=1)
        for speed, marker in zip(speeds, "os", strict=True):
            axes.plot(x, speed, marker, color=colour, alpha=0.75,
                      label=layer["name"] if marker == "o" else "_")
    axes.set(xlabel="operations for each byte (FLOP/B)", ylabel="GFLOP/s",
             ylim=(axes.get_ylim()[0] / 3, 2 * peak),
             title=f"{result['model']}, batch {result['batch']}: matrix product {peak:.0f} "
                   f"GFLOP/s, copy {copy:.0f} GB/s")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(title="o forward\n\N{BLACK SQUARE} backward", frameon=False,
                  loc="outside right center")
    _save(figure, path)
