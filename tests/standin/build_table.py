"""What CuPy offers, as a table: each public name with the arguments that it takes.

    python tests/standin/build_table.py > tests/standin/cupy-14.2.json

Run it where CuPy 14.2 is installed; it needs no GPU. Values are lists of arguments, such as
"a, axis=, *, out=" (names with = may be left out); "ufunc" for a universal function, which takes
any operands, and the keywords out, dtype and casting; and null for a constant, a type or an
attribute.
"""

import inspect
import json
import re
import sys

__all__ = ["build"]

# Functions that hide their keywords in **kwargs; from the source of CuPy 14.2.
HIDDEN = {
    "einsum": "*operands, dtype=, optimize=",
    "meshgrid": "*xi, indexing=, sparse=, copy=",
    "pad": "array, pad_width, mode=, *, stat_length=, constant_values=, end_values=, reflect_type=",
    "random.rand": "*size, dtype=",
    "random.randn": "*size, dtype=",
}

# matmul, vecdot, ...: generalised ufuncs have keywords of their own.
GUFUNC = "*operands, out=, dtype=, casting=, axes=, axis=, keepdims=, order="


def build(cupy):
    """The table of the CuPy that is handed in."""
    table = {}
    modules = {"": cupy, "linalg.": cupy.linalg, "random.": cupy.random,
               "lib.stride_tricks.": cupy.lib.stride_tricks, "cuda.": cupy.cuda,
               "cuda.runtime.": cupy.cuda.runtime}
    for prefix, module in modules.items():
        for name in dir(module):
            entry = _entry(cupy, getattr(module, name))
            number = prefix == "cuda.runtime." and entry is None  # 250 constants of CUDA
            if not name.startswith("_") and not number:
                table[prefix + name] = entry
    # A module's __getattr__ hides this class from dir().
    classes = {"ndarray.": cupy.ndarray, "random.Generator.": cupy.random.Generator}
    for name in ("Device", "Event", "MemoryPointer", "MemoryPool", "Stream"):
        classes[f"cuda.{name}."] = getattr(cupy.cuda, name)
    for prefix, cls in classes.items():
        table[prefix[:-1]] = None
        for name in dir(cls):
            if not name.startswith("_"):
                entry = _entry(cupy, getattr(cls, name))
                table[prefix + name] = entry and re.sub(r"^self(, |$)", "", entry)
    for name in ("__version__", "cuda.memory.OutOfMemoryError", "cuda.runtime.CUDARuntimeError"):
        table[name] = None
    return dict(sorted({**table, **HIDDEN}.items()))


def _entry(cupy, thing):
    if isinstance(thing, cupy.ufunc):
        return "ufunc"
    if type(thing).__name__ == "_GUFunc":
        return GUFUNC
    if isinstance(thing, type) or not callable(thing):
        return None
    try:
        return _text(inspect.signature(thing))
    except ValueError:
        return _from_docstring(thing.__doc__ or "")


def _text(signature):
    """Names, and = for what may be left out: the defaults themselves differ between builds."""
    words, starred = [], False
    for p in signature.parameters.values():
        if p.kind is p.VAR_POSITIONAL:
            words.append(f"*{p.name}")
            starred = True
        elif p.kind is p.VAR_KEYWORD:
            words.append(f"**{p.name}")
        else:
            if p.kind is p.KEYWORD_ONLY and not starred:
                words.append("*")
                starred = True
            words.append(p.name + ("" if p.default is p.empty else "="))
    return ", ".join(words)


def _from_docstring(text):
    """The arguments in `Class.method(self, int axis=-1, kind=None) -> result`."""
    match = re.match(r"[\w.]+\((.*)\)", text.strip().split("\n")[0])
    if not match:
        raise ValueError(f"no arguments in the docstring {text!r}")
    words = []
    for argument in filter(None, re.split(r",\s*(?![^(]*\))", match[1])):
        name, equals, _ = argument.partition("=")
        words.append(name.split()[-1] + equals)  # without the C type before it
    return ", ".join(words)


if __name__ == "__main__":
    del sys.path[0]  # this folder, whose cupy is the stand-in
    import cupy as real

    json.dump({"cupy": real.__version__, "names": build(real)}, sys.stdout, indent=0)
    print()
