"""Files that appear whole or not at all, and nothing that writes through a link."""

import errno
import os
import re
import subprocess
import sys

import pytest

from minialex import files
from minialex.errors import FileError, InputError
from minialex.files import (
    appending,
    check_writable,
    locked,
    read_json,
    replacing,
    sweep,
    text_lines,
)

links = pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="this system has no such flag")


def fails(*parts, kind=FileError):
    return pytest.raises(kind, match=r"\A[^\n]*" + "[^\n]*".join(
        re.escape(str(part)) for part in parts) + r"[^\n]*\Z")


@pytest.fixture
def victim(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    path = tmp_path / "elsewhere" / "thesis"
    path.write_bytes(b"years of work")
    yield path
    assert path.read_bytes() == b"years of work"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# replacing


@pytest.mark.parametrize("before", [None, b"old"])
def test_file_appears_when_it_is_whole(folder, before):
    path = folder / "a"
    if before:
        path.write_bytes(before)
    with replacing(path) as file:
        file.write(b"new")
        assert (path.read_bytes() if before else path.exists()) == (before or False)
        assert len(list(folder.glob("a.*.part"))) == 1
    assert names(folder) == ["a"] and path.read_bytes() == b"new"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("no"), OSError(28, "full")])
def test_what_goes_wrong_changes_nothing(folder, error):
    (folder / "a").write_bytes(b"old")
    expected = FileError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected), replacing(folder / "a") as file:
        file.write(b"new")
        raise error
    assert names(folder) == ["a"] and (folder / "a").read_bytes() == b"old"


def test_full_disk_is_named(folder, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with fails(folder / "a", "cannot be written (No space left on device), and is as it was before",
               "make room on the disk"), replacing(folder / "a") as file:
        file.write(b"new")
    assert names(folder) == []


def test_two_at_a_time_do_not_mix(folder):
    with replacing(folder / "a") as one, replacing(folder / "a") as other:
        one.write(b"one")
        other.write(b"other")
    assert (folder / "a").read_bytes() == b"one", "the last to end"
    assert names(folder) == ["a"]


def test_leftover_of_a_killed_process_is_not_in_the_way(folder):
    for name in "a.part", "a.01234567.part":
        (folder / name).write_bytes(b"half")
    with replacing(folder / "a") as file:
        file.write(b"new")
    assert (folder / "a").read_bytes() == b"new"
    (folder / "b.part").write_bytes(b"half")
    sweep(folder, "a*")
    assert names(folder) == ["a", "b.part"]
    sweep(folder)
    assert names(folder) == ["a"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_what_is_no_file_is_not_replaced(folder):
    os.mkfifo(folder / "a")
    with fails(folder / "a", "is no file, and stays as it is"), replacing(folder / "a"):
        pass
    assert (folder / "a").is_fifo() and names(folder) == ["a"]


@links
@pytest.mark.parametrize("name", ["a", "a.part"])
def test_link_is_replaced_and_not_followed(folder, victim, name):
    (folder / name).symlink_to(victim)
    with replacing(folder / "a") as file:
        file.write(b"new")
    assert (folder / "a").read_bytes() == b"new" and not (folder / "a").is_symlink()


@links
def test_link_of_a_name_that_was_guessed_is_not_followed(folder, victim, monkeypatch):
    monkeypatch.setattr(files.secrets, "token_hex", lambda count: "guessed")
    (folder / "a.guessed.part").symlink_to(victim)
    with fails(folder / "a", "cannot be written (File exists)"), replacing(folder / "a"):
        pass


def test_rights_are_those_of_any_new_file(folder):
    (folder / "plain").write_bytes(b"")
    with replacing(folder / "a"):
        pass
    assert os.stat(folder / "a").st_mode == os.stat(folder / "plain").st_mode


@pytest.mark.parametrize(("refusals", "written"), [(2, True), (99, False)])
def test_virus_scanner_that_holds_the_file_for_a_moment(folder, monkeypatch, refusals, written):
    """As on Windows, where a file that is open cannot be replaced."""
    calls, replace = [], os.replace

    def refuse(source, target):
        calls.append(target)
        if len(calls) <= refusals:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        replace(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    monkeypatch.setattr(files.time, "sleep", lambda seconds: None)
    if written:
        with replacing(folder / "a") as file:
            file.write(b"new")
    else:
        with fails("cannot be written (Permission denied)"), replacing(folder / "a"):
            pass
    assert (folder / "a").exists() == written and len(names(folder)) == written
    assert 1 < len(calls) < 10


# appending


def test_appending_makes_and_lengthens_a_file(folder):
    for _ in range(2):
        with appending(folder / "log") as file:
            file.write(b"line\n")
    assert (folder / "log").read_bytes() == b"line\nline\n"


@links
def test_appending_follows_no_link(folder, victim):
    (folder / "log").symlink_to(victim)
    with fails(folder / "log", "cannot be written ("), appending(folder / "log"):
        pass


# check_writable


def test_folder_that_can_be_written_is_made_and_left_empty(tmp_path):
    assert check_writable(tmp_path / "new" / "folder") == tmp_path / "new" / "folder"
    assert names(tmp_path / "new" / "folder") == []


def test_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with fails(tmp_path / "file" / "x", "cannot be written (Not a directory); sing a song"):
        check_writable(tmp_path / "file" / "x", "sing a song")


# read_json


@pytest.mark.parametrize(("content", "why"), [
    (b'{"a": 1', "line 1 is damaged"), (b"", "line 1 is damaged"), (b"\xff", "it is no text"),
    (b'{"a":\n1\n', "line 3 is damaged"), (b"[]", "it holds no named values"),
    (b"null", "it holds no named values"), (b'{"a": ' + b"1" * 9999 + b"}", "too many digits"),
    (b"[" * 100_000 + b"]" * 100_000, "nested too deep"),
], ids=["cut", "empty", "bytes", "lines", "list", "null", "digits", "deep"])
def test_damaged_json_says_why(folder, content, why):
    (folder / "a.json").write_bytes(content)
    with fails(why, kind=InputError):
        read_json(folder / "a.json")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipe_in_place_of_json_is_not_waited_for(folder):
    os.mkfifo(folder / "a.json")
    with fails("it is no file", kind=InputError):
        read_json(folder / "a.json")


def test_json_of_any_size_is_not_read_into_memory(folder):
    with open(folder / "a.json", "wb") as file:
        file.truncate(10**12)  # a hole: it takes no room on the disk
    with fails("more than ", kind=InputError):
        read_json(folder / "a.json")


def test_json_is_read_or_missing(folder):
    with fails("No such file or directory", kind=InputError):
        read_json(folder / "a.json")
    (folder / "a.json").write_text('{"a": [1, null]}')
    assert read_json(folder / "a.json") == {"a": [1, None]}


# text_lines


def test_lines_of_a_text(folder):
    (folder / "a.txt").write_bytes("é\r\n\nb".encode())
    assert list(text_lines(folder / "a.txt")) == ["é\r\n", "\n", "b"]


@pytest.mark.parametrize(("put", "message"), [
    (lambda path: path.write_bytes(b"ok\n\xff"), "it is no text in UTF-8"),
    (lambda path: (path.write_bytes(b"ok\n"), os.truncate(path, 10**12)),  # a hole: no room on disk
     "a line of 65,536 letters or more"),
    pytest.param(lambda path: os.mkfifo(path), "it is no file", marks=pytest.mark.skipif(
        not hasattr(os, "mkfifo"), reason="this system has no named pipes")),
    (lambda path: path.mkdir(), "it is no file")], ids=["bytes", "huge", "pipe", "folder"])
def test_what_is_no_text_costs_no_memory_and_no_time(folder, put, message):
    put(folder / "a.txt")
    with pytest.raises(InputError, match=message):
        list(text_lines(folder / "a.txt"))


# locked


def test_lock_is_that_of_the_process(tmp_path):
    """Held while it lives, free after a kill."""
    code = ("import sys, time\nfrom minialex.files import locked\n"
            "with locked('l', ''):\n    print(flush=True)\n    time.sleep(60)")
    with subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path,
                          stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        with fails("another minialex is at work here (it holds ", tmp_path / "l"), \
                locked(tmp_path / "l", ""):
            pass
        other.kill()
    with locked(tmp_path / "l", ""):
        assert (tmp_path / "l").exists()
    assert names(tmp_path) == []


@links
@pytest.mark.parametrize("put", [
    lambda path, victim: path.symlink_to(victim), lambda path, victim: os.link(victim, path),
    lambda path, victim: path.mkdir()], ids=["link", "second name", "folder"])
def test_lock_is_a_file_of_its_own(folder, victim, put):
    put(folder / "l", victim)
    with fails(folder / "l", "is a link, or no file; remove it"), locked(folder / "l", ""):
        pass
