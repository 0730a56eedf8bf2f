"""What setup.cfg cannot say: folders beside the package, and the links of the index page.

Installed inside the package are data/, with the embedded sets, and the course: the notebooks, and
the checks of the exercises.
"""

import os
import re
from pathlib import Path

from setuptools import find_packages, setup

BESIDE = {"minialex.datasets.embedded": "data", "minialex.course.notebooks": "notebooks",
          "minialex.course.notebooks.exercises": "notebooks/exercises",
          "minialex.course.notebooks.exercises.solutions": "notebooks/exercises/solutions",
          "minialex.course.tests.exercises": "tests/exercises"}
HOME = os.environ.get("MINIALEX_HOME", "")  # where the repository is public; a release sets it


def for_an_index(text: str, home: str) -> str:
    """The README where there are no files beside it: its links lead to the repository.

    While that has no public address, their words stay and pictures go.
    """
    link = re.compile(r"(!?)\[([^\]]*)\]\((?![a-z]+:|#)([^)\s]+)\)")
    if not home:
        return link.sub(lambda found: "" if found[1] else found[2], text)
    return link.sub(lambda found: f"{found[1]}[{found[2]}]({home.rstrip('/')}/"
                    f"{'raw' if found[1] else 'blob'}/HEAD/{found[3]})", text)


if __name__ == "__main__":
    setup(packages=[*find_packages(include=["minialex*"]), *BESIDE], package_dir=BESIDE,
          long_description=for_an_index(Path("README.md").read_text(encoding="utf-8"), HOME),
          long_description_content_type="text/markdown",
          project_urls={"Source": HOME, "Changelog": f"{HOME}/blob/HEAD/CHANGELOG.md",
                        "Issues": f"{HOME}/issues"} if HOME else {})
