"""Loads a learner's answers: exercises/chNN.py, or those in the folder that --answers names."""

import importlib.util
import traceback
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def pytest_addoption(parser):
    parser.addoption("--answers", metavar="FOLDER", help="the answers to the exercises of the "
                     "chapters (default: those in the folder of the notebooks)")


def pytest_collection_modifyitems(config, items):
    """Only who asks for a chapter, or for this folder, wants to know which answers are missing."""
    asked = [config.option.markexpr, config.getoption("--answers", None),
             *(argument for argument in config.args if "exercises" in argument)]
    if not any(asked):
        here = Path(__file__).parent
        unasked = [item for item in items if here in item.path.parents]
        items[:] = [item for item in items if here not in item.path.parents]
        config.hook.pytest_deselected(items=unasked)


class Answers:
    """The functions of one chapter; one that raises NotImplementedError skips its test."""

    def __init__(self, path):
        spec = importlib.util.spec_from_file_location(path.stem, path)
        self.path, self.module = path, importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(self.module)
        except Exception as error:
            line = getattr(error, "lineno", None) or traceback.extract_tb(
                error.__traceback__)[-1].lineno
            message = getattr(error, "msg", error)
            pytest.fail(f"{path.name} cannot be read: line {line}: {type(error).__name__}: "
                        f"{message}", pytrace=False)

    def __getattr__(self, name):
        function = getattr(self.module, name, None)
        if function is None:
            pytest.skip(f"write {name} in {self.path.name}; it is not there")

        def call(*args, **kwargs):
            try:
                return function(*args, **kwargs)
            except NotImplementedError:
                pytest.skip(f"write {name} in {self.path.name}")

        return call


@pytest.fixture
def answers(request):
    """The answers to the chapter of this file: test_ch05.py asks ch05.py."""
    folders = [ROOT / "notebooks" / "exercises", ROOT / "exercises"]  # of a clone, and of a course
    given = request.config.getoption("--answers", None)
    folder = Path(given) if given else next(folder for folder in folders if folder.is_dir())
    return Answers(folder / f"{request.path.stem.removeprefix('test_')}.py")
