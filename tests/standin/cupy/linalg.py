"""`cupy.linalg`: NumPy's functions under the rules of the stand-in."""

from typing import Any

import cupy_table
import numpy as np

from . import _call


def __getattr__(name: str) -> Any:
    full = f"linalg.{name}"
    if full not in cupy_table.names():
        raise AttributeError(cupy_table.complaint(full))
    host = getattr(np.linalg, name)
    return host if isinstance(host, type) else _call.function(full, host)
