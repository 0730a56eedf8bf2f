"""Pictures of the chapters: how they are drawn is not part of the lesson, so it stands here.

Each function takes what a chapter has computed and draws one picture. A reader may ignore this
file.
"""

import io

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import display

BLUE, ORANGE, GREY, LIGHT = "#2b6cb0", "#c05621", "#718096", "#cbd5e0"
# The first device is blue, the second grey; what crosses between them, and gradients, orange.

plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False,
                     "legend.frameon": False, "figure.constrained_layout.use": True})


def show(figure, alt):
    """Show a figure below the cell. alt: says in words what it shows, for who cannot see it."""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=100)
    plt.close(figure)
    display({"image/png": data.getvalue(), "text/plain": alt}, raw=True,
            metadata={"image/png": {"alt": alt}})


def in_a_row(pictures, below, above=None, **options):
    """Chapters 04 and 07: pictures side by side, with words below and above each; as imshow."""
    figure, axes = plt.subplots(1, len(pictures), figsize=(9.5, 1.7 if above else 1.3))
    for i, (ax, picture) in enumerate(zip(axes, pictures, strict=True)):
        ax.imshow(picture, **options)
        ax.set(xticks=[], yticks=[], xlabel=below[i].replace("/", "/\n").replace(" ", "\n"))
        ax.set_title(above[i] if above else "", fontsize=10)
        ax.spines[:].set_visible(False)
    return figure


def from_scores_to_gradient(scores, probabilities, gradient, names):
    """Chapter 04: three rows of bars for one image, the gradient in orange."""
    figure, axes = plt.subplots(1, 3, figsize=(9.5, 2.8), sharey=True)
    drawn = {"scores": scores, "probabilities": probabilities, "gradient p - y": gradient}
    for ax, (title, values), colour in zip(axes, drawn.items(), (GREY, BLUE, ORANGE), strict=True):
        ax.barh(names, values, color=colour)
        ax.axvline(0, color="black", lw=0.8)
        ax.set_title(title)
    axes[0].invert_yaxis()
    return figure


def valley(paths):
    """Chapter 04: the valley 50 a**2 + b**2 / 2 from above. paths: {label: (N, 2), the places}."""
    a, b = np.meshgrid(np.linspace(-1.1, 1.1, 200), np.linspace(-0.3, 1.1, 200))
    figure, axes = plt.subplots(1, len(paths), figsize=(9.5, 3), sharey=True)
    for ax, (label, path) in zip(axes, paths.items(), strict=True):
        height = np.log(50 * a**2 + b**2 / 2 + 1e-3)
        ax.contour(a, b, height, levels=12, colors=LIGHT, linestyles="-")
        ax.plot(*path.T, "o-", color=BLUE, ms=3, lw=0.8)
        ax.plot(0, 0, "x", color="black", ms=9)
        ax.set(title=label, xlabel="a, steep", xlim=(-1.1, 1.1), ylim=(-0.3, 1.1))
    axes[0].set_ylabel("b, nearly flat")
    return figure


def curves(lines, looks=((GREY, "-"), (BLUE, "-"), (ORANGE, "--")), **axes):
    """Chapters 04 and 06. lines: {label: (x, y)}; looks: a colour and a style each.

    axes: as ax.set takes them.
    """
    figure, ax = plt.subplots(figsize=(8.5, 3.2))
    for (label, (x, y)), (colour, style) in zip(lines.items(), looks, strict=True):
        ax.plot(x, y, style, color=colour, label=label, ms=5)
    ax.set(**axes)
    ax.legend()
    return figure


def answers(pictures):
    """Chapter 05: grey pictures side by side. pictures: {title: (H, W)}."""
    figure, axes = plt.subplots(1, len(pictures), figsize=(8.5, 2.9))
    for ax, (title, picture) in zip(axes, pictures.items(), strict=True):
        ax.imshow(picture, cmap="gray")
        ax.set_title(title)
        ax.axis("off")
    return figure


def windows_become_rows(x, rows, kernels, outputs, kh, kw):
    """Chapter 05: im2col of one grey image with stride 1, two of its windows in colour.

    x (H, W), rows (windows, KH * KW), kernels (KH * KW, O), outputs (windows, O).
    """
    figure, axes = plt.subplots(1, 4, figsize=(9.5, 3.9), width_ratios=(5, 4, 2.4, 2.4))
    across = x.shape[1] - kw + 1
    marked = {0: "#bee3f8", across + 1: "#fbd38d"}  # window: colour
    _numbers(axes[0], x, "image")
    for window, colour in marked.items():
        top, left = divmod(window, across)
        box = {"width": kw - 0.16, "height": kh - 0.16, "fc": colour, "alpha": 0.5, "lw": 2}
        axes[0].add_patch(plt.Rectangle((left - 0.42, top - 0.42), ec="black", **box))
    _numbers(axes[1], rows, "a row for each window", rows=marked)
    _numbers(axes[2], kernels, "a column for\neach kernel")
    _numbers(axes[3], outputs, "all outputs", rows=marked)
    for ax, sign in ((axes[2], "x"), (axes[3], "=")):
        ax.annotate(sign, (-0.25, 0.5), xycoords="axes fraction", size=14, va="center", ha="center")
    return figure


def zeros_around(padded, pad, size):
    """Chapter 05: an image with its border of zeros in grey, the first and last window outlined."""
    figure, ax = plt.subplots(figsize=(4, 3.6))
    inside = np.zeros(padded.shape, bool)
    inside[pad:-pad, pad:-pad] = True
    _numbers(ax, padded, "", cells=np.where(inside, "white", LIGHT))
    for corner, last in ((0, False), (len(padded) - size, True)):
        ax.add_patch(plt.Rectangle((corner - 0.45, corner - 0.45), size - 0.1, size - 0.1,
                                   fill=False, ec=ORANGE if last else BLUE, lw=2.5))
    return figure


def adding_up(frames, size):
    """Chapter 05: the gradient of the pixels while windows are added. frames: {windows: (H, W)}."""
    figure, axes = plt.subplots(1, len(frames), figsize=(9.5, 2.6))
    most = max(frame.max() for frame in frames.values())
    for ax, (windows, frame) in zip(axes, frames.items(), strict=True):
        ax.imshow(frame, cmap="Oranges", vmin=0, vmax=1.4 * most)
        _numbers(ax, frame, f"{windows} window{'s' * (windows > 1)}")
        top, left = divmod(windows - 1, frame.shape[1] - size + 1)
        ax.add_patch(plt.Rectangle((left - 0.5, top - 0.5), size, size, fill=False, lw=2.5))
    return figure


def bars(values, unit, title):
    """Chapter 05: one bar for each name. values: {name: number}."""
    figure, ax = plt.subplots(figsize=(8.5, 1.9))
    drawn = ax.barh(list(values), list(values.values()), color=[GREY, ORANGE, BLUE][:len(values)])
    ax.bar_label(drawn, fmt=f"%.0f {unit}", padding=3)
    ax.set(xlim=(0, 1.15 * max(values.values())), title=title, xticks=[])
    ax.spines["bottom"].set_visible(False)
    ax.invert_yaxis()
    return figure


def _numbers(ax, array, title, rows=None, cells=None):
    """A matrix as a table of numbers; rows: {row: colour}, cells: a colour for each."""
    for (i, j), value in np.ndenumerate(array):
        colour = cells[i, j] if cells is not None else (rows or {}).get(i, "none")
        ax.add_patch(plt.Rectangle((j - 0.5, i - 0.5), 1, 1, fc=colour, ec=LIGHT))
        ax.text(j, i, f"{value:.0f}", ha="center", va="center")
    ax.set(title=title, xlim=(-0.6, array.shape[1] - 0.4), ylim=(len(array) - 0.4, -0.6), aspect=1)
    ax.axis("off")
