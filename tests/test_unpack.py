"""Unpacking: what comes out of a good archive, and that no archive does more than bring files."""

import gzip
import io
import os
import re
import stat
import struct
import tarfile
import zipfile

import pytest

from minialex.datasets import DataError
from minialex.datasets.download import unpack as unpack_module
from minialex.datasets.download.unpack import unpack
from minialex.errors import FileError

pytestmark = pytest.mark.ch10

FILES = {"set/train/hat/1.jpg": b"one" * 1000, "set/train/shoe/2.jpg": b"", "set/LICENSE": b"CC0"}
KINDS = ["zip", "tar", "tar.gz"]


# Archives, good and planted


def make_zip(path, files, **options):
    """files: {name or ZipInfo: content}"""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name, content, **options)
    return path


def make_tar(path, files, mode="w"):
    """files: {name or TarInfo: content}"""
    with tarfile.open(path, mode) as packed:
        for info, content in files.items():
            info = info if isinstance(info, tarfile.TarInfo) else tarfile.TarInfo(info)
            if info.isreg():
                info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
    return path


def make(kind, path, files=FILES):
    if kind == "zip":
        return make_zip(path, files)
    return make_tar(path, files, "w:gz" if kind == "tar.gz" else "w")


def tar_entry(name, kind, **fields):
    info = tarfile.TarInfo(name)
    info.type = kind
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def zip_entry(name, mode):
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def tree(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*") if path.is_file()}


def refuses(archive, *parts, target=None, **options):
    """One line that names the archive and holds `parts`; and nothing is left behind."""
    target = target or archive.parent / "out" / "set"
    archive.parent.joinpath("out").mkdir(exist_ok=True)
    before = sorted(archive.parent.rglob("*"))
    pattern = "^" + re.escape(str(archive)) + ": .*" + ".*".join(map(re.escape, parts))
    with pytest.raises(DataError, match=pattern + r"[^\n]*\Z"):
        unpack(archive, target, **options)
    assert sorted(archive.parent.rglob("*")) == before
    return True


# Good ones


@pytest.mark.parametrize("kind", KINDS)
def test_good_archive_comes_out_whole(tmp_path, kind):
    """The name has no say: the content decides what kind of archive it is."""
    unpack(make(kind, tmp_path / "archive"), tmp_path / "new" / "here")
    assert tree(tmp_path / "new" / "here") == FILES
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["here"]


@pytest.mark.parametrize("kind", KINDS)
def test_root_becomes_the_target(tmp_path, kind):
    unpack(make(kind, tmp_path / "archive"), str(tmp_path / "here"), root="set")
    assert tree(tmp_path / "here") == {name[4:]: content for name, content in FILES.items()}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive", "here"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_lies_outside_of_the_root_is_not_dropped(tmp_path, kind):
    assert refuses(make(kind, tmp_path / "a", FILES | {"settler.jpg": b""}),
                   "'settler.jpg' lies outside of 'set'", root="set")


def test_folders_may_come_twice_and_as_a_dot(tmp_path):
    folder = tarfile.DIRTYPE
    archive = make_tar(tmp_path / "a", {tar_entry(".", folder): b"", tar_entry("./b", folder): b"",
                                        "./b/c.jpg": b"c", tar_entry("b", folder): b""})
    unpack(archive, tmp_path / "here")
    assert tree(tmp_path / "here") == {"b/c.jpg": b"c"}


def test_empty_folders_come_too(tmp_path):
    unpack(make_zip(tmp_path / "a", {"set/empty/": b"", "set/x": b""}), tmp_path / "here",
                   "set")
    assert (tmp_path / "here" / "empty").is_dir()


def test_permissions_are_those_of_any_new_file(tmp_path):
    entry = tar_entry("tool", tarfile.REGTYPE, mode=0o6777)
    unpack(make_tar(tmp_path / "a", {entry: b"x"}), tmp_path / "here")
    (tmp_path / "mine").write_bytes(b"x")
    assert os.stat(tmp_path / "here" / "tool").st_mode == os.stat(tmp_path / "mine").st_mode


def test_finish_sees_the_files_before_they_have_their_name(tmp_path):
    def finish(folder):
        assert not (tmp_path / "here").exists()
        (folder / "train").rename(folder / "learn")

    unpack(make("zip", tmp_path / "a"), tmp_path / "here", "set", finish)
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == ["LICENSE", "learn"]


# Refused: names


BAD_NAMES = {
    "absolute": ("/tmp/evil", "leaves the folder"),
    "climbing": ("../evil", "leaves the folder"),
    "climbing inside": ("set/../../evil", "leaves the folder"),
    "climbing and back": ("set/../evil", "leaves the folder"),
    "climbing on Windows": ("set/.. /. ./evil", "leaves the folder"),
    "backslash": ("..\\evil", "has a backslash, a colon or"),
    "drive": ("C:/evil", "has a backslash, a colon or"),
    "drive, relative": ("C:evil", "has a backslash, a colon or"),
    "line break": ("set/a\nb", "a control character in its name"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "why"), BAD_NAMES.values(), ids=BAD_NAMES)
def test_name_that_leaves_the_folder(tmp_path, kind, name, why):
    assert refuses(make(kind, tmp_path / "a", FILES | {name: b"x"}), "refused", repr(name), why,
                   "nothing was unpacked", "get the archive from the home")


def test_zero_byte_does_not_hide_the_rest_of_a_name(tmp_path):
    """zipfile itself would make "set/a.jpg" of it."""
    archive = make_zip(tmp_path / "a", {"set/a.jpgX.exe": b"x"})
    archive.write_bytes(archive.read_bytes().replace(b"a.jpgX", b"a.jpg\0"))
    assert refuses(archive, r"a.jpg\x00.exe", "a control character in its name")


def test_file_without_a_name(tmp_path):
    assert refuses(make_tar(tmp_path / "a", {"./": b"x"}), "has no name")


@pytest.mark.parametrize("kind", KINDS)
def test_name_that_comes_twice(tmp_path, kind):
    path = tmp_path / "a"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as packed:
            packed.writestr("x/a.jpg", b"1")
            packed.writestr("x/./a.jpg", b"2")
    else:
        make(kind, path, {"x/a.jpg": b"1", "x/./a.jpg": b"2"})
    assert refuses(path, "'x/./a.jpg' comes twice")


@pytest.mark.parametrize("kind", KINDS)
def test_file_that_is_a_folder_too(tmp_path, kind):
    assert refuses(make(kind, tmp_path / "a", {"x": b"1", "x/y": b"2"}), "'x/y' comes twice")
    assert refuses(make(kind, tmp_path / "b", {"x/y": b"2", "x": b"1"}), "'x' comes twice")


# Refused: what is neither file nor folder


BAD_TAR = {
    "symbolic link": tarfile.SYMTYPE, "hard link": tarfile.LNKTYPE, "pipe": tarfile.FIFOTYPE,
    "character device": tarfile.CHRTYPE, "block device": tarfile.BLKTYPE,
    "contiguous file": tarfile.CONTTYPE, "sparse file": tarfile.GNUTYPE_SPARSE,
}


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("kind", BAD_TAR.values(), ids=BAD_TAR)
def test_links_and_devices_in_tar(tmp_path, kind, mode):
    entry = tar_entry("set/odd", kind, linkname="/etc/passwd")
    assert refuses(make_tar(tmp_path / "a", FILES | {entry: b""}, mode), "'set/odd' is a link,")


def test_file_through_a_link_goes_nowhere(tmp_path):
    """The classic: a link out of the folder, then a file behind it."""
    (tmp_path / "home").mkdir()
    link = tar_entry("set", tarfile.SYMTYPE, linkname=str(tmp_path / "home"))
    assert refuses(make_tar(tmp_path / "a", {link: b"", "set/evil": b"x"}), "is a link")
    assert not list((tmp_path / "home").iterdir())


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_in_zip(tmp_path, mode):
    archive = make_zip(tmp_path / "a", {zip_entry("set/odd", mode | 0o777): b"/etc/passwd"})
    assert refuses(archive, "'set/odd' is a link or a device")


def test_encrypted_zip(tmp_path):
    archive = make_zip(tmp_path / "a", {"x": b"1"})
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1  # the flag in the directory of the archive
    archive.write_bytes(content)
    assert refuses(archive, "'x' is encrypted")


# Refused: bombs


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("limit", "least", "why"), [
    ("MOST_BYTES", 2**20, "unpacks to more than 1,048,575 bytes"),
    ("MOST_MEMBERS", 4, "has more than 3 members"), ("MOST_RATIO", None, "unpacks to more than")])
def test_limits(tmp_path, monkeypatch, kind, limit, least, why):
    """A megabyte of zeros packs to a thousandth. Just below each limit the archive is good."""
    archive = make(kind, tmp_path / "a", {"1": bytes(2**19), "2": bytes(2**19), "3": b"", "4": b""})
    monkeypatch.setattr(unpack_module, "MOST_RATIO", 10_000)
    least = least or -(-2**20 // archive.stat().st_size)
    monkeypatch.setattr(unpack_module, limit, least - 1)
    assert refuses(archive, why)
    monkeypatch.setattr(unpack_module, limit, least)
    unpack(archive, tmp_path / "here")
    assert len(tree(tmp_path / "here")) == 4


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_bomb_is_refused_by_default(tmp_path, kind):
    assert refuses(make(kind, tmp_path / "a", {"zeros": bytes(2**23)}), "unpacks to more than")


def test_bomb_is_stopped_before_it_is_written(tmp_path, monkeypatch):
    archive = make_tar(tmp_path / "a", {"zeros": bytes(2**23)}, "w:gz")
    monkeypatch.setattr("shutil.copyfileobj", None)
    assert refuses(archive, "unpacks to more than")


def test_header_that_would_fill_the_memory(tmp_path):
    """tarfile reads a long name in one piece, before anybody sees the member."""
    head = tar_entry("x", tarfile.GNUTYPE_LONGNAME, size=2**30).tobuf(tarfile.GNU_FORMAT)
    archive = tmp_path / "a"
    archive.write_bytes(gzip.compress(head + bytes(2**20)))
    assert refuses(archive, "damaged", "a header that is too long")


def test_header_that_no_memory_holds(tmp_path):
    """Of a tar that is not packed."""
    head = tar_entry("x", tarfile.GNUTYPE_LONGNAME, size=2**50).tobuf(tarfile.GNU_FORMAT)
    (tmp_path / "a").write_bytes(head + bytes(2**20))
    assert refuses(tmp_path / "a", "damaged", "a header that is too long")


def test_map_of_holes_that_takes_for_ever(tmp_path):
    """tarfile would look for the end of its first line, 512 bytes at a time, from the start."""
    with tarfile.open(tmp_path / "a", "w", format=tarfile.PAX_FORMAT) as packed:
        info = tar_entry("x", tarfile.REGTYPE, size=10**8)
        info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}
        packed.addfile(info)
    with open(tmp_path / "a", "r+b") as file:
        file.truncate(10**8 + 10**5)  # a hole: no room on disk
    assert refuses(tmp_path / "a", "damaged", "a file with holes")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["a" * 256, "ä" * 128, "/".join("a" * 51)])
def test_names_that_are_too_long(tmp_path, kind, name):
    """For a file system, which counts bytes; and folders in folders for ever."""
    assert refuses(make(kind, tmp_path / "a", {name: b""}), "has a name that is too long")
    longest = "a" * 255, "ä" * 127, "/".join("a" * 50)
    unpack(make(kind, tmp_path / "b", dict.fromkeys(longest, b"")), tmp_path / "here")
    assert sorted(tree(tmp_path / "here")) == sorted(longest)


def test_page_that_came_instead(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"<!DOCTYPE html><title>Log in</title>")
    assert refuses(tmp_path / "a.zip", "damaged (a page of the web, no archive)")


def test_negative_size(tmp_path):
    """tarfile would go back in the file, and come by again."""
    head = bytearray(tar_entry("x", tarfile.REGTYPE).tobuf(tarfile.GNU_FORMAT))
    head[124:136] = b"\xff" * 4 + struct.pack(">q", -512)
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    (tmp_path / "a").write_bytes(bytes(head) + bytes(1024))
    assert refuses(tmp_path / "a", "damaged ('x' is cut off)")


@pytest.mark.parametrize("size", [10, 10_500])
def test_zip_that_lies_about_a_size(tmp_path, size):
    archive = make_zip(tmp_path / "a", {"zeros": bytes(10_000)})
    content = archive.read_bytes()
    assert content.count(struct.pack("<I", 10_000)) == 2
    archive.write_bytes(content.replace(struct.pack("<I", 10_000), struct.pack("<I", size)))
    assert refuses(archive, "damaged")


# Damaged


@pytest.mark.parametrize("kind", KINDS)
def test_archive_cut_anywhere(tmp_path, kind):
    whole = make(kind, tmp_path / "whole", FILES | {"set/noise": os.urandom(3000)}).read_bytes()
    # tar pads with zeros to 10 kB, and does not need them
    needed = len(whole) if kind != "tar" else len(whole.rstrip(b"\0")) + 512
    for length in [*range(1, needed, 97), needed - 513, needed - 1]:
        (tmp_path / "a").write_bytes(whole[:length])
        assert refuses(tmp_path / "a", "damaged (", "get the whole archive again")


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_flipped_byte_is_noticed(tmp_path, kind):
    """Wherever the archive has a checksum; a plain tar has none for its contents."""
    archive = make(kind, tmp_path / "a", {"x": bytes(range(256)) * 8})
    whole = archive.read_bytes()
    for place in range(len(whole) // 2, len(whole) // 2 + 20):
        archive.write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1:])
        assert refuses(archive, "damaged (")


def test_broken_header_is_not_the_end(tmp_path):
    """tarfile stops there without a word."""
    whole = bytearray(make_tar(tmp_path / "a", {"1": b"x", "2": b"y"}).read_bytes())
    whole[1024 + 148] ^= 1  # the checksum of the second header
    (tmp_path / "a").write_bytes(whole)
    assert refuses(tmp_path / "a", "damaged (no end mark)")


@pytest.mark.parametrize("content", [b"", b"PK", b"<html>not found</html>", b"\x1f\x8b",
                                     gzip.compress(b"no tar"), bytes(range(256)) * 8])
def test_no_archive(tmp_path, content):
    (tmp_path / "a.zip").write_bytes(content)
    assert refuses(tmp_path / "a.zip", "damaged (", "get the whole archive again")


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_archive_of_nothing(tmp_path, kind):
    assert refuses(make(kind, tmp_path / "a", {}), "it is empty")


def test_missing_archive(tmp_path):
    assert refuses(tmp_path / "a.zip", "no such file", "check the path")


# Places


def test_target_that_exists_is_left_alone(tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "thesis").write_text("years of work")
    archive = make("zip", tmp_path / "a")
    with pytest.raises(FileError, match=r"here: exists already; move it away"):
        unpack(archive, tmp_path / "here")
    assert tree(tmp_path / "here") == {"thesis": b"years of work"}


def test_what_a_killed_run_left_is_swept_away(tmp_path):
    (tmp_path / ".here.part" / "set").mkdir(parents=True)
    (tmp_path / ".here.part" / "set" / "LICENSE").write_text("half")
    unpack(make("zip", tmp_path / "a"), tmp_path / "here", "set")
    assert (tmp_path / "here" / "LICENSE").read_bytes() == b"CC0"
    assert not (tmp_path / ".here.part").exists()


def test_link_in_place_of_the_unfinished_folder_is_not_followed(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis").write_text("years of work")
    (tmp_path / ".here.part").symlink_to(tmp_path / "home", target_is_directory=True)
    with pytest.raises(FileError, match=r"here: cannot be written \(File exists\)"):
        unpack(make("zip", tmp_path / "a"), tmp_path / "here", "set")
    assert tree(tmp_path / "home") == {"thesis": b"years of work"}


@pytest.mark.parametrize("error", [KeyboardInterrupt(), DataError("no")])
def test_interrupted_finish_leaves_nothing(tmp_path, error):
    def finish(folder):
        assert tree(folder)
        raise error

    with pytest.raises(type(error)):
        unpack(make("zip", tmp_path / "a"), tmp_path / "here", "set", finish)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_full_disk(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, os.strerror(28))

    archive = make("zip", tmp_path / "a")
    monkeypatch.setattr("shutil.copyfileobj", full)
    with pytest.raises(FileError, match=r"here: cannot be written \(No space left on device\); "
                                        "make room, or choose another folder"):
        unpack(archive, tmp_path / "here")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_folder_that_cannot_be_written(tmp_path):
    archive = make("zip", tmp_path / "a")
    with pytest.raises(FileError, match=r"here: cannot be written \(Not a directory\)"):
        unpack(archive, archive / "here")
