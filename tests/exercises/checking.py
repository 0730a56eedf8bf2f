"""Compare an answer with what is right, and say in a sentence what differs."""

import numpy as np
import pytest

__all__ = ["same"]


def same(call, got, right, mistakes=(), rtol=1e-6, atol=1e-12):
    """Pass if `got` is `right`; else fail and say what came and what is right.

    call: how the answer was called, for the message, such as "field([(11, 4)])".
    mistakes: pairs of a wrong value that a likely mistake gives, and a sentence about the mistake.
    """
    if _equal(got, right, rtol, atol):
        return
    text = f"{call} gives {_shown(got)}; right is {_shown(right)}."
    if got is None:
        text = f"{call} gives None; does the function return what it computes?"
    elif _shape(got) != _shape(right):
        text = (f"{call} gives {_shown(got)} of shape {_shape(got)}; right is {_shown(right)} of "
                f"shape {_shape(right)}.")
    for wrong, sentence in mistakes:
        if _equal(got, wrong, rtol, atol):
            text += f" {sentence}"
            break
    pytest.fail(text, pytrace=False)


def _equal(a, b, rtol, atol):
    a = a.item() if isinstance(a, np.bool_) else a
    if isinstance(b, (str, bool, type(None))) or isinstance(a, (str, type(None))):
        return type(a) is type(b) and a == b
    if isinstance(b, dict):
        return (isinstance(a, dict) and a.keys() == b.keys()
                and all(_equal(a[key], b[key], rtol, atol) for key in b))
    if isinstance(b, (list, tuple)):
        return (isinstance(a, (list, tuple, np.ndarray)) and len(a) == len(b)
                and all(_equal(x, y, rtol, atol) for x, y in zip(a, b, strict=True)))
    try:
        a, b = (np.asarray(x.numpy() if hasattr(x, "numpy") else x, float) for x in (a, b))
    except (TypeError, ValueError):
        return False
    return a.shape == b.shape and np.allclose(a, b, rtol, atol, equal_nan=True)


def _shape(value):
    """Of an array; a number has ()."""
    return tuple(getattr(value, "shape", ()))


def _shown(value):
    """Short enough for one sentence."""
    text = _written(value)
    return text if len(text) < 80 else text[:76] + " ..."


def _written(value):
    """As Python writes it, whatever library its numbers are from; of an array the first four."""
    value = value.numpy() if hasattr(value, "numpy") else value
    if isinstance(value, np.ndarray) and value.size > 1:
        text = np.array2string(value.ravel()[:4], precision=4, separator=", ")
        return text[:-1] + ", ...]" if value.size > 4 else text
    if isinstance(value, (np.generic, np.ndarray)) and value.size == 1:
        value = value.item()
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() and abs(value) < 1e15 else f"{value:.7g}"
    if isinstance(value, slice):
        return f"slice({_written(value.start)}, {_written(value.stop)}, {_written(value.step)})"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key!r}: {_written(of)}' for key, of in value.items())}}}"
    if type(value) is list:
        return f"[{', '.join(map(_written, value))}]"
    if type(value) is tuple:
        return f"({', '.join(map(_written, value))}{',' * (len(value) == 1)})"
    return repr(value)
