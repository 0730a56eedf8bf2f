"""Bring a public data set to this machine: fetch, check and unpack it, whole or not at all.

A download gets its name only after its size and checksum match the published ones. So a file with
the right name is right, even if the network, the power or the user's patience fails.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

from ... import checks
from ...files import check_writable, locked, sweep
from ..errors import DataError
from ..sets import look_up
from ..sets.embedded import embedded
from ..sets.facts import Download, PublicSet
from .transfer import PATIENCE, Failed, Patience, Progress, fault, receive
from .unpack import unpack

__all__ = ["content_digest", "data_folder", "data_places", "fetch", "find_set", "get_set"]

_AGAIN = "then run the same command again"
_ROOM = f"make room, or choose another folder, {_AGAIN}"


def data_folder(given: str | os.PathLike[str] | None = None) -> Path:
    """Where downloads go: the given folder, else ./data if there is one, else the user's cache."""
    return data_places(given)[0]


def find_set(name: str, given: str | os.PathLike[str] | None = None) -> Path | None:
    """The folder of a complete set: in `given`, or else in ./data or the user's cache; or None.

    A set that comes with minialex is always here. Looks at names only, and so takes no time.
    Raises DataError for an unknown name.
    """
    known = look_up(name)
    folders = ([embedded(name)] if known.embedded else
               [place / name for place in data_places(given)])
    return next((folder for folder in folders if not _missing(known, folder)), None)


def get_set(name: str, given: str | os.PathLike[str] | None = None, patience: Patience = PATIENCE,
            say: Callable[[str], None] = lambda line: None,
            progress: Progress = lambda name, done, total: None) -> Path:
    """The folder of a set, which is fetched if it is not there.

    say: called with a line about what takes time. progress: called with the name of a file, the
    bytes received so far, and its size (None if unknown).
    An unpacked set that is there is not checked again; loose files (MNIST) are, in a moment.
    Raises DataError if that fails, with what went wrong and what to do by hand.
    """
    known = look_up(name)
    found = find_set(name, given)
    folder = found or data_folder(given) / name
    by_hand = not all(download.addresses for download in known.downloads)
    if found and (known.root or by_hand or known.embedded):
        return found
    if by_hand:
        files = ", ".join(download.name for download in known.downloads)
        raise DataError(f"{name}: its owners give it only to those who accept their terms; sign up "
                        f"at {known.home}, and put {files} into {folder}; then prepare that folder")
    lock = folder.with_name(f".{folder.name}.lock")
    with nullcontext() if found else locked(lock, _ROOM):
        if not known.root:
            for count, download in enumerate(known.downloads, 1):
                fetch(download, folder, patience, say, progress, known.downloads[count:])
        elif _missing(known, folder):  # or somebody else has just brought it
            _get_archive(known, folder, patience, say, progress)
    return folder


def _get_archive(known: PublicSet, folder: Path, patience: Patience,
                 say: Callable[[str], None], progress: Progress) -> None:
    """Fetch and unpack. A fetched archive is removed; one that the user put there stays."""
    if folder.exists():
        raise DataError(f"{folder}: is there, but without {', '.join(_missing(known, folder))}; "
                        f"the folder must hold the whole set or not exist; move it away ("
                        f"{known.downloads[0].name} belongs beside it), {_AGAIN}")
    (download,) = known.downloads
    archive = folder.parent / download.name
    put_there = archive.exists()
    fetch(download, folder.parent, patience, say, progress)
    say(f"unpacking {archive}")
    try:
        unpack(archive, folder, known.root, lambda unpacked: _arrange(known, unpacked))
    except DataError as error:
        if put_there:
            raise DataError(f"{error}; remove {archive}, {_AGAIN}") from error
        # Without a checksum it may be anything, such as the login page of a hotel.
        if download.checksum is None:
            archive.unlink()
        raise
    if put_there:
        say(f"{archive} is not needed any more")
    else:
        archive.unlink()


def _arrange(known: PublicSet, unpacked: Path) -> None:
    """Rename the folders of a fresh set, and check that it is complete and right."""
    for theirs, ours in known.rename:
        if not (unpacked / ours).exists() and (unpacked / theirs).is_dir():
            (unpacked / theirs).rename(unpacked / ours)
    missing = _missing(known, unpacked)
    if missing:
        raise DataError(f"{known.downloads[0].name}: holds no {', no '.join(missing)}; get the "
                        f"archive from {known.home} again")
    if known.content is not None and content_digest(unpacked) != known.content:
        raise DataError(f"{known.downloads[0].name}: its pictures are not the "
                        f"{sum(known.images.values()):,} of {known.home}; get it again")


def content_digest(folder: str | os.PathLike[str]) -> str:
    """One SHA-256 for all pictures of a folder, their names and what they show. It is that of

        find train val test -name '*.jpg' | LC_ALL=C sort | xargs sha256sum | sha256sum
    """
    paths = sorted(path.relative_to(folder).as_posix() for path in Path(folder).glob("*/*/*.jpg"))
    lines = (f"{hashlib.sha256(Path(folder, path).read_bytes()).hexdigest()}  {path}\n"
             for path in paths)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def fetch(download: Download, folder: str | os.PathLike[str], patience: Patience = PATIENCE,
          say: Callable[[str], None] = lambda line: None,
          progress: Progress = lambda name, done, total: None,
          others: Sequence[Download] = ()) -> Path:
    """The path of one file, in `folder`; fetched from the first of its addresses that has it.

    others: the other files of the set, so that one error names all that must be fetched by hand.
    A file that is there is checked and used, never overwritten. Only one process may call this at
    a time; `get_set` holds a lock.
    Raises DataError if the file is the wrong one or no address gives it, FileError if it cannot be
    written.
    """
    path = Path(folder, download.name)
    if path.exists():
        wrong = fault(path, download)
        if wrong:
            raise DataError(f"{path}: {wrong}; remove it, {_AGAIN}")
        return path
    check_writable(path.parent, _ROOM)
    sweep(path.parent, f"{path.name}.*")
    failures = []
    for address in download.addresses:
        try:
            receive(address, path, download, patience, progress)
            return path
        except Failed as error:
            failures.append(str(error))
            say(failures[-1])
    also = ", ".join(other.name for other in others if not Path(folder, other.name).exists())
    raise DataError(f"{download.name} did not come ({'; '.join(failures)}); download "
                    f"{download.addresses[0]} by hand{also and ', and beside it ' + also}, put "
                    f"{'them' if also else 'it'} into {path.parent.absolute()}, {_AGAIN}")


def _missing(known: PublicSet, folder: Path) -> list[str]:
    """What a set lacks. ImageNet is also complete as tar files."""
    exists = os.path.exists  # unlike Path.exists, it counts unreadable files as missing
    if (known.downloads and not known.root
            and all(exists(folder / download.name) for download in known.downloads)):
        return []
    return [name for name in known.holds if not exists(folder / name)]


def data_places(given: str | os.PathLike[str] | None) -> list[Path]:
    """Where a set may lie, the folder for downloads first."""
    if given is not None:
        # That of Path raises for unknown users.
        return [Path(os.path.expanduser(checks.path("data_folder", "folder", given)))]
    here = Path("data")
    return [here, _cache()] if here.is_dir() else [_cache()]


def _cache() -> Path:
    with warnings.catch_warnings():  # pooch loads tqdm, which in a notebook asks for widgets
        warnings.simplefilter("ignore")
        from pooch import os_cache

    return Path(os_cache("minialex"))
