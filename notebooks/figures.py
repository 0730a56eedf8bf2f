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
