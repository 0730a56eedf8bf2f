"""Layers and the modules made of them."""

from . import init
from .layers import AvgPool2d, Conv2d, Dropout, Flatten, Linear, LocalResponseNorm
from .layers import MaxPool2d, ReLU, Sequential, Tanh
from .module import Module, Parameter
from .watch import watch

__all__ = ["AvgPool2d", "Conv2d", "Dropout", "Flatten", "Linear", "LocalResponseNorm",
           "MaxPool2d", "Module", "Parameter", "ReLU", "Sequential", "Tanh", "init",
           "watch"]
