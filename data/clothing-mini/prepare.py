"""Cut a small balanced set out of the clothing photographs, or out of any folder of pictures.

    python data/clothing-mini/prepare.py SOURCE TARGET

keeps the first 20 training and the first 5 test photographs of each class, in the order of their
file names, and writes them to the new folder TARGET as `minialex data prepare` does. Equal input
gives equal files.
"""

import argparse
import hashlib
import os
import sys
from pathlib import Path

from minialex.datasets import DataError
from minialex.datasets.sets.folder import folder_source
from minialex.datasets.sets.source import File
from minialex.datasets.shards.write import begun, finish, pack, plan

__all__ = ["first_of_each_class", "prepare"]

SIDE, QUALITY = 256, 75  # of the squares, and of their JPEGs: all together take less than 4 MB


def first_of_each_class(files: list[File], count: int) -> list[File]:
    """The first `count` files of each class. Raises DataError if a class has fewer."""
    of_class: dict[int, list[File]] = {}
    for file in files:
        of_class.setdefault(file.label, []).append(file)
    for kept in of_class.values():
        if len(kept) < count:
            raise DataError(f"{Path(kept[0].path).parent}: holds {len(kept)} files; need {count} "
                            "or more; ask for fewer")
    return [file for kept in of_class.values() for file in kept[:count]]


def prepare(source: str | os.PathLike[str], target: str | os.PathLike[str], train: int = 20,
            test: int = 5) -> list[Path]:
    """Write the subset of the set in folder `source` to the new folder `target`; return its files.

    train, test: photographs to keep of each class. Raises DataError if there are not enough.
    """
    target, whole = Path(target), folder_source(Path(source))
    if "test" not in whole.splits:
        raise DataError(f"{source}: has no folder test; need train/CLASS and test/CLASS")
    subset = whole._replace(splits={
        split: first_of_each_class(whole.splits[split], count)
        for split, count in (("train", train), ("test", test))})
    shards = plan(subset)
    with begun(target, subset, SIDE, QUALITY):
        pack(target, shards, SIDE, QUALITY, strict=True)
        finish(target, subset, shards, SIDE, strict=True)
    return sorted(path for path in target.iterdir() if not path.name.startswith("."))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", help="folder of train/CLASS/*.jpg and test/CLASS/*.jpg")
    parser.add_argument("target", help="a new folder")
    parser.add_argument("--train", type=int, default=20, help="of each class; default: 20")
    parser.add_argument("--test", type=int, default=5, help="of each class; default: 5")
    arguments = parser.parse_args()
    try:
        paths = prepare(**vars(arguments))
    except (DataError, OSError) as error:
        print(f"prepare.py: {error}", file=sys.stderr)
        return 2
    # The lines of the table in README.md.
    for path in paths:
        content = path.read_bytes()
        print(f"| `{path.name}` | {len(content):,} | `{hashlib.sha256(content).hexdigest()}` |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
