"""Networks: LeNet-5 (1998) and the two columns of AlexNet (2012)."""

from .alexnet import AlexNet
from .lenet import LeNet5
from .table import MODELS, ModelInfo, build, model_info

__all__ = ["MODELS", "AlexNet", "LeNet5", "ModelInfo", "build", "model_info"]
