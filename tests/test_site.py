"""The built site, in a browser: `make check-site`, or python docs/build.py and then this file."""

import functools
import http.server
import shutil
import threading
from pathlib import Path
from urllib.parse import urldefrag, urlsplit

import numpy as np
import pytest

SITE = Path(__file__).resolve().parents[1] / "docs" / "_build" / "site"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
               None)
ARGUMENTS = ("--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
             "--disable-background-networking --disable-component-update").split()
