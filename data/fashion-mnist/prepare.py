"""Cut a balanced subset out of Fashion-MNIST, or out of any set stored like MNIST.

    python data/fashion-mnist/prepare.py FOLDER_OF_THE_FOUR_ORIGINAL_FILES

keeps the first 1,000 training and the first 200 test images of each class, in the order of the
original, and writes them beside this file. Equal input gives equal files, byte for byte.
"""

import argparse
import hashlib
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minialex.datasets import DataError, mnist, write_idx

__all__ = ["first_of_each_class", "prepare"]


def first_of_each_class(labels: NDArray[Any], count: int) -> NDArray[np.intp]:
    """Return the indices, ascending, of the first `count` items of each class.

    labels: (N,), integers; count: 1 or more. Raises DataError if a class has fewer items.
    """
    if count < 1:
        raise DataError(f"{count} images of each class asked for; need 1 or more; ask for more")
    picked = []
    for label in np.unique(labels):
        of_class = np.flatnonzero(labels == label)
        if len(of_class) < count:
            raise DataError(
                f"class {label} has {len(of_class)} images; need {count} or more; "
                "ask for fewer, or take the original files as the source"
            )
        picked.append(of_class[:count])
    return np.sort(np.concatenate(picked))


def prepare(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    train: int = 1000,
    test: int = 200,
) -> list[Path]:
    """Write the subset of the set in folder `source` to folder `target`; return the new files.

    train, test: images to keep of each class. Raises DataError if there are not enough of them.
    """
    target = Path(target)
    target.mkdir(parents=True, exist_ok=True)
    paths = []
    for split, prefix, count in ("train", "train", train), ("test", "t10k", test):
        images, labels = mnist(split, source)
        keep = first_of_each_class(labels, count)
        paths.append(target / f"{prefix}-images-idx3-ubyte.gz")
        write_idx(paths[-1], images[keep, :, :, 0])
        paths.append(target / f"{prefix}-labels-idx1-ubyte.gz")
        write_idx(paths[-1], labels[keep].astype(np.uint8))
    return paths


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", help="folder of the four original files")
    parser.add_argument("--target", default=Path(__file__).parent, help="default: %(default)s")
    parser.add_argument("--train", type=int, default=1000, help="of each class; default: 1000")
    parser.add_argument("--test", type=int, default=200, help="of each class; default: 200")
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
