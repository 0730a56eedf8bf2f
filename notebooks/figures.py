"""Pictures of the chapters: how they are drawn is not part of the lesson, so it stands here.

Each function takes what a chapter has computed and draws a picture. A reader may ignore this file.
"""

import io

import matplotlib.pyplot as plt
import numpy as np
from IPython import get_ipython
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
    if get_ipython() is None:  # a script, which shows no pictures
        plt.close(figure)
        return print(alt)
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=100)
    plt.close(figure)
    if photographs:
        few = Image.open(data).convert("RGB").quantize(256)
        data = io.BytesIO()
        few.save(data, "PNG", optimize=True)
    display({"image/png": data.getvalue(), "text/plain": alt}, raw=True,
            metadata={"image/png": {"alt": alt}})


def in_a_row(pictures, below, above=None, **options):
    """Chapters 04 and 07: pictures side by side, with words below and above each; as imshow."""
    figure, axes = plt.subplots(1, len(pictures), figsize=(9.5, 2.2 if above else 1.3))
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
    """Chapter 06: tanh and ReLU with their slopes; grey where tanh is saturated."""
    x = np.linspace(-5, 5, 401)
    drawn = {"tanh": (np.tanh(x), 1 - np.tanh(x) ** 2), "ReLU": (np.maximum(x, 0), (x > 0) * 1.0)}
    figure, axes = plt.subplots(1, 2, figsize=(8.5, 2.8), sharex=True)
    for ax, (title, (y, slope)) in zip(axes, drawn.items(), strict=True):
        for left in (-5, 3) if title == "tanh" else ():
            ax.axvspan(left, left + 2, color=LIGHT, alpha=0.5, lw=0)
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

    before, after (H, W, C), each with its own grey scale; centre: the map whose response at
    `pixel` is divided by what the `size` maps around it have at the same pixel.
    """
    c = before.shape[2]
    figure, axes = plt.subplots(2, c, figsize=(9.5, 2.9))
    for row, maps in zip(axes, (before, after), strict=True):
        for k, ax in enumerate(row):
            ax.imshow(maps[:, :, k], cmap="gray", vmin=0, vmax=maps.max())
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


def learning(losses, test_losses, errors):
    """Chapter 07: loss of each step and of the test set; errors (epochs, 2) in %."""
    figure, axes = plt.subplots(1, 2, figsize=(8.5, 3.2))
    epochs = range(1, len(errors) + 1)
    axes[0].plot(np.arange(len(losses)) * len(errors) / len(losses), losses, color=LIGHT, lw=0.8,
                 label="each step")
    axes[0].plot(epochs, test_losses, color=BLUE, label="test set")
    axes[0].set(xlabel="epoch", title="loss", ylim=(0, 1.2))
    for values, colour, name in zip(errors.T, (GREY, BLUE), ("training set", "test set"),
                                    strict=True):
        axes[1].plot(epochs, values, color=colour, label=name)
    axes[1].set(xlabel="epoch", title="images guessed wrong, %", ylim=(0, 20))
    for ax in axes:
        ax.set_xticks(range(0, len(errors) + 1, 5))
        ax.legend()
    return figure


def kernels(before, after):
    """Chapter 07: kernels (KH, KW, 1, O) as pictures, before training above, after it below."""
    figure, axes = plt.subplots(2, before.shape[3], figsize=(8.5, 3))
    for row, some, name in zip(axes, (before, after), ("before", "after"), strict=True):
        for k, ax in enumerate(row):
            ax.imshow(some[:, :, 0, k], cmap="RdBu_r", vmin=-1, vmax=1)
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        row[0].set_ylabel(name)
    return figure


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


def two_memories(tensors, crossings):
    """Chapter 01: what lies in the memories of two devices, and what was copied between them.

    tensors: {name: tensor}; crossings: pairs (name of a tensor, name of its copy).
    """
    devices = list(dict.fromkeys(tensor.device for tensor in tensors.values()))
    rows = [(name,) for name in tensors if not any(name in pair for pair in crossings)]
    rows += crossings
    figure, ax = plt.subplots(figsize=(8.5, 0.75 * len(rows) + 0.7))
    for column, (device, colour) in enumerate(zip(devices, (BLUE, GREY), strict=True)):
        ax.add_patch(plt.Rectangle((6 * column, -0.5), 4, len(rows), fc="none", ec=colour, lw=2))
        ax.text(6 * column + 2, len(rows) - 0.4, f"memory of {device}", color=colour, ha="center")
    for row, names in enumerate(reversed(rows)):
        for name in names:
            tensor, copied = tensors[name], name != names[0]
            column = devices.index(tensor.device)
            ax.text(6 * column + 2, row, f"{name}  {tensor.shape}  {tensor.data.nbytes:,} B",
                    ha="center", va="center", color="white",
                    bbox={"boxstyle": "round,pad=0.5", "ec": "none",
                          "fc": ORANGE if copied else (BLUE, GREY)[column]})
            if copied:
                ends = (6, 4) if column == 0 else (4, 6)
                ax.annotate("", (ends[1], row), (ends[0], row),
                            arrowprops={"arrowstyle": "->", "color": ORANGE, "lw": 1.5})
                ax.text(5, row + 0.08, "transfer", color=ORANGE, ha="center", va="bottom")
    ax.set(xlim=(-0.1, 10.1), ylim=(-0.6, len(rows) - 0.1))
    ax.axis("off")
    return figure


def memory_bars(dropping, keeping, limit):
    """Chapter 01: MiB in use after each step, if results are dropped or kept."""
    steps = np.arange(1, len(keeping) + 1)
    figure, ax = plt.subplots(figsize=(8.5, 3))
    bars = ax.bar(steps - 0.2, keeping, 0.4, color=BLUE, label="every result kept")
    for bar, mib in zip(bars, keeping, strict=True):
        bar.set_alpha(0.35 if mib > limit else 1)
    ax.bar(steps + 0.2, dropping, 0.4, color=GREY, label="only the last one kept")
    ax.axhline(limit, color="black", linestyle="--", linewidth=1, label="limit")
    ax.set(xlabel="step", ylabel="MiB in use after it", xticks=steps)
    ax.legend()
    return figure


def walk(tape):
    """Chapter 02: the walk back through (w * x + b)**2 + w * w, a frame for each step of the tape.

    tape: pairs of a result, and its inputs with their slopes.
    """
    places = {"w": (0, 2.2), "x": (0, 1.1), "b": (0, 0), "w * x": (1, 1.15), "s": (2, 0.6),
              "s * s": (3, 0.6), "w * w": (3, 2.2), "y": (4, 1.4)}
    (_, ((w, _), (x, _))), (_, (_, (b, _))), *_ = tape
    numbers = [w, x, b] + [result for result, _ in tape]
    names = dict(zip(numbers, places, strict=True))
    figure, axes = plt.subplots(3, 2, figsize=(8.5, 7.4))
    gradients, frames = {tape[-1][0]: 1.0}, [None, *reversed(tape)]
    for ax, frame in zip(axes.flat, frames, strict=True):
        for parent, slope in frame[1] if frame else ():
            gradients[parent] = gradients.get(parent, 0.0) + gradients[frame[0]] * slope
        ax.set_title(f"{names[frame[0]]} hands on" if frame else "y begins", size=10)
        for result, parents in tape:
            now = frame is not None and result is frame[0]
            _arrows(ax, [(places[names[parent]], slope) for parent, slope in parents],
                    places[names[result]], now)
        for number in numbers:
            across, up = places[names[number]]
            now = frame is not None and number is frame[0]
            ax.plot(across, up, "o", ms=31, color="white", mec=ORANGE if now else GREY,
                    mew=2 if now else 1, clip_on=False)
            ax.text(across, up + 0.4, names[number], ha="center", va="bottom", color=GREY, size=9)
            ax.text(across, up, f"{number.value:g}", ha="center", va="bottom", size=9)
            if number in gradients:
                ax.text(across, up, f"{gradients[number]:g}", ha="center", va="top", size=9,
                        color=ORANGE, weight="bold")
        ax.set(xlim=(-0.35, 4.35), ylim=(-0.45, 2.95))
        ax.axis("off")
    return figure


def _arrows(ax, starts, end, now):
    """From each start to the end; while a step hands gradients on, backwards with the slopes."""
    same = len({place for place, _ in starts}) < len(starts)  # a square: bend its two arrows apart
    for (start, slope), side in zip(starts, (1, -1), strict=True):
        bend = 0.5 * side * same / (end[0] - start[0])
        ax.annotate("", *((start, end) if now else (end, start)), arrowprops={
            "arrowstyle": "->", "color": ORANGE if now else LIGHT, "lw": 1.6 if now else 1,
            "shrinkA": 17, "shrinkB": 17,
            "connectionstyle": f"arc3,rad={bend if now else -bend}"})
        if now:
            x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2 + 0.32 * side * same
            ax.text(x, y, f"* {slope:g}", color=ORANGE, ha="center", va="center", size=9,
                    bbox={"color": "white", "pad": 0.5})


def quotient_errors(steps, curves):
    """Chapter 03: the error of difference quotients for each step. curves: {name: errors}."""
    figure, ax = plt.subplots(figsize=(8.5, 3.4))
    for (name, errors), colour in zip(curves.items(), (ORANGE, GREY, BLUE), strict=True):
        ax.loglog(steps, errors, color=colour, label=name)
    ax.axvline(1e-5, color="black", linewidth=0.8, linestyle=":")
    ax.text(1.4e-5, 0.2, "step of check_gradients")
    ax.set(xlabel="step", ylabel="relative error")
    ax.legend()
    return figure


def kink(step, places):
    """Chapter 03: max(x, 0) near 0, and the lines whose slopes the central differences are."""
    figure, ax = plt.subplots(figsize=(8.5, 2.8))
    ax.plot([-3, 0, 3], [0, 0, 3], color=BLUE, linewidth=2, label="max(x, 0)")
    for place, colour in zip(places, (ORANGE, GREY), strict=True):
        ends = np.array([place / step - 1, place / step + 1])
        heights = np.maximum(ends, 0)
        ax.plot(ends, heights, "o--", color=colour,
                label=f"around {place:g}: slope {(heights[1] - heights[0]) / 2:.1f}")
    ax.set(xlabel=f"x, in steps of {step:g}", xlim=(-2, 2), ylim=(-0.2, 2))
    ax.legend(loc="upper left")
    return figure


def road():
    """Chapter 00: the layers of the library, and at which of them each chapter is."""
    rows = [  # from below
        ("backend", "NumPy or CuPy, memory, copies"),
        ("tensor, operation", "all of differentiation"),
        ("ops, gradcheck", "a function for each operation"),
        ("nn, optim", "layers that hold weights; SGD"),
        ("models, datasets", "LeNet-5, AlexNet; pictures"),
        ("training, parallel", "the loop, recipes; many processes"),
        ("tools, notebooks", "what you type, and read")]
    chapters = [0, 1, 2, 3, 2, 2, 4, 2, 4, 4, 5, 6, 6, 5]  # the row of chapter 01, 02, ...
    figure, ax = plt.subplots(figsize=(8.5, 4))
    for y, (name, what) in enumerate(rows):
        ax.axhspan(y - 0.44, y + 0.44, color="#edf2f7")
        ax.text(-8.3, y + 0.02, name, weight="bold", va="bottom")
        ax.text(-8.3, y - 0.06, what, color="#4a5568", va="top", size=9)
    ax.plot(range(1, 15), chapters, "-o", color=ORANGE, markersize=18)
    for chapter, y in enumerate(chapters, start=1):
        ax.text(chapter, y - 0.02, f"{chapter:02}", color="white", ha="center", va="center")
    ax.set(xlim=(-8.5, 14.6), ylim=(-0.5, 6.5))
    ax.axis("off")
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


def kernel_rows(rows, measure):
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


def kernel_answers(photographs, maps):
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
