"""Is this input right? One function for each question, so that ops are left with mathematics.

Each raises an error of one line that says what came, what is needed, and the remedy; a few give
back what they have checked in one form, such as an int for any whole number. A function that serves
a single op has the name of that op. Arrays and tensors are asked for their shape and type only.
"""

from .shapes import (
    axes, broadcast, concat, converted, filled, flatten, number, reshape, shape, take_channels,
    transpose, whole,
)
from .ops import (
    conv2d, dropout, images, linear, local_response_norm, matmul, padding, pool2d,
    softmax_cross_entropy, window,
)
from .tape import (
    array, backward, call, copied, failed, gradient, gradients, handed_to_numpy, misfit, op_name,
    option, single, static, stored, transfer, unchanged, unused, upstream,
)
from .devices import (
    cuda_error, device_name, gpu, host_array, in_one_line, memory, virtual_device, why_no_gpu,
)
from .layers import (
    as_before, groups, learnable, modules, not_empty, probability, seed, sgd, unknown_name,
    weighted,
)

__all__ = ["array", "as_before", "axes", "backward", "broadcast", "call", "concat", "conv2d",
           "converted", "copied", "cuda_error", "device_name", "dropout", "failed", "filled",
           "flatten", "gpu", "gradient", "gradients", "groups", "handed_to_numpy", "host_array",
           "images", "in_one_line", "learnable", "linear", "local_response_norm", "matmul",
           "memory", "misfit", "modules", "not_empty", "number", "op_name", "option", "padding",
           "pool2d", "probability", "reshape", "seed", "sgd", "shape", "single",
           "softmax_cross_entropy", "static", "stored", "take_channels", "transfer", "transpose",
           "unchanged", "unknown_name", "unused", "upstream", "virtual_device", "weighted", "whole",
           "why_no_gpu", "window"]
