"""Public data sets: the facts of each, bringing it here, and every way in which that can fail.

No test reaches the network: the addresses are those of a server on this machine, and a name of any
other machine fails the test.
"""

import dataclasses
import errno
import gzip
import hashlib
import io
import json
import os
import random
import re
import socket
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pooch
import pytest
from misbehaving_server import serve
from test_unpack import make_tar, tree

from minialex import datasets
from minialex.datasets import SETS, DataError, data_folder, find_set, get_set, sets
from minialex.datasets.download import fetch, transfer
from minialex.datasets.download.transfer import Patience
from minialex.datasets.sets import look_up
from minialex.datasets.sets.facts import Download
from minialex.errors import FileError, MinialexError
from minialex.files import locked
from minialex.tools import data_list
from minialex.tools.text import command

pytestmark = pytest.mark.ch10

FILE = bytes(range(256)) * 1000  # larger than what is written at a time
HASTY = Patience(0.3, 1000, 5)
GETTABLE = ["fashion-mnist-full", "mnist", "cifar10", "clothing", "imagenette"]
ARCHIVES = ["cifar10", "clothing", "imagenette"]
archives = pytest.mark.parametrize("name", ARCHIVES)
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture(autouse=True)
def this_machine_only(monkeypatch):
    def look_up_address(host, *arguments, real=socket.getaddrinfo):
        assert host == "127.0.0.1", f"a test asks for {host}"
        return real(host, *arguments)

    monkeypatch.setattr(socket, "getaddrinfo", look_up_address)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty working folder, and a user's cache beside it that is not this user's."""
    monkeypatch.setattr(fetch, "_cache", lambda: tmp_path / "cache")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture
def server():
    with serve({"f.bin": FILE}) as running:
        yield running


def download(server, *kinds, name="f.bin", content=FILE):
    """A file whose addresses do what `kinds` say."""
    return Download(name, tuple(server.address(kind, name) for kind in kinds), len(content),
                    f"sha256:{hashlib.sha256(content).hexdigest()}")


def bring(wanted, folder, **options):
    return fetch.fetch(wanted, folder, HASTY, **options)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def fails(*parts, kind=MinialexError):
    """An error that the user can mend, in one line that holds `parts` in this order."""
    return pytest.raises(kind, match=r"\A[^\n]*" + "[^\n]*".join(
        re.escape(str(part)) for part in parts) + r"[^\n]*\Z")


# The facts


def test_figures_that_everybody_knows():
    """And a name means one set: the images that come with minialex are not all of Fashion-MNIST."""
    total = {name: sum(known.images.values()) for name, known in SETS.items()}
    assert total == {"fashion-mnist": 12_000, "fashion-mnist-full": 70_000, "mnist": 70_000,
                     "cifar10": 60_000, "clothing-mini": 250, "clothing": 3_781,
                     "imagenette": 13_394, "imagenet": 1_331_167}
    assert look_up("mnist").size == 9_912_422 + 28_881 + 1_648_877 + 4_542
    assert look_up("clothing").size is None
    embedded = [name for name, known in SETS.items() if known.embedded]
    assert embedded == ["fashion-mnist", "clothing-mini"]
    assert [name for name, known in SETS.items() if not known.mirrored] == ["mnist"], (
        "a digit in a mirror is another sign")


@pytest.mark.parametrize("known", SETS.values(), ids=list(SETS))
def test_facts_are_complete_and_consistent(known):
    assert known.images.keys() <= {"train", "val", "test"} and "train" in known.images
    assert all(count > 0 for count in known.images.values())
    for text in (known.licence, known.citation, known.pixels):
        assert text and text == text.strip()
    assert known.home.startswith("http") and len(known.licence) <= 12 and len(known.pixels) <= 6
    assert len(set(known.holds)) == len(known.holds) > 0
    for file in known.downloads:
        assert file.checksum is None or re.fullmatch("sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}",
                                                     file.checksum)
        assert file.checksum or known.content, "nothing vouches for it"
        assert file.size is None or file.size > 1000
        assert known.name == "imagenet" or len(set(file.addresses)) >= 2, "no mirror"
        assert all(address.startswith(("https://", "http://fashion-mnist.s3-website"))
                   for address in file.addresses)
    assert bool(known.downloads) != known.embedded
    if known.read:
        assert len(known.class_names) == known.classes
    elif known.embedded:  # prepared
        assert {f"{split}-00000.zip" for split in known.images} < set(known.holds)
    else:
        assert set(known.holds) == known.images.keys()


def test_digest_of_clothing_is_that_of_its_list(test_data):
    """The list has the checksum of each photograph as it was published."""
    text = (test_data / "clothing-256" / "manifest.csv").read_text(encoding="utf-8")
    header, *rows = (line.split(",") for line in text.splitlines())
    columns = [header.index(name) for name in ("path", "source_sha256")]
    pairs = sorted([row[column] for column in columns] for row in rows)
    lines = "".join(f"{checksum}  {path}\n" for path, checksum in pairs)
    assert hashlib.sha256(lines.encode()).hexdigest() == look_up("clothing").content


def sha256sums(files):
    """What sha256sum prints for {name: content}."""
    return "".join(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files))


def test_digest_is_that_of_sha256sum(tmp_path):
    for name in ("val/a/1.jpg", "train/b/2.jpg", "train/a/3.jpg", "train/a/note.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    listed = sha256sums({name: name.encode() for name in
                         ("train/a/3.jpg", "train/b/2.jpg", "val/a/1.jpg")})
    assert fetch.content_digest(tmp_path) == hashlib.sha256(listed.encode()).hexdigest()


# One file


@pytest.mark.parametrize("kind", ["good", "redirect", "redirect with a flood"])
def test_good_server(server, tmp_path, capsys, kind):
    told = []
    path = bring(download(server, kind, "404"), tmp_path / "new" / "folder",
                 progress=lambda *what: told.append(what))
    assert path == tmp_path / "new" / "folder" / "f.bin" and path.read_bytes() == FILE
    assert names(path.parent) == ["f.bin"]
    assert server.asked[-1] == "good", "the mirror is left in peace"
    assert told[-1] == ("f.bin", len(FILE), len(FILE)) and told == sorted(told)
    assert capsys.readouterr() == ("", "")


def test_file_without_a_published_size(server, tmp_path):
    bare = dataclasses.replace(download(server, "good"), size=None, checksum=None)
    assert bring(bare, tmp_path).read_bytes() == FILE


MISTAKES = {
    "closed": "no connection",
    "403": "the server answered 403 Forbidden",
    "404": "the server answered 404 Not Found",
    "500": "the server answered 500 Internal Server Error",
    "wrong": "its sha256 checksum is ",
    "longer": "it sends more than 256,000 bytes",
    "endless": "it sends more than 256,000 bytes",
    "page": "it has 49 bytes, not 256,000",
    "short": "the connection closed before the end",
    "cut chunks": "the connection closed before the end",
    "stall": "0.3 s",
    "silent": "0.3 s",
    "slow": "only 0 bytes in 0.3 s",
    "slow headers": "only 0 bytes in 0.3 s",
    "always 100": "only 0 bytes in 0.3 s",
    "loop": "the server answered 302 Found",
    "204": "the server answered 204 No Content",
    "206": "the server answered 206 Partial Content",
    "302": "the server answered 302 Found",
    "nonsense": "its answer breaks the rules of HTTP",
}


@pytest.mark.parametrize(("kind", "why"), MISTAKES.items(), ids=MISTAKES)
def test_misbehaving_server(server, tmp_path, kind, why):
    """What happened, what to fetch by hand, where to put it; no file, whole or half. Then the next
    address is asked.
    """
    wanted = download(server, kind)
    host = wanted.addresses[0].split("/")[2]
    with fails("f.bin did not come (", f"{host}: ", why, f"); download {wanted.addresses[0]} by "
               f"hand, put it into {tmp_path}, then run the same command again", kind=DataError):
        bring(wanted, tmp_path)
    assert not names(tmp_path)
    said = []
    path = bring(download(server, kind, "good", "404"), tmp_path, say=said.append)
    assert path.read_bytes() == FILE and server.asked[-1] == "good"
    assert names(tmp_path) == ["f.bin"]
    assert len(said) == 1 and why in said[0]


@pytest.mark.parametrize(("patience", "why"), [
    (Patience(0.2, 10**9, 5), "bytes in 0.2 s"),
    (Patience(1, 0, 0.2), "it is not complete after 0.2 s")], ids=["rate", "deadline"])
def test_server_that_sends_too_little_is_given_up(server, tmp_path, monkeypatch, patience, why):
    """Each limit alone; the stream never ends, and would soon be larger than what is allowed."""
    large = dataclasses.replace(download(server, "endless"), size=10**12)
    monkeypatch.setitem(server.files, "f.bin", b"x")
    looks = iter(range(200))
    with fails("f.bin did not come (", why):
        fetch.fetch(large, tmp_path, patience, progress=lambda *_: next(looks))
    assert not names(tmp_path)


def test_every_failure_is_named(server, tmp_path):
    with fails("403 Forbidden; 127.0.0.1:", "its sha256 checksum is ", "; 127.0.0.1:",
               "500 Internal", "download", "/403/f.bin by hand"):
        bring(download(server, "403", "wrong", "500"), tmp_path)


def test_file_put_there_by_hand_is_used(server, tmp_path):
    (tmp_path / "f.bin").write_bytes(FILE)
    assert bring(download(server, "good"), tmp_path) == tmp_path / "f.bin"
    assert server.asked == []


@pytest.mark.parametrize(("content", "why"), [
    (FILE[:1000], "it has 1,000 bytes, not 256,000"), (b"", "it has 0 bytes"),
    (FILE[::-1], "its sha256 checksum is ")])
def test_wrong_file_put_there_by_hand(server, tmp_path, content, why):
    """It is the user's: not overwritten, and not removed."""
    (tmp_path / "f.bin").write_bytes(content)
    with fails(tmp_path / "f.bin", why, "remove it, then run the same command again"):
        bring(download(server, "good"), tmp_path)
    assert (tmp_path / "f.bin").read_bytes() == content and server.asked == []


def test_what_a_killed_run_left_is_swept_away(server, tmp_path):
    (tmp_path / "f.bin.0123abcd.part").write_bytes(b"half" * 10**6)
    assert bring(download(server, "good"), tmp_path).read_bytes() == FILE
    assert names(tmp_path) == ["f.bin"]


@pytest.mark.parametrize(("place", "name"), [(pooch.HTTPDownloader, "__call__"), (os, "fsync")],
                         ids=["writing", "at the end"])
def test_full_disk(server, tmp_path, monkeypatch, place, name):
    monkeypatch.setattr(place, name, Mock(side_effect=FULL))
    with fails(tmp_path / "f.bin", "cannot be written (No space left on device)", "make room",
               kind=FileError):
        bring(download(server, "good", "good"), tmp_path)
    assert not names(tmp_path)
    assert len(server.asked) <= 1, "a mirror does not help here"


def test_certificates_that_are_not_there(server, tmp_path, monkeypatch):
    """A fault of the settings, not of the disk."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "no.pem"))
    secure = dataclasses.replace(download(server, "good"), addresses=("https://127.0.0.1/f.bin",))
    with fails("f.bin did not come (", "CA certificate bundle, invalid path: ", "no.pem"):
        bring(secure, tmp_path)


@pytest.mark.parametrize("folder", ["file", "file/below", "/proc/below"])
def test_folder_that_cannot_be_written(server, tmp_path, folder):
    """Permissions would not stop root; these do."""
    if folder.startswith("/proc") and not Path("/proc/self").exists():
        pytest.skip("needs Linux")
    (tmp_path / "file").write_text("")
    with fails(tmp_path / folder, "cannot be written (", kind=FileError):
        bring(download(server, "good"), tmp_path / folder)


def test_ctrl_c_in_the_middle(server, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        bring(download(server, "stall"), tmp_path, progress=Mock(side_effect=KeyboardInterrupt))
    assert not names(tmp_path)
    assert bring(download(server, "good"), tmp_path).read_bytes() == FILE


# Where sets lie


def fill(folder, name):
    """Something of the right name for all that a set holds."""
    for inside in look_up(name).holds:
        (folder / name / inside).mkdir(parents=True)
    return folder / name


def test_data_folder(place):
    assert data_folder() == place.parent / "cache"
    assert data_folder("elsewhere") == Path("elsewhere")
    assert data_folder("~/sets") == Path.home() / "sets"
    assert data_folder("~nobody-at-all/sets") == Path("~nobody-at-all/sets"), "a name as any other"
    (place / "data").write_text("no folder")
    assert data_folder() == place.parent / "cache"
    (place / "data").unlink()
    (place / "data").mkdir()
    assert data_folder() == Path("data")
    assert data_folder(place) == place


def test_set_is_looked_for_in_order(place):
    assert find_set("mnist") is None
    cached = fill(place.parent / "cache", "mnist")
    assert find_set("mnist") == cached
    (place / "data").mkdir()
    assert find_set("mnist") == cached
    fill(place / "data", "mnist")
    assert find_set("mnist") == Path("data", "mnist")
    assert find_set("mnist", place) is None, "only there, if a folder is given"
    assert find_set("mnist", place / "data") == place / "data" / "mnist"


@pytest.mark.parametrize("name", [*GETTABLE, "imagenet"])
def test_incomplete_set_is_none(place, name):
    folder = fill(place / "data", name)
    assert find_set(name) is not None
    (folder / look_up(name).holds[-1]).rmdir()
    assert find_set(name) is None


@pytest.mark.parametrize("function", [find_set, get_set, look_up])
def test_unknown_set(place, function):
    with fails("there is no data set 'mnits'; use one of fashion-mnist, fashion-mnist-full, mnist, "
               "cifar10, clothing-mini, clothing, imagenette, imagenet", kind=DataError):
        function("mnits")


def test_embedded_set_is_always_here_and_the_full_one_is_another(small, place):
    here = find_set("fashion-mnist")
    assert here == find_set("fashion-mnist", place) == get_set("fashion-mnist", place)
    assert (here / "train-images-idx3-ubyte.gz").is_file() and small.server.asked == []
    assert find_set("fashion-mnist-full", here.parent) is None
    get_set("fashion-mnist-full", place)
    assert len(datasets.open("fashion-mnist", folder=place).train) == 10_000
    assert len(datasets.open("fashion-mnist-full", folder=place).train) == 2


# Whole sets, small


def idx(*shape):
    file = bytes([0, 0, 8, len(shape)]) + b"".join(n.to_bytes(4, "big") for n in shape)
    count = shape[0] * (28 * 28 if len(shape) == 3 else 1)
    return gzip.compress(file + bytes(count), mtime=0)


def zipped(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return buffer.getvalue()


PHOTOGRAPHS = {f"{split}/hat/{split}.jpg": split.encode() for split in ("train", "val", "test")}


@pytest.fixture
def small(place, monkeypatch):
    """The sets with tiny contents and a server of them; `small.serve(*kinds)` is what it does."""
    def tarred(files):
        return make_tar(place.parent / "packed", files, "w:gz").read_bytes()

    clothing, things = look_up("clothing"), look_up("cifar10")
    theirs = {f"{clothing.root}/{name.replace('val/', 'validation/')}": content
              for name, content in PHOTOGRAPHS.items()} | {f"{clothing.root}/README.md": b"hello"}
    record = b"\7" + random.Random(0).randbytes(3072)
    contents = {
        "train-images-idx3-ubyte.gz": idx(2, 28, 28), "train-labels-idx1-ubyte.gz": idx(2),
        "t10k-images-idx3-ubyte.gz": idx(1, 28, 28), "t10k-labels-idx1-ubyte.gz": idx(1),
        "cifar-10-binary.tar.gz": tarred({f"{things.root}/{name}": 2 * record
                                          for name in things.holds}),
        "imagenette2-320.tgz": tarred({f"imagenette2-320/{split}/n01440764/1.JPEG": b"fish"
                                       for split in ("train", "val")}),
        clothing.downloads[0].name: zipped(theirs)}
    content = hashlib.sha256(sha256sums(PHOTOGRAPHS).encode()).hexdigest()
    with serve(contents) as server:
        def serves(*kinds):
            known = dict(SETS)
            for name in GETTABLE:
                files = [download(server, *kinds, name=file.name, content=contents[file.name])
                         for file in SETS[name].downloads]
                known[name] = dataclasses.replace(SETS[name], downloads=tuple(files))
            bare = dataclasses.replace(known["clothing"].downloads[0], size=None, checksum=None)
            known["clothing"] = dataclasses.replace(SETS["clothing"], content=content,
                                                    downloads=(bare,))
            for module in sets, data_list, sys.modules["minialex.datasets.open"]:
                monkeypatch.setattr(module, "SETS", known)

        serves("good")
        yield SimpleNamespace(server=server, contents=contents, serve=serves, theirs=theirs)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist-full"])
def test_get_loose_files(small, place, name):
    folder = get_set(name)
    assert folder == place.parent / "cache" / name == find_set(name)
    assert sorted(tree(folder)) == sorted(look_up(name).holds)
    assert datasets.mnist("train", folder)[0].shape == (2, 28, 28, 1)
    assert get_set(name) == folder
    assert small.server.asked == ["good"] * 4, "no second time"


def test_one_file_by_hand_the_others_fetched(small, place):
    (place / "mnist").mkdir()
    name = "t10k-images-idx3-ubyte.gz"
    (place / "mnist" / name).write_bytes(small.contents[name])
    assert get_set("mnist", place) == place / "mnist" == find_set("mnist", place)
    assert len(small.server.asked) == 3
    (place / "mnist" / "t10k-labels-idx1-ubyte.gz").write_bytes(b"damaged")
    with fails(place / "mnist" / "t10k-labels-idx1-ubyte.gz", "it has 7 bytes", "remove it"):
        get_set("mnist", place)


def test_all_that_is_missing_is_named_at_once(small, place):
    small.serve("403")
    (place / "mnist").mkdir()
    name = "t10k-labels-idx1-ubyte.gz"
    (place / "mnist" / name).write_bytes(small.contents[name])
    with fails("download http://127.0.0.1", "train-images-idx3-ubyte.gz by hand, and beside it "
               "train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz, put them into "
               f"{place / 'mnist'}, then run"):
        get_set("mnist", place)


def test_get_archives(small, place, monkeypatch):
    """Splits are called as everywhere; what else lay in an archive is kept, but not the archive."""
    folder = get_set("cifar10", place)
    assert sorted(tree(folder)) == sorted(look_up("cifar10").holds)
    assert datasets.cifar10("train", folder)[0].shape == (10, 32, 32, 3)
    assert tree(get_set("clothing", place)) == PHOTOGRAPHS | {"README.md": b"hello"}
    assert sorted(tree(get_set("imagenette", place))) == ["train/n01440764/1.JPEG",
                                                          "val/n01440764/1.JPEG"]
    assert names(place) == sorted(ARCHIVES)
    for expensive in ("content_digest", "unpack", "fetch"):
        monkeypatch.setattr(fetch, expensive, None)
    for name in ARCHIVES:
        said = []
        assert get_set(name, place, say=said.append) == place / name and said == [], "no 2nd time"
    assert small.server.asked == ["good"] * 3


@archives
def test_archive_put_there_by_hand(small, place, name):
    """It is used, and it stays: minialex removes only what it fetched."""
    small.serve("500")
    archive = place / look_up(name).downloads[0].name
    archive.write_bytes(small.contents[archive.name])
    said = []
    assert get_set(name, place, say=said.append) == place / name
    assert archive.exists() and small.server.asked == []
    assert said == [f"unpacking {archive}", f"{archive} is not needed any more"]


@archives
@pytest.mark.parametrize("kind", ["403", "short", "page"])
def test_failed_get_leaves_nothing(small, place, name, kind):
    small.serve(kind)
    with fails(look_up(name).downloads[0].name):
        get_set(name, place)
    assert names(place) == []
    small.serve("good")
    assert get_set(name, place) == place / name


@pytest.mark.parametrize(("change", "why"), [
    (lambda files: files | {next(iter(files)): b"another hat"}, "its pictures are not the "),
    (lambda files: dict(list(files.items())[1:] + [("x", b"")]), "lies outside of"),
    (lambda files: {name: content for name, content in files.items() if "valid" not in name},
     "holds no val;"),
    (lambda files: files | {f"{look_up('clothing').root}/val/hat/x.jpg": b"more"},
     "its pictures are not the "),
], ids=["changed", "outside", "no split", "one more"])
def test_photographs_that_are_others(small, place, change, why):
    """There is no checksum of the archive: its content decides."""
    name = look_up("clothing").downloads[0].name
    small.server.files[name] = zipped(change(small.theirs))
    with fails(name, why):
        get_set("clothing", place)
    assert names(place) == []
    (place / name).write_bytes(small.server.files[name])
    with fails(name, why, f"; remove {place / name}, then run the same command again"):
        get_set("clothing", place)
    assert names(place) == [name], "put there by hand, it stays"


@archives
def test_folder_that_is_half_a_set_is_left_alone(small, place, name):
    """Also where its archive lies inside."""
    archive, half = look_up(name).downloads[0].name, place / name / look_up(name).holds[0]
    half.mkdir(parents=True)
    (place / name / archive).write_bytes(small.contents[archive])
    assert find_set(name, place) is None
    with fails(place / name, "is there, but without ", "move it away (",
               f"{archive} belongs beside it), then run"):
        get_set(name, place)
    assert small.server.asked == [] and half.is_dir()


@pytest.mark.parametrize("name", ["imagenette", "clothing"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, FULL], ids=["Ctrl-C", "full disk"])
def test_unpacking_is_taken_up_where_it_stopped(small, place, monkeypatch, name, error):
    """What was fetched is not fetched again, be it checked by a sum or not."""
    archive = look_up(name).downloads[0].name
    with monkeypatch.context() as patch:
        patch.setattr("shutil.copyfileobj", Mock(side_effect=error))
        with pytest.raises((KeyboardInterrupt, FileError)) as caught:
            get_set(name, place)
    if error is FULL:
        assert str(caught.value) == (f"{place / name}: cannot be written (No space left on device)"
                                     "; make room, or choose another folder")
    assert names(place) == [archive]
    assert get_set(name, place) == place / name
    assert small.server.asked == ["good"]


def test_imagenet_is_fetched_by_hand(place):
    with fails("imagenet: its owners give it only to those who accept their terms; sign up at "
               "https://image-net.org/", "ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar, "
               f"ILSVRC2012_devkit_t12.tar.gz into {place / 'imagenet'}; then prepare that folder"):
        get_set("imagenet", place)


@pytest.mark.parametrize("inside", [look_up("imagenet").holds,
                                    [file.name for file in look_up("imagenet").downloads]],
                         ids=["folders", "tars"])
def test_imagenet_that_is_here(place, inside):
    assert find_set("imagenet", place) is None
    for name in inside:
        (place / "imagenet" / name).mkdir(parents=True)
    assert get_set("imagenet", place) == place / "imagenet" == find_set("imagenet", place)


# Two at a time


def test_set_that_came_while_we_looked(small, place, monkeypatch):
    """From another process, between our look and our lock."""
    get_set("imagenette", place)
    monkeypatch.setattr(fetch, "find_set", lambda *_: None)
    assert get_set("imagenette", place) == place / "imagenette"
    assert small.server.asked == ["good"]


def test_one_process_at_a_time(small, place):
    """It does not wait, and takes nothing from the one that was first."""
    for name in GETTABLE:
        (place / f".{name}.lock").touch()  # of a process that was killed
        with locked(place / f".{name}.lock", ""), fails(
                "another minialex is at work here (it holds ", f".{name}.lock); "
                "wait until it is done, then run the same command again"):
            get_set(name, place)
        assert names(place) == [] == small.server.asked
    get_set("mnist", place)
    with locked(place / ".mnist.lock", ""):
        assert get_set("mnist", place) == place / "mnist", "what is complete needs no lock"


def test_lock_that_cannot_be_written(small, place):
    (place / "file").write_text("")
    with fails(place / "file", "cannot be written (", "); make room, or choose another folder, "
               "then run the same command again", kind=FileError):
        get_set("cifar10", place / "file")


# The command


def where(out):
    """The last column of the table, by name."""
    return {line.split()[0]: line.split()[-1] for line in out.splitlines()[1:1 + len(SETS)]}


def test_list_shows_what_is_here(small, minialex, place):
    nowhere = dict.fromkeys(SETS, "-") | {"fashion-mnist": "embedded",
                                          "clothing-mini": "embedded"}
    result = minialex("data", "list")
    assert result.code == 0 and result.err == "" and where(result.out) == nowhere
    get_set("mnist")
    (place / "data").mkdir()
    get_set("clothing")
    get_set("fashion-mnist-full")
    assert where(minialex("data", "list").out) == nowhere | {
        "fashion-mnist-full": "./data", "mnist": "cache", "clothing": "./data"}
    fill(place / "mine", "imagenet")
    result = minialex("data", "list", "--data-dir", "mine")
    assert where(result.out) == nowhere | {"imagenet": "--data-dir"}
    assert "bring a set to mine:" in result.out
    assert result.out.endswith(" data get NAME --data-dir mine\n")
    assert "bring a set to data:" in minialex("data", "list").out


@pytest.mark.parametrize("columns", [60, 80])
def test_list_fits_a_terminal(minialex, place, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    (place / "data").mkdir()
    out = minialex("data", "list").out
    rows = [line for line in out.splitlines() if "minialex data" not in line]
    assert max(map(len, rows)) <= columns
    for figures in (r"^fashion-mnist-full +70,000 +10 +(28x28 +)?30.9 MB", r"1,331,167 +1,000",
                    r"^fashion-mnist +12,000 +10 +(28x28 +)?- ", r"341\.7 MB", "by hand"):
        assert re.search(figures, out, re.MULTILINE), figures
    assert re.search(r"30\.9 MB  MIT", out) or columns == 60


def test_list_as_json(small, minialex, place):
    get_set("mnist", place / "data")
    told = json.loads(minialex("data", "list", "--json").out)
    assert told["data_folder"] == str(place / "data")
    by_name = {known["name"]: known for known in told["sets"]}
    assert list(by_name) == list(SETS)
    assert by_name["mnist"]["folder"] == str(place / "data" / "mnist")
    assert by_name["cifar10"]["folder"] is None
    assert by_name["mnist"]["images"] == {"train": 60_000, "test": 10_000}
    assert all(known["citation"] and known["licence"] for known in told["sets"])
    assert len(by_name["mnist"]["downloads"][0]["addresses"]) == 1


def test_get_says_what_it_got(small, minialex, place):
    result = minialex("data", "get", "clothing", "--data-dir", place)
    assert result.code == 0
    assert result.out == textwrap.dedent(f"""\
        clothing is complete: {place / 'clothing'}
          3,068 train, 341 val, 372 test images in 10 classes; licence: CC0 1.0
          cite A. Grigorev, Clothing dataset (small), 2020,
          https://github.com/alexeygrigorev/clothing-dataset-small
          next: {command("data", "prepare", place / "clothing")}
        """)
    assert result.err.startswith("  unpacking ") and result.err.count("\n") == 1, "no bar here"
    result = minialex("data", "get", "clothing", "--data-dir", place)
    assert result.out.startswith("clothing was there already: ") and result.err == ""
    assert "prepare" not in minialex("data", "get", "mnist", "--data-dir", place).out


@pytest.mark.parametrize(("name", "message"), [
    ("mnist", "minialex: train-images-idx3-ubyte.gz did not come ("),
    ("imagenet", "minialex: imagenet: its owners give it only to those who accept"),
    ("mnits", "minialex: there is no data set 'mnits'; use one of")])
def test_mistake_is_one_line(small, minialex, place, name, message):
    small.serve("closed")
    result = minialex("data", "get", name)
    assert result.code == 2 and result.out == ""
    assert result.err.splitlines()[-1].startswith(message)
    assert "Errno" not in result.err and "Traceback" not in result.err
    assert "Traceback" in minialex("data", "get", name, "--debug").err


def test_ctrl_c_on_the_command(small, minialex, place, monkeypatch):
    small.serve("stall")
    waiting = SimpleNamespace(fstat=Mock(side_effect=KeyboardInterrupt))  # while it looks
    monkeypatch.setattr(transfer, "os", waiting)
    result = minialex("data", "get", "imagenette", "--data-dir", place / "sets")
    assert (result.code, result.err) == (130, "minialex: interrupted\n")
    assert names(place / "sets") == []


def test_nothing_is_loaded_before_it_is_needed():
    code = ("import sys, minialex, minialex.tools.data_get, minialex.tools.data_list\n"
            "print(*{'pooch', 'requests'} & set(sys.modules))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
