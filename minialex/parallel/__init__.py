"""Many processes train one network: the work of each step is shared out among them."""

from .data import DataParallel
from .hybrid import Hybrid
from .ranks import Communicator, MpiCommunicator, RankError, connect, devices_of_rank

__all__ = ["Communicator", "DataParallel", "Hybrid", "MpiCommunicator", "RankError", "connect",
           "devices_of_rank"]
