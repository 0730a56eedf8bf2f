"""What layers, networks and optimizers are made of."""

import difflib
from numbers import Integral

from ..errors import InputError, InputTypeError, UnknownNameError
from .names import kinds
from .ops import padding
from .shapes import made, number, shown, whole

__all__ = ["as_before", "convolution", "drawn", "found", "learnable", "modules", "not_empty",
           "probability", "seed", "sgd", "unknown_name", "watched", "weighted"]


def weighted(layer, shape, std, bias):
    """What a layer with weights is made of."""
    for size in shape:
        whole(layer, f"weight ({', '.join(map(shown, shape))}): one size", size)
    if std is not None and not number(layer, "std", std) >= 0:
        raise InputError(f"{layer}: std is {std}; it must not be negative")
    if isinstance(bias, bool):
        raise InputTypeError(f"{layer}: bias is {bias}; give its first value, such as 0.0, or None "
                             "for a layer without biases")
    if bias is not None:
        number(layer, "bias", bias)


def modules(given):
    """A list of what can be called one after the other."""
    for index, module in enumerate(given):
        if not callable(module) or isinstance(module, type):
            remedy = ("give modules one by one: Sequential(*list)"
                      if isinstance(module, (list, tuple)) else "give a module, such as ReLU()")
            raise InputTypeError(f"Sequential: input {index} is of type {type(module).__name__}; "
                                 f"{remedy}")
    return list(given)


def convolution(layer, in_channels, out_channels, pad, groups):
    """What a layer that convolves is made of, beside its weights."""
    padding(layer, pad)
    inputs, kernels = (whole(layer, name, n) for name, n in (
        ("in_channels", in_channels), ("out_channels", out_channels)))
    if inputs % whole(layer, "groups", groups) or kernels % groups:
        raise InputError(f"{layer}: groups={groups} must divide {inputs}, {kernels}")


def found(path, value, Tensor, Parameter):
    """What lies in a module: a tensor that is to be learnt must be a Parameter."""
    if isinstance(value, Tensor) and not isinstance(value, Parameter) and (
            value.requires_grad and value.node is None):
        raise InputTypeError(f"{path} is a Tensor that requires a gradient, but only a Parameter "
                             "is learnt; make it nn.Parameter(array)")


def probability(layer, name, value):
    """The share of numbers to drop, as a float."""
    value = number(layer, name, value)
    if not 0 <= value < 1:
        raise InputError(f"{layer}: {name} is {value}; it is the probability to drop, in [0, 1)")
    return value


def watched(net, Module, **watchers):
    """The module, and functions or None."""
    kinds("watch", net=(net, Module))
    for name, watcher in watchers.items():
        if not (watcher is None or callable(watcher)):
            raise InputTypeError(f"watch: {name} is {shown(watcher)}; give a function of path, "
                                 "layer and tensor, or None")
    return net


def drawn(function, rng, shape, dtype, options=()):
    """A new array of normal numbers from a NumPy generator; options: see `made`."""
    if not hasattr(rng, "integers"):  # which NumPy's older RandomState does not have
        raise InputTypeError(f"{function}: rng is {shown(rng)}; give a numpy.random.Generator, "
                             "such as numpy.random.default_rng(0)")
    return made(function, rng.standard_normal, shape, dtype, options)


def seed(rng):
    """A random generator (which knows how to draw `integers`), a seed, or None."""
    is_seed = isinstance(rng, Integral) and rng >= 0
    if not (rng is None or is_seed or hasattr(rng, "integers")):
        raise InputError(f"rng is {shown(rng)}; give a numpy.random.Generator, a seed (a whole "
                         "number, at least 0), or nothing")
    return rng


def unknown_name(owner, name, more=""):
    """The error for an attribute that `owner` does not have."""
    # NumPy and others ask for names with __ very often.
    close = [] if name.startswith("__") else difflib.get_close_matches(
        name, [known for known in dir(owner) if not known.startswith("_")], 1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return UnknownNameError(f"{type(owner).__name__} has no attribute {name!r}{more}{hint}")


def sgd(parameters, rules, **numbers):
    """What an SGD may be made of, but for the parameters themselves."""
    if not hasattr(parameters, "__iter__"):
        raise InputTypeError(f"SGD: got a {type(parameters).__name__}; pass net.parameters()")
    for name, value in numbers.items():
        if not number("SGD", name, value) >= 0:  # nor a NaN
            raise InputError(f"SGD: {name} is {value}; it must not be negative")
        if name == "momentum" and value >= 1:
            raise InputError(f"SGD: momentum is {value}; give less than 1, or the steps grow "
                             "without end")
    if not (hasattr(rules, "values") and all(hasattr(rule, "keys") for rule in rules.values())):
        raise InputTypeError("SGD: rules are {pattern: {'lr': 2.0, 'weight_decay': 0.0}, ...}; got "
                             f"{shown(rules)}")
    if unknown := {key for rule in rules.values() for key in rule} - {"lr", "weight_decay"}:
        raise InputError(f"SGD: rules has {min(unknown)!r}; a rule multiplies 'lr' or "
                         "'weight_decay'")
    for pattern, rule in rules.items():
        for name, value in rule.items():
            number("SGD", f"{name} of the rule {pattern!r}", value)


def learnable(optimizer, Tensor, name, p, others):
    """A leaf of the tape, whose name none of the others has."""
    if not isinstance(p, Tensor) or p.node:
        raise InputTypeError(f"{optimizer}: parameter {name} is a {type(p).__name__}, or the "
                             "result of an op; pass net.parameters()")
    if others.get(name, p) is not p:
        raise InputError(f"{optimizer}: two parameters have the same name, {name}; pass a dict by "
                         "names")


def not_empty(optimizer, parameters):
    if not any(p.requires_grad for p in parameters.values()):
        what = "none of the parameters has requires_grad=True" if parameters else (
            "there are no parameters")
        raise InputError(f"{optimizer}: {what}; pass net.parameters()")


def as_before(optimizer, name, velocity, p):
    """A parameter must be as it was when the optimizer was made, and can be written to."""
    if (velocity.shape, velocity.dtype) != (p.shape, p.dtype):
        raise InputError(f"{optimizer}: {name} was {velocity.dtype} {velocity.shape} and is now "
                         f"{p.dtype} {p.shape}; drop the gradients, and make a new {optimizer}")
    data, places = p.data, zip(p.data.strides, p.shape, strict=True)
    shown_twice = not data.flags.c_contiguous and any(not step and n > 1 for step, n in places)
    if shown_twice or not getattr(data.flags, "writeable", True):  # CuPy's all are
        raise InputError(f"{optimizer}: the array of parameter {name} is read-only, or has one "
                         "number for several places; set its data to a copy")
