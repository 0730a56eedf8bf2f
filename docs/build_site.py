"""Builds the site: python docs/build_site.py [--without-live]. It is then in docs/_build/site.

The first time it trains the network of the live page, which takes 2 to 3 minutes, and fetches
onnxruntime-web from npm. Both stay in docs/_build.
"""

import argparse
import base64
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pages

HERE = Path(__file__).resolve().parent
BUILD = HERE / "_build"
RUN, EXPORTED, LIVE = BUILD / "run", BUILD / "exported.onnx", BUILD / "live"

# What runs the network in a browser. For another version, change these three.
RUNTIME = "onnxruntime-web-1.30.0.tgz"
SHA512 = ("q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4C"
          "XAfKYQ==")
FILES = ("ort.wasm.min.js", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")


class CannotFetchError(Exception):
    """The message says what to do."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--without-live", action="store_true",
                        help="no training and no network: the live page says that it is not there")
    options = parser.parse_args()
    note = "The site was built without the network of this page: `--without-live`."
    if not options.without_live:
        try:
            fetch_runtime()
            note = ""
        except CannotFetchError as error:
            print(f"The live page is left out. {error}", file=sys.stderr)
            note = f"The site was built without the network of this page. {error}"
    if not note:
        train_and_export()
    pages.write(BUILD / "source", live_texts(note))
    build_html(with_live=not note)


def fetch_runtime() -> None:
    """onnxruntime-web into LIVE, once; compared with its checksum.

    Raises CannotFetchError where it is not to be had.
    """
    if all((LIVE / name).is_file() for name in FILES):
        return
    BUILD.mkdir(exist_ok=True)
    path, npm = BUILD / RUNTIME, shutil.which("npm")
    remedy = (f"Install Node.js, which brings npm, or put {RUNTIME} into docs/_build; then build "
              "again.")
    if not path.is_file():
        if npm is None:
            raise CannotFetchError(f"There is no npm here, which would fetch {RUNTIME}. {remedy}")
        name, _, version = RUNTIME.removesuffix(".tgz").rpartition("-")
        print(f"Fetching {name} {version} (only once) ...")
        result = subprocess.run([npm, "pack", "--silent", f"{name}@{version}"], cwd=BUILD,
                                capture_output=True, text=True)
        if result.returncode or not path.is_file():
            print(result.stderr, file=sys.stderr)
            raise CannotFetchError(f"npm could not fetch {RUNTIME}: is there a network? {remedy}")
    if base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode() != SHA512:
        path.unlink()
        raise CannotFetchError(f"{RUNTIME} has another checksum than docs/build_site.py says, and "
                               "was removed. Build again.")
    LIVE.mkdir(exist_ok=True)
    with tarfile.open(path) as archive:
        for name in FILES:
            (LIVE / name).write_bytes(archive.extractfile(f"package/dist/{name}").read())


def train_and_export() -> None:
    """The run of `make demo` into RUN, and its network with what the live page needs into LIVE."""
    import live

    if not (RUN / "summary.json").is_file():
        print("Training the network of the live page (only once, 2 to 3 minutes) ...")
        minialex("train", *(["--resume", RUN] if list(RUN.glob("checkpoint-*")) else
                            ["--out", RUN]))
    if not (RUN / "evaluation.json").is_file():
        minialex("evaluate", RUN)
    minialex("weights", "export", RUN, EXPORTED)
    live.write(EXPORTED, RUN, LIVE)


def minialex(*arguments: str | Path) -> None:
    subprocess.run([sys.executable, "-m", "minialex", *map(str, arguments)], check=True)


def live_texts(note: str) -> dict[str, str]:
    """What stands in place of the marks in index.md and live.md."""
    if note:
        note = f"```{{note}}\n{note}\n```"
        return {"live": note, "pictures": note, "story": ""}
    import live

    links = live.write_pictures(RUN, LIVE)
    raw = "```{raw} html\n%s\n```"
    return {"live": raw % (HERE / "live.html").read_text(encoding="utf-8"),
            "pictures": raw % links, "story": live.story(RUN)}


def build_html(with_live: bool) -> None:
    """All pages with Sphinx, for which a warning is an error."""
    static, site = BUILD / "static", BUILD / "site"
    for folder in (static, site):
        shutil.rmtree(folder, ignore_errors=True)
    static.mkdir()
    shutil.copy(HERE / "site.css", static)
    if with_live:
        shutil.copytree(LIVE, static / "live")
        for name in ("live.js", "live.css"):
            shutil.copy(HERE / name, static / "live")
    subprocess.run([sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet",
                    "--jobs", "auto", "--conf-dir", HERE, "--doctree-dir", BUILD / "doctrees",
                    BUILD / "source", site], check=True)
    files = [path for path in site.rglob("*") if path.is_file()]
    print(f"wrote {os.path.relpath(site)}: {sum(path.suffix == '.html' for path in files)} pages, "
          f"{sum(path.stat().st_size for path in files) / 1e6:.1f} MB")


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)  # the program has said what is wrong
