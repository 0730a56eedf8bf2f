"""Data as host arrays: images uint8 (N, H, W, C), labels int64 (N,). No tensors here.

The names of a set's classes stand beside its function, for instance
`from .fashion_mnist import CLASSES`.
"""

from .errors import DataError
from .fashion_mnist import fashion_mnist
from .idx import read_idx, write_idx
from .mnist import mnist

__all__ = ["DataError", "fashion_mnist", "mnist", "read_idx", "write_idx"]
