"""What setup.cfg cannot say: data/ with the embedded sets is installed inside the package."""

from setuptools import find_packages, setup

setup(packages=[*find_packages(include=["minialex*"]), "minialex.datasets.embedded"],
      package_dir={"minialex.datasets.embedded": "data"})
