"""What setup.cfg cannot say: folders beside the package that are installed inside it.

They are data/, with the embedded sets, and the course: notebooks, and the checks of exercises.
"""

from setuptools import find_packages, setup

BESIDE = {"minialex.datasets.embedded": "data", "minialex.course.notebooks": "notebooks",
          "minialex.course.notebooks.exercises": "notebooks/exercises",
          "minialex.course.notebooks.exercises.solutions": "notebooks/exercises/solutions",
          "minialex.course.tests.exercises": "tests/exercises"}

setup(packages=[*find_packages(include=["minialex*"]), *BESIDE], package_dir=BESIDE)
