"""`xp`: the array module plus five verbs, in the plain form that is right on every device.

    empty, zeros         memory of this device
    over_batch           work through a batch in slices that fit the workspace
    patches, add_patches what every kernel position sees, and the way back

Everything else (`xp.maximum`, `xp.matmul`, ...) is the array module's own.
"""

from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["Namespace", "Work"]

Work = Callable[[slice], Any]  # one slice of a batch


class Namespace:
    """An array module, with the verbs that a device may do better."""

    # Bytes of scratch memory that one slice of over_batch may use: all of conv2 at batch 128, since
    # a GPU pays for every call.
    workspace = 512 * 2**20
    pieces = 1  # make at least so many slices, if there is half a MiB of work

    def __init__(self, module: Any) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._module, name)
        setattr(self, name, value)  # found directly the next time
        return value

    def zeros(self, shape: tuple[int, ...], dtype: Any) -> Any:
        array = self.empty(shape, dtype)
        array.fill(0)
        return array

    def over_batch(self, fn: Work, n: int, scratch_bytes: int) -> tuple | None:
        """Call `fn(slice)` for consecutive slices that cover range(n).

        `scratch_bytes` is the scratch memory that `fn` needs for one image, and sets the length of
        the slices. If the calls return tuples of arrays, these are summed in slice order, so that
        sums do not depend on timing.
        """
        total = None
        for result in self._each(fn, list(self._slices(n, scratch_bytes))):
            total = self._sum(total, result)
        return total

    def _each(self, fn: Work, slices: list[slice]) -> Iterator[Any]:
        """What `fn` returns for each slice, in the order of the slices."""
        return map(fn, slices)

    def _slices(self, n: int, scratch_bytes: int) -> Iterator[slice]:
        least = self.pieces if n * scratch_bytes >= 2**19 else 1
        step = max(1, min(-(-n // least), self.workspace // max(scratch_bytes, 1)))
        return (slice(start, min(start + step, n)) for start in range(0, n, step))

    def _sum(self, total: tuple | None, result: tuple | None) -> tuple | None:
        if total is None or not isinstance(result, tuple):
            return result if isinstance(result, tuple) else None
        for sum_, term in zip(total, result, strict=True):
            self.add(sum_, term, out=sum_)
        return total

    def patches(self, x: Any, kernel: tuple[int, int], stride: int, pad: tuple[int, ...]) -> Any:
        """What each kernel position sees: (N, H, W, C) -> (N, OH, OW, KH * KW * C).

        With the channels last, one row of the kernel is one run of KW * C numbers in memory, so
        the copy moves long runs. Outside of x there are zeros; pad: above, below, left, right.
        """
        top, bottom, left, right = pad
        n, h, w, c = x.shape
        if any(pad):
            padded = self.zeros((n, top + h + bottom, left + w + right, c), x.dtype)
            padded[:, top : top + h, left : left + w] = x
            x, h, w = padded, top + h + bottom, left + w + right
        kh, kw = kernel
        oh, ow = (h - kh) // stride + 1, (w - kw) // stride + 1
        sn, sh, sw, sc = x.strides
        view = self.lib.stride_tricks.as_strided(
            x, (n, oh, ow, kh, kw, c), (sn, stride * sh, stride * sw, sh, sw, sc))
        columns = self.empty((n, oh, ow, kh, kw, c), x.dtype)
        columns[...] = view
        return columns.reshape(n, oh, ow, kh * kw * c)

    def add_patches(self, columns: Any, shape: tuple[int, ...], kernel: tuple[int, int],
                    stride: int, pad: tuple[int, ...]) -> Any:
        """The way back: (N, OH, OW, KH * KW * C) -> `shape`, adding up where patches overlap.

        A sum of KH * KW shifted arrays: no atomic additions, the same bits at every run.
        """
        top, bottom, left, right = pad
        n, h, w, c = shape
        kh, kw = kernel
        oh, ow = columns.shape[1:3]
        columns = columns.reshape(n, oh, ow, kh, kw, c)
        padded = self.zeros((n, top + h + bottom, left + w + right, c), columns.dtype)
        for i in range(kh):
            for j in range(kw):
                seen = padded[:, i : i + stride * oh : stride, j : j + stride * ow : stride]
                self.add(seen, columns[:, :, :, i, j], out=seen)
        return padded[:, top : top + h, left : left + w]
