"""The rules of docs/architecture.md: who may import whom, how large it may get, what imports do.

Each rule is a function from a source file to a list of complaints, so that a planted bad source
shows that the rule can see. `python tests/test_architecture.py` prints the code lines per layer.
"""

import ast
import io
import subprocess
import sys
import tokenize
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# The layers, lowest first, each with what it may see of the layers below it.
LAYERS = {
    "backend": [],
    "tensor": ["backend"],
    "gradcheck": ["backend", "tensor"],
    "operation": ["backend", "tensor"],
    "ops": ["tensor", "operation"],
    "optim": ["tensor"],
    "nn": ["backend", "tensor", "ops"],
    "models": ["backend", "tensor", "ops", "nn"],
    "datasets": [],  # host arrays only, never Tensor
    "training": ["backend", "tensor", "operation", "gradcheck", "ops", "optim", "nn", "models",
                 "datasets"],
    "parallel": ["backend", "tensor", "operation", "ops", "optim", "nn", "models", "datasets",
                 "training"],
    "weights": ["backend", "tensor", "operation", "gradcheck", "ops", "optim", "nn", "models",
                "datasets", "training"],
}
for below in LAYERS.values():
    below += ["errors", "files", "checks"]  # these import nothing of minialex but its errors
LAYERS |= {"errors": [], "files": ["errors"], "checks": ["errors"]}
LAYERS["tools"] = list(LAYERS)
LAYERS["__main__"] = ["tools"]
LAYERS[""] = list(LAYERS)  # minialex/__init__.py
CORE = ["backend", "tensor", "operation", "gradcheck", "ops", "nn", "optim"]

# Other people's packages. What is in no list (numba, scipy, torch, ...) is used nowhere.
FOREIGN = {
    "backend": {"numpy", "threadpoolctl"},
    "tensor": {"numpy"},
    "operation": {"numpy"},
    "gradcheck": {"numpy"},
    "optim": {"numpy"},
    "nn": {"numpy"},
    "models": {"numpy"},
    "datasets": {"numpy", "PIL"},
    "training": {"numpy", "safetensors"},
    "parallel": {"numpy"},
    "weights": {"numpy"},
    "tools": {"numpy", "PIL", "matplotlib", "safetensors", "threadpoolctl", "tqdm"},
}

# Single files that may see more than their layer.
EXCEPTIONS = {
    "backend._cupy": {"cupy"},
    # The only modules that go to the network.
    "datasets.download.fetch": {"pooch"},
    "datasets.download.transfer": {"pooch", "requests"},
    "files": {"filelock"},
    "parallel.ranks": {"mpi4py"},  # the only module that speaks to other processes
    "weights.onnx_file": {"onnx", "google"},  # the only module that knows ONNX's own package
    "ops.transfer": {"backend"},  # the only op that works on two devices
}

CORE_LINES, FILE_LINES, FUNCTION_LINES, COLUMNS, DOCSTRING_LINES = 1400, 250, 60, 100, 14


class Source:
    """One file of the package. `module` is its name below minialex: "ops.linear"; "" is the top."""

    def __init__(self, module, text, is_package=False):
        self.module, self.text, self.is_package = module, text, is_package
        self.layer = module.split(".")[0]
        self.tree = ast.parse(text)

    @classmethod
    def of_file(cls, path):
        *folders, name = path.relative_to(ROOT / "minialex").with_suffix("").parts
        is_package = name == "__init__"
        module = ".".join(folders if is_package else [*folders, name])
        return cls(module, path.read_text(encoding="utf-8"), is_package)

    def functions(self):
        return [node for node in ast.walk(self.tree)
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]


SOURCES = [Source.of_file(path) for path in sorted((ROOT / "minialex").rglob("*.py"))]


# What a source imports


def imported(source):
    """(module, name) of each import; modules of minialex begin with a dot: ".ops.linear"."""
    package = source.module.split(".") if source.module else []
    if package and not source.is_package:
        package = package[:-1]
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield _inside(alias.name), None
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                parts = package[: len(package) + 1 - node.level] + ([module] if module else [])
                module = "." + ".".join(parts)
            for alias in node.names:
                yield _inside(module), alias.name


def _inside(module):
    return module[len("minialex"):] or "." if module.split(".")[0] == "minialex" else module


def wrong_imports(source):
    """Imports that look upwards, or at a package that this layer has no business with."""
    allowed = {source.layer, *LAYERS[source.layer]}
    foreign = FOREIGN.get(source.layer, set())
    extra = EXCEPTIONS.get(source.module, set())
    complaints = []
    for module, name in imported(source):
        if name == "*":
            complaints.append(f"imports * from {module}")
        if module.startswith("."):
            # `from .. import ops` names a layer; `from .. import __version__` the top itself.
            layer = module.split(".")[1] or (name if name in LAYERS else "")
            fine = layer in allowed | extra or (layer == "" and source.layer == "tools")
        else:
            layer = module.split(".")[0]
            fine = layer in sys.stdlib_module_names or layer in foreign | extra
        if not fine:
            complaints.append(f"imports {layer or 'the top of minialex'}")
    return complaints


# Size, counted in code lines: what is not blank, comment or docstring


def code_lines(source):
    """The numbers of the lines that hold code."""
    silent = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
              tokenize.ENDMARKER}
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        if token.type not in silent:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in [source.tree, *ast.walk(source.tree)]:
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        if isinstance(node, documented) and ast.get_docstring(node) is not None:
            lines -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return lines


def lines_per_layer(sources):
    count = Counter()
    for source in sources:
        count[source.layer] += len(code_lines(source))
    return count


def too_large(source):
    """Files and functions over their budget."""
    lines = code_lines(source)
    sizes = [("the file", len(lines), FILE_LINES)]
    for function in source.functions():
        own = lines & set(range(function.lineno, function.end_lineno + 1))
        sizes.append((function.name, len(own), FUNCTION_LINES))
    return [f"{name} has {size} code lines, of at most {limit}"
            for name, size, limit in sizes if size > limit]


def wide_lines(source):
    return [f"line {number} has {len(line)} columns"
            for number, line in enumerate(source.text.splitlines(), 1) if len(line) > COLUMNS]


# What a reader may rely on


def exported(source):
    """The names in `__all__`, or None."""
    for node in source.tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.literal_eval(node.value)
    return None


def no_all(source):
    offers_nothing = source.layer == "__main__" or not code_lines(source)
    return [] if offers_nothing or exported(source) is not None else ["has no __all__"]


def environment_at_import(source):
    """os.environ and os.getenv outside of functions, where importing the module reads them."""
    readers = {"environ", "environb", "getenv"}

    def at_import(node):
        yield node
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            children = [*node.decorator_list, node.args]  # defaults are evaluated by `def`
        else:
            children = [] if isinstance(node, ast.Lambda) else ast.iter_child_nodes(node)
        for child in children:
            yield from at_import(child)

    return [f"line {node.lineno} reads the environment at import" for node in at_import(source.tree)
            if readers & {getattr(node, "attr", ""), getattr(node, "id", "")}]


def bad_ops(source):
    """Ops with no docstring or a long one, or that draw random numbers."""
    if source.layer != "ops" or source.is_package or source.module == "ops.common":
        return []
    complaints = [f"line {node.lineno} draws random numbers" for node in ast.walk(source.tree)
                  if isinstance(node, ast.Attribute) and node.attr in ("random", "rng")]
    for function in source.functions():
        if function.name in exported(source):
            length = len((ast.get_docstring(function) or "").splitlines())
            if not 1 <= length <= DOCSTRING_LINES:
                complaints.append(f"{function.name}'s docstring has {length} lines, "
                                  f"of 1 to {DOCSTRING_LINES}")
    return complaints


RULES = [wrong_imports, too_large, wide_lines, no_all, environment_at_import, bad_ops]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_package_obeys(rule):
    assert len(SOURCES) > 25, "the files of the package were not found"
    complaints = [f"minialex.{source.module or '__init__'} {complaint}"
                  for source in SOURCES for complaint in rule(source)]
    assert not complaints, "\n".join(complaints)


PLANTED = [
    (wrong_imports, "backend.device", "from ..tensor import Tensor", "imports tensor"),
    (wrong_imports, "backend._numpy", "import cupy", "imports cupy"),
    (wrong_imports, "tensor", "from . import ops", "imports ops"),
    (wrong_imports, "tensor", "def f():\n    import minialex.ops.linear", "imports ops"),
    (wrong_imports, "tensor", "from minialex import ops", "imports ops"),
    (wrong_imports, "tensor", "import minialex", "imports the top"),
    (wrong_imports, "checks", "from .tensor import Tensor", "imports tensor"),
    (wrong_imports, "checks", "import numpy as np", "imports numpy"),
    (wrong_imports, "ops.linear", "import numpy as np", "imports numpy"),
    (wrong_imports, "ops.linear", "from cupy import matmul", "imports cupy"),
    (wrong_imports, "ops.linear", "from .. import backend", "imports backend"),
    (wrong_imports, "ops.transfer", "import cupy", "imports cupy"),
    (wrong_imports, "optim", "from .nn import Parameter", "imports nn"),
    (wrong_imports, "nn.layers", "from ..models import lenet", "imports models"),
    (wrong_imports, "datasets.feed.batches", "from ...tensor import Tensor", "imports tensor"),
    (wrong_imports, "datasets.feed.batches", "from minialex import Tensor", "imports the top"),
    (wrong_imports, "models.lenet", "import torch", "imports torch"),
    (wrong_imports, "tools.bench", "import jax.numpy", "imports jax"),
    (wrong_imports, "training.step", "from ..ops import *", "imports * from"),
    (wrong_imports, "training.run", "from ..parallel import ranks", "imports parallel"),
    (wrong_imports, "parallel.data", "import mpi4py", "imports mpi4py"),
    (too_large, "ops.linear", "x = 1\n" * 251, "the file has 251 code lines"),
    (too_large, "nn.layers", "def f():\n" + "    x = 1\n" * 60, "f has 61 code lines"),
    (wide_lines, "tools.cli", "x = 1  #" + 93 * "-", "line 1 has 101 columns"),
    (no_all, "ops.linear", "x = 1", "has no __all__"),
    (environment_at_import, "backend", "import os\nx = os.environ['X']", "line 2 reads"),
    (environment_at_import, "backend", "from os import getenv\nx = getenv('X')", "line 2 reads"),
    (environment_at_import, "backend", "def f(x=os.environ): pass", "line 1 reads"),
    (bad_ops, "ops.linear", "__all__ = ['f']\ndef f(): pass", "f's docstring has 0 lines"),
    (bad_ops, "ops.linear", f"__all__ = ['f']\ndef f():\n  '''{15 * 'x,'}'''".replace(",", "\n"),
     "f's docstring has 15 lines"),
    (bad_ops, "ops.dropout", "__all__ = []\nmask = xp.random.rand(2)", "line 2 draws"),
]


@pytest.mark.parametrize(("rule", "module", "text", "complaint"), PLANTED)
def test_rule_sees_a_planted_fault(rule, module, text, complaint):
    complaints = rule(Source(module, text))
    assert len(complaints) == 1 and complaint in complaints[0], complaints


@pytest.mark.parametrize(("rule", "module", "text"), [
    (wrong_imports, "backend._cupy", "import cupy\nfrom .device import Device"),
    (wrong_imports, "ops.transfer", "from .. import backend\nfrom ..backend import Device"),
    (wrong_imports, "models.lenet", "import math\nfrom .. import nn, ops\nimport numpy.random"),
    (wrong_imports, "tools.cli", "from .. import __version__, backend"),
    (too_large, "ops.linear", "# a comment\n\n" * 300 + '"""' + "\n" * 300 + '"""'),
    (environment_at_import, "tools.cli", "def f():\n    return os.environ['X']"),
])
def test_rule_lets_the_permitted_pass(rule, module, text):
    assert rule(Source(module, text)) == []


def test_core_keeps_to_its_budget():
    lines = lines_per_layer(SOURCES)
    core = sum(lines[layer] for layer in CORE)
    assert 0 < core <= CORE_LINES, f"the core has {core} code lines, of at most {CORE_LINES}"


def test_code_lines_count_code_only():
    """A string that is no docstring is code; a statement over three lines is three."""
    text = '"""Doc\n\nstring."""\n\n# why\nx = """a\n\nb"""\n\ndef f(\n    a,\n):\n    """Doc."""\n'
    assert code_lines(Source("ops.linear", text)) == {6, 7, 8, 10, 11, 12}


def run_fresh(code):
    """What a new Python prints that runs `code` in the root of the repository."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_import_loads_nothing_heavy():
    heavy = "\nprint(*{'cupy', 'matplotlib', 'PIL', 'tqdm'} & set(sys.modules))"
    assert run_fresh("import sys, minialex" + heavy) == []
    assert run_fresh("import sys, PIL" + heavy) == ["PIL"], "negative control"


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts threads as Linux does")
def test_import_starts_no_thread():
    """BLAS starts its threads when numpy is imported; minialex adds none to these."""
    count = "print(len(os.listdir('/proc/self/task')))\n"
    before, after, control = run_fresh(
        "import os, threading, numpy\n" + count + "import minialex\n" + count +
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n" + count)
    assert before == after != control


if __name__ == "__main__":
    for layer, number in lines_per_layer(SOURCES).items():
        print(f"{layer or '__init__':10} {number:5}")
    print(f"{'core':10} {sum(lines_per_layer(SOURCES)[layer] for layer in CORE):5}"
          f"  of at most {CORE_LINES}")
