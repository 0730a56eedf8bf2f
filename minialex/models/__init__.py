"""Networks: LeNet-5 (1998) and the two columns of AlexNet (2012)."""

from .alexnet import AlexNet
from .lenet import LeNet5

__all__ = ["AlexNet", "LeNet5"]
