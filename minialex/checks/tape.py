"""How ops are called, and what the tape may hold."""

import math

from ..errors import DeviceError, InputError, InputTypeError, MinialexError, UsageError
from .layers import unknown_name
from .shapes import number, shown, too_large, whole

__all__ = ["array", "backward", "by_name", "call", "checkable", "copied", "failed", "gradient",
           "gradients", "handed_to_numpy", "misfit", "no_attribute", "no_operator",
           "not_yet_tensor", "op_name", "option", "result", "single", "static", "stored",
           "tensor", "unchanged", "unused", "upstream"]


# Calls of an op


def no_attribute(tensor, name):
    raise unknown_name(tensor, name, "; ops are functions, as in ops.sum(x), and x.numpy() is an "
                       "array")


def no_operator(tensor, other):
    raise InputTypeError("a Tensor has no [...] and no < or >, through which no gradient would "
                         "flow; use x.numpy(), x.item() for a single number, or an op such as "
                         "take_channels(x, start, stop)")


def op_name(function):
    """What errors call an op; a functools.partial or an object that is called has no name."""
    if not callable(function):
        raise InputTypeError(f"@op: function is {shown(function)}; give a function of arrays, "
                             "f(xp, x), or use @op(...) with options by name")
    return getattr(function, "__name__", type(function).__name__)


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


def failed(function, error, signature, inputs, options):
    """An op has raised this error: because of the call, sizes, or numbers that are not floats?"""
    op, ours = op_name(function), str(function.__module__).startswith("minialex.")
    if isinstance(error, MinialexError) or not (ours or isinstance(error, TypeError)):
        return  # the op of a user may well raise a ValueError of its own
    for name, x in call(op, signature, inputs, options).arguments.items():
        if hasattr(x, "requires_grad") and x.dtype.kind != "f":
            raise InputTypeError(f"{op}: {name} is {x.dtype}; it works on floats, so give it as "
                                 f"array.astype('float32') ({error})") from error
    if isinstance(error, (MemoryError, OverflowError)):
        raise too_large(op, error) from error


def option(op, tensor, bound):
    """This tensor came where no gradient flows; `bound` is the call."""
    name = next(name for name, value in reversed(bound.arguments.items()) if value is tensor)
    raise InputTypeError(f"{op}: {name} is a Tensor, but no gradient flows to it; give its value, "
                         f"{name}.item() or {name}.numpy(), or see help({op})")


def misfit(function, Tensor, named, inputs):
    """The last of these inputs does not fit: raises what says why.

    It is no tensor, or on another device than the first tensor, or of another type.
    """
    op, x = op_name(function), inputs[-1]
    names = [*named[: len(inputs)], *(f"input {i}" for i in range(len(named), len(inputs)))]
    here = names[-1]
    if not isinstance(x, Tensor):
        remedy = "wrap it: Tensor(array, device=...)"
        if isinstance(x, (list, tuple)) and any(isinstance(item, Tensor) for item in x):
            remedy = f"give tensors one by one: {op}(*list)"
        elif here in named and not str(function.__module__).startswith("minialex."):
            # perhaps an op of the caller's own
            remedy += f"; if it is an option, declare @op(static=({here!r},))"
        raise InputTypeError(f"{op}: {here} is a {type(x).__name__}, not a Tensor; {remedy}")
    tensors = [(y, other) for y, other in zip(inputs, names, strict=True) if isinstance(y, Tensor)]
    first, other = tensors[0]
    if x.device is not first.device:
        raise DeviceError(f"{op}: {here} {x.shape} on {x.device} but {other} {first.shape} on "
                          f"{first.device}; call transfer({here}, '{first.device}')")
    # Parameters keep their type, whatever comes to meet them; else floats, float32 before others.
    kept, other = max(tensors, key=lambda pair: (
        pair[0].dtype.isnative, pair[0].requires_grad, pair[0].dtype.kind == "f",
        pair[0].dtype == "float32"))
    others = [pair for pair in tensors if pair[0].dtype != kept.dtype]
    x, here = min(others, key=lambda pair: pair[0].dtype == bool)  # masks may come with floats
    raise InputTypeError(f"{op}: {here} is {x.dtype} but {other} is {kept.dtype}; nothing is "
                         f"converted silently; give {here} as array.astype('{kept.dtype}')")


def tensor(op, x, Tensor):
    """x, which must be a tensor."""
    if not isinstance(x, Tensor):
        raise InputTypeError(f"{op}: x is a {type(x).__name__}, not a Tensor; wrap it: "
                             "Tensor(array, device=...)")
    return x


# A check of gradients


def checkable(function, inputs, Tensor, seed, **limits):
    """The inputs of `check_gradients`, tensors as arrays. Limits are more than 0; atol may be 0."""
    checker = "check_gradients"
    if not callable(function):
        raise InputTypeError(f"{checker}: function is a {type(function).__name__}; give the "
                             "function itself, not its result")
    if not inputs:
        raise InputError(f"{checker}: no inputs; give at least one array to differentiate by")
    whole(checker, "seed", seed, least=0)
    for name, value in limits.items():
        if not (0 < number(checker, name, value) < math.inf or (name == "atol" and value == 0)):
            raise InputError(f"{checker}: {name} is {value}; it must be more than 0, and finite")
    return [x.numpy() if isinstance(x, Tensor) else x for x in inputs]


def result(checker, Tensor, value):
    if not isinstance(value, Tensor):
        raise InputTypeError(f"{checker}: the function returned a {type(value).__name__}; it must "
                             "return one Tensor")
    return value


# The tape


def not_yet_tensor(array, Tensor):
    if isinstance(array, Tensor):
        raise InputTypeError("Tensor: array is a Tensor; use transfer(x, device) or x.detach()")


def array(array, requires_grad):
    """What a Tensor may be made of."""
    if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
        raise InputTypeError(f"Tensor: array is {array.dtype}; give floats, integers or booleans "
                             "of up to 64 bits")
    if requires_grad not in (False, True):
        raise InputTypeError(f"Tensor: requires_grad is {shown(requires_grad)}; give True or False")
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
        came = "".join(f" {getattr(given, name)}" for name in ("dtype", "shape", "device")
                       if hasattr(given, name))
        raise InputTypeError(f"grad: a {type(given).__name__}{came} came; give None, or a Tensor "
                             f"of {tensor.dtype} {tensor.shape} on {tensor.device}")


def single(tensor):
    """The tensor, which must have one element."""
    if tensor.size != 1:
        raise InputError(f"a tensor of shape {tensor.shape} is not a single number; use "
                         "x.numpy(), or ops.sum or ops.mean")
    return tensor


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
    return gradient


def gradients(op, gradients, parents):
    """What the `backward` of an op returned, as a tuple: one for each parent on the tape."""
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    if len(gradients) != len(parents):
        raise UsageError(f"{op}: backward must return {len(parents)} gradients, one for each "
                         f"input, but returned {len(gradients)}")
    for index, (g, parent) in enumerate(zip(gradients, parents, strict=True)):
        if parent is not None and (
                g is None or g.shape != parent.shape or g.dtype != parent.dtype):
            got = "None" if g is None else f"{g.dtype} {g.shape}"
            raise UsageError(f"{op}: backward returned {got} for input {index}, which is "
                             f"{parent.dtype} {parent.shape}")
    return gradients


def unused(op, backward):
    """The `backward` of a node of the tape, which must not have been used yet."""
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


def by_name(what, arrays):
    """The arrays, if they have names."""
    if not hasattr(arrays, "items"):
        raise InputTypeError(f"{what}: state is a {type(arrays).__name__}; give a dict of arrays "
                             "by name, such as np.load(file) or net.state()")
    return arrays


def stored(tensors, arrays, what):
    """Stored arrays must have the names, shapes and types of the tensors that they are to fill."""
    for name in sorted(tensors.keys() | arrays.keys()):
        came, here = (f"{d[name].dtype.name} {d[name].shape}" if name in d else "missing"
                      for d in (arrays, tensors))
        if came != here:
            raise InputError(f"{what}: {name} is {came} among the stored arrays but {here} here; "
                             "were they stored from another network?")
