"""The command line itself: help, mistakes, faults of ours, letters, commands to paste, Ctrl-C."""

import argparse
import ast
import errno
import io
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from runs import save_picture

from minialex import __version__, backend, errors
from minialex.tools import arguments, cli, weights_list
from minialex.tools.devices import choose_devices
from minialex.tools.text import (
    bar,
    columns,
    command,
    cut,
    fact,
    say,
    shows_blocks,
    table,
)

ROOT = Path(__file__).resolve().parents[1]
GROUPS = [[], *([group] for group in cli.GROUPS)]
ENV = {**os.environ, "PYTHONPATH": str(ROOT)}


def process(*words, **options):
    return subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True,
                          errors="replace", env={**ENV, **options.pop("env", {})}, **options)


# Help


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("words", [*GROUPS, *map(str.split, cli.COMMANDS)], ids=" ".join)
def test_help_explains_every_option_and_fits(minialex, monkeypatch, words, width):
    monkeypatch.setenv("COLUMNS", str(width))
    result = minialex(*words, "--help")
    assert result.code == 0
    assert result.out.startswith(f"usage: {' '.join(['minialex', *words])} ")
    options = re.findall(r"^  (--?\w\S*.*)\n(.*)", result.out, re.MULTILINE)
    for option, next_line in options:
        explained = re.search(r"  +\S", option) or re.match(r" {10,}\S", next_line)
        assert explained, f"{option} is not explained"
    assert max(map(len, result.out.splitlines())) <= width


def test_all_commands_are_listed_with_what_they_do(minialex):
    listed = "".join(minialex(*group, "--help").out for group in GROUPS)
    for name in cli.COMMANDS:
        assert re.search(rf"^ +{name.split()[-1]} +\w", listed, re.MULTILINE), name


def test_as_a_module_it_starts_without_what_it_does_not_need(tmp_path):
    code = ("import runpy, sys; sys.argv = ['minialex', *{}]\n"
            "try: runpy.run_module('minialex', run_name='__main__')\n"
            "finally: print(*{{'matplotlib', 'PIL', 'cupy', 'tqdm', 'safetensors'}} & "
            "set(sys.modules))")
    done = process("-c", code.format(["--version"]), cwd=tmp_path)
    assert (done.stdout, done.stderr) == (f"minialex {__version__}\n\n", "")
    done = process("-c", code.format(["bench", "--model", "lenet5", "--batch", "1",
                                      "--steps", "1", "--plot", "x.png"]), cwd=tmp_path)
    assert "matplotlib" in done.stdout.splitlines()[-1], "negative control"


# Mistakes


@pytest.mark.parametrize(("words", "parts"), [
    ("", ["COMMAND is missing"]),
    ("data", ["COMMAND is missing"]),
    ("fly", ["COMMAND fly: use one of train, evaluate, predict, data, "]),
    ("trian", ["use one of ", "did you mean train?"]),
    ("data perpare", ["use one of list, get, prepare; did you mean prepare?"]),
    ("train --model vgg", ["--model vgg: use one of alexnet-small, alexnet, "]),
    ("train --model alexnte", ["--model alexnte: ", "did you mean alexnet?"]),
    ("train --modle alexnet", ["--modle: there is no such option; did you mean --model?"]),
    ("evaluate run --tenview", ["--tenview: there is no such option; did you mean --ten-view?"]),
    ("predict run a.jpg --tpo=3", ["--tpo: there is no such option; did you mean --top?"]),
    ("data get mnist --datadir x", ["--datadir: ", "did you mean --data-dir?"]),
    ("evaluate run other", ["other: one argument too many"]),
    ("evaluate", ["RUN is missing"]),
    ("predict run", ["IMAGE is missing"]),
    ("predict --modle x", ["--modle: there is no such option; help: "]),
    ("evaluate --tenview", ["--tenview: there is no such option; did you mean --ten-view?"]),
    ("evaluate --batch=1 --wieghts=best", ["--wieghts: there is no such option; did you mean "]),
    ("predict --ten-view", ["RUN, IMAGE is missing"]),
    ("evaluate --split", ["--split: give a value"]),
    ("train --epochs many", ["--epochs", "many"]),
    ("evaluate run --threads 0", ["--threads 0: give a whole number from 1 to "]),
    ("predict run a.jpg --threads 99999", ["--threads 99999: give a whole number from 1 to "]),
    ("data prepare x --threads 1.5", ["--threads 1.5: give a whole number from 1 to "]),
    ("evaluate run --batch 0", ["--batch 0: give a whole number of at least 1"]),
    ("predict run a.jpg --top -1", ["--top -1: give a whole number of at least 1"]),
    ("data prepare x --side 7", ["--side 7: give a whole number from 8 to 4,096"]),
    ("data prepare x --quality 101", ["--quality 101: give a whole number from 1 to 100"]),
    ("data prepare x --split 80,20", ["--split 80,20: give train, val and test in per cent"]),
    ("data prepare ''", ["SOURCE '': give the name"]),
    ("predict '' a.jpg", ["RUN '': give the name"]),
    ("predict run ''", ["IMAGE '': give the name"]),
    (f"predict run {'x' * 300}", [f"IMAGE {'x' * 60}...: no file can have a name as long; "]),
    (f"evaluate {'x/' * 3000}", ["RUN x/x/", "...: no file can have a name as long; "]),
    ("evaluate a\0b", ["RUN a?b: no file can have such a name; "]),
    ("evaluate run --out ''", ["--out '': give the name"]),
    ("predict run a.jpg --plot x.gif", ["--plot x.gif: give a name that ends in .png, .jpg, "]),
    ("predict run a.jpg --plot x", ["--plot x: give a name that ends in .png"]),
    ("predict run a.jpg --plot /nowhere/x.png",
     ["--plot /nowhere/x.png: there is no folder /nowhere; "]),
    ("evaluate run --weights first", ["--weights first: use one of best, last"]),
], ids=str)
def test_mistake_is_one_line_that_says_where_the_help_is(minialex, words, parts):
    words = shlex.split(words)
    result = minialex(*words)
    assert (result.code, result.out) == (2, "") and len(result.err.splitlines()) == 1, result.err
    pattern = r"\Aminialex: .*" + ".*".join(map(re.escape, parts))
    assert re.search(pattern, result.err), result.err
    offered = shlex.split(re.search("help: (.*)", result.err, re.IGNORECASE)[1])
    after = offered[offered.index("minialex") + 1:]
    assert after[-1] == "--help" and after[:-1] == words[:len(after) - 1]
    assert minialex(*after).out.startswith("usage: " + " ".join(["minialex", *after[:-1]]))


def test_numbers_know_their_ends():
    assert arguments.whole(0)("0") == 0 and arguments.whole(8, 4096)("4096") == 4096
    for text in ("7", "4097", "8.0", "", "٣x"):
        with pytest.raises(argparse.ArgumentTypeError, match="from 8 to 4,096"):
            arguments.whole(8, 4096)(text)


def test_place_of_a_picture_is_tried_before_the_work(tmp_path):
    (tmp_path / "x.png").write_text("an older picture")
    assert arguments.picture_file(str(tmp_path / "x.png")) == tmp_path / "x.png"
    assert (tmp_path / "x.png").read_text() == "an older picture"
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").touch()
    for place in "folder.png", "file/x.png", "none/x.png":
        with pytest.raises(argparse.ArgumentTypeError, match=f"{place}: .*folder.*; "):
            arguments.picture_file(str(tmp_path / place))
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(("words", "named"), [
    ("train --data ./nowhere", "--data nowhere: "), ("train --data nowhere/", "--data nowhere: "),
    ("train --start-from ./nowhere", "--start-from nowhere: "),
    ("weights import x.onnx --out run --like ./nowhere", "--like nowhere: ")])
def test_error_about_a_folder_names_its_option(minialex, monkeypatch, tmp_path, words, named):
    monkeypatch.chdir(tmp_path)
    result = minialex(*words.split())
    assert result.code == 2 and result.err.startswith(f"minialex: {named}"), result.err


# Whose fault it is


def planted(monkeypatch, error):
    """`minialex weights list` raises."""
    def run(options):
        raise error

    monkeypatch.setattr(weights_list, "run", run)


@pytest.mark.parametrize("error", [
    TypeError("unsupported operand"), ValueError("bare"), KeyError("x"), AssertionError(),
    ZeroDivisionError("division by zero"), AttributeError("no attribute"), RecursionError("deep"),
    RuntimeError("x"), UnicodeEncodeError("ascii", "x", 0, 1, "no"), ArithmeticError("x"),
    Exception("x")], ids=lambda error: type(error).__name__)
def test_fault_of_ours_shows_a_traceback_and_how_to_report_it(minialex, monkeypatch, error):
    planted(monkeypatch, error)
    result = minialex("weights", "list")
    assert result.code == 1
    *trace, last = result.err.splitlines()
    assert trace[0].startswith("Traceback") and type(error).__name__ in result.err
    assert re.match("minialex: this is a fault of minialex, .* report it .* doctor$", last)


@pytest.mark.parametrize(("error", "said"), [
    (errors.InputError("a: b; do c"), "a: b; do c"),
    (errors.InputTypeError("two\nlines"), "two lines"),
    (errors.UsageError("x"), "x"), (errors.FileError("x"), "x"),
    (backend.DeviceError("x"), "x"),
    (OSError(errno.ENOSPC, "No space left on device", "big.bin"),
     "big.bin: No space left on device; "),
    (OSError(errno.EIO, "Input/output error"), "Input/output error; "),
    (PermissionError(errno.EACCES, "Permission denied", b"x"), "Permission denied"),
    (MemoryError(), "the memory is not enough (no details); "),
    (np.linalg.LinAlgError("x"), None),
], ids=lambda value: type(value).__name__)
def test_mistake_of_the_user_is_one_line_and_debug_shows_more(minialex, monkeypatch, error, said):
    planted(monkeypatch, error)
    result = minialex("weights", "list")
    if said is None:
        assert result.code == 1, "negative control"
        return
    assert result.code == 2 and len(result.err.splitlines()) == 1
    assert result.err.startswith("minialex: ") and said in result.err
    assert "Errno" not in result.err
    debugged = minialex("weights", "list", "--debug")
    assert debugged.code == 2 and debugged.err.startswith("Traceback")
    assert debugged.err.endswith(result.err)


def test_array_that_no_machine_can_hold(minialex, monkeypatch):
    monkeypatch.setattr(weights_list, "run", lambda options: np.empty(2**55))
    result = minialex("weights", "list")
    assert result.code == 2 and re.match(
        r"minialex: the memory is not enough \(Unable to allocate .*\); close other", result.err)


# Letters


HOSTILE = {"escape": "\x1b[2J", "C1": "\x9b31m", "bell": "\x07", "back": "\b\b", "return": "\rok",
           "line": "\nminialex: all is well", "delete": "\x7f", "right to left": "\u202egpj.exe",
           "isolate": "\u2066x\u2069", "mark": "\u200f", "separator": "\u2028x",
           "surrogate": "\udcff", "invisible": "\u200b", "tag": "\U000e0041"}
PRINTED = re.compile(r"[^\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069"
                     r"\ud800-\udfff\U000e0000-\U000e007f]*")


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252"])
@pytest.mark.parametrize("letters", HOSTILE.values(), ids=HOSTILE)
def test_say_lets_nothing_out_that_steers_a_terminal(letters, encoding):
    stream = io.TextIOWrapper(io.BytesIO(), encoding, newline="")
    say(f"a{letters}\u00e9b", stream=stream)
    text = stream.buffer.getvalue().decode(encoding)
    assert text[0] == "a" and text.endswith("b\n")
    assert PRINTED.fullmatch(text[:-1]), ascii(text)
    assert ("\u00e9" in text) == (encoding != "ascii")
    assert not PRINTED.fullmatch(letters), "negative control"


def test_name_cannot_begin_a_line():
    stream = io.StringIO()
    say("a\nb", "c\r\n\u2028d", "", stream=stream)
    say(stream=stream)
    assert stream.getvalue() == "a b\nc   d\n\n\n"


def test_say_keeps_what_is_meant():
    stream = io.StringIO()
    say("two", "lines", stream=stream)
    say("日本 שלום 😀 a\u00a0b", stream=stream)
    assert stream.getvalue() == "two\nlines\n日本 שלום 😀 a b\n"


@pytest.mark.parametrize("letters", HOSTILE.values(), ids=HOSTILE)
def test_mistakes_do_not_echo_what_steers_a_terminal(minialex, letters):
    for words in (["bench", f"--{letters}"], ["bench", "--model", letters], [f"x{letters}"],
                  ["data", "get", letters], ["data", "prepare", f"/nowhere/{letters}"],
                  ["predict", f"/nowhere{letters}", "x.jpg"],
                  ["predict", "x", "y", f"--top={letters}"]):
        result = minialex(*words)
        assert result.code == 2
        for line in (result.out + result.err).splitlines():
            assert PRINTED.fullmatch(line), ascii(line)
        assert sum(line.startswith("minialex: ") for line in result.err.split("\n")) == 1


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.parametrize("words", [["--help"], ["weights", "list"], ["bench", "--help"],
                                   ["data", "list"], ["predict", "日本é", "x.jpg"]], ids=" ".join)
def test_commands_survive_an_encoding_that_lacks_letters(tmp_path, words, encoding):
    done = process("-X", "utf8=0", "-m", "minialex", *words, cwd=tmp_path,
                   env={"PYTHONIOENCODING": encoding, "LC_ALL": "C.UTF-8"})
    assert done.returncode == (2 if "predict" in words else 0), done.stderr
    assert "codec" not in done.stderr and "Traceback" not in done.stderr


# Names and tables


@pytest.mark.parametrize(("text", "width", "shown"), [
    ("shirt", 8, "shirt   "), ("shirt", 5, "shirt"), ("shirts", 5, "shir…"),
    ("日本語", 6, "日本語"), ("日本語", 5, "日本…"), ("日本語", 4, "日… "),
    ("e\u0301tude", 6, "e\u0301tude "),
])
def test_cut_fills_or_shortens(text, width, shown):
    assert cut(text, width) == shown and columns(shown) == width


def test_table_lines_up_in_columns_of_the_terminal():
    text = table([("name", "n", "what"), ("日本", 1, "x"), ("e\u0301", 1000, "a\nb")], left=(0, 2))
    assert text.splitlines() == ["name     n  what", "日本     1  x", "e\u0301     1000  a b"]


def test_fact_goes_on_below_itself_on_a_narrow_terminal(capsys, monkeypatch):
    text = "two virtual devices on the processor; /a/path/that/is/longer/than/all/of/the/line"
    monkeypatch.delenv("COLUMNS", raising=False)
    fact("devices", text)
    assert capsys.readouterr().out == f"devices   {text}\n", "in a file each fact is one line"
    monkeypatch.setenv("COLUMNS", "40")
    fact("devices", text)
    assert capsys.readouterr().out.splitlines() == [
        "devices   two virtual devices on the", "          processor;", f"          {text[38:]}"]


@pytest.mark.parametrize("columns", ["1", "0", "-3", "many", "9" * 20])
def test_terminal_of_any_width(minialex, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    for words in ["data", "get", "fashion-mnist"], ["data", "list"], ["weights", "list"]:
        assert minialex(*words).code == 0


@pytest.mark.parametrize(("share", "blocks", "shown"), [
    (1, True, 10 * "█"), (0.5, True, 5 * "█"), (0.5125, True, 5 * "█" + "▏"), (0.0875, True, "▉"),
    (0, True, ""), (1, False, 10 * "#"), (0.26, False, "###"), (0, False, "")])
def test_bar(share, blocks, shown):
    assert bar(share, 10, blocks) == shown


@pytest.mark.parametrize(("encoding", "terminal", "blocks"), [
    ("utf-8", True, True), ("utf-8", False, False), ("ascii", True, False),
    ("latin-1", True, False), (None, True, False)])
def test_blocks_are_for_terminals_that_have_them(encoding, terminal, blocks):
    stream = SimpleNamespace(encoding=encoding, isatty=lambda: terminal)
    assert shows_blocks(stream) is blocks


# Commands to paste


@pytest.mark.skipif(not shutil.which("bash"), reason="pasted into bash")
@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252"])
@pytest.mark.parametrize("folder", [
    "plain", "my run", "it's", "a;b", "$HOME", "é", "-x", "--x", "\udcff", "日本 'ü' \\x41",
    "a\x1b[31mb\nc"])
def test_folder_of_any_name_can_be_pasted(monkeypatch, folder, encoding):
    """As it is printed, whatever the terminal can show."""
    out = io.TextIOWrapper(io.BytesIO(), encoding)
    monkeypatch.setattr(sys, "stdout", out)
    say(command("train", "--resume", Path(folder)))
    line = out.buffer.getvalue()
    assert line.count(b"\n") == 1
    done = subprocess.run(["bash", "-c", b"printf '%s\\0' " + line], check=True,
                          capture_output=True, env={**ENV, "LC_ALL": "C.UTF-8"})
    *_, train, resume, typed, _ = done.stdout.split(b"\0")
    assert (train, resume) == (b"train", b"--resume") and not typed.startswith(b"-")
    assert os.path.normpath(typed) == (
        os.fsencode(folder) if encoding != "cp1252" or folder != "é" else b"\xe9")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX shells")
@pytest.mark.parametrize("start", [
    "{python} -m minialex", "{python} -X dev -m minialex", "{script}",
    "PATH={bin}:$PATH minialex", "cd {bin}/..; bin/minialex"])
def test_proposed_command_runs_where_the_first_was_typed(tmp_path, start):
    """A shell runs it, and a shell gets what it proposes: the help of the same command."""
    python = Path(sys.executable)
    script = python.with_name("minialex")
    if not script.exists() and "python" not in start:
        pytest.skip("minialex is not installed here")
    typed = start.format(python=shlex.quote(str(python)), script=shlex.quote(str(script)),
                         bin=shlex.quote(str(python.parent)))

    def shell(line):
        return subprocess.run(line, shell=True, cwd=tmp_path, env=ENV, capture_output=True,
                              text=True)

    refused = shell(f"{typed} bench --modle x")
    assert refused.returncode == 2, refused.stderr
    proposed = refused.stderr.rpartition("elp: ")[2].strip()
    before = typed.rpartition("minialex")[0].rpartition(" ")[0] if "=" in typed or "cd" in typed \
        else ""
    shown = shell(f"{before} {proposed}" if before else proposed)
    assert (shown.returncode, shown.stderr) == (0, "") and "usage: minialex bench" in shown.stdout


def pasted(line):
    """The arguments of a command that was proposed at the end of a line."""
    words = shlex.split(line.strip().rpartition(" -m minialex ")[2])
    return words if words else pytest.fail(f"no command in {line}")


def test_set_that_its_owners_give_is_prepared_next(minialex, tmp_path):
    result = minialex("data", "get", "imagenet", "--data-dir", tmp_path / "my sets")
    assert result.code == 2
    assert pasted(result.err) == ["data", "prepare", str(tmp_path / "my sets" / "imagenet")]


def test_set_that_is_not_here_is_fetched_next(minialex, tmp_path):
    result = minialex("train", "--data", "mnist", "--data-dir", tmp_path / "my sets")
    assert result.code == 2
    assert pasted(result.err) == ["data", "get", "mnist", "--data-dir", str(tmp_path / "my sets")]


def test_folder_of_classes_is_divided_prepared_and_trained(minialex, tmp_path):
    """From proposal to proposal."""
    for name, level in ("a", 50), ("b", 200):
        for number in range(10):
            save_picture(tmp_path / "my pets" / name / f"{number}.jpg", level)
    refused = minialex("train", "--data", tmp_path / "my pets")
    assert refused.code == 2
    prepared = minialex(*pasted(refused.err))
    assert prepared.code == 0, prepared.err
    trained = minialex(*pasted(prepared.out), "--steps", 1, "--width", 0.05, "--out",
                       tmp_path / "my run")
    assert trained.code == 0, trained.err


def test_command_for_several_processes_starts_mpiexec():
    words = shlex.split(command("train", "--parallel", "data", processes=3))
    assert Path(words[0]).name == "mpiexec" and words[1:3] == ["-n", "3"]
    assert words[4:] == ["-m", "mpi4py", "-m", "minialex", "train", "--parallel", "data"]


# Ctrl-C


INTERRUPTED_NUMPY = """import os, signal, time
os.kill(os.getpid(), signal.SIGINT)
time.sleep(0.5)
print("went on")
os._exit(7)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize(("words", "ignored", "outcome"), [
    (["-m", "minialex", "bench"], False, "ends in silence"),
    (["-m", "minialex", "bench"], True, "goes on"),
    (["-c", "import minialex"], False, "shows a traceback"),
], ids=["command", "in the background", "another program"])
def test_ctrl_c_while_numpy_is_loaded(tmp_path, words, ignored, outcome):
    (tmp_path / "numpy.py").write_text(INTERRUPTED_NUMPY)
    done = process(*words, env={"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}, cwd=tmp_path,
                   preexec_fn=lambda: signal.signal(
                       signal.SIGINT, signal.SIG_IGN if ignored else signal.SIG_DFL))
    if outcome == "goes on":
        assert (done.returncode, done.stdout, done.stderr) == (7, "went on\n", "")
    elif outcome == "ends in silence":
        assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")
    else:
        assert "KeyboardInterrupt" in done.stderr


def test_ctrl_c_while_commands_are_loaded(minialex, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "import_module", interrupted)
    assert minialex("--help")[:3] == (130, "", "minialex: interrupted\n")


def test_ctrl_c_in_a_command(minialex, monkeypatch):
    planted(monkeypatch, KeyboardInterrupt())
    assert minialex("weights", "list")[:3] == (130, "", "minialex: interrupted\n")


@pytest.mark.skipif(sys.platform == "win32", reason="no such pipes")
def test_reader_that_has_seen_enough(tmp_path):
    """As with `| head`: no fault, and no advice."""
    with subprocess.Popen([sys.executable, "-m", "minialex", "data", "list", "--json"], env=ENV,
                          cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as running:
        running.stdout.close()
        assert running.stderr.read() == "" and running.wait(60) == 141


# Devices


@pytest.mark.parametrize(("gpus", "chosen", "why"), [
    (0, ("cpu:0", "cpu:1"), r"two virtual devices on the processor; no driver"),
    (1, ("gpu:0", "gpu:0"), r"this machine has one GPU; it takes both columns"),
    (2, ("gpu:0", "gpu:1"), r"this machine has 2 GPUs"),
    (4, ("gpu:0", "gpu:1"), r"this machine has 4 GPUs"),
])
def test_best_devices_are_chosen_and_the_reason_given(monkeypatch, gpus, chosen, why):
    names = [f"gpu:{index}" for index in range(gpus)] + ["cpu:0", "cpu:1"]
    monkeypatch.setattr(backend, "available", lambda: names)
    monkeypatch.setattr(backend, "why_no_gpu", lambda: "" if gpus else "no driver")
    devices, reason = choose_devices(None)
    assert devices == chosen and re.search(why, reason)


@pytest.mark.parametrize(("wanted", "devices"), [
    ("cpu:3", ("cpu:3", "cpu:3")), ("cpu", ("cpu:0", "cpu:0")),
    ("cpu:2, cpu:1", ("cpu:2", "cpu:1"))])
def test_wanted_devices_are_taken(wanted, devices):
    assert choose_devices(wanted) == (devices, "as you asked")


@pytest.mark.parametrize(("wanted", "message"), [
    ("tpu:0", "--devices tpu:0: unknown device 'tpu:0'; use 'cpu:0'"),
    ("cpu:99", "--devices cpu:99: device 'cpu:99' does not exist"),
    ("", "--devices : unknown device ''"),
    ("cpu:0,cpu:1,cpu:2", "--devices cpu:0,cpu:1,cpu:2: there are two columns; name one or two")])
def test_devices_that_cannot_be(wanted, message):
    with pytest.raises(errors.MinialexError, match=f"^{re.escape(message)}"):
        choose_devices(wanted)


# Where text goes out


def printing(tree):
    """The lines of a source that print, or write to a standard stream."""
    return [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Call)
            and (getattr(node.func, "id", "") == "print" or ast.unparse(node.func).startswith(
                ("sys.stdout.write", "sys.stderr.write", "traceback.print", "tqdm.write")))]


def test_all_text_goes_out_at_one_place():
    sources = {path.relative_to(ROOT): ast.parse(path.read_text(encoding="utf-8"))
               for path in (ROOT / "minialex").rglob("*.py")}
    # The last words of a rank that ends all others from a thread of its own are no command's.
    assert {str(path) for path, tree in sources.items() if printing(tree)} == {
        "minialex/tools/text.py", "minialex/parallel/ranks.py"}
    assert printing(ast.parse("\nprint(1)\nsys.stderr.write('x')")) == [2, 3], "negative control"
