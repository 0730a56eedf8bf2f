"""What is known about a public data set. Each fact is written once, in the file of the set."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Download", "PublicSet", "ReadArrays"]

# Reads one split of a folder: images uint8 (N, H, W, C), labels int64 (N,).
ReadArrays = Callable[[str, str | os.PathLike[str]], tuple[NDArray[np.uint8], NDArray[np.int64]]]


@dataclass(frozen=True)
class Download:
    """One file to fetch.

    addresses: each serves the same bytes, best first; empty where everybody must ask for access;
    size: in bytes; checksum: "sha256:..." or "md5:..."; None where no value is published.
    """

    name: str
    addresses: tuple[str, ...]
    size: int | None
    checksum: str | None


@dataclass(frozen=True)
class PublicSet:
    """A data set that minialex knows by name.

    images: how many in each split; pixels: their size, or that of the shorter side with a "+";
    mirrored: whether an image and its mirror image show the same thing.
    holds: what is in the folder of the set when it is complete; the folder has the set's name;
    embedded: whether it comes with minialex and needs no download;
    read: how the arrays of a split are read, and class_names, the names of the labels; None and
    empty where the pictures lie in folders named by class.
    root: the folder inside the archive that becomes this folder; empty: files stay as they come;
    rename: folders of the archive and what they are called here;
    content: digest of the unpacked files (see `content_digest`), where the archive itself has none.
    """

    name: str
    images: Mapping[str, int]
    classes: int
    pixels: str
    licence: str
    citation: str
    home: str
    holds: tuple[str, ...]
    downloads: tuple[Download, ...] = ()
    mirrored: bool = True
    embedded: bool = False
    read: ReadArrays | None = None
    class_names: tuple[str, ...] = ()
    root: str = ""
    rename: tuple[tuple[str, str], ...] = ()
    content: str | None = None

    @property
    def size(self) -> int | None:
        """Bytes to fetch, where they are known."""
        sizes = [download.size for download in self.downloads]
        return None if None in sizes else sum(size or 0 for size in sizes)
