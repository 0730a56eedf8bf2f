"""The one way to look at what layers do while a network runs, and to step in between them."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from .. import checks
from .module import Module, watches

__all__ = ["watch"]


def watch(net: Module, before: Callable | None = None,
          after: Callable | None = None) -> AbstractContextManager:
    """`with watch(net, after=look): net(x)` calls look(path, layer, y) after every layer.

    before(path, layer, x): told the first input of each module of `net` that is called;
    after(path, layer, y): told its output. Either may return a tensor to be used in place of what
    it saw; None changes nothing. To call the layer in them, use layer.forward(x).
    path: as in `named_modules`, "" for `net` itself; for a module in two places, the first.
    Only calls in this thread are watched. Watches can be nested: the outer one is told first
    before a layer, and last after it.
    """
    net = checks.watched(net, Module, before=before, after=after)
    paths = {id(layer): path for path, layer in net.named_modules()}

    def tell(watcher: Callable | None, layer: Module, x: Any) -> Any:
        given = watcher(paths[id(layer)], layer, x) if watcher else None
        return x if given is None else given

    def around(layer: Module, forward: Callable) -> Callable:
        def watched(x: Any, *inputs: Any, **options: Any) -> Any:
            return tell(after, layer, forward(tell(before, layer, x), *inputs, **options))

        return watched if id(layer) in paths else forward

    return watches.hold(around)
