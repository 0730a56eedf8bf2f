"""The tape as a picture: `draw(tensor)` as the last line of a notebook's cell shows it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from html import escape
from statistics import mean
from typing import TypeAlias

from ..errors import InputError, InputTypeError, UsageError
from ..tensor import Node, Tensor

__all__ = ["Drawing", "draw"]

Item: TypeAlias = Node | Tensor  # what is on a tape: ops, and leaves
Uses: TypeAlias = defaultdict[Item, list[tuple[Item, int]]]  # of each: by whom, as which input

WIDE, HIGH, ACROSS, DOWN, TOP = 134, 38, 164, 70, 56  # a box, the steps between boxes: pixels
LETTERS = 21  # so many fit into a box
MOST = 500  # boxes; nobody could read more
CROSSING, LINE = "#c05621", "#4a5568"
LOOKS = [("#ebf4ff", "#2b6cb0"), ("#edf2f7", "#718096"), ("#f0fff4", "#2f855a"),
         ("#faf5ff", "#6b46c1")]  # fill and edge of the boxes on each device


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
    Raises UsageError if the tape has been used up, InputError if it has more than 500 boxes.
    """
    if not isinstance(tensor, Tensor):
        raise InputTypeError(f"draw: tensor is a {type(tensor).__name__}; give a Tensor")
    where, uses = _follow(tensor)
    devices = sorted(set(where.values()))
    places, middles, right = _places(where, uses, devices)
    called = {leaf: name for name, leaf in (names or {}).items()}
    parts = [f'<text x="{x}" y="20" font-weight="bold">{escape(device)}</text>'
             for device, x in zip(devices, middles, strict=True)]
    for item, (x, y) in places.items():
        for user, index in uses[item]:
            a, b = places[user]
            a += 18 * (index - (len(_inputs(user)) - 1) / 2)
            # A long line that runs straight down would hide behind the boxes between: to the left.
            left = 104 if b - y > DOWN and abs(a - x) < WIDE / 2 else 0
            parts.append(f'<path d="M{x} {y}C{x - left} {y + 48} {a - left} {b - 48} {a} {b}" '
                         f'fill="none" stroke="{LINE if where[item] == where[user] else CROSSING}" '
                         'stroke-width="1.5"/>')
    crossings = 0
    for item, (x, y) in places.items():
        if isinstance(item, Node):
            name = item.name
        else:
            name = called.get(item, "leaf" if item.requires_grad else "no tape")
        fill, edge = LOOKS[devices.index(where[item]) % len(LOOKS)]
        crosses = item.device.name != where[item]
        crossings += crosses
        parts.append(_box(x, y, name, item, fill, CROSSING if crosses else edge))
    leaves = sum(isinstance(item, Tensor) for item in places)
    title = (f"Tape of a tensor {tensor.shape} on {' and '.join(devices)}; ops: "
             f"{len(places) - leaves}, leaves: {leaves}, transfers: {crossings}")
    bottom = max(y for _, y in places.values()) + DOWN / 2
    return Drawing(f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {right} '
                   f'{bottom}" width="{right}" style="max-width:100%" font-family="sans-serif" '
                   f'font-size="12" text-anchor="middle"><title>{escape(title)}</title>'
                   f'<rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>')


def _inputs(item: Item) -> list[Item]:
    return [x for x in item.parents if x is not None] if isinstance(item, Node) else []


def _follow(tensor: Tensor) -> tuple[dict[Item, str], Uses]:
    """All that is on the tape: on which device each result lies, and who uses it."""
    root = tensor.node or tensor
    where, uses, waiting = {root: tensor.device.name}, Uses(list), [root]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Node) and item.backward is None:
            raise UsageError(f"draw: the tape below this {item.name} has been used and freed by "
                             "backward(); run the forward pass again, and draw before backward()")
        for index, x in enumerate(_inputs(item)):
            uses[x].append((item, index))
            if x not in where:
                where[x] = item.device.name  # where its user works
                waiting.append(x)
        if len(where) > MOST:
            raise InputError(f"draw: the tape has more than {MOST} boxes; draw that of a smaller "
                             "network, or of a tensor nearer to the input")
    return where, uses


def _places(where: Mapping[Item, str], uses: Uses, devices: list[str]
            ) -> tuple[dict[Item, tuple[float, float]], list[float], float]:
    """The middle of each box, of the column of each device, and the width of all."""
    rows: dict[Item, int] = {}
    nodes = [item for item in where if isinstance(item, Node)]
    for node in sorted(nodes, key=lambda node: node.made):  # its inputs were made before it
        rows[node] = 1 + max(rows.get(x, 0) for x in _inputs(node))
    for item in where:
        if isinstance(item, Tensor):  # a leaf stands just above the first op that uses it
            rows[item] = min([rows[user] for user, _ in uses[item]], default=1) - 1
    cells = defaultdict(list)
    for item, device in where.items():
        cells[rows[item], device].append(item)
    middles, right = [], 0.0
    for device in devices:
        columns = max(len(cell) for (_, name), cell in cells.items() if name == device)
        middles.append(right + columns * ACROSS / 2)
        right += columns * ACROSS
    places: dict[Item, tuple[float, float]] = {}
    for (row, device), cell in sorted(cells.items(), key=lambda some: some[0], reverse=True):
        # Below stand those who use it: the nearer to them, the fewer lines cross.
        cell.sort(key=lambda item: mean([places[user][0] + index for user, index in uses[item]]
                                        or [0]))
        left = middles[devices.index(device)] - (len(cell) - 1) * ACROSS / 2
        for column, item in enumerate(cell):
            places[item] = left + column * ACROSS, TOP + row * DOWN
    return places, middles, right


def _box(x: float, y: float, name: str, item: Item, fill: str, edge: str) -> str:
    short = ".".join(name.split(".")[-2:])  # in which column "columns.0" lies is to be seen
    short = short if len(short) <= LETTERS else short[: LETTERS - 1] + "…"
    return (f'<g><title>{escape(f"{name} {item.shape} {item.dtype}")}</title>'
            f'<rect x="{x - WIDE / 2}" y="{y - HIGH / 2}" width="{WIDE}" height="{HIGH}" '
            f'rx="{4 if isinstance(item, Node) else HIGH / 2}" fill="{fill}" stroke="{edge}"/>'
            f'<text x="{x}" y="{y - 3}" fill="#1a202c">{escape(short)}</text>'
            f'<text x="{x}" y="{y + 13}" fill="#4a5568">{item.shape}</text></g>')
