"""The two columns of an AlexNet step by step, with and without exchange, as on the live page."""

import numpy as np

from minialex import Tensor, no_grad, ops


def beliefs(net, pixels, exchange):
    """{name of an output of the live network: array}, for prepared pixels (N, H, W, C).

    exchange: whether what a column sends arrives; else zeros do. Maps are (N, 2C, H, W), column 0
    first. "prob": (N, classes), or without exchange "alone": (2, N, classes), each column's own.
    """
    a, b = net.columns

    def swap(xa, xb):
        to_a, to_b = ops.transfer(xb, a.device), ops.transfer(xa, b.device)
        if not exchange:
            to_a, to_b = ops.mul(to_a, 0.0), ops.mul(to_b, 0.0)
        return ops.concat(xa, to_a), ops.concat(to_b, xb)

    shown = {}

    def show(name, xa, xb):
        shown[name] = np.concatenate([xa.numpy(), xb.numpy()], axis=-1)

    def conv(number, xa, xb):
        layer = f"conv{number}"
        xa, xb = (ops.relu(getattr(column, layer)(x)) for column, x in ((a, xa), (b, xb)))
        show(f"{layer}_relu", xa, xb)
        return xa, xb

    with no_grad():
        xa, xb = Tensor(pixels, a.device), Tensor(pixels, b.device)
        for number in (1, 2):
            xa, xb = conv(number, xa, xb)
            xa, xb = a.pool(a.norm(xa)), b.pool(b.norm(xb))
        show("pool2_maxpool", xa, xb)
        xa, xb = swap(xa, xb)
        for number in (3, 4, 5):
            xa, xb = conv(number, xa, xb)
        xa, xb = a.pool(xa), b.pool(xb)
        show("pool5_maxpool", xa, xb)
        for number in (6, 7):
            xa, xb = swap(xa, xb)
            xa, xb = (ops.relu(getattr(column, f"fc{number}")(ops.flatten(x)))
                      for column, x in ((a, xa), (b, xb)))
            show(f"fc{number}_relu", xa, xb)  # before dropout, which halves them
            xa, xb = (getattr(column, f"drop{number}")(x) for column, x in ((a, xa), (b, xb)))
        xb = ops.transfer(xb, a.device)
        nothing = ops.mul(xa, 0.0)
        if exchange:
            shown["prob"] = ops.softmax(net.fc8(ops.concat(xa, xb))).numpy()
        else:
            pairs = (ops.concat(xa, nothing), ops.concat(nothing, xb))
            shown["alone"] = np.stack([ops.softmax(net.fc8(pair)).numpy() for pair in pairs])
    return {name: array.transpose(0, 3, 1, 2) if array.ndim == 4 else array
            for name, array in shown.items()}
