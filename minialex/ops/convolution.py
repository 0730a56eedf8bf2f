"""Convolution as a matrix product over the patches of a few images at a time (im2col)."""

from .. import checks
from ..operation import op
from .common import in_parts, output_size

__all__ = ["conv2d"]


@op(needs=True)
def conv2d(xp, x, w, b=None, *, stride=1, pad=0, groups=1):
    """Slide the kernels w over the images x (cross-correlation, usually called convolution).

    x: (N, H, W, C), w: (KH, KW, C / groups, O), b: (O,) -> y: (N, OH, OW, O),
    OH = (H + padding - KH) // stride + 1.  pad: zeros on each side, or (above, below, left, right).
    groups: group g sees only the g-th part of the channels and makes the g-th part of O.
    Keeps x, w: the patches are up to KH * KW times larger than x, and cut out again in backward.
    Paper: section 3.5.  Built in chapter 05.
    """
    stride, pad, groups = checks.conv2d(x, w, b, stride, pad, groups)
    kh, kw, cg, o = w.shape
    oh, ow = output_size("conv2d", x.shape[1:3], (kh, kw), stride, pad)
    k, og = kh * kw * cg, o // groups
    kernels = w.reshape(k, o)  # (KH, KW, CG, O) -> (KH * KW * CG, O): one column per kernel
    scratch_bytes = oh * ow * k * x.itemsize
    bias = b is not None and xp.broadcast_to(b, (ow, o)).reshape(ow * o)  # for a whole row of y
    split = [(slice(g * cg, (g + 1) * cg), slice(g * og, (g + 1) * og)) for g in range(groups)]

    def forward(part, out):
        rows = out.reshape(-1, o)  # (n, OH, OW, O) -> (n * OH * OW, O), the same memory
        for seen, made in split:
            columns = xp.patches(x[part, :, :, seen], (kh, kw), stride, pad).reshape(-1, k)
            xp.matmul(columns, kernels[:, made], out=rows[:, made])
        if b is not None:
            xp.add(out.reshape(-1, ow * o), bias, out=out.reshape(-1, ow * o))

    def backward(gy, needs):
        gx, ones = xp.empty(x.shape, x.dtype) if needs[0] else None, xp.ones(ow, x.dtype)
        back = tuple(size - 1 - side for size, side in zip((kh, kh, kw, kw), pad, strict=True))
        # A convolution as well: of gy, with the kernels turned by 180 degrees. It needs no sum of
        # patches; but only where it has no more of them to cut out is it faster.
        turn = (needs[0] and groups == stride == 1 and min(back) >= 0
                and o * x.shape[1] * x.shape[2] <= cg * oh * ow)
        if turn:
            gx, _ = conv2d.on_arrays(xp, gy, w[::-1, ::-1].transpose(0, 1, 3, 2), pad=back)

        def pull(part):
            rows = gy[part].reshape(-1, o)  # (n * OH * OW, O)
            gw = xp.empty((k, o), w.dtype)
            for seen, made in split:
                xs = x[part, :, :, seen]
                columns = xp.patches(xs, (kh, kw), stride, pad)  # (n, OH, OW, K)
                flat = columns.reshape(-1, k)
                if k * og > 500:
                    xp.matmul(flat.T, rows[:, made], out=gw[:, made])
                else:  # during a product with so few results NumPy lets no other thread run;
                    # so there is one for each image, and the results are added up
                    each = columns.reshape(len(xs), -1, k).swapaxes(1, 2)
                    gw[:, made] = (each @ rows.reshape(len(xs), -1, o)[..., made]).sum(axis=0)
                if needs[0] and not turn:
                    # The patches have served; their memory takes the gradient of the patches.
                    xp.matmul(rows[:, made], kernels[:, made].T, out=flat)
                    gx[part, :, :, seen] = xp.add_patches(columns, xs.shape, (kh, kw), stride, pad)
            # In two stages, because one long sum of float32 loses digits, and is slow on a GPU. A
            # product with ones is a sum too, and takes a third of the time.
            lines = ones @ gy[part] if ow <= 256 else gy[part].sum(axis=2, dtype="float64")
            return gw, lines.sum(axis=(0, 1), dtype="float64")

        gw, gb = xp.over_batch(pull, x.shape[0], scratch_bytes)
        return (gx, gw.reshape(w.shape), gb.astype(w.dtype))[: len(needs)]

    return in_parts(xp, (x.shape[0], oh, ow, o), x.dtype, forward, scratch_bytes), backward
