"""Pictures of the chapters: how they are drawn is not part of the lesson, so it stands here.

Each function takes what a chapter has computed and draws a picture. A reader may ignore this file.
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


def kernels(rows, measure):
    """Chapter 12: first kernels as small colour pictures, zero grey; each stretched to its range.

    rows: {label: the kernels (11, 11, 3, 48) of both columns}, one row of pictures for each label.
    measure: kernels -> (48,), a number for each; the last row sorts, each has its median as title.
    """
    figure, axes = plt.subplots(len(rows), 2, figsize=(8.5, 3.3 * len(rows)), squeeze=False)
    orders = [np.argsort(measure(column)) for column in list(rows.values())[-1]]
    for (label, columns), of_row in zip(rows.items(), axes, strict=True):
        for number, (column, order, ax) in enumerate(zip(columns, orders, of_row,
                                                               strict=True)):
            k = 0.5 + 0.5 * column[..., order] / np.abs(column[..., order]).max(axis=(0, 1, 2))
            k = np.pad(k, ((0, 1), (0, 1), (0, 0), (0, 0)), constant_values=1)  # white between them
            # (12, 12, 3, 48) -> (72, 96, 3): 6 rows of 8 kernels
            k = k.reshape(12, 12, 3, 6, 8).transpose(3, 0, 4, 1, 2).reshape(72, 96, 3)
            ax.imshow(k, interpolation="nearest")
            ax.set_title(f"column {number}, {label}: {np.median(measure(column)):.2f}")
            ax.axis("off")
    return figure


def answers(photographs, maps):
    """Chapter 12: photographs, and beside each what some kernels answer; white is the most.

    photographs: (N, H, W, 3) uint8. maps: {title: (N, H, W)}, one for each kernel.
    """
    figure, axes = plt.subplots(len(photographs), 1 + len(maps), squeeze=False,
                                figsize=(7.4, 1.52 * len(photographs)))
    for n, (photograph, row) in enumerate(zip(photographs, axes, strict=True)):
        row[0].imshow(photograph[::3, ::3])
        for (title, of_kernel), ax in zip(maps.items(), row[1:], strict=True):
            ax.imshow(of_kernel[n], cmap="gray", vmin=0, vmax=of_kernel.max(),
                      interpolation="nearest")
            ax.set_title(title if n == 0 else "", fontsize=9)
    for ax in axes.flat:
        ax.axis("off")
    return figure


def guesses(pictures, best, right):
    """Chapter 12: pictures, and below each its likeliest classes; the right one is blue.

    pictures: (N, H, W, C) uint8. best: for each picture, (name, probability) of its guesses.
    right: for each picture the name of its class, which is its title.
    """
    figure, axes = plt.subplots(2, len(pictures), figsize=(9, 3.4), sharex="row",
                                subplot_kw={"frame_on": False, "xticks": [], "yticks": []})
    for picture, rows, name, (above, below) in zip(pictures, best, right, axes.T, strict=True):
        above.imshow(picture, cmap="gray_r")
        above.set_title(name)
        for rank, (guess, share) in enumerate(rows):
            below.barh(-rank, share, color="#90cdf4" if guess == name else LIGHT)
            below.text(0.02, -rank, guess.split(",")[0][:20], va="center", fontsize=9,
                       in_layout=False)
        below.set_xlim(0, 1)
    return figure


def neighbours(rows):
    """Chapter 12: a picture, its nearest in pixels, and its nearest in fc7, one row for each.

    rows: for each picture (it (28, 28), six of the one kind (6, 28, 28), six of the other).
    """
    gap = np.zeros((28, 10), np.uint8)
    strips = [np.hstack([picture, gap, *pixels, gap, *units]) for picture, pixels, units in rows]
    figure, ax = plt.subplots(figsize=(8.5, 2.8))
    ax.imshow(np.vstack(strips), cmap="gray_r")
    ax.set_xticks([14, 122, 300], ["moved by 2", "nearest in pixels", "nearest in fc7"])
    ax.set_yticks([])
    ax.set_frame_on(False)
    return figure


def picture_strip(pictures, rows):
    """Chapter 13: small grey pictures (N, 28, 28, 1) side by side, in so many rows."""
    sheet = pictures.reshape(rows, -1, 28, 28).transpose(0, 2, 1, 3).reshape(rows * 28, -1)
    figure, ax = plt.subplots(figsize=(8.5, 8.5 * rows * rows / len(pictures) + 0.1))
    ax.imshow(sheet, cmap="gray_r")
    ax.axis("off")
    return figure


def errors_by_pictures(counts, errors):
    """Chapter 13: the share that is wrong, in three ways, for each count of pictures."""
    figure, ax = plt.subplots(figsize=(7, 3))
    ways = ("all layers, from nothing", "last layer, on fc7", "last layer, on pixels")
    for way, shares, colour in zip(ways, np.transpose(errors), (ORANGE, BLUE, GREY), strict=True):
        ax.plot([str(count) for count in counts], 100 * shares, "o-", color=colour, label=way)
    ax.set(xlabel="pictures to learn from", ylabel="wrong, %", ylim=(0, 80))
    ax.legend()
    return figure


def ring(k):
    """Chapter 14: a sum in a ring of k ranks. From how many ranks each chunk holds numbers.

    One square for each step: a row for each rank, a column for each chunk. Orange is complete; a
    frame is around what has just come.
    """
    states, came = [np.ones((k, k), int)], [np.zeros((k, k), bool)]
    for step in range(2 * (k - 1)):
        state, new = states[-1].copy(), np.zeros((k, k), bool)
        for rank in range(k):
            c, right = (rank - step) % k, (rank + 1) % k
            sent = states[-1][rank, c]
            state[right, c] = sent + (states[-1][right, c] if step < k - 1 else 0)
            new[right, c] = True
        states.append(state)
        came.append(new)
    figure, axes = plt.subplots(1, len(states), figsize=(9, 1.9))
    for step, (state, new, ax) in enumerate(zip(states, came, axes, strict=True)):
        ax.imshow(state, cmap="Blues", vmin=0, vmax=2 * k)
        for (rank, c), count in np.ndenumerate(state):
            box = (c - 0.5, rank - 0.5), 1, 1
            if count == k:
                ax.add_patch(plt.Rectangle(*box, color=ORANGE))
            if new[rank, c]:
                ax.add_patch(plt.Rectangle(*box, fill=False, lw=2))
            ax.text(c, rank, count, ha="center", va="center",
                    color="white" if count == k else "black")
        ax.set(title=f"step {step}" if step else "before", xticks=[], yticks=[],
               xlim=(-0.55, k - 0.45), ylim=(k - 0.45, -0.55))
    axes[0].set(ylabel="rank", yticks=range(k))
    axes[0].set_xlabel("chunk")
    return figure


def workers(counts, milliseconds, speed_ups):
    """Chapter 14: time of a step, and how much is gained. Both: {scheme: a number for each count}.
    """
    figure, axes = plt.subplots(1, 2, figsize=(8.5, 3))
    for (scheme, ms), colour in zip(milliseconds.items(), (GREY, BLUE, ORANGE), strict=True):
        axes[0].loglog(counts, ms, ".-", color=colour, label=scheme)
        axes[1].loglog(counts, speed_ups[scheme], ".-", color=colour)
    axes[0].set(xlabel="workers", title="ms a step")
    axes[1].set(xlabel="workers", title="times as fast as one worker")
    axes[1].loglog(counts, counts, "k:")
    axes[0].legend()
    return figure
