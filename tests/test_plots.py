"""Pictures: what they show, and that no name stops them."""

import numpy as np
import pytest
from PIL import Image

from minialex.tools import plots


def drawn(monkeypatch, draw, *arguments):
    """The figure that would be written."""
    figures = []
    monkeypatch.setattr(plots, "_save", lambda figure, _: figures.append(figure))
    draw(*arguments)
    return figures[0]


def names_on(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


@pytest.mark.parametrize(("n", "named", "counted"), [
    (1, True, True), (20, True, True), (21, True, False), (40, True, False), (41, False, False)])
def test_confusion_picture_says_what_there_is_room_for(monkeypatch, n, named, counted):
    classes = [f"class-{number}" for number in range(n)]
    counts = np.diag(np.arange(100, 100 + n))
    figure = drawn(monkeypatch, plots.confusion, counts, classes, None)
    axes = figure.axes[0]
    assert (names_on(axes.xaxis) == names_on(axes.yaxis) == classes) == named
    assert [text.get_text() for text in axes.texts] == [
        str(100 + number) for number in range(n)] * counted
    plots.plt.close(figure)


def test_single_mistake_among_a_thousand_classes_can_be_seen(tmp_path):
    counts = np.zeros((1000, 1000), int)
    counts[700, 200] = 1
    plots.confusion(counts, ["x"] * 1000, tmp_path / "mistake.png")
    pixels = np.asarray(Image.open(tmp_path / "mistake.png").convert("RGB")).astype(int)
    inside = pixels[200:1000, 100:800]  # neither frame nor scale
    assert np.count_nonzero(inside.min(axis=2) < 150) >= 1, "no dot"
    assert np.count_nonzero(inside.min(axis=2) < 250) <= 6, "more than a dot"


def test_pictures_of_names_that_no_font_has(tmp_path, rng):
    """No warning, no error: letters without a font, formulas, and what is no letter at all."""
    names = ["日本", "$x_1$", "a\nb\udcff\x1b[1m", "😀", "x" * 300]
    plots.confusion(np.eye(5, dtype=int), names, tmp_path / "confusion.png")
    plots.guesses(rng.integers(0, 256, (5, 8, 8, 3), np.uint8), names, np.eye(5), names,
                  tmp_path / "guesses.png", right=np.arange(5))
    for name in ("confusion.png", "guesses.png"):
        with Image.open(tmp_path / name) as picture:
            assert picture.format == "PNG" and picture.size[0] < 2000


def test_guesses_beside_a_picture(monkeypatch):
    probabilities = np.array([[0.1, 0.7, 0.2]])
    images = np.zeros((1, 4, 4, 3), np.uint8)
    for right, colours in ((None, [plots.GREY] * 2), ([2], [plots.GREY, plots.LIGHT_BLUE])):
        figure = drawn(monkeypatch, plots.guesses, images, ["boat.jpg"], probabilities,
                       ["ant", "boat", "cat"], None, 2, right)
        picture, bars = figure.axes
        assert picture.get_title(loc="left") == "boat.jpg"
        assert [text.get_text() for text in bars.texts] == ["boat", "70%", "cat", "20%"]
        assert [patch.get_width() for patch in bars.patches] == [0.7, 0.2]
        assert [plots.matplotlib.colors.to_hex(patch.get_facecolor())
                for patch in bars.patches] == colours
        plots.plt.close(figure)


def test_curves_show_the_losses_of_steps_where_they_happened(monkeypatch):
    log = [{"epoch": epoch, "steps": 4 * epoch, "lr": 1, "train_loss": 2, "val_loss": 1,
            "top1_error": 0.5, "top5_error": 0.1} for epoch in (1, 2)]
    steps = [{"step": step, "loss": 10 - step} for step in range(1, 9)]
    figure = drawn(monkeypatch, plots.curves, log, "val", None, steps)
    line = figure.axes[0].lines[0]
    np.testing.assert_allclose(line.get_xdata(), np.arange(1, 9) / 4)
    np.testing.assert_allclose(line.get_ydata(), 10 - np.arange(1, 9))
    plots.plt.close(figure)
    monkeypatch.setattr(plots, "DOTS", 3)
    figure = drawn(monkeypatch, plots.curves, log, "val", None, steps)
    assert figure.axes[0].lines[0].get_ydata().tolist() == [8.5, 6.5, 4.5, 2.5], "means of two"
    plots.plt.close(figure)


def test_rate_falls_at_the_end_of_its_epoch(monkeypatch):
    """Where the line of the single steps jumps, and not half an epoch later."""
    log = [{"epoch": epoch, "steps": 4 * epoch, "lr": 1 if epoch <= 2 else 0.1, "train_loss": 2,
            "val_loss": 1, "top1_error": 0.5, "top5_error": 0.1} for epoch in (1, 2, 3)]
    steps = [{"step": step, "loss": 9 if step <= 8 else 1} for step in range(1, 13)]
    figure = drawn(monkeypatch, plots.curves, log, "val", None, steps)
    for axes in figure.axes:
        [fall] = [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == ":"]
        assert fall == 2
    number, loss = figure.axes[0].lines[0].get_data()
    assert number[loss == 9].max() == 2 < number[loss == 1].min()
    plots.plt.close(figure)


def test_curves_without_top5_and_with_what_was_lost(monkeypatch):
    """null stands for what there is not, and for lines of a damaged log."""
    keys = ("lr", "train_loss", "val_loss", "top1_error", "top5_error")
    log = [{"epoch": 1, "steps": None, **dict.fromkeys(keys), "top1_error": 0.5},
           {"epoch": 2, "steps": 8, **dict.fromkeys(keys, 0.25), "top5_error": None}]
    figure = drawn(monkeypatch, plots.curves, log, "val", None, [{"step": 1, "loss": None}])
    assert figure.axes[1].get_legend_handles_labels()[1] == ["top-1"]
    assert figure.axes[1].lines[0].get_ydata().tolist() == [50, 25]
    plots.plt.close(figure)
    plots.plt.close(drawn(monkeypatch, plots.curves, [], "val", None, []))


def test_white_picture_has_a_frame(tmp_path):
    white = np.full((1, 28, 28, 1), 255, np.uint8)
    plots.guesses(white, [""], np.array([[1.0, 0.0]]), ["a", "b"], tmp_path / "guesses.png")
    with Image.open(tmp_path / "guesses.png") as picture:
        pixels = np.asarray(picture.convert("L"))
    left = pixels[:, : pixels.shape[1] // 3]
    assert (left < 240).any(axis=0).sum() > 50, "an edge above and below"


@pytest.mark.parametrize("ending", ["png", "jpg", "svg", "pdf"])
def test_picture_is_of_the_kind_that_its_name_says(tmp_path, ending):
    plots.confusion(np.eye(3, dtype=int), list("abc"), tmp_path / f"x.{ending}")
    begins = {"png": b"\x89PNG", "jpg": b"\xff\xd8", "svg": b"<?xml", "pdf": b"%PDF"}[ending]
    assert (tmp_path / f"x.{ending}").read_bytes().startswith(begins)


def layer(name, gflop, megabytes, ms):
    return {"name": name, "gflop": gflop, "megabytes": megabytes, "forward_ms": ms,
            "backward_gflop": 2 * gflop, "backward_ms": 2.1 * ms}


def test_roofline_can_be_read(monkeypatch):
    """No name lies on another one, however near their layers are; and the axes have numbers."""
    layers = [layer(f"fc{i}", 1, 60 + i / 10, 20 + i / 10) for i in range(6)]
    layers += [layer("conv1", 5, 70, 100), layer("conv2", 14, 33, 165)]
    result = {"model": "m", "batch": 1, "product_gflops": 60, "copy_gb_per_s": 30, "layers": layers}
    figure = drawn(monkeypatch, plots.roofline, result, None)
    [axes] = figure.axes
    figure.canvas.draw()
    [legend] = figure.legends
    boxes = [text.get_window_extent() for text in legend.texts]
    assert [text.get_text() for text in legend.texts] == [layer["name"] for layer in layers]
    colours = [str(handle.get_color()) for handle in legend.legend_handles]
    assert len(set(colours)) == len(layers), "each layer can be told from the others"
    for handle, shown in zip(legend.legend_handles, layers, strict=True):
        mine = [line for line in axes.lines if str(line.get_color()) == str(handle.get_color())]
        found = {float(y) for line in mine for y in line.get_ydata()}
        assert found == {1000 * shown["gflop"] / shown["forward_ms"],
                         1000 * shown["backward_gflop"] / shown["backward_ms"]}
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    for axis, (low, high) in (axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim()):
        assert sum(low <= tick <= high for tick in axis.get_majorticklocs()) >= 3
    plots.plt.close(figure)
