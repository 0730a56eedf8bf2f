"""minialex: deep learning from first principles, up to the AlexNet of 2012 on two devices."""

from . import backend, datasets, models, nn, ops, optim
from .gradcheck import GradientError, check_gradients
from .nn.init import seed
from .operation import op
from .tensor import Tensor, no_grad, randn, zeros

__version__ = "0.1.0"

__all__ = [
    "GradientError", "Tensor", "backend", "check_gradients", "datasets", "models", "nn", "no_grad",
    "op", "ops", "optim", "randn", "seed", "zeros",
]
