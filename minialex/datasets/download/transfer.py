"""One file from one address, by pooch: watched while it comes, checked, whole or not at all.

pooch waits as long as a server sends anything, and writes all that it sends. So it works in a
thread of its own, while this module watches the file grow: a server that is too slow or sends too
much is given up. pooch's own `retrieve` would overwrite a file that somebody has put
there, and prints to the terminal; so its parts are used, the downloader and the checksum.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from threading import Thread
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import urlsplit

from ...files import replacing
from ..sets.facts import Download
from .unpack import MOST_BYTES

__all__ = ["PATIENCE", "Failed", "Patience", "Progress", "fault", "receive"]

CHUNK = 2**14  # bytes that are written at a time
Progress = Callable[[str, int, int | None], object]


class Patience(NamedTuple):
    """When a server is given up.

    In every span of `seconds`, at least `rate` bytes a second must come. total: seconds for the
    whole file.
    """

    seconds: float = 30.0
    rate: float = 1000.0
    total: float = 6 * 3600.0


PATIENCE = Patience()


class Failed(Exception):
    """What went wrong at an address, in words for the user."""


def receive(address: str, path: Path, download: Download, patience: Patience,
            progress: Progress) -> None:
    """Bring the file at `address` to `path`.

    Raises Failed if this address does not give it; FileError if it cannot be written.
    """
    host = urlsplit(address).netloc
    with replacing(path) as file:
        try:
            _watch(address, file, path.name, download.size, patience, progress)
            file.flush()
            wrong = fault(Path(file.name), download)
        except Failed as error:
            raise Failed(f"{host}: {error}") from None
        if wrong:
            raise Failed(f"{host}: {wrong}")


def fault(path: Path, download: Download) -> str | None:
    """How a file differs from what is published about it."""
    size = path.stat().st_size
    if download.size is not None and size != download.size:
        return f"it has {size:,} bytes, not {download.size:,}"
    if download.checksum is not None:
        from pooch import file_hash

        method, _, published = download.checksum.partition(":")
        found = file_hash(str(path), method)
        if found != published:
            return f"its {method} checksum is {found}, not {published}"
    return None


def _watch(address: str, file: BinaryIO, name: str, size: int | None, patience: Patience,
           progress: Progress) -> None:
    """Let a thread write to the file until all has come, or the server is given up."""
    import requests  # noqa: F401  # takes a while, which is not the server's

    most = MOST_BYTES if size is None else size
    errors: list[Exception] = []
    # When a server is given up, its thread ends at the next byte, since the file is closed.
    thread = Thread(target=_transfer, args=(address, file, patience.seconds, errors), daemon=True)
    thread.start()
    began = looked = time.monotonic()
    before, running = 0, True
    while running:
        thread.join(min(0.1, patience.seconds / 10))
        running = thread.is_alive()  # asked first, so that the last look sees all bytes
        now, done = time.monotonic(), os.fstat(file.fileno()).st_size
        progress(name, done, size)
        if done > most:
            raise Failed(f"it sends more than {most:,} bytes")
        if now - began > patience.total:
            raise Failed(f"it is not complete after {patience.total:g} s")
        if now - looked > patience.seconds:
            if done - before < patience.rate * patience.seconds:
                raise Failed(f"only {done - before:,} bytes in {patience.seconds:g} s")
            looked, before = now, done
    for error in errors:
        raise _explained(error, patience.seconds)


def _transfer(address: str, file: BinaryIO, seconds: float, errors: list[Exception]) -> None:
    """Write what the server sends; errors go to the thread that waits."""
    import requests  # which pooch uses, too
    from pooch import HTTPDownloader

    answers: list[requests.Response] = []  # to be closed: pooch leaves them open if anything fails

    def seen(answer: requests.Response, **_: Any) -> None:
        answers.append(answer)
        if answer.is_redirect:  # or requests would keep all that comes with it in memory
            answer.close()
        elif answer.status_code != HTTPStatus.OK:  # no content, a part of it, no new address
            raise requests.HTTPError(response=answer)

    download = HTTPDownloader(
        chunk_size=CHUNK, timeout=seconds,
        headers={"Accept-Encoding": "identity"},  # else requests unpacks what a server packs again
        hooks={"response": seen})
    try:
        download(address, file, None)
    except Exception as error:
        errors.append(error)
    finally:
        for answer in answers:
            answer.close()


def _explained(error: Exception, seconds: float) -> Exception:
    """What happened, as Failed; an error of the disk stays as it is."""
    import requests

    answer = getattr(error, "response", None)
    if answer is not None:  # of the reason only what is standard: the server's may be anything
        known = {status.value: status.phrase for status in HTTPStatus}
        return Failed(f"the server answered {answer.status_code} "
                      f"{known.get(answer.status_code, '')}".rstrip())
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return Failed(f"no answer for {seconds:g} s")
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return Failed("the connection closed before the end")
    if isinstance(error, requests.exceptions.SSLError):
        return Failed("the server's certificate was not accepted")
    if isinstance(error, requests.ConnectionError):
        return Failed("no connection")
    if isinstance(error, OSError) and not isinstance(error, requests.RequestException):
        # Of certificates that are not there, requests tells in a sentence.
        return error if error.errno is not None else Failed(str(error))
    return Failed("its answer breaks the rules of HTTP")
