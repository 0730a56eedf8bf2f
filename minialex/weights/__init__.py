"""AlexNets that others trained, in and out."""

from .errors import WeightsError
from .onnx_reader import read_onnx
from .onnx_writer import write_onnx

__all__ = ["WeightsError", "read_onnx", "write_onnx"]
