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
    """Chapter 04. lines: {label: (x, y)}; looks: a colour and a style each; axes: as ax.set."""
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


def bends():
    """Chapter 06: tanh and ReLU, and below each curve its slope."""
    x = np.linspace(-5, 5, 401)
    drawn = {"tanh": (np.tanh(x), 1 - np.tanh(x) ** 2), "ReLU": (np.maximum(x, 0), (x > 0) * 1.0)}
    figure, axes = plt.subplots(1, 2, figsize=(8.5, 2.8), sharex=True)
    for ax, (title, (y, slope)) in zip(axes, drawn.items(), strict=True):
        ax.axvspan(3, 5, color=LIGHT, alpha=0.5, lw=0)
        if title == "tanh":
            ax.axvspan(-5, -3, color=LIGHT, alpha=0.5, lw=0)
        ax.plot(x, y, color=BLUE, label=title)
        ax.plot(x, slope, "--", color=ORANGE, label="its slope")
        ax.set(xlabel="input", ylim=(-1.2, 3), xlim=(-5, 5))
        ax.legend(loc="upper left")
    return figure


def six_runs(lines):
    """Chapter 06: pairs of runs with ReLU in blue and tanh in grey. lines: {label: (x, y)}."""
    looks = [(colour, style) for style in ("-o", ":x", "--o") for colour in (BLUE, GREY)]
    return curves(lines, looks, xlabel="epoch", ylabel="training error", ylim=(0, 0.8))


def share_left(size, share):
    """Chapter 06: what LRN leaves of responses of different sizes."""
    return curves({"share that is left": (size, share)}, [(BLUE, "-")], xscale="log",
                  xlabel="size of the responses", ylim=(0, 1.1))


def windows_that_overlap(x, y, gradient, size, stride):
    """Chapter 06: max pooling. x, gradient (H, W); y (OH, OW): the largest of each window."""
    figure, axes = plt.subplots(1, 3, figsize=(9.5, 3.4), width_ratios=(7, 3.6, 7))
    _numbers(axes[0], x, "a map, three of its windows",
             cells=np.where(gradient > 0, "#fbd38d", "white"))
    for j, style in zip(range(3), ("-", "--", "-"), strict=True):
        axes[0].add_patch(plt.Rectangle((j * stride - 0.5, -0.5), size, size, fill=False, ls=style,
                                        ec=(BLUE, GREY, BLUE)[j], lw=2.5))
    _numbers(axes[1], y, "the largest of each")
    _numbers(axes[2], gradient, "gradient, if each output has 1",
             cells=np.where(gradient > 0, "#fbd38d", "white"))
    return figure


def across_maps(before, after, centre, size, pixel):
    """Chapter 06: maps side by side before and after LRN, with the window of one response.

    before, after (H, W, C); centre: the map whose response at `pixel` is divided by what the
    `size` maps around it have at the same pixel.
    """
    c, most = before.shape[2], before.max()
    figure, axes = plt.subplots(2, c, figsize=(9.5, 2.9))
    for row, maps in zip(axes, (before, after), strict=True):
        for k, ax in enumerate(row):
            ax.imshow(maps[:, :, k], cmap="gray", vmin=0, vmax=most)
            ax.set(xticks=[], yticks=[], xlabel=f"{maps[pixel][k]:.0f}")
            ax.spines[:].set_visible(False)
            if abs(k - centre) <= size // 2 and maps is before:
                box = {"ec": BLUE if k == centre else ORANGE, "lw": 2.5, "fill": False}
                ax.add_patch(plt.Rectangle((pixel[1] - 0.5, pixel[0] - 0.5), 1, 1, **box))
    for k in range(c):
        axes[0, k].set_title(f"map {k}", fontsize=10)
    axes[0, 0].set_ylabel("before")
    axes[1, 0].set_ylabel("after")
    return figure


def draws(values, expected):
    """Chapter 06: how often each value came, their mean, and what the test gives."""
    figure, ax = plt.subplots(figsize=(8.5, 2.4))
    ax.hist(values, bins=40, color=LIGHT)
    ax.axvline(values.mean(), color=GREY, lw=2, label="mean of the draws")
    ax.axvline(expected, color=BLUE, lw=2, ls="--", label="test, times 0.5")
    ax.set(xlabel="what one unit of the next layer receives", ylabel="draws")
    ax.legend()
    return figure
