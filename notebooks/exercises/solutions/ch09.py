"""Solutions of chapter 09."""

import math


def windows_2012(size, kernel, stride):
    # The program rounded up, so that no pixel is left over; what the last window lacks is zeros.
    windows = 1 + math.ceil((size - kernel) / stride)
    return windows, kernel + (windows - 1) * stride - size


def field(layers):
    pixels, step = 1, 1
    for kernel, stride in layers:
        pixels += (kernel - 1) * step  # the neighbours in a kernel lie `step` pixels apart
        step *= stride  # for the layers above
    return pixels


def totals(groups):
    # side of the kernel, maps that one kernel sees, kernels, side of the output
    layers = [(11, 3, 96, 55), (5, 96 // groups, 256, 27), (3, 256, 384, 13),
              (3, 384 // groups, 384, 13), (3, 384 // groups, 256, 13),
              (6, 256, 4096, 1), (1, 4096, 4096, 1), (1, 4096, 1000, 1)]
    weights = [kernel**2 * maps * kernels for kernel, maps, kernels, _ in layers]
    return (sum(weights) + sum(kernels for _, _, kernels, _ in layers),
            sum(n * side**2 for n, (_, _, _, side) in zip(weights, layers, strict=True)))


def operations(rows, batch):
    # One product forward and two backward; nobody asks for the gradient of the images.
    products = sum(row.multiply_accumulates for row in rows)
    return 2 * batch * (3 * products - rows[0].multiply_accumulates)


def smallest_batch(row, per_byte):
    # 2 * batch * MAC operations / (4 * parameters) bytes >= per_byte, solved for batch
    return math.ceil(per_byte * 4 * row.parameters / (2 * row.multiply_accumulates))


def repair(net):
    # Both draw the same numbers and multiply them by 0.01 or 0.03.
    state = net.state()
    for name in state:
        if name.endswith(("conv3.weight", "conv4.weight", "conv5.weight")):
            state[name] = 3 * state[name]
    net.load_state(state)
    return net
