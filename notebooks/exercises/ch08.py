"""Exercises of chapter 08: two devices. Then check("ch08") in the notebook."""

from minialex import ops  # noqa: F401


def crossing_bytes(shape, batch, messages):
    """Bytes of one crossing: float32 maps (H, W, C) of each image, sent by 1 or 2 columns."""
    raise NotImplementedError


def bytes_owned(net):
    """{name of a device: bytes of the parameters that lie on it} for a module."""
    raise NotImplementedError


def gradient_at_the_owner(gy_here, gy_there, w_here, w_there):
    """x (N, C) went into x @ w_here on its own device and into x @ w_there on the other.

    NumPy arrays: gy (N, O) of each result, w (C, O) -> gradient of x (N, C).
    """
    raise NotImplementedError


def linear_of_both(xa, xb, wa, wb, b):
    """Tensors xa (N, A) here, xb (N, B) on another device -> (N, O) here, without concat.

    wa (A, O), wb (B, O), b (O,) all lie here. Gradients must reach all five.
    """
    raise NotImplementedError


def last_layer(xa, xb, wa, wb, b):
    """The same, but wb (B, O) lies with xb. Send as little as you can."""
    raise NotImplementedError


def break_even(parameters, bytes_per_image):
    """Smallest batch for which data parallel sends fewer bytes in a step than the columns do.

    Two devices, float32; bytes_per_image: what the columns send forward for one image.
    """
    raise NotImplementedError
