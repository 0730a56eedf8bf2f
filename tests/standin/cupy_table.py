"""The names and keywords of CuPy 14.2, frozen in cupy-14.2.json by build_table.py."""

import functools
import json
from pathlib import Path

__all__ = ["PATH", "VERSION", "complaint", "missing", "names"]

PATH = Path(__file__).with_name("cupy-14.2.json")
UFUNC = "*operands, out=, dtype=, casting="

# Ufunc methods exist on every ufunc of CuPy, but most of them only raise NotImplementedError.
UFUNC_METHODS = {
    "reduce": {"add", "multiply"},
    "accumulate": {"add", "multiply"},
    "reduceat": {"add"},
    "at": {"add", "subtract", "maximum", "minimum", "bitwise_and", "bitwise_or", "bitwise_xor"},
}

# Keywords that are in the signature and refused when used.
REFUSED = {"ndarray.astype": {"casting", "subok"}}


@functools.cache
def _table():
    return json.loads(PATH.read_text(encoding="utf-8"))


def names():
    """{name: its arguments, in the form that build_table.py describes}."""
    return _table()["names"]


VERSION = _table()["cupy"]


def complaint(name, positional=0, keywords=()):
    """What CuPy has against this call, in one line; "" if it has nothing against it.

    positional: how many arguments come without a name; None if that is not known.
    """
    return _complaint(name, positional, tuple(keywords))


def missing(name, hint=""):
    """What to raise for a name that the stand-in lacks: CuPy has it, or it has not either."""
    if name in names():
        return NotImplementedError(f"the stand-in does not imitate cupy.{name}{hint}")
    return AttributeError(complaint(name))


@functools.cache
def _complaint(name, positional, keywords):
    function, _, method = name.rpartition(".")
    if names().get(function) == "ufunc":
        if function in UFUNC_METHODS.get(method, {function}):
            return ""
        return (f"`cupy_{name}` is not supported yet: in CuPy `{method}` works only for "
                f"{', '.join(sorted(UFUNC_METHODS.get(method, ['no ufunc'])))}")
    if name not in names():
        return f"CuPy {VERSION} has no {name}"
    arguments = names()[name]
    if arguments is None:
        return ""
    words = (UFUNC if arguments == "ufunc" else arguments).split(", ")
    if any(word.startswith("**") for word in words):
        return ""
    known = {word.rstrip("=") for word in words if word[:1] not in ("*", "/")}
    wrong = sorted(set(keywords) - known | set(keywords) & REFUSED.get(name, set()))
    if wrong:
        return (f"{name}() got an unexpected keyword argument {wrong[0]!r}: CuPy {VERSION} takes "
                f"({arguments if arguments != 'ufunc' else UFUNC})")
    most = next((i for i, word in enumerate(words) if word.startswith("*")), None)
    if most is None or words[most] == "*":
        most = len([word for word in words[:most] if word])
        if positional is not None and positional > most:
            return f"{name}() takes {most} positional arguments but {positional} were given"
    return ""
