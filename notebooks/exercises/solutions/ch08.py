"""Solutions of chapter 08."""

import math

from minialex import ops


def crossing_bytes(shape, batch, messages):
    return 4 * math.prod(shape) * batch * messages  # a float32 has four bytes


def bytes_owned(net):
    owned = {}
    for p in net.parameters():
        owned[p.device.name] = owned.get(p.device.name, 0) + p.data.nbytes
    return owned


def gradient_at_the_owner(gy_here, gy_there, w_here, w_there):
    # x was used twice, so its gradient is a sum. The second part comes from the other device.
    return gy_here @ w_here.T + gy_there @ w_there.T


def linear_of_both(xa, xb, wa, wb, b):
    # The product of two joined halves is the sum of two products. The bias goes into one of them.
    return ops.linear(xa, wa, b) + ops.linear(ops.transfer(xb, xa.device), wb)


def last_layer(xa, xb, wa, wb, b):
    # Multiply where the weights lie, and send the product: O numbers for an image, not B.
    return ops.linear(xa, wa, b) + ops.transfer(ops.linear(xb, wb), xa.device)


def break_even(parameters, bytes_per_image):
    # Bytes of a step: 2 * 4 * parameters, against 2 * bytes_per_image * batch. At the quotient both
    # send the same, so fewer begin with the next whole number.
    return 4 * parameters // bytes_per_image + 1
