"""`cupy.lib.stride_tricks`: views by strides."""

from typing import Any

import numpy as np

from .. import _call

__all__ = ["as_strided", "sliding_window_view"]

sliding_window_view = _call.function(
    "lib.stride_tricks.sliding_window_view", np.lib.stride_tricks.sliding_window_view)


def as_strided(*args: Any, **kwargs: Any) -> Any:
    _call.check_name("lib.stride_tricks.as_strided", args, kwargs)
    return _call.as_strided(*args, **kwargs)
