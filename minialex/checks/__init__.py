"""Is this input right? One function for each question, so that ops hold only mathematics.

Each raises an error of one line that says what came, what is needed, and the remedy; a few give
back what they have checked in one form, such as an int for any whole number. A function that serves
a single op has the name of that op. Arrays and tensors are asked for their shape and type only.
"""

from .shapes import (
    axes, broadcast, concat, converted, filled, flatten, made, number, reshape, shape, shown,
    take_channels, transpose, whole,
)
from .ops import (
    conv2d, dropout, images, linear, local_response_norm, matmul, normalization, padding,
    pool2d, softmax_cross_entropy, window,
)
from .tape import (
    array, backward, by_name, call, checkable, copied, failed, gradient, gradients,
    handed_to_numpy, misfit, no_attribute, no_operator, not_yet_tensor, op_name, option, result,
    single, static, stored, tensor, unchanged, unused, upstream,
)
from .devices import (
    cuda_error, device_name, gpu, host_array, in_one_line, memory, memory_limit, virtual_device,
    why_no_gpu,
)
from .layers import (
    as_before, convolution, drawn, found, learnable, modules, not_empty, probability, seed,
    sgd, unknown_name, watched, weighted,
)
from .names import kinds, path, text

__all__ = ["array", "as_before", "axes", "backward", "broadcast", "by_name", "call", "checkable",
           "concat", "conv2d", "converted", "convolution", "copied", "cuda_error", "device_name",
           "drawn", "dropout", "failed", "filled", "flatten", "found", "gpu", "gradient",
           "gradients", "handed_to_numpy", "host_array", "images", "in_one_line", "kinds",
           "learnable", "linear", "local_response_norm", "made", "matmul", "memory", "memory_limit",
           "misfit", "modules", "no_attribute", "no_operator", "normalization", "not_empty",
           "not_yet_tensor", "number", "op_name", "option", "padding", "path", "pool2d",
           "probability", "reshape", "result", "seed", "sgd", "shape", "shown", "single",
           "softmax_cross_entropy", "static", "stored", "take_channels", "tensor", "text",
           "transpose", "unchanged", "unknown_name", "unused", "upstream", "virtual_device",
           "watched", "weighted", "whole", "why_no_gpu", "window"]
