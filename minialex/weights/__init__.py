"""AlexNets that others trained, in and out."""

from .catalogue import CATALOGUE, PublicWeights, find, get, load, look_up
from .errors import UnknownPixelsError, WeightsError
from .layout import is_bgr
from .onnx_reader import read_onnx
from .onnx_writer import write_onnx
from .trained import read_classifier

__all__ = ["CATALOGUE", "PublicWeights", "UnknownPixelsError", "WeightsError", "find", "get",
           "is_bgr", "load", "look_up", "read_classifier", "read_onnx", "write_onnx"]
