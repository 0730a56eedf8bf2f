"""Is this input right? One function for each question, so that ops are left with mathematics.

Each raises an error of one line that says what came, what is needed, and the remedy; a few give
back what they have checked in one form, such as an int for any whole number. A function that serves
a single op has the name of that op. Arrays and tensors are asked for their shape and type only.
"""

import difflib
import math
import re
from numbers import Integral

from .errors import (
    DeviceError,
    DeviceMemoryError,
    InputError,
    InputTypeError,
    UnknownNameError,
    UsageError,
)

__all__ = [
    "array", "as_before", "axes", "backward", "broadcast", "call", "concat", "conv2d", "copied",
    "cuda_error", "device_name", "dropout", "filled", "flatten", "gpu", "gradient", "gradients",
    "groups", "handed_to_numpy", "host_array", "images", "in_one_line", "learnable", "linear",
    "local_response_norm", "matmul", "memory", "misfit", "not_empty", "number", "option",
    "padding", "pool2d", "probability", "reshape", "seed", "sgd", "sizes",
    "softmax_cross_entropy", "static", "stored", "take_channels", "transpose", "unchanged",
    "unknown_name", "unused", "upstream", "virtual_device", "whole", "why_no_gpu", "window",
]


# Numbers, axes, shapes


def whole(op, name, value, least=1, most=math.inf):
    """An option that counts something, as an int; NumPy's integers will do."""
    if not isinstance(value, Integral) or isinstance(value, bool) or not least <= value <= most:
        limits = f"at least {least}" + (f" and at most {most}" if most < math.inf else "")
        raise InputError(f"{op}: {name} is {value!r}; it must be a whole number, {limits}")
    return int(value)


def number(op, name, value):
    """A real number, as Python's int or float: one of NumPy's would promote float32."""
    try:
        return value if isinstance(value, int) else float(value)
    except (TypeError, ValueError):
        raise InputTypeError(f"{op}: {name} is {value!r}; it must be a number") from None


def axes(op, x, axis):
    """`axis` (an int, a tuple, or None for all) as a tuple of numbers from 0 on."""
    if axis is None:
        return tuple(range(x.ndim))
    given = axis if isinstance(axis, tuple) else (axis,)
    found = {int(a) % x.ndim for a in given  # `int` is asked for first, because that is quick
             if isinstance(a, (int, Integral)) and -x.ndim <= a < x.ndim}
    if len(found) < len(given):
        raise InputError(f"{op}: axis is {axis} but x has shape {x.shape}; name each axis once, "
                         f"{-x.ndim} .. {x.ndim - 1}")
    return tuple(found)


def filled(op, x):
    if x.size == 0:
        raise InputError(f"{op}: x has shape {x.shape}; give it at least one number")


def broadcast(op, a, b):
    """The shapes of two operands, None for a plain number."""
    shape_a, shape_b = getattr(a, "shape", None), getattr(b, "shape", None)
    if shape_a != shape_b and None not in (shape_a, shape_b):
        ends = zip(reversed(shape_a), reversed(shape_b), strict=False)
        if any(m != n and 1 not in (m, n) for m, n in ends):
            raise InputError(f"{op}: a {shape_a} and b {shape_b} do not broadcast; counted from "
                             "the last axis, sizes must be equal, or one of them 1")
    return shape_a, shape_b


def reshape(x, shape):
    """Sizes that multiply to the number of entries; one may be -1, which stands for the rest."""
    sizes = tuple(shape) if hasattr(shape, "__iter__") else (shape,)
    fine = all(isinstance(size, Integral) and size >= -1 for size in sizes)
    if fine and sizes.count(-1) == 1:
        known = -math.prod(sizes)
        fine = known > 0 and x.size % known == 0
    elif fine:
        fine = math.prod(sizes) == x.size and -1 not in sizes
    if not fine:
        raise InputError(f"reshape: x {x.shape} holds {x.size} numbers, which do not fill the "
                         f"shape {shape}; its sizes must multiply to {x.size}")


def flatten(x):
    if x.ndim < 1 or x.shape[0] == 0:
        raise InputError(f"flatten: x has shape {x.shape}; it must be (N, ...) with N at least 1")


def transpose(x, axes):
    """The axes in their new order; None reverses them."""
    order = range(x.ndim)[::-1] if axes is None else axes
    known = isinstance(order, (range, tuple, list)) and len(order) == x.ndim
    if not known or any(list(order).count(axis) != 1 for axis in range(x.ndim)):
        raise InputError(f"transpose: axes is {axes!r} for x {x.shape}; name each axis once")
    return tuple(order)


def concat(arrays, axis):
    """The axis, counted from 0 on."""
    first = arrays[0]
    axis = whole("concat", "axis", axis, least=-first.ndim)
    if axis >= first.ndim:
        raise InputError(f"concat: axis is {axis} but input 0 is {first.shape}")
    axis %= first.ndim
    for index, a in enumerate(arrays):
        if (a.shape[:axis], a.shape[axis + 1 :]) != (first.shape[:axis], first.shape[axis + 1 :]):
            raise InputError(f"concat: input {index} is {a.shape} but input 0 is {first.shape}; "
                             f"all sizes but that of axis {axis} must be equal")
    return axis


def take_channels(x, start, stop):
    """start and stop, as ints."""
    channels = x.shape[-1] if x.ndim else 0
    if not 0 <= start < stop <= channels:
        raise InputError(f"take_channels: start={start}, stop={stop} but x {x.shape} has channels "
                         f"0 .. {channels}; give 0 <= start < stop <= {channels}")
    return (whole("take_channels", "start", start, least=0),
            whole("take_channels", "stop", stop))


# Images


def images(op, x):
    """x must be a batch of at least one image, (N, H, W, C)."""
    if x.ndim != 4:
        raise InputError(f"{op}: x has shape {x.shape}; reshape it to (N, H, W, C), grey: C = 1")
    if x.shape[0] == 0:
        raise InputError(f"{op}: x has shape {x.shape}, an empty batch; give at least one image")


def padding(op, pad):
    """`pad` on every side, or (above, below, left, right), as four ints."""
    sides = pad if isinstance(pad, tuple) else (pad,) * 4
    if len(sides) != 4:
        raise InputError(f"{op}: pad is {pad!r}; give one number or (above, below, left, right)")
    return tuple(whole(op, "pad", side, least=0) for side in sides)


def window(op, image, size):
    """A window of `size` must fit into the padded image; both are (rows, columns)."""
    if size[0] > image[0] or size[1] > image[1]:
        raise InputError(f"{op}: a window of {size[0]}x{size[1]} does not fit into an image of "
                         f"{image[0]}x{image[1]} (with padding); use a smaller window or more "
                         "padding")


def conv2d(x, w, b, stride, pad, groups):
    """stride, pad and groups, as ints."""
    images("conv2d", x)
    groups = whole("conv2d", "groups", groups)
    if w.ndim != 4:
        raise InputError(f"conv2d: w has shape {w.shape}; it must be (KH, KW, C / groups, O)")
    c, cg, o = x.shape[3], w.shape[2], w.shape[3]
    if c != cg * groups:
        raise InputError(f"conv2d: x {x.shape} has {c} channels but w {w.shape} is made for "
                         f"{cg} x groups = {cg * groups}; w must be (KH, KW, {c} / groups, O)")
    if o % groups:
        raise InputError(f"conv2d: w {w.shape} has {o} kernels, which groups={groups} does not "
                         "divide; the number of kernels must be a multiple of groups")
    if b is not None and b.shape != (o,):
        raise InputError(f"conv2d: b has shape {b.shape}; it must be ({o},) for w {w.shape}")
    return whole("conv2d", "stride", stride), padding("conv2d", pad), groups


def pool2d(op, x, size, stride, most=math.inf):
    """size and stride, as ints."""
    images(op, x)
    return whole(op, "size", size, most=most), whole(op, "stride", stride)


def local_response_norm(x, size, k, alpha):
    """size, as an int."""
    images("local_response_norm", x)
    size = whole("local_response_norm", "size", size)
    if size % 2 == 0:
        raise InputError(f"local_response_norm: size is {size}; it must be odd, to have a middle")
    if not (k > 0 and alpha >= 0):
        raise InputError(f"local_response_norm: k is {k}, alpha is {alpha}; k must be positive, so "
                         "that an image of zeros has something to be divided by, alpha at least 0")
    return size


def dropout(x, mask):
    if mask.shape != x.shape or mask.dtype != bool:
        raise InputError(f"dropout: mask is {mask.dtype} {mask.shape}; x needs bool {x.shape}")


# Matrices and scores


def matmul(a, b):
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0]:
        raise InputError(f"matmul: a is {a.shape}, b is {b.shape}; make them (N, K) and (K, M)")


def linear(x, w, b):
    if x.ndim != 2 or x.shape[0] == 0:
        raise InputError(f"linear: x has shape {x.shape}; make it (N, in), N > 0, by flatten(x)")
    if w.ndim != 2 or w.shape[0] != x.shape[1]:
        raise InputError(f"linear: w is {w.shape}, x is {x.shape}; w must be ({x.shape[1]}, out)")
    if b is not None and b.shape != w.shape[1:]:
        raise InputError(f"linear: b has shape {b.shape}; it must be {w.shape[1:]} for w {w.shape}")


def softmax_cross_entropy(logits, labels):
    op = "softmax_cross_entropy"
    if logits.ndim != 2 or logits.shape[0] == 0:
        raise InputError(f"{op}: logits has shape {logits.shape}; make it (N, classes), N > 0")
    n, classes = logits.shape
    got = getattr(labels, "dtype", type(labels).__name__)
    if getattr(got, "kind", "") not in ("i", "u"):
        raise InputTypeError(f"{op}: labels are {got}; they must be a NumPy array of integers")
    if labels.shape != (n,):
        raise InputError(f"{op}: labels has shape {labels.shape}; they must be ({n},)")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise InputError(f"{op}: labels lie in {low} .. {high} but logits {logits.shape} has "
                         f"classes 0 .. {classes - 1}; check the labels or the last layer")


# Calls of an op


def static(op, names, last, signature):
    """What `@op` is told to be no tensors must be the last parameters before `*`."""
    if list(names) != last:
        raise UsageError(f"@op {op}: static is {names!r}; it must be a tuple of the last names "
                         f"before `*` in {signature}, in their order")


def call(op, signature, inputs, options):
    """The arguments, bound to the names of their parameters."""
    try:
        return signature.bind(*inputs, **options)
    except TypeError as error:
        plain = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
        shown = signature.replace(parameters=plain, return_annotation=signature.empty)
        raise InputTypeError(f"{op}: {error}; call {op}{shown}") from None


def option(op, tensor, bound):
    """This tensor came where no gradient flows; `bound` is the call."""
    name = next(name for name, value in reversed(bound.arguments.items()) if value is tensor)
    raise InputTypeError(f"{op}: {name} is a Tensor, but no gradient flows to it; give its value, "
                         f"{name}.item() or {name}.numpy(), or see help({op})")


def misfit(function, Tensor, named, inputs):
    """The last of these inputs does not fit: raises what says why.

    It is no tensor, or on another device than the first tensor, or of another type.
    """
    op, x = function.__name__, inputs[-1]
    names = [*named[: len(inputs)], *(f"input {i}" for i in range(len(named), len(inputs)))]
    name = names[-1]
    if not isinstance(x, Tensor):
        remedy = "wrap it: Tensor(array, device=...)"
        if isinstance(x, (list, tuple)) and any(isinstance(item, Tensor) for item in x):
            remedy = f"give tensors one by one: {op}(*list)"
        elif str(function.__module__).partition(".")[0] != __package__:  # perhaps the caller's own
            remedy += f"; if it is an option, declare @op(static=({name!r},))"
        raise InputTypeError(f"{op}: {name} is a {type(x).__name__}, not a Tensor; {remedy}")
    tensors = [(y, other) for y, other in zip(inputs, names, strict=True) if isinstance(y, Tensor)]
    first, other = tensors[0]
    if x.device is not first.device:
        raise DeviceError(f"{op}: {name} {x.shape} on {x.device} but {other} {first.shape} on "
                          f"{first.device}; call transfer({name}, '{first.device}')")
    # Parameters keep their type, whatever comes to meet them; else floats, float32 before others.
    kept, other = max(tensors, key=lambda pair: (
        pair[0].requires_grad, pair[0].dtype.kind == "f", pair[0].dtype == "float32"))
    x, name = next(pair for pair in tensors if pair[0].dtype not in (kept.dtype, bool))
    raise InputTypeError(f"{op}: {name} is {x.dtype} but {other} is {kept.dtype}; nothing is "
                         f"converted silently; give {name} as array.astype('{kept.dtype}')")


# The tape


def array(array, requires_grad):
    """What a Tensor may be made of."""
    if array.dtype.kind not in "fiub":
        raise InputTypeError(f"Tensor: array is {array.dtype}; give floats, integers or booleans")
    if requires_grad and array.dtype.kind != "f":
        raise InputTypeError(f"Tensor: {array.dtype} has no gradient; use array.astype('float32')")


def handed_to_numpy(tensor, recorded):
    """NumPy may read a tensor, but not if that loses a gradient, and not from a GPU."""
    if recorded:
        raise InputTypeError("NumPy would lose the gradient of this tensor; use minialex.ops "
                             "(concat to join), or x.numpy() or x.detach() for its values")
    if tensor.device.kind != "cpu":
        raise InputTypeError(f"Tensor on {tensor.device}: call x.numpy() to copy it to the host")


def copied(tensor):
    """Copy and pickle take tensors off the tape only."""
    if tensor.node is not None:
        raise UsageError("Tensor: the result of an op cannot be copied or pickled, because its "
                         "tape would stay behind; use x.detach() or x.numpy()")


def gradient(tensor, given):
    """What is assigned to `tensor.grad`: None, or like the tensor and on its device."""
    if given is None:
        return
    if getattr(given, "device", None) is not tensor.device or (
            (given.shape, given.dtype) != (tensor.shape, tensor.dtype)):
        came = " ".join(str(getattr(given, name, "")) for name in ("dtype", "shape", "device"))
        raise InputTypeError(f"grad: a {type(given).__name__} {came} came; give None, or a Tensor "
                             f"of {tensor.dtype} {tensor.shape} on {tensor.device}")


def backward(tensor, gradient):
    """Was anything recorded, and is it clear with what gradient to begin?"""
    if not tensor.requires_grad:
        raise UsageError("backward: nothing was recorded for this tensor; it was made under "
                         "no_grad() or from tensors none of which has requires_grad=True")
    if gradient is None and tensor.size != 1:
        raise UsageError(f"backward: a tensor of shape {tensor.shape} is not a single number; "
                         "reduce it first, say with ops.sum(x), or call x.backward(gradient)")


def upstream(tensor, gradient):
    """The array with which `tensor.backward` begins."""
    if gradient.shape != tensor.shape or gradient.dtype.kind not in "fiub":
        raise InputError(f"backward: gradient is {gradient.dtype} {gradient.shape}; give real "
                         f"numbers of shape {tensor.shape}, as the tensor")


def gradients(op, gradients, parents):
    """What the `backward` of an op returned, for the inputs that are its parents on the tape."""
    if len(gradients) != len(parents):
        raise UsageError(f"{op}: backward must return {len(parents)} gradients, one for each "
                         f"input, but returned {len(gradients)}")
    for index, (g, parent) in enumerate(zip(gradients, parents, strict=True)):
        if parent is not None and (
                g is None or g.shape != parent.shape or g.dtype != parent.dtype):
            got = "None" if g is None else f"{g.dtype} {g.shape}"
            raise UsageError(f"{op}: backward returned {got} for input {index}, which is "
                             f"{parent.dtype} {parent.shape}")


def unused(op, backward):
    """The `backward` of a node of the tape, which has it until it is called."""
    if backward is None:
        raise UsageError(f"backward: the tape below this {op} has been used and freed by an "
                         "earlier backward(); run the forward pass again")
    return backward


def unchanged(op, index, leaf, made, device):
    """A leaf that `op` has used must be as and where it was when that was recorded."""
    if leaf.changed > made or leaf.device is not device:
        raise UsageError(f"{op}: backward after input {index} was changed by an optimizer, loaded "
                         "or moved; run the forward pass again, or call all backward() before "
                         "step()")


def stored(tensors, arrays, what):
    """Stored arrays must have the names, shapes and types of the tensors that they are to fill."""
    for name in sorted(tensors.keys() | arrays.keys()):
        came, here = (f"{d[name].dtype.name} {d[name].shape}" if name in d else "missing"
                      for d in (arrays, tensors))
        if came != here:
            raise InputError(f"{what}: {name} is {came} among the stored arrays but {here} here; "
                             "were they stored from another network?")


# Devices


def device_name(name):
    """What "gpu:1" consists of: its kind and its number; "gpu" is the first one."""
    match = re.fullmatch(r"(cpu|gpu)(?::(\d+))?", name) if isinstance(name, str) else None
    if not match:
        raise DeviceError(f"unknown device {name!r}; use 'cpu:0', 'cpu:1', 'gpu:0', 'gpu:1', ...")
    return match[1], int(match[2] or 0)


def virtual_device(index, count):
    if index >= count:
        raise DeviceError(f"device 'cpu:{index}' does not exist: the virtual CPU devices are "
                          f"cpu:0 to cpu:{count - 1}")


def gpu(index, count, why_none):
    if why_none:
        raise DeviceError(f"device 'gpu:{index}': {why_none}; or use 'cpu:{index}'")
    if index >= count:
        raise DeviceError(f"device 'gpu:{index}' does not exist: this machine has {count} GPU(s); "
                          "use one of them twice (gpu:0,gpu:0) or with the CPU (gpu:0,cpu:0)")


def why_no_gpu(said, driver, made_for):
    """Said of the driver, and the remedy. Versions of CUDA: 12090 is 12.9; 0: no driver."""
    remedy = "check nvidia-smi, and the variable CUDA_VISIBLE_DEVICES"
    if driver == 0:
        said, remedy = "there is no CUDA driver", "install one, and see nvidia-smi"
    elif driver // 1000 < made_for // 1000:  # it serves all minor versions of its CUDA
        said = (f"the driver is too old: it is for CUDA {driver // 1000}, CuPy for CUDA "
                f"{made_for // 1000}")
        remedy = "update the driver, or install CuPy for the CUDA of the driver, from 12 on"
    return f"({said}): {remedy}"


def in_one_line(error):
    """What an error says. CuPy frames some with lines of =, and says the cause last."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" =")]
    return lines[-1 if "Original error:" in lines else 0] if lines else type(error).__name__


def cuda_error(device, error, install):
    """What an error of CUDA means to who uses a device."""
    said = f"{type(error).__name__}: {in_one_line(error).rstrip('.')}"
    helps = {
        "ImportError|DynamicLibNotFound|Compile|NVRTC":
            f"update the driver, and install CuPy with the libraries of CUDA: {install}",
        "out of memory|ALLOC_FAILED":
            "use a smaller batch, set_memory_limit(more), or end other programs on this GPU",
        "": "start the program again, and see nvidia-smi; after a fork CUDA fails: spawn processes",
    }
    pattern = next(pattern for pattern in helps if re.search(pattern, said, re.IGNORECASE))
    kind = DeviceMemoryError if "memory" in pattern else DeviceError
    return kind(f"{device}: {said}; {helps[pattern]}")


def memory(device, nbytes, used, limit):
    """So many bytes more must be within the limit of a device, if it has one."""
    if limit is not None and used + nbytes > limit:
        raise DeviceMemoryError(
            f"{device}: out of memory allocating {nbytes:,} bytes (in use {used:,}, limit "
            f"{limit:,}); use a smaller batch, or set_memory_limit(more)")


def host_array(values, array):
    """`values` from the host, of which `array` has been made, must be numbers at every place."""
    if hasattr(values, "mask") and hasattr(values, "filled"):  # loading np.ma takes time
        raise InputTypeError("a masked array has no number at some places; give array.filled(0)")
    if array.dtype.kind not in "fciub":
        raise InputTypeError(f"an array of {array.dtype} cannot go to a device; give numbers")


# Layers, networks, optimizers


def sizes(layer, name, shape):
    for size in shape:
        whole(layer, f"{name} {shape}: one size", size)


def groups(layer, groups, *channels):
    if any(n % whole(layer, "groups", groups) for n in channels):
        raise InputError(f"{layer}: groups={groups} must divide {', '.join(map(str, channels))}")


def probability(layer, name, value):
    if not 0 <= value < 1:
        raise InputError(f"{layer}: {name} is {value}; it is the probability to drop, in [0, 1)")


def seed(rng):
    """A random generator (which knows how to draw), a seed, or None."""
    is_seed = isinstance(rng, Integral) and rng >= 0
    if not (rng is None or is_seed or hasattr(rng, "standard_normal")):
        raise InputError(f"rng is {rng!r}; give a numpy.random.Generator, a seed (a whole number, "
                         "at least 0), or nothing")


def unknown_name(owner, name, more=""):
    """The error for an attribute that `owner` does not have."""
    close = difflib.get_close_matches(name, dir(owner), 1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return UnknownNameError(f"{type(owner).__name__} has no attribute {name!r}{hint}{more}")


def sgd(parameters, rules, **numbers):
    """What an SGD may be made of, but for the parameters themselves."""
    if not hasattr(parameters, "__iter__"):
        raise InputTypeError(f"SGD: got a {type(parameters).__name__}; pass net.parameters()")
    for name, value in numbers.items():
        if not value >= 0:  # nor a NaN
            raise InputError(f"SGD: {name} is {value}; it must not be negative")
    if unknown := {key for rule in rules.values() for key in rule} - {"lr", "weight_decay"}:
        raise InputError(f"SGD: rules has {min(unknown)!r}; a rule multiplies 'lr' or "
                         "'weight_decay'")


def learnable(optimizer, Tensor, name, p, others):
    """A leaf of the tape, whose name none of the others has."""
    if not isinstance(p, Tensor) or p.node:
        raise InputTypeError(f"{optimizer}: parameter {name} is a {type(p).__name__}, or the "
                             "result of an op; pass net.parameters()")
    if others.get(name, p) is not p:
        raise InputError(f"{optimizer}: two parameters have the same name, {name}; pass a dict by "
                         "names")


def not_empty(optimizer, parameters):
    if not parameters:
        raise InputError(f"{optimizer}: there are no parameters; pass net.parameters()")


def as_before(optimizer, name, velocity, p):
    """A parameter must have the shape and the type that it had when the optimizer was made."""
    if (velocity.shape, velocity.dtype) != (p.shape, p.dtype):
        raise InputError(f"{optimizer}: {name} was {velocity.dtype} {velocity.shape} and is now "
                         f"{p.dtype} {p.shape}; drop the gradients, and make a new {optimizer}")
