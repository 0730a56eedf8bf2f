"""The tape as a picture: `draw(tensor)` as the last line of a notebook's cell shows it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from html import escape
from typing import TypeAlias

from ..errors import InputTypeError, UsageError
from ..tensor import Node, Tensor

__all__ = ["Drawing", "draw"]

Item: TypeAlias = Node | Tensor  # what is on a tape: ops, and leaves

WIDE, HIGH, ACROSS, DOWN, TOP = 134, 38, 164, 70, 56  # a box, the steps between boxes: pixels
LETTERS = 21  # so many fit into a box
CROSSING, LINE = "#c05621", "#4a5568"
FILLS = ["#dbeafe", "#edf2f7", "#dcfce7", "#f3e8ff"]  # of the boxes on each device


class Drawing(str):
    """The text of an SVG file. A notebook shows it as the picture that it is."""

    def _repr_svg_(self) -> str:
        return str(self)

    def __repr__(self) -> str:
        return f"<{self.partition('<title>')[2].partition('</title>')[0]}>"


def draw(tensor: Tensor, names: Mapping[str, Tensor] | None = None) -> Drawing:
    """Draw the tape of a tensor, before `backward()` uses it up.

    A box is an op, with the shape of its result; a round one is a leaf, which collects a gradient.
    Values flow down, gradients up. Each device has a column and a colour; what crosses from one to
    another is orange. Inputs that need no gradient are not on the tape, and so not in the picture.
    names: what to call the leaves, say net.named_parameters(); others are called "leaf".
    Raises UsageError if the tape has been used up.
    """
    if not isinstance(tensor, Tensor):
        raise InputTypeError(f"draw: tensor is a {type(tensor).__name__}; give a Tensor")
    where = _follow(tensor)
    devices, places, right, bottom = _layout(where)
    called = {leaf: name for name, leaf in (names or {}).items()}
    parts, boxes, transfers = list[str](), list[str](), 0
    for i, device in enumerate(devices):
        parts.append(f'<text x="{ACROSS / 2 + i * right / len(devices)}" y="20" '
                     f'font-weight="bold">{escape(device)}</text>')
    for item, (x, y) in places.items():
        crosses = item.device.name != where[item]
        transfers += crosses
        colour = CROSSING if crosses else LINE
        for i, source in enumerate(_inputs(item)):
            parts.append(_line(*places[source], x + 12 * i, y, colour))
        name = item.name if isinstance(item, Node) else called.get(item, "leaf")
        fill = FILLS[devices.index(where[item]) % len(FILLS)]
        boxes.append(_box(x, y, name, item, fill, colour))
    leaves = sum(isinstance(item, Tensor) for item in places)
    title = (f"Tape of a tensor {tensor.shape} on {' and '.join(devices)}; ops: "
             f"{len(places) - leaves}, leaves: {leaves}, transfers: {transfers}")
    return Drawing(f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {right} '
                   f'{bottom}" width="{right}" style="max-width:100%" font-family="sans-serif" '
                   f'font-size="12" text-anchor="middle"><title>{escape(title)}</title>'
                   f'<rect width="100%" height="100%" fill="white"/>{"".join(parts + boxes)}</svg>')


def _inputs(item: Item) -> list[Item]:
    return [x for x in item.parents if x is not None] if isinstance(item, Node) else []


def _follow(tensor: Tensor) -> dict[Item, str]:
    """All that is on the tape, and on which device each result lies: where its user works."""
    root = tensor.node or tensor
    where: dict[Item, str] = {root: tensor.device.name}
    found: list[Item] = [root]
    for item in found:  # which grows
        if isinstance(item, Node) and item.backward is None:
            raise UsageError(f"draw: the tape below this {item.name} has been used and freed by "
                             "backward(); run the forward pass again, and draw before backward()")
        for x in _inputs(item):
            if x not in where:
                where[x] = item.device.name
                found.append(x)
    return where


def _layout(where: Mapping[Item, str]
            ) -> tuple[list[str], dict[Item, tuple[float, int]], int, int]:
    """The devices, the middle of each box, and the width and height of the picture."""
    nodes = sorted((x for x in where if isinstance(x, Node)), key=lambda node: node.made)
    rows: dict[Item, int] = {}
    for node in nodes:  # an op below all its inputs, a leaf just above the first op that uses it
        rows[node] = 1 + max((rows.get(x, 0) for x in _inputs(node)), default=0)
        for x in _inputs(node):
            rows.setdefault(x, rows[node] - 1)
    cells = defaultdict(list)
    for item in sorted(where, key=lambda item: isinstance(item, Tensor)):  # ops before leaves
        cells[where[item], rows.get(item, 0)].append(item)
    devices, most = sorted(set(where.values())), max(map(len, cells.values()))
    places = {item: (ACROSS * (0.5 + most * devices.index(device) + column), TOP + DOWN * row)
              for (device, row), cell in cells.items() for column, item in enumerate(cell)}
    bottom = max(y for _, y in places.values()) + DOWN
    return devices, places, ACROSS * most * len(devices), bottom


def _line(x: float, y: float, to_x: float, to_y: float, colour: str) -> str:
    # A long line that runs straight down would hide behind the boxes between: to the left.
    left = 108 if to_y - y > DOWN and abs(to_x - x) < WIDE / 2 else 0
    return (f'<path d="M{x} {y}C{x - left} {y + 48} {to_x - left} {to_y - 48} {to_x} {to_y}" '
            f'fill="none" stroke="{colour}" stroke-width="1.5"/>')


def _box(x: float, y: float, name: str, item: Item, fill: str, edge: str) -> str:
    short = ".".join(name.split(".")[-2:])  # in which column "columns.0" lies is to be seen
    short = short if len(short) <= LETTERS else short[: LETTERS - 1] + "…"
    return (f'<g><title>{escape(f"{name} {item.shape} {item.dtype}")}</title>'
            f'<rect x="{x - WIDE / 2}" y="{y - HIGH / 2}" width="{WIDE}" height="{HIGH}" '
            f'rx="{4 if isinstance(item, Node) else HIGH / 2}" fill="{fill}" stroke="{edge}"/>'
            f'<text x="{x}" y="{y - 3}" fill="#1a202c">{escape(short)}</text>'
            f'<text x="{x}" y="{y + 13}" fill="#4a5568">{item.shape}</text></g>')
