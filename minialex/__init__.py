"""minialex: deep learning from first principles, up to the AlexNet of 2012 on two devices."""

import signal
import sys
from pathlib import Path

# Where this is the command `minialex` or `python -m minialex`, Ctrl-C ends it in silence while
# NumPy and the rest are loaded; then tools/cli.py takes over. Other programs notice nothing.
if ((Path(sys.argv[0] if sys.argv else "").stem == "minialex"
     or ("-m", "minialex") in zip(sys.orig_argv, sys.orig_argv[1:], strict=False))
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler):
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from . import backend, datasets, models, nn, ops, optim, tools
from .gradcheck import GradientError, check_gradients
from .nn.init import seed
from .operation import op
from .tensor import Tensor, no_grad, randn, zeros

__version__ = "0.2.0"

__all__ = [
    "GradientError", "Tensor", "backend", "check_gradients", "datasets", "models", "nn", "no_grad",
    "op", "ops", "optim", "randn", "seed", "tools", "zeros",
]

del Path, signal, sys
