"""Every name and keyword that the core asks of CuPy exists there: read from the source, not run.

This sees every branch, on every machine; the stand-in sees what is executed. The table of names is
`standin/cupy-14.2.json`.
"""

import ast
import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from standin import cupy_table

from minialex.backend.namespace import Namespace

ROOT = Path(__file__).resolve().parents[1]
CORE = ["backend", "gradcheck.py", "nn", "ops", "optim.py", "tensor.py"]
FILES = [file for name in CORE for path in [ROOT / "minialex" / name]
         for file in ([path] if path.is_file() else sorted(path.rglob("*.py")))]

OWN = {name for name in vars(Namespace) if not name.startswith("__")} | {"_module"}


def asked(text, roots):
    """(line, name, number of positional arguments, keywords) of all that is asked of `roots`.

    A root is how a source spells the array module: "xp", "device.xp", "cupy", "self".
    """
    tree = ast.parse(text)
    calls = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or id(node) in inner:
            continue
        spelt = ast.unparse(node)
        root = max((r for r in roots if spelt.startswith(r + ".")), key=len, default=None)
        if root is None or not spelt[len(root) + 1 :].replace(".", "").isidentifier():
            continue
        call = calls.get(id(node), ast.Call(node, [], []))
        starred = any(isinstance(a, ast.Starred) for a in call.args)
        yield (node.lineno, spelt[len(root) + 1 :], None if starred else len(call.args),
               [k.arg for k in call.keywords if k.arg])


def methods(text):
    """The same for the methods of arrays, `x.sum(axis=0)`, as far as their names tell."""
    for node in ast.walk(ast.parse(text)):
        if (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
                and hasattr(np.ndarray, node.func.attr)
                and ast.unparse(node.func.value).split(".")[0] not in ("np", "xp", "cupy", "self")):
            yield (node.lineno, f"ndarray.{node.func.attr}", None,
                   [k.arg for k in node.keywords if k.arg])


def complaints(module, text):
    """What CuPy has against a source; `module` is its path below minialex."""
    text = text.replace(" runtime().", " cupy.cuda.runtime.")  # a function that returns it
    roots = {"backend/_cupy.py": ["cupy"],
             "backend/namespace.py": ["self._module", "self"]}.get(module, ["xp"])
    roots += ["device.xp", "p.device.xp", "node.device.xp", "parent.device.xp"]
    found = [use for use in asked(text, roots) if use[1].split(".")[0] not in OWN]
    if module.startswith("ops/"):
        found += methods(text)
    return [f"line {line}: {complaint}" for line, name, positional, keywords in found
            if (complaint := cupy_table.complaint(name, positional, keywords))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_core_asks_only_for_what_cupy_has(path):
    module = path.relative_to(ROOT / "minialex").as_posix()
    if module == "backend/_numpy.py":
        pytest.skip("never sees CuPy")
    assert complaints(module, path.read_text(encoding="utf-8")) == []


def test_check_sees_the_core():
    """Many names are found, in every spelling."""
    text = {name: (ROOT / "minialex" / name).read_text(encoding="utf-8") for name in (
        "ops/convolution.py", "backend/_cupy.py", "backend/namespace.py", "tensor.py")}
    def names(module, *roots):
        return {name for _, name, _, _ in asked(text[module], roots)}

    assert "matmul" in names("ops/convolution.py", "xp")
    assert {"array", "cuda.Device", "cuda.runtime", "__version__"} <= names(
        "backend/_cupy.py", "cupy")
    assert "lib.stride_tricks.as_strided" in names("backend/namespace.py", "self")
    assert "add" in names("tensor.py", "device.xp")


@pytest.mark.parametrize(("module", "source", "complaint"), [
    ("ops/x.py", "xp.maximum.reduce(x)", "`cupy_maximum.reduce` is not supported yet"),
    ("ops/x.py", "xp.add(a, b, where=m)", r"add() got an unexpected keyword argument 'where'"),
    ("ops/x.py", "xp.sum(a, initial=0)", "sum() got an unexpected keyword argument 'initial'"),
    ("ops/x.py", "with xp.errstate(all='ignore'): pass", "CuPy 14.2.0 has no errstate"),
    ("ops/x.py", "xp.multiply.at(a, i, b)", "`cupy_multiply.at` is not supported yet"),
    ("ops/x.py", "xp.einsum('ij->i', a, out=b)", "unexpected keyword argument 'out'"),
    ("ops/x.py", "f = xp.vecdot", "CuPy 14.2.0 has no vecdot"),
    ("ops/x.py", "xp.clip(a, min=0)", "unexpected keyword argument 'min'"),
    ("ops/x.py", "xp.zeros_like(a, int, 'C', True, None, 1)", "takes 5 positional arguments but 6"),
    ("ops/x.py", "x.astype(int, casting='safe')", "unexpected keyword argument 'casting'"),
    ("ops/x.py", "x.setflags(write=False)", "CuPy 14.2.0 has no ndarray.setflags"),
    ("ops/x.py", "gy.sum(axis=0, where=m)", "unexpected keyword argument 'where'"),
    ("tensor.py", "device.xp.add(a, b, order='C')", "unexpected keyword argument 'order'"),
    ("backend/namespace.py", "self._module.empty(3, device=0)", "keyword argument 'device'"),
    ("backend/namespace.py", "self.lib.stride_tricks.as_strided(x, writeable=False)",
     "unexpected keyword argument 'writeable'"),
    ("backend/_cupy.py", "cupy.cuda.runtime.getDevices()", "has no cuda.runtime.getDevices"),
    ("backend/_cupy.py", "n = runtime().getDevices()", "has no cuda.runtime.getDevices"),
    ("backend/_cupy.py", "cupy.asnumpy(a, block=True)", "unexpected keyword argument 'block'"),
    ("backend/_cupy.py", "cupy.random.SeedSequence(3)", "has no random.SeedSequence"),
])
def test_check_sees_a_planted_fault(module, source, complaint):
    found = complaints(module, source)
    assert len(found) == 1 and complaint in found[0], found


@pytest.mark.parametrize(("module", "source"), [
    ("ops/x.py", "xp.add.reduce(xp.exp(a, out=b)); xp.over_batch(f, 3, 4); xp.float32"),
    ("ops/x.py", "xp.concatenate(arrays, axis=1, out=y); x.sum(axis=(0, 1), keepdims=True)"),
    ("ops/x.py", "xp.matmul(a, b.T, out=y); x.reshape(3, -1); x.transpose(0, 2, 1); n.index(1)"),
    ("backend/_cupy.py", "cupy.get_default_memory_pool(); cupy.cuda.get_current_stream().record()"),
    ("backend/namespace.py", "self.add(a, b, out=a); self._slices(1, 2); self._module.empty(3)"),
])
def test_check_lets_the_permitted_pass(module, source):
    assert complaints(module, source) == []


def _real_cupy():
    names = (d.metadata["Name"] or "" for d in importlib.metadata.distributions())
    return [name for name in names if name.lower().startswith("cupy")]


@pytest.mark.skipif(not _real_cupy(), reason="compares with CuPy, which is not installed")
def test_table_is_that_of_the_installed_cupy():
    done = subprocess.run([sys.executable, ROOT / "tests/standin/build_table.py"],
                          capture_output=True, text=True, check=True)
    built = json.loads(done.stdout)
    if built["cupy"] != cupy_table.VERSION:
        pytest.skip(f"CuPy {built['cupy']} is installed; the table is of {cupy_table.VERSION}")
    assert built["names"] == cupy_table.names()


# Who knows that it is CuPy


def names_cupy(text):
    """Lines of code that name it: imports, identifiers, strings. Comments and messages may."""
    tree = ast.parse(text)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    prose = {id(node.body[0].value) for node in ast.walk(tree)
             if isinstance(node, documented) and ast.get_docstring(node) is not None}
    for node in ast.walk(tree):
        words = [node.value] if isinstance(node, ast.Constant) and id(node) not in prose else [
            getattr(node, field, None) for field in ("id", "attr", "arg", "name", "module")]
        if any(isinstance(word, str) and re.search("cupy|CUPY", word) for word in words):
            yield getattr(node, "lineno", 0)


@pytest.mark.parametrize("path", [
    path for path in sorted((ROOT / "minialex").rglob("*.py"))
    if path.parent.name != "backend" and path.name != "distributed.py"  # which speaks to NCCL
], ids=lambda path: path.relative_to(ROOT / "minialex").as_posix())
def test_only_the_backend_names_cupy(path):
    assert [*names_cupy(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("source", [
    "import cupy", "import cupyx.distributed", "from cupyx.distributed import NCCLBackend",
    "from ..backend import _cupy", "importlib.import_module('cupy')", "backend._cupy.count()",
    "os.environ['CUPY_TF32']", "def f(cupy): pass", "x = f'{y} cupy-cuda12x'",
])
def test_naming_cupy_is_seen(source):
    assert [*names_cupy(source)]


@pytest.mark.parametrize("source", [
    '"""As cupy does it."""', "x = 1  # cupy", "raise ValueError('install CuPy')",
])
def test_speaking_of_cupy_is_allowed(source):
    assert not [*names_cupy(source)]
