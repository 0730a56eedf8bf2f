"""What is published works where there is no clone: wheel and source distribution, each installed
into an environment of its own.

No network is needed: what minialex depends on is taken from the environment of the tests.
"""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
TRACKED = re.compile(  # what a clone holds, and nothing that lies there by chance
    r"(minialex|notebooks|tests|docs|benchmarks|\.ci|\.github|data/(fashion-mnist|clothing-mini))/"
    r"|data/README\.md$|[^/]*$")
LEFT_OUT = {"__pycache__", ".ipynb_checkpoints", "runs", "_build"}
# By what is installed, not by find_spec: to look for pip switches setuptools' distutils off.
MISSING = {"build", "setuptools", "pip"} - {of.name for of in importlib.metadata.distributions()}


def run(*words, cwd, **variables):
    """What a command prints that is told nothing of the clone."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(list(map(str, words)), cwd=cwd, capture_output=True, text=True,
                          encoding="utf-8", env={**kept, "PYTHONUTF8": "1", **variables})
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The folder with the wheel and the source distribution, built from a copy of the clone."""
    if MISSING:
        pytest.skip(f"needs {' and '.join(sorted(MISSING))}: pip install 'minialex[dev]'")
    copy, dist = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("dist")
    for file in ROOT.rglob("*"):
        name = file.relative_to(ROOT)
        if (file.is_file() and TRACKED.match(name.as_posix()) and name.name != ".git"
                and not LEFT_OUT & set(name.parts)):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy / name)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", dist, copy, cwd=dist)
    return dist


@pytest.fixture(scope="module", params=["wheel", "sdist"])
def python(request, published, tmp_path_factory):
    """The Python of a new environment in which one of the two is installed."""
    [wheel], [sdist] = published.glob("*.whl"), published.glob("*.tar.gz")
    if request.param == "sdist":  # what `pip install` does with it, in two steps
        folder = tmp_path_factory.mktemp("wheel")
        run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index",
            "--no-build-isolation", "--wheel-dir", folder, sdist, cwd=folder)
        [wheel] = folder.glob("*.whl")
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    python = next(scripts.glob("python*"))
    run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps",
        "--no-index", wheel, cwd=folder)
    # Its own packages come first, then those of the tests; .pth files there are not obeyed, so an
    # editable installation of the clone is not seen.
    place = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder)
    Path(place.strip(), "others.pth").write_text(
        "\n".join({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}),
        encoding="utf-8")
    return python


@pytest.fixture(scope="module")
def course(python, tmp_path_factory):
    """The folder into which `minialex chapters` of that environment has written."""
    folder = tmp_path_factory.mktemp("learner") / "course"
    command = next(python.parent.glob("minialex*"))
    assert f"{folder}: " in run(command, "chapters", folder, cwd=folder.parent)
    return folder


def test_wheel_is_small_and_holds_what_it_should(published):
    [wheel] = published.glob("*.whl")
    assert wheel.stat().st_size < 16_000_000
    names = zipfile.ZipFile(wheel).namelist()
    inside = [name.removeprefix("minialex/course/") for name in names if "/course/" in name]
    clone = [*(ROOT / "notebooks").glob("[0-9]*.ipynb"), ROOT / "notebooks" / "figures.py",
             *(ROOT / "notebooks" / "exercises").rglob("*.[mp][dy]"),
             *(ROOT / "tests" / "exercises").glob("*.py")]
    assert len(clone) > 70
    assert {file.relative_to(ROOT).as_posix() for file in clone} <= set(inside)
    assert "minialex/datasets/embedded/fashion-mnist/train-images-idx3-ubyte.gz" in names
    assert not [name for name in names if name.startswith(("tests/", "data/", "notebooks/"))]


def test_minialex_is_the_installed_one_and_has_its_data(python, tmp_path):
    place, images = run(python, "-c", "import minialex; print(minialex.__file__); from "
                        "minialex.datasets import fashion_mnist; print(fashion_mnist('test')[0]"
                        ".shape)", cwd=tmp_path).splitlines()
    assert python.parents[1] in Path(place).parents and ROOT not in Path(place).parents
    assert images == "(2000, 28, 28, 1)"


def test_answers_of_a_learner_are_checked(python, course):
    ask = "from exercises import check, hint; check('ch01'{}); hint('halves')"
    stubs = run(python, "-c", ask.format(""), cwd=course)
    assert stubs.count(" not written: ") == 5 and "Hint 1 of 3" in stubs
    right = run(python, "-c", ask.format(", 'exercises/solutions'"), cwd=course)
    assert right.count(" right\n") == 5 and "not" not in right.partition("Hint")[0]
    run(python, "-m", "pytest", "-q", "-m", "ch02", "--answers=exercises/solutions", cwd=course)


def test_cells_of_a_chapter_run(python, course):
    pytest.importorskip("IPython", reason="pip install 'minialex[notebooks]'")
    notebook = json.loads((course / "00_map.ipynb").read_text(encoding="utf-8"))
    code = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    printed = run(python, "-c", "\n".join(code[:2]), cwd=course, MPLBACKEND="Agg")
    assert "devices of this machine:" in printed


def test_files_of_the_learner_stay(python, course):
    command = next(python.parent.glob("minialex*"))
    answers = course / "exercises" / "ch05.py"
    ours = answers.read_bytes()
    answers.write_text("mine = 1\n", encoding="utf-8")
    (course / "figures.py").unlink()
    said = run(command, "chapters", course, cwd=course)
    assert "1 files written" in said and "exercises/ch05.py was there and differs" in said
    assert answers.read_text(encoding="utf-8") == "mine = 1\n"
    assert (course / "figures.py").is_file()
    answers.write_bytes(ours)


def test_source_distribution_can_run_its_tests(published, tmp_path):
    [sdist] = published.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, **({"filter": "data"} if sys.version_info >= (3, 12) else {}))
    [folder] = tmp_path.iterdir()
    run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_readme.py",
        "tests/test_architecture.py", "tests/test_clothing_mini.py", "tests/test_exercises.py",
        cwd=folder)
    tests = {file.relative_to(ROOT).as_posix() for file in (ROOT / "tests").rglob("*.py")}
    assert tests <= {file.relative_to(folder).as_posix() for file in folder.rglob("*.py")}
