"""`xp`: the array module plus five verbs, in the plain form that is right on every device.

    empty, zeros         memory of this device
    over_batch           work through a batch in slices that fit the workspace
    patches, add_patches what every kernel position sees, and the way back

Everything else (`xp.maximum`, `xp.matmul`, ...) is the array module's own, except that the CPU has
a faster `xp.power`.
"""

from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["Namespace", "Work"]

Work = Callable[[slice], Any]  # one slice of a batch


class Namespace:
    """An array module, with the verbs that a device may do better."""

    # Bytes of scratch memory that one slice of over_batch may use: all of conv1 at batch 128 (536
    # MiB), since a GPU pays for every call.
    workspace = 576 * 2**20
    pieces = 1  # make at least so many slices, if there are 2.5 MiB of work (measured with LeNet-5)

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
        sums do not depend on timing. The first call that raises, in slice order, ends the work;
        `fn` may call ops, and must not wait for other threads.
        """
        total: tuple = ()
        for result in self._each(fn, list(self._slices(n, scratch_bytes))):
            for sum_, term in zip(total, result, strict=True) if total else ():
                self.add(sum_, term, out=sum_)
            total = total or (result if isinstance(result, tuple) else ())
        return total or None

    def _each(self, fn: Work, slices: list[slice]) -> Iterator[Any]:
        """What `fn` returns for each slice, in the order of the slices."""
        for part in slices:
            yield fn(part)

    def _slices(self, n: int, scratch_bytes: int) -> Iterator[slice]:
        least = self.pieces if n * scratch_bytes >= 5 * 2**19 else 1
        step = max(1, min(-(-n // least), self.workspace // max(scratch_bytes, 1)))
        return (slice(start, min(start + step, n)) for start in range(0, n, step))

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
            x = padded
        # Short runs: the places in the kernel first, (KH, KW, C, N, OH, OW), which makes long ones.
        order = (3, 4, 5, 0, 1, 2) if stride == 1 and kernel[1] * c < 16 else (0, 1, 2, 3, 4, 5)
        seen = self._windows(x, kernel, stride).transpose(order)
        columns = self.empty(seen.shape, x.dtype)
        columns[...] = seen
        columns = columns.transpose(order)  # back: the order is its own inverse
        return columns.reshape(*columns.shape[:3], kernel[0] * kernel[1] * c)

    def add_patches(self, columns: Any, shape: tuple[int, ...], kernel: tuple[int, int],
                    stride: int, pad: tuple[int, ...]) -> Any:
        """The way back: (N, OH, OW, KH * KW * C) -> `shape`, adding up where patches overlap.

        A sum of shifted arrays: no atomic additions, the same bits at every run.
        """
        top, bottom, left, right = pad
        n, h, w, c = shape
        padded = self.zeros((n, top + h + bottom, left + w + right, c), columns.dtype)
        seen = self._windows(padded, kernel, stride)
        columns = columns.reshape(seen.shape)
        for part in self._apart(*seen.shape[1:5]):
            self.add(seen[part], columns[part], out=seen[part])
        return padded[:, top : top + h, left : left + w]

    def _windows(self, x: Any, kernel: tuple[int, int], stride: int) -> Any:
        """A view (N, OH, OW, KH, KW, C) of x: its memory, shown once for each patch it is in."""
        (n, h, w, c), (kh, kw), (sn, sh, sw, sc) = x.shape, kernel, x.strides
        return self.lib.stride_tricks.as_strided(
            x, (n, (h - kh) // stride + 1, (w - kw) // stride + 1, kh, kw, c),
            (sn, stride * sh, stride * sw, sh, sw, sc))

    def _apart(self, oh: int, ow: int, kh: int, kw: int) -> Iterator[tuple]:
        """Parts of such a view that show no number twice: one place in the kernel, all patches."""
        return ((..., i, j, slice(None)) for i in range(kh) for j in range(kw))
