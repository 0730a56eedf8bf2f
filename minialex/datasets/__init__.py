"""Data as host arrays: images uint8 (N, H, W, C), labels int64 (N,). No tensors here.

    sets       which sets there are, and any folder of pictures
    formats    bytes of a file become arrays
    download   bringing a public set here
    shards     pictures packed for training: written, and read
    feed       crops, mirror images, colours, ten views; batches, prepared by threads
"""

from .download.fetch import data_folder, find_set, get_set
from .errors import DataError, MissingSetError
from .feed.batches import Batch, batches
from .feed.views import ColourNoise, Preparation, Views
from .formats.idx import read_idx, write_idx
from .formats.picture import read_image
from .images import ImageSet, Statistics
from .open import Data, open
from .sets import SETS
from .sets.cifar10 import cifar10
from .sets.fashion_mnist import fashion_mnist
from .sets.folder import pictures_in
from .sets.mnist import mnist
from .shards.read import is_prepared, prepared

__all__ = ["Batch", "ColourNoise", "Data", "DataError", "ImageSet", "MissingSetError",
           "Preparation", "SETS", "Statistics", "Views", "batches", "cifar10", "data_folder",
           "fashion_mnist", "find_set", "get_set", "is_prepared", "mnist", "open", "pictures_in",
           "prepared", "read_idx", "read_image", "write_idx"]
