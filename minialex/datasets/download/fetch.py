"""Bring a public data set to this machine: fetched, checked, unpacked, and whole or not there.

A download goes to NAME.part beside its place, is compared with the size and the checksum of the
catalogue, and only then gets its name. So whatever has the right name is right, at any moment, also
if the network, the power or the user's patience fails.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from ...errors import InputError
from ...files import locked
from ..errors import DataError
from ..sets import look_up
from ..sets.embedded import embedded
from ..sets.facts import Download, PublicSet
from .unpack import MOST_BYTES, unpack

__all__ = ["content_digest", "data_folder", "fetch", "find_set", "get_set"]

TIMEOUT = 30.0  # seconds of silence after which a server counts as gone
_AGAIN = "then run the same command again"
_ROOM = f"make room, or choose another folder, {_AGAIN}"


def data_folder(given: str | os.PathLike[str] | None = None) -> Path:
    """Where downloads go: the given folder, else ./data if there is one, else the user's cache."""
    return _places(given)[0]


def find_set(name: str, given: str | os.PathLike[str] | None = None) -> Path | None:
    """The folder of a complete set: in `given`, or else in ./data or the user's cache; or None.

    A set that comes with minialex is always here. Looks at names only, and so takes no time.
    Raises DataError for an unknown name.
    """
    known = look_up(name)
    folders = ([embedded(known.folder)] if known.embedded else
               [place / known.folder for place in _places(given)])
    return next((folder for folder in folders if not _missing(known, folder)), None)


def get_set(name: str, given: str | os.PathLike[str] | None = None, timeout: float = TIMEOUT,
            say: Callable[[str], None] = lambda line: None) -> Path:
    """The folder of a set, which is fetched if it is not there; `say` is told what takes time.

    An unpacked set that is there is not checked again; loose files (MNIST) are, in a moment.
    Raises DataError if the set cannot be had: what went wrong, and what to do by hand.
    """
    known = look_up(name)
    found = find_set(name, given)
    folder = found or data_folder(given) / known.folder
    by_hand = not all(download.addresses for download in known.downloads)
    if found and (known.root or by_hand or known.embedded):
        return found
    if by_hand:
        files = ", ".join(download.name for download in known.downloads)
        raise DataError(f"{name}: is only for who has agreed to its terms; sign up at {known.home}"
                        f", and put {files} into {folder}; then prepare that folder")
    lock = folder.with_name(f".{folder.name}.lock")
    with nullcontext() if found else locked(lock, _ROOM):
        if not known.root:
            for count, download in enumerate(known.downloads, 1):
                fetch(download, folder, timeout, say, known.downloads[count:])
        elif _missing(known, folder):  # or somebody else has just brought it
            _get_archive(known, folder, timeout, say)
    return folder


def _get_archive(known: PublicSet, folder: Path, timeout: float,
                 say: Callable[[str], None]) -> None:
    """Fetch and unpack. What was fetched is thrown away; what somebody put there stays."""
    if folder.exists():
        raise DataError(f"{folder}: is there, but without {', '.join(_missing(known, folder))}; "
                        f"need all of the set or nothing; move the folder away ("
                        f"{known.downloads[0].name} belongs beside it), {_AGAIN}")
    (download,) = known.downloads
    archive = folder.parent / download.name
    put_there = archive.exists()
    fetch(download, folder.parent, timeout, say)
    say(f"unpacking {archive}")
    try:
        unpack(archive, folder, known.root, lambda unpacked: _arrange(known, unpacked))
    except DataError as error:
        if isinstance(error.__cause__, OSError):  # of the disk: the archive is as good as before
            raise _unwritable(folder, error.__cause__) from error
        if put_there:
            raise DataError(f"{error}; remove {archive}, {_AGAIN}") from error
        # Without a checksum it may be anything, say the page of a hotel that wants a password.
        if download.checksum is None:
            archive.unlink()
        raise
    if put_there:
        say(f"{archive} is not needed any more")
    else:
        archive.unlink()


def _arrange(known: PublicSet, unpacked: Path) -> None:
    """Give the folders of a fresh set our names, and see that all is there and right."""
    for theirs, ours in known.rename:
        if not (unpacked / ours).exists() and (unpacked / theirs).is_dir():
            (unpacked / theirs).rename(unpacked / ours)
    missing = _missing(known, unpacked)
    if missing:
        raise DataError(f"{known.downloads[0].name}: holds no {', no '.join(missing)}; need the "
                        f"archive from {known.home}; get it again")
    if known.content is not None and content_digest(unpacked) != known.content:
        raise DataError(f"{known.downloads[0].name}: its pictures are not those of {known.home}; "
                        f"need {sum(known.images.values()):,} of them, unchanged; get it again")


def content_digest(folder: str | os.PathLike[str]) -> str:
    """One SHA-256 for all pictures of a folder, their names and what they show. It is that of

        find train val test -name '*.jpg' | LC_ALL=C sort | xargs sha256sum | sha256sum
    """
    paths = sorted(path.relative_to(folder).as_posix() for path in Path(folder).glob("*/*/*.jpg"))
    lines = (f"{hashlib.sha256(Path(folder, path).read_bytes()).hexdigest()}  {path}\n"
             for path in paths)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def fetch(download: Download, folder: str | os.PathLike[str], timeout: float = TIMEOUT,
          say: Callable[[str], None] = lambda line: None,
          others: Sequence[Download] = ()) -> Path:
    """The path of one file of the catalogue, in `folder`; fetched from the first home that has it.

    timeout: seconds without a byte after which the next address is tried; a server that sends one
    now and then is not noticed.
    others: what else the set needs, so that one error names all there is to do by hand.
    A file that is there is checked and used, never overwritten.
    Raises DataError if it is the wrong one, if no address gives it, or if it cannot be written.
    """
    path = Path(folder, download.name)
    if path.exists():
        fault = _fault(path, download)
        if fault:
            raise DataError(f"{path}: {fault}; remove it, {_AGAIN}")
        return path
    failures = []
    for address in download.addresses:
        failure = _fetch_from(address, path, download, timeout)
        if failure is None:
            return path
        failures.append(f"{urlsplit(address).netloc}: {failure}")
        say(failures[-1])
    also = ", ".join(other.name for other in others if not Path(folder, other.name).exists())
    raise DataError(f"{download.name} did not come ({'; '.join(failures)}); download "
                    f"{download.addresses[0]} by hand{also and ', and beside it ' + also}, put "
                    f"{'them' if also else 'it'} into {path.parent.absolute()}, {_AGAIN}")


def _fetch_from(address: str, path: Path, download: Download, timeout: float) -> str | None:
    """Try one address. None if `path` is there now, else what went wrong on the way."""
    import requests  # pooch is made of it, and lets its errors through
    from pooch import HTTPDownloader
    from tqdm import tqdm

    part = path.with_name(f"{path.name}.part")
    answers: list[requests.Response] = []  # to be closed: pooch leaves them open if anything fails
    http = HTTPDownloader(
        chunk_size=2**16, timeout=timeout,
        headers={"Accept-Encoding": "identity"},  # else requests unpacks what a server packs again
        hooks={"response": lambda answer, **_: answers.append(answer)})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "wb") as file:
            limited = _Limited(file, MOST_BYTES if download.size is None else download.size)
            with tqdm.wrapattr(limited, "write", total=download.size, desc=path.name[:26],
                               leave=False, bytes=False, unit="B", unit_scale=True,
                               dynamic_ncols=True, disable=None) as counted:
                http(address, counted, None)
            file.flush()
            os.fsync(file.fileno())
        fault = _fault(part, download)
        if not fault:
            os.replace(part, path)
        return fault
    except (requests.RequestException, ValueError) as error:  # ValueError: of a wrong header
        return _network_fault(error, timeout)
    except OSError as error:
        if error.errno is None:  # of requests, which looks for certificates
            return str(error)
        raise _unwritable(path, error) from error
    finally:
        for answer in answers:
            answer.close()
        with suppress(OSError):
            part.unlink()


class _Limited:
    """A file for an answer of at most so many bytes: one that never ends would fill the disk."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self.file, self.most, self.flush = file, most, file.flush

    def write(self, data: bytes) -> int:
        if self.file.tell() + len(data) > self.most:
            raise InputError(f"more than {self.most:,} bytes came")
        return self.file.write(data)


def _unwritable(path: Path, error: OSError) -> DataError:
    return DataError(f"{path}: cannot be written ({error.strerror or error}); {_ROOM}")


def _network_fault(error: Exception, timeout: float) -> str:
    """What happened, in the words of somebody who waits for a file."""
    import requests

    answer = getattr(error, "response", None)
    if answer is not None:
        return f"the server answered {answer.status_code} {answer.reason}"
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return f"no answer for {timeout:g} s"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection closed before all had come"
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate was not accepted"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return str(error)


def _fault(path: Path, download: Download) -> str | None:
    """How a file differs from what the catalogue promises."""
    size = path.stat().st_size
    if download.size is not None and size != download.size:
        return f"{size:,} bytes came, need {download.size:,}"
    if download.checksum is not None:
        from pooch import file_hash

        method, _, need = download.checksum.partition(":")
        came = file_hash(str(path), method)
        if came != need:
            return f"wrong checksum, {method} {came} came, need {need}"
    return None


def _missing(known: PublicSet, folder: Path) -> list[str]:
    """What a set lacks. That of ImageNet is complete with its tar files, too."""
    exists = os.path.exists  # unlike that of Path, it takes what may not be read for missing
    if not known.root and all(exists(folder / download.name) for download in known.downloads):
        return []
    return [name for name in known.holds if not exists(folder / name)]


def _places(given: str | os.PathLike[str] | None) -> list[Path]:
    """Where a set may lie, the folder for downloads first."""
    if given is not None:
        return [Path(os.path.expanduser(given))]  # that of Path raises for unknown users
    here = Path("data")
    return [here, _cache()] if here.is_dir() else [_cache()]


def _cache() -> Path:
    from pooch import os_cache

    return Path(os_cache("minialex"))
