"""Data as host arrays: images uint8 (N, H, W, C), labels int64 (N,). No tensors here.

The names of a set's classes stand beside its function, for instance
`from minialex.datasets.fashion_mnist import CLASSES`.
"""

from .errors import DataError
from .fashion_mnist import fashion_mnist
from .idx import read_idx, write_idx
from .image_folder import image_folder, read_image
from .images import ImageSet
from .loader import Batch, Preparation, batches
from .mnist import mnist

__all__ = ["Batch", "DataError", "ImageSet", "Preparation", "batches", "fashion_mnist",
           "image_folder", "mnist", "read_idx", "read_image", "write_idx"]
