"""Draws docs/alexnet.png: the two columns, and the kernels that each has learnt."""

from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt

HERE = Path(__file__).resolve().parent
KERNELS = HERE.parent / "notebooks" / "results" / "clothing-alexnet" / "conv1.npz"
LAYERS = ["227x227\nx3", "conv1\n55x55x48", "conv2\n27x27x128", "conv3\n13x13x192",
          "conv4\n13x13x192", "conv5\n13x13x128", "fc6\n2048", "fc7\n2048", "fc8\n1000"]
COLUMNS = [(1, "#2b6cb0", "cpu:0\nor gpu:0"), (0, "#4a5568", "cpu:1\nor gpu:1")]
CROSSINGS = [(2, 3), (5, 6), (6, 7), (7, 8)]  # from which layer into which


def main() -> None:
    figure = plt.figure(figsize=(10, 4.9))
    ax = figure.add_axes((0, 0.42, 1, 0.58))
    for up, colour, device in COLUMNS:
        ax.text(-0.85, up, device, ha="center", va="center", color=colour, fontsize=9)
        last = 9 if up else 8  # one device owns fc8
        ax.plot([0, last - 1], [up, up], color=colour, lw=1.5, zorder=0)
        for across, name in enumerate(LAYERS[:last]):
            ax.text(across, up, name, ha="center", va="center", color="white", fontsize=8.5,
                    bbox={"boxstyle": "round,pad=0.4", "color": colour})
    for start, end in CROSSINGS:
        for up in (0, 1) if end < 8 else (0,):
            ax.annotate("", (end - 0.12, 0.8 - 0.6 * up), (start + 0.12, 0.2 + 0.6 * up),
                        arrowprops={"arrowstyle": "-|>", "color": "#c05621", "lw": 1.5})
    ax.text(0.5, 0.5, "in orange: the only copies\nbetween the two devices",
            ha="center", va="center", color="#c05621", fontsize=9)
    ax.set(xlim=(-1.3, 8.6), ylim=(-0.35, 1.35))
    ax.axis("off")
    for number, (_, colour, _) in enumerate(COLUMNS):
        ax = figure.add_axes((0.04 + 0.48 * number, 0.0, 0.44, 0.36))
        ax.imshow(tiles(np.load(KERNELS)[f"column{number}"]), interpolation="nearest")
        ax.set_title(f"what column {number} looks for: its 48 kernels of conv1", fontsize=9,
                     color=colour)
        ax.axis("off")
    figure.savefig(HERE / "alexnet.png", dpi=120)


def tiles(kernels: np.ndarray, down: int = 4) -> np.ndarray:
    """(11, 11, 3, 48) -> one picture, each kernel stretched to 0 .. 1, the livelier ones first."""
    order = np.argsort(-kernels.std(axis=(0, 1, 2)))
    each = kernels[..., order].transpose(3, 0, 1, 2)  # (48, 11, 11, 3)
    each = each - each.min(axis=(1, 2, 3), keepdims=True)
    each = each / each.max(axis=(1, 2, 3), keepdims=True)
    each = np.pad(each, ((0, 0), (0, 1), (0, 1), (0, 0)), constant_values=1)  # white lines
    return np.vstack([np.hstack(list(row)) for row in each.reshape(down, -1, *each.shape[1:])])


if __name__ == "__main__":
    main()
