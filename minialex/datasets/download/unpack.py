"""Unpack a zip or tar archive that a stranger made: a member may only become a file.

A careless program writes each member wherever its name points. Here each must be a plain file or
folder whose name stays inside the target. Refused are

    absolute and climbing names   /etc/passwd, ../../.bashrc, C:\\boot.ini
    links                         train -> /home/you, then a file train/x lands in /home/you
    devices and pipes             reading or writing them does anything but store data
    names that come twice         the second would replace the first
    bombs                         42 kB that unpack to petabytes, or to a billion empty files

Owners, permissions and times are ignored: the files belong to the user. pooch
and the extractall of zipfile and tarfile set no limits, let a second file replace the first, and
leave a folder half full.
"""

from __future__ import annotations

import gzip
import os
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, NamedTuple

from ...errors import FileError, InputError
from ..errors import DataError
from ..sets.source import TarHeader

__all__ = ["MOST_BYTES", "unpack"]

MOST_BYTES = 4 * 2**30  # unpacked; the largest set that is fetched takes a twelfth
MOST_MEMBERS = 200_000
MOST_PARTS = 50  # folders in folders; 255 bytes are the most that a file system takes for one name
MOST_RATIO = 100  # unpacked to packed bytes: photographs hardly shrink, text to a tenth

_CHUNK = 2**20
# What zipfile, tarfile and gzip raise for damage. Other errors are not the archive's fault.
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError,
           struct.error, RuntimeError, ValueError, LookupError, MemoryError, OverflowError)


class _Member(NamedTuple):
    name: str
    kind: str  # "file", "folder", or what it is instead
    size: int  # bytes, unpacked; the archive says so
    open: Callable[[], IO[bytes]]


def unpack(archive: str | os.PathLike[str], target: str | os.PathLike[str], root: str = "",
           finish: Callable[[Path], None] | None = None) -> None:
    """Make the folder `target` of an archive: zip, tar or tar.gz, whatever it is called.

    root: the folder in the archive that becomes `target`; everything must lie in it.
    finish: called with the unpacked folder before it gets its name; it may rearrange, and raise.

    `target` appears whole or not at all: all is written beside it, into .NAME.part. So only one
    process may call this at a time; `get_set` holds a lock.
    Raises DataError, naming the archive, if it is damaged or a member is refused; FileError if
    `target` exists or cannot be written.
    """
    archive, target = Path(archive), Path(target)
    if not archive.is_file():
        raise DataError(f"{archive}: no such file; check the path")
    if target.exists():
        raise FileError(f"{target}: exists already; move it away")
    unfinished = target.with_name(f".{target.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)  # of a process that was killed
    try:
        unfinished.mkdir(parents=True)
        _write(archive, unfinished, root)
        if not any(unfinished.iterdir()):
            raise _refused(archive, "it is empty")
        if finish is not None:
            finish(unfinished / root)
        if hasattr(os, "sync"):  # not on Windows; a power cut must not leave empty files
            os.sync()
        os.rename(unfinished / root, target)
    except DataError:
        raise
    except _DAMAGE as error:
        raise DataError(f"{archive}: damaged ({str(error) or type(error).__name__}); get "
                        "the whole archive again") from None
    except OSError as error:
        raise FileError(f"{target}: cannot be written ({error.strerror or error}); make room, or "
                        "choose another folder") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write(archive: Path, folder: Path, root: str) -> None:
    """Write the members into `folder`, each judged before."""
    total, most = 0, min(MOST_BYTES, MOST_RATIO * archive.stat().st_size)
    for count, member in enumerate(_members(archive), 1):
        total += max(member.size, 0)
        if count > MOST_MEMBERS:
            raise _refused(archive, f"it has more than {MOST_MEMBERS:,} members")
        if total > most:
            raise _refused(archive, f"it unpacks to more than {most:,} bytes")
        if fault := _fault(member, root):
            raise _refused(archive, f"its member {member.name!r} {fault}")
        path = folder / PurePosixPath(member.name)
        try:
            if member.kind == "folder":
                path.mkdir(parents=True, exist_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            # "x" never opens what exists: the file system itself says if a name comes twice, also
            # where it takes "a.jpg" and "A.jpg" for the same.
            with open(path, "xb") as file, member.open() as content:
                shutil.copyfileobj(content, file, _CHUNK)
        except (FileExistsError, NotADirectoryError):
            raise _refused(archive, f"its member {member.name!r} comes twice") from None
        if path.stat().st_size != member.size:
            raise EOFError(f"{member.name!r} is cut off")


def _fault(member: _Member, root: str) -> str:
    """Why this member must not be written, or "". Names are those of the archive, with "/"."""
    parts = PurePosixPath(member.name).parts
    if member.kind not in ("file", "folder"):
        return f"is {member.kind}"
    # Windows passes over dots and spaces at the end of a name: ".. " climbs, too.
    if member.name.startswith("/") or any(not part.rstrip(". ") for part in parts):
        return "leaves the folder"
    if set(member.name) & set("\\:") or any(ord(letter) < 32 for letter in member.name):
        return "has a backslash, a colon or a control character in its name"  # drives, streams
    if root and parts[:1] != (root,):
        return f"lies outside of {root!r}"
    if len(parts) > MOST_PARTS or any(len(os.fsencode(part)) > 255 for part in parts):
        return "has a name that is too long"
    return "" if parts or member.kind == "folder" else "has no name"


def _refused(archive: Path, why: str) -> DataError:
    return DataError(f"{archive}: refused, because {why}; nothing was unpacked; get the archive "
                     "from the home of the data set")


def _members(archive: Path) -> Iterator[_Member]:
    """The members, one by one. The first bytes say which kind of archive it is, not its name."""
    with open(archive, "rb") as file:
        start = file.read(2)
        file.seek(0)
        if start == b"PK":
            yield from _zip_members(file)
        elif start.startswith(b"<"):
            raise InputError("a page of the web, no archive")
        else:
            packed = start == b"\x1f\x8b"
            yield from _tar_members(gzip.GzipFile(fileobj=file) if packed else file)


def _zip_members(file: BinaryIO) -> Iterator[_Member]:
    with zipfile.ZipFile(file) as packed:
        for info in packed.infolist():
            mode = stat.S_IFMT(info.external_attr >> 16)  # Unix only; 0 where it was not Unix
            kind = "folder" if info.is_dir() else "file"
            if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
                kind = "a link or a device"
            elif info.flag_bits & 1:
                kind = "encrypted"
            if info.header_offset < 0:
                raise zipfile.BadZipFile(f"{info.filename!r} starts before the archive does")
            # zipfile cuts a name at a zero byte and turns separators; the original must be judged.
            yield _Member(info.orig_filename, kind, info.file_size, partial(packed.open, info))


def _tar_members(file: BinaryIO | gzip.GzipFile) -> Iterator[_Member]:
    with tarfile.open(fileobj=file, mode="r:", tarinfo=TarHeader) as packed:
        first = packed.firstmember  # type: ignore[attr-defined]  # without, next() fails in 3.10
        while first is not None and (info := packed.next()) is not None:
            kind = ("file" if info.type in (tarfile.REGTYPE, tarfile.AREGTYPE) else
                    "folder" if info.isdir() else "a link, a device or sparse")
            yield _Member(info.name, kind, info.size, partial(_tar_content, packed, info))
        # tarfile takes a broken header for the end. The true end is a block of zeros; and gzip
        # checks its sum when the last byte has been read.
        file.seek(packed.offset)
        if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise EOFError("no end mark")
        if len(file.read(_CHUNK)) == _CHUNK:
            raise InputError("more data after the end mark")


def _tar_content(packed: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    content = packed.extractfile(info)
    assert content is not None, "a file has content"
    return content
