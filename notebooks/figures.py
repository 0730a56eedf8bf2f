"""Pictures of the chapters: how they are drawn is not part of the lesson, so it stands here.

Each function takes what a chapter has computed and draws a picture. A reader may ignore this file.
"""

import io

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import display
from PIL import Image

BLUE, ORANGE, GREY, LIGHT = "#2b6cb0", "#c05621", "#718096", "#cbd5e0"
# The first device is blue, the second grey; what crosses between them, and gradients, orange.

plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False,
                     "legend.frameon": False, "figure.constrained_layout.use": True})


def show(figure, alt, photographs=False):
    """Show a figure below the cell. alt: says in words what it shows, for who cannot see it.

    photographs: whether it has some; then 256 colours must do, or the notebook becomes large.
    """
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=100)
    plt.close(figure)
    if photographs:
        few = Image.open(data).convert("RGB").quantize(256)
        data = io.BytesIO()
        few.save(data, "PNG", optimize=True)
    display({"image/png": data.getvalue(), "text/plain": alt}, raw=True,
            metadata={"image/png": {"alt": alt}})


def two_columns(crossings):
    """Chapter 08: the layers of both columns as boxes, the messages between them as arrows.

    crossings: {layer that receives: (numbers in a message for one image, messages)}.
    """
    layers = ["image", "conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]
    figure, ax = plt.subplots(figsize=(8.5, 2.4))
    for row, colour, names in ((1, BLUE, layers), (0, GREY, layers[:-1])):
        ax.plot([0, len(names) - 1], [row, row], color="black", zorder=0)
        box = {"boxstyle": "round", "fc": colour, "ec": "none"}
        for i, name in enumerate(names):
            ax.text(i, row, name, ha="center", va="center", color="white", bbox=box)
    arrow = {"arrowstyle": "->", "color": ORANGE, "lw": 1.5, "shrinkA": 14, "shrinkB": 14}
    for name, (numbers, messages) in crossings.items():
        i = layers.index(name)
        for row in (0, 1)[:messages]:
            ax.annotate("", (i, 1 - row), (i - 1, row), arrowprops=arrow)
        ax.text(i - 0.5, 1.35, f"{messages} x\n{4 * numbers:,} B", ha="center", color=ORANGE)
    ax.set(xlim=(-0.5, len(layers) - 0.5), ylim=(-0.4, 2))
    ax.axis("off")
    return figure


def step_in_time(copies, counts, images, milliseconds):
    """Chapter 08: a training step on two devices from left to right: its order, and to scale.

    copies: the 14 that were recorded for so many images; counts: the rows of `net.count()`.
    milliseconds: of a step with 128 images. What the copies leave of it, at 6 GB a second, is
    shared out by the multiply-accumulates: a layer has one product forward and two backward, and
    conv1 one backward, because nobody asks for the gradient of the images.
    """
    parts = {"conv1\nconv2": "conv1 conv2", "conv3\nto 5": "conv3 conv4 conv5", "fc6": "fc6",
             "fc7": "fc7", "fc8": "fc8"}
    macs = {row.name: row.multiply_accumulates for row in counts}
    ahead = [sum(macs[layer] for layer in layers.split()) for layers in parts.values()]
    work = np.array(ahead + [2 * part for part in ahead[:0:-1]] + [2 * ahead[0] - macs["conv1"]])
    waits = [sum(t.bytes for t in some) * 128 / images / 6e6 / len(some)  # both ways at once
             for some in _after_stage(copies) if some]
    work = work * (milliseconds - sum(waits)) / work.sum()
    first, second = copies[0].destination, copies[0].source
    rows, colours = {first: 1, second: 0}, {first: BLUE, second: GREY}
    figure, (order, scale) = plt.subplots(2, 1, figsize=(8.5, 4), height_ratios=(3, 2))
    names, clock = [*parts, *reversed(parts)], 0.0
    arrow = {"arrowstyle": "->", "color": ORANGE, "lw": 1.5, "shrinkA": 1, "shrinkB": 1}
    for i, (name, sent) in enumerate(zip(names, _after_stage(copies), strict=True)):
        for device in (first, second) if name != "fc8" else (first,):
            order.barh(rows[device], 1, 0.5, 1.6 * i, color=colours[device])
            order.text(1.6 * i + 0.5, rows[device], name, ha="center", va="center", color="white")
            scale.barh(rows[device], work[i], 0.5, clock, color=colours[device], ec="white", lw=0.5)
        clock += work[i]
        for copy in sent:
            order.annotate("", (1.6 * i + 1.6, rows[copy.destination]),
                           (1.6 * i + 1, rows[copy.source]), arrowprops=arrow)
        if sent:
            megabytes = sent[0].bytes * 128 / images / 1e6
            order.text(1.6 * i + 1.3, 1.45, f"{len(sent)} x\n{megabytes:.1f} MB", ha="center",
                       color=ORANGE)
            scale.barh(0.5, waits[0], 1.5, clock, color=ORANGE)
            clock += waits.pop(0)
    order.text(0, -0.75, "forward")
    order.text(8, -0.75, "backward: gradients come home")
    order.axis("off")
    order.set(xlim=(-0.1, 15.5), ylim=(-0.8, 2.1))
    scale.set(xlabel=f"ms, if a step takes {milliseconds:.0f} (2012)", xlim=(0, milliseconds),
              yticks=list(rows.values()), yticklabels=list(rows))
    return figure


def _after_stage(copies):
    """The 14 copies of a step, by the stage after which they go: five forward, five backward."""
    copies = iter(copies)
    return [[next(copies) for _ in range(n)] for n in (2, 2, 2, 1, 0, 1, 2, 2, 2, 0)]


def layer_bars(names, unit, scale="linear", **groups):
    """Chapter 09: two bars for each layer. groups: label=one number for each layer."""
    figure, ax = plt.subplots(figsize=(8.5, 2.8))
    for shift, colour, (label, values) in zip((-0.21, 0.21), (ORANGE, BLUE), groups.items(),
                                              strict=True):
        drawn = ax.bar(np.arange(len(names)) + shift, values, 0.4, color=colour, label=label)
        ax.bar_label(drawn, fmt="%.3g", size=9)
    ax.set(xticks=range(len(names)), xticklabels=names, ylabel=unit, yscale=scale)
    ax.legend(loc="upper center")
    return figure


def photographs(images, titles=None, columns=10, side=0.85):
    """Chapters 10 to 13: small pictures in rows. images: uint8 (H, W, 3) each; side: in inches."""
    rows = -(-len(images) // columns)
    height = rows * (side + 0.22 * (titles is not None))
    figure, axes = plt.subplots(rows, columns, figsize=(side * columns, height), squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for ax, image, title in zip(axes.flat, images, titles or [""] * len(images), strict=False):
        ax.imshow(image)
        ax.set_title(title, size=9)
    return figure


def crops(image, views, size):
    """Chapter 10: a photograph with frames where three views were cut, and the views."""
    figure, axes = plt.subplots(1, 4, figsize=(8.5, 2.3))
    axes[0].imshow(image)
    axes[0].set_title(f"{len(image)} x {len(image)} pixels", size=9)
    for ax, (top, left), flip, colour in zip(axes[1:], views.corner, views.mirrored,
                                             (BLUE, ORANGE, GREY), strict=True):
        crop = image[top : top + size, left : left + size]
        ax.imshow(crop[:, ::-1] if flip else crop)
        ax.set_title(f"row {top}, column {left}{', mirrored' * bool(flip)}", size=9,
                     color=colour)
        axes[0].add_patch(plt.Rectangle((left, top), size, size, fill=False, ec=colour, lw=2))
    for ax in axes:
        ax.axis("off")
    return figure


def plateaus(classes, mean_of=1, lowest=0, **curves):
    """Chapter 11: losses of runs, step by step; dotted: ln n for each n of `classes`.

    mean_of: steps to average over; if more than one, the losses themselves are drawn thinly.
    """
    figure, ax = plt.subplots(figsize=(8.5, 2.8))
    for colour, (label, losses) in zip((BLUE, ORANGE), curves.items(), strict=False):
        steps = np.arange(1, len(losses) + 1)
        if mean_of > 1:
            ax.plot(steps, losses, color=LIGHT, label="of a step")
            losses = np.convolve(losses, np.ones(mean_of) / mean_of, "valid")
        ax.plot(steps[mean_of - 1 :], losses, color=colour, label=label.replace("_", " "))
    for n in classes:
        ax.axhline(np.log(n), color="black", ls=":", lw=1)
        ax.annotate(f"ln {n}", (1, np.log(n)), (4, 0), xycoords=("axes fraction", "data"),
                    textcoords="offset points", va="center", annotation_clip=False)
    ax.set(xlabel="step", ylabel="loss", ylim=(lowest, None))
    ax.legend()
    return figure


def long_run(steps, epochs, falls):
    """Chapter 11: loss of each step, losses and errors of each epoch; falls: dotted lines there."""
    figure, axes = plt.subplots(1, 2, figsize=(8.5, 2.8), sharex=True)
    axes[0].plot(np.linspace(0, len(epochs), len(steps)), steps, color=LIGHT, lw=0.7, label="step")
    for ax, names, unit in ((axes[0], ("train_loss", "val_loss"), "loss"),
                            (axes[1], ("top1_error", "top5_error"), "share of wrong answers")):
        for name, colour in zip(names, (ORANGE, BLUE), strict=True):
            ax.plot(range(1, len(epochs) + 1), [epoch[name] for epoch in epochs], color=colour,
                    label=name.replace("_", " "))
        ax.vlines(falls, 0, ax.get_ylim()[1], color="black", ls=":", lw=1)
        ax.set(xlabel="epoch", ylabel=unit, ylim=(0, None), xticks=range(0, len(epochs) + 1, 6))
        ax.legend(frameon=True, framealpha=1, edgecolor="white")
    return figure
