"""Local response normalisation: neighbouring channels compete."""

from .. import checks
from ..operation import op

__all__ = ["local_response_norm"]


def _channel_sum(xp, a, b, size):
    """Sum of a * b over the `size` channels around each channel; outside there are zeros.

    A gap of zeros between the pixels lets a window slide over all of them as one long row: few
    long additions instead of many of C numbers (measured: 1.7 to 2.4 times faster, C = 12 to 128).
    """
    half, c = size // 2, a.shape[-1]
    padded = xp.zeros((*a.shape[:-1], c + 2 * half), a.dtype)
    xp.multiply(a, b, out=padded[..., half : half + c])
    row, total = padded.reshape(-1), xp.empty(padded.shape, a.dtype)
    sums = total.reshape(-1)[: row.size - 2 * half]
    so_far = row[: sums.size]
    for shift in range(1, size):
        so_far = xp.add(so_far, row[shift : shift + sums.size], out=sums)
    return (total if size > 1 else padded)[..., :c]  # the rest is what lies over the gaps


def _power(xp, s, beta):
    """s ** beta, in place; 3/4 = 1/2 + 1/4 by square roots, an instruction of every processor."""
    if beta != 0.75:
        return xp.power(s, beta, out=s)
    root = xp.sqrt(s, out=xp.empty(s.shape, s.dtype))
    return xp.multiply(root, xp.sqrt(root, out=s), out=s)


@op
def local_response_norm(xp, x, *, size=5, k=2.0, alpha=1e-4, beta=0.75):
    """Divide every activation by the energy of its neighbouring channels.

        s[..., c] = k + alpha * sum of x[..., j]**2 over the `size` channels j around c
        y         = x / s**beta

    x, y: (N, H, W, C), any unit, in float32 up to 1e19 (the gradient has factors near x**-2);
    alpha is not divided by size (Not 2012: the run divided it by 5).
    Keeps x; s is computed again in backward, image by image in the cache, which costs less than
    fetching it from memory.  Paper: section 3.3.  Built in chapter 06.
    """
    size, k, alpha, beta = checks.local_response_norm(x, size, k, alpha, beta)
    y = xp.empty(x.shape, x.dtype)
    scratch_bytes = 4 * x.nbytes // x.shape[0]

    def energy(xs):
        s = xp.multiply(xs, alpha**0.5, out=xp.empty(xs.shape, xs.dtype))  # a square has no room
        return xp.add(_channel_sum(xp, s, s, size), k, out=s)

    def forward(part):
        xp.divide(x[part], _power(xp, energy(x[part]), beta), out=y[part])

    xp.over_batch(forward, x.shape[0], scratch_bytes)

    def backward(gy):
        gx = xp.empty(x.shape, gy.dtype)

        def pull(part):
            # gx = gy / s**beta - 2 alpha beta x * sum of (gy / s**beta * x / s): the window is
            # symmetric, so the same sum over channels carries the gradient back.
            xs, g = x[part], gx[part]
            s = energy(xs)
            ratio = xp.divide(xs, s, out=xp.empty(s.shape, s.dtype))
            xp.divide(gy[part], _power(xp, s, beta), out=g)
            across = xp.multiply(_channel_sum(xp, g, ratio, size), xs, out=ratio)
            xp.multiply(across, 2 * alpha * beta, out=across)
            xp.subtract(g, across, out=g)

        xp.over_batch(pull, x.shape[0], scratch_bytes)
        return gx

    return y, backward
