"""Data as host arrays: images uint8 (N, H, W, C), labels int64 (N,). No tensors here.

The names of a set's classes stand beside its function, for instance
`from minialex.datasets.fashion_mnist import CLASSES`.
"""

from .augment import ColourNoise, Preparation, Views
from .cifar10 import cifar10
from .errors import DataError
from .fashion_mnist import fashion_mnist
from .fetch import data_folder, find_set, get_set
from .idx import read_idx, write_idx
from .image_folder import image_folder
from .images import ImageSet, Statistics
from .loader import Batch, batches
from .mnist import mnist
from .picture import read_image
from .prepared import is_prepared, prepared

__all__ = ["Batch", "ColourNoise", "DataError", "ImageSet", "Preparation", "Statistics", "Views",
           "batches", "cifar10", "data_folder", "fashion_mnist", "find_set", "get_set",
           "image_folder", "is_prepared", "mnist", "prepared", "read_idx", "read_image",
           "write_idx"]
