"""AlexNets that others trained, in and out."""

from .catalogue import CATALOGUE, PublicWeights, load
from .errors import WeightsError
from .onnx_reader import read_onnx
from .onnx_writer import write_onnx

__all__ = ["CATALOGUE", "PublicWeights", "WeightsError", "load", "read_onnx", "write_onnx"]
