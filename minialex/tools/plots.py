"""Pictures of a run, as PNG files."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from .. import nn
from ..datasets import ImageSet
from ..training.checkpoint import replacing

__all__ = ["curves", "filters", "predictions"]

matplotlib.use("Agg")  # files only: works without a screen

from matplotlib import pyplot as plt

BLUE, ORANGE, LIGHT_BLUE = "#2b6cb0", "#c05621", "#90cdf4"
GREY, DARK_GREY = "#cbd5e0", "#718096"


def _save(figure: Any, path: Path) -> None:
    with replacing(path) as file:
        figure.savefig(file, dpi=110, format="png", bbox_inches="tight")
    plt.close(figure)


def curves(log: Sequence[dict[str, Any]], path: Path) -> None:
    """Loss and errors by epoch, and the rate as dotted lines where it falls."""
    epochs = [entry["epoch"] for entry in log]
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6))
    left.plot(epochs, [e["train_loss"] for e in log], "o-", ms=3, color=BLUE, label="training")
    left.plot(epochs, [e["test_loss"] for e in log], "o-", ms=3, color=ORANGE, label="test")
    left.set(title="Loss (nats)", xlabel="epoch", ylim=(0, None))
    right.plot(epochs, [100 * e["top1_error"] for e in log], "o-", ms=3, color=BLUE, label="top-1")
    right.plot(epochs, [100 * e["top5_error"] for e in log], "o-", ms=3, color=ORANGE,
               label="top-5")
    right.set(title="Test error (%)", xlabel="epoch", ylim=(0, None))
    falls = [b["epoch"] - 0.5 for a, b in itertools.pairwise(log) if b["lr"] < a["lr"]]
    for axes in (left, right):
        for fall in falls:
            axes.axvline(fall, color=DARK_GREY, ls=":", lw=1)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    if falls:
        right.annotate("rate / 10", (falls[0], 1), (4, -12), xycoords=("data", "axes fraction"),
                       textcoords="offset points", color=DARK_GREY)
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
    """Test images, each with its five likeliest classes; the right class in blue."""
    images = data.read(chosen)
    across = 4
    down = -(-len(chosen) // across)
    figure, axes = plt.subplots(2 * down, across, figsize=(2.6 * across, 3.6 * down),
                                height_ratios=[1.5, 1] * down, squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for k, image in enumerate(images):
        top, bottom = axes[k // across * 2, k % across], axes[k // across * 2 + 1, k % across]
        right = data.labels[chosen[k]]
        top.imshow(image.squeeze(), cmap="gray")
        top.set_title(data.classes[right], fontsize=10, parse_math=False)
        best = np.argsort(-probabilities[k], kind="stable")[:5]
        bottom.barh(range(len(best)), probabilities[k][best], height=0.8,
                    color=[LIGHT_BLUE if label == right else GREY for label in best])
        for row, label in enumerate(best):
            bottom.text(0.02, row, data.classes[label], va="center", fontsize=8,
                        parse_math=False)
        bottom.set(xlim=(0, 1), ylim=(4.6, -0.6))
    figure.tight_layout(h_pad=0.6)
    _save(figure, path)
