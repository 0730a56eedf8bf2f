"""Stochastic gradient descent by the paper's rule."""

import fnmatch
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from . import checks
from .tensor import Tensor, load, mark_changed

__all__ = ["SGD"]

# Not in the paper, but what its authors ran: biases learn twice as fast and do not decay.
RULES_2012 = {"*bias": {"lr": 2.0, "weight_decay": 0.0}}


class SGD:
    """Momentum and weight decay as in 2012.  Paper: section 5.

        v <- momentum * v - weight_decay * lr * w - lr * gradient
        w <- w + v

    The rate is inside the velocity: when it falls, the old velocity still acts for some steps.
    (PyTorch keeps it outside; the two differ only when the rate changes.)

    parameters: tensors, or a dict of them by name (`net.named_parameters()`). One that is given
    twice is updated once; layers that the network gets later need a new SGD.
    rules: {name pattern: multipliers of "lr" and "weight_decay"}; the first that fits counts. A
    rate of 0 freezes a parameter. Names are those of `nn.Parameter`; a plain tensor has none.
    `self.rules` has one for each parameter, and may be changed between steps.
    """

    __slots__ = ("lr", "momentum", "parameters", "rules", "velocities", "weight_decay")

    def __init__(self, parameters: Iterable[Tensor] | Mapping[str, Tensor], lr: float = 0.01,
                 momentum: float = 0.9, weight_decay: float = 5e-4,
                 rules: Mapping[str, Mapping[str, float]] = RULES_2012) -> None:
        checks.sgd(parameters, rules, lr=lr, momentum=momentum, weight_decay=weight_decay)
        named = parameters.items() if isinstance(parameters, Mapping) else (
            (getattr(p, "name", "") or str(i), p) for i, p in enumerate(parameters))
        self.parameters: dict[str, Tensor] = {}
        for name, p in named:
            checks.learnable("SGD", Tensor, name, p, self.parameters)
            if not any(p is other for other in self.parameters.values()):  # shared: updated once
                self.parameters[name] = p
        checks.not_empty("SGD", self.parameters)
        self.lr, self.momentum, self.weight_decay = lr, momentum, weight_decay
        self.rules = {name: dict(next((rule for pattern, rule in rules.items()
                                       if fnmatch.fnmatchcase(name, pattern)), {}))
                      for name in self.parameters}
        self.velocities = {name: Tensor(np.zeros(p.shape, p.dtype), p.device)
                           for name, p in self.parameters.items()}

    def step(self) -> None:
        """One update, from the gradients that the parameters hold now.

        A parameter without a gradient, or with a rate of 0, is left alone.
        """
        for name, p in self.parameters.items():
            rule = self.rules[name]
            lr = float(self.lr * rule.get("lr", 1))  # a number of NumPy's would promote float32
            decay = float(self.weight_decay * rule.get("weight_decay", 1))
            if p.grad is not None and lr != 0:
                v = self.velocities[name]
                if v.device is not p.device:  # the network was moved
                    v.data, v.device = p.device.receive(v.data, v.device, "velocity"), p.device
                checks.as_before("SGD", name, v, p)
                with p.device:
                    self._update(p.device.xp, p.data, v.data, p.grad.data, lr, decay)
                mark_changed(p)

    def _update(self, xp: Any, w: Any, v: Any, g: Any, lr: float, decay: float) -> None:
        """In place, a few thousand numbers at a time so that each is fetched from memory once."""
        if w.flags.c_contiguous and v.flags.c_contiguous:  # else by rows: reshape would copy
            w, v, g = w.reshape(-1), v.reshape(-1), g.reshape(-1)

        def update(part: slice) -> None:
            change = xp.multiply(g[part], -lr, out=xp.empty(g[part].shape, g.dtype))
            xp.multiply(v[part], float(self.momentum), out=v[part])
            xp.add(v[part], change, out=v[part])
            if decay:
                xp.multiply(w[part], -lr * decay, out=change)
                xp.add(v[part], change, out=v[part])
            xp.add(w[part], v[part], out=w[part])

        xp.over_batch(update, len(w), 8 * w.nbytes // max(len(w), 1))

    def zero_grad(self) -> None:
        """Drop all gradients; the next backward() starts from none."""
        for p in self.parameters.values():
            p.grad = None

    def state(self) -> dict[str, np.ndarray]:
        """The velocities by the parameters' names: what a checkpoint stores."""
        return {name: v.numpy() for name, v in self.velocities.items()}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Set all velocities; every name and shape must fit."""
        load(self.velocities, state, "SGD")
