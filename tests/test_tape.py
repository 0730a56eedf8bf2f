"""The picture of a tape: whatever was recorded is in it, on its device, and nothing else."""

import re
import xml.etree.ElementTree as xml
from itertools import pairwise

import numpy as np
import pytest

from minialex import Tensor, backend, models, no_grad, op, ops, tools
from minialex.errors import InputTypeError, UsageError
from minialex.tensor import record

pytestmark = pytest.mark.ch02

SVG = "{http://www.w3.org/2000/svg}"


def leaf(*shape, device="cpu:0"):
    return Tensor(np.ones(shape, np.float32), device, requires_grad=True)


def boxes(picture):
    """(name, shape, is a leaf, x, y, fill, edge) of each box; its tooltip has the whole name."""
    found = []
    for group in xml.fromstring(picture).iter(f"{SVG}g"):
        box, (title, _, shape) = group.find(f"{SVG}rect"), [
            group.find(f"{SVG}title"), *group.findall(f"{SVG}text")]
        name = title.text.split(" (")[0]
        found.append((name, shape.text, float(box.get("rx")) > 10, float(box.get("x")),
                      float(box.get("y")), box.get("fill"), box.get("stroke")))
    return found


def lines(picture):
    """Where each line begins and ends, and its colour."""
    found = []
    for path in xml.fromstring(picture).iter(f"{SVG}path"):
        numbers = list(map(float, re.findall(r"-?[\d.]+", path.get("d"))))
        found.append((*numbers[:2], *numbers[-2:], path.get("stroke")))
    return found


def expression():
    w, x, b = leaf(), leaf(3), leaf(2, 3)
    s = w * x + b
    return s * s + w * w, {"w": w, "x": x, "b": b}


def test_ops_leaves_and_shapes_are_shown():
    y, names = expression()
    shown = sorted(box[:3] for box in boxes(tools.draw(y, names)))
    assert shown == sorted([
        ("w", "()", True), ("x", "(3,)", True), ("b", "(2, 3)", True), ("mul", "(3,)", False),
        ("add", "(2, 3)", False), ("mul", "(2, 3)", False), ("mul", "()", False),
        ("add", "(2, 3)", False)])


def test_every_use_is_a_line_down_from_an_input_to_a_result():
    y, names = expression()
    picture = tools.draw(y, names)
    centres = {(x + 67, top + 19): name for name, _, _, x, top, _, _ in boxes(picture)}
    joined = []
    for a, b, c, d, _ in lines(picture):
        assert b < d, "values flow down"
        to = min((place for place in centres if place[1] == d), key=lambda place: abs(place[0] - c))
        joined.append((centres[a, b], centres[to]))
    assert sorted(joined) == sorted([
        ("w", "mul"), ("x", "mul"), ("mul", "add"), ("b", "add"), ("add", "mul"), ("add", "mul"),
        ("w", "mul"), ("w", "mul"), ("mul", "add"), ("mul", "add")])


def test_no_box_lies_on_another():
    net = models.AlexNet(("cpu:0", "cpu:1"), classes=10, image_size=67, width=0.25, init="he")
    loss = ops.softmax_cross_entropy(net(np.zeros((2, 67, 67, 3), np.float32)), np.arange(2))
    picture = tools.draw(loss, net.named_parameters())
    places = sorted((y, x) for *_, x, y, _, _ in boxes(picture))
    width, height = map(float, xml.fromstring(picture).get("viewBox").split()[2:])
    for (y, x), (below, right) in pairwise(places):
        assert below - y >= 38 or (below == y and right - x >= 134)
    assert all(0 <= x <= width - 134 and 0 <= y <= height - 38 for y, x in places)
    named = {name for name, _, is_leaf, *_ in boxes(picture) if is_leaf}
    assert named == set(net.named_parameters())
    assert ">conv1.weight<" in picture and ">softmax_cross_entropy<" in picture


def bridge(x, device):
    """A copy as a reader writes it in chapter 08."""
    source, destination = x.device, backend.device(device)
    return record("bridge", destination.receive(x.data, source), destination,
                  lambda gy: source.receive(gy, destination), (x,), backward_device=source)


@pytest.mark.parametrize("send", [ops.transfer, bridge], ids=["library", "reader"])
def test_devices_differ_by_column_and_colour_and_crossings_are_marked(two_devices, send):
    first, second = two_devices
    x = leaf(device=first)
    picture = tools.draw(2 * x + send(5 * send(x, second), first))
    name = send.__name__
    there = [box for box in boxes(picture) if box[3] > 150]
    here = [box for box in boxes(picture) if box[3] < 150]
    assert sorted(box[0] for box in here) == sorted(["leaf", "mul", name, "add"])
    assert sorted(box[0] for box in there) == sorted([name, "mul"])
    assert len({box[5] for box in here}) == len({box[5] for box in there}) == 1
    assert here[0][5] != there[0][5]
    [crossing] = {box[6] for box in boxes(picture) if box[0] == name}
    assert crossing not in {box[6] for box in boxes(picture) if box[0] != name}
    crossed = [line for line in lines(picture) if line[4] == crossing]
    assert len(crossed) == 2 and all(abs(a - c) > 100 for a, _, c, _, _ in crossed)
    assert [f">{device}</text>" in picture for device in two_devices] == [True, True]
    assert repr(picture).endswith("ops: 5, leaves: 1, transfers: 2>")


def test_letters_of_names_are_no_markup():
    y = ops.exp(leaf(2))
    y.node.name = "<script>alert('&')</script>"
    x = leaf(2)
    for picture in (tools.draw(y), tools.draw(x * 2, {'a"<b>&': x})):
        assert "<script" not in picture and "<b>" not in picture
        xml.fromstring(picture)
    assert ("<script>alert('&')</script>", "(2,)") in [box[:2] for box in boxes(tools.draw(y))]


def test_notebook_shows_it_and_says_in_words_what_it_is():
    y, _ = expression()
    picture = tools.draw(y)
    root = xml.fromstring(picture._repr_svg_())
    assert root.tag == f"{SVG}svg" and root.get("role") == "img"
    assert root.find(f"{SVG}title").text == repr(picture)[1:-1]
    assert "shape" not in repr(picture) and "(2, 3) on cpu:0; ops: 5, leaves: 3" in repr(picture)


def test_tensor_without_a_tape_is_one_box():
    with no_grad():
        alone = leaf(2) * 3
    for tensor in leaf(2), alone:
        assert [box[:2] for box in boxes(tools.draw(tensor))] == [("leaf", "(2,)")]


def test_input_that_needs_no_gradient_is_not_on_the_tape():
    assert len(boxes(tools.draw(leaf(3) * Tensor([1.0, 2.0, 3.0])))) == 2


def test_drawing_changes_nothing():
    y, names = expression()
    tools.draw(y, names)
    ops.sum(y).backward()
    assert all(x.grad is not None for x in names.values())


def test_tape_that_was_used_up_is_refused():
    y = leaf(3) * 2
    loss = ops.sum(y)
    loss.backward()
    for tensor in (loss, y, ops.exp(y)):
        with pytest.raises(UsageError, match=r"draw: .*run the forward pass again, and draw "):
            tools.draw(tensor)


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(InputTypeError, match="draw: tensor is a ndarray; give a Tensor"):
        tools.draw(np.ones(3))


def test_op_of_the_reader_is_shown_by_its_name():
    @op
    def twice(xp, x):
        return 2 * x, lambda gy: 2 * gy

    assert "twice" in [box[0] for box in boxes(tools.draw(twice(leaf())))]
