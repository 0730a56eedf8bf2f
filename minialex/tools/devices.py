"""On which devices a command calculates, and with how many threads."""

from __future__ import annotations

import argparse

from .. import backend
from ..errors import InputError
from .arguments import whole

__all__ = ["add_arguments", "choose_devices", "from_options"]

MOST_THREADS = 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--devices and --threads."""
    parser.add_argument("--devices", metavar="A,B",
                        help="one device for each column, for instance gpu:0,gpu:1 or cpu:0,cpu:1 "
                             "(default: the best this machine has)")
    parser.add_argument("--threads", type=whole(1, MOST_THREADS), metavar="N",
                        help="threads on the CPU (default: all cores this process may use)")


def from_options(options: argparse.Namespace) -> tuple[tuple[str, ...], str]:
    """Set the number of threads -> the devices of the columns, and why these."""
    if options.threads is not None:
        backend.set_threads(options.threads)
    return choose_devices(options.devices)


def choose_devices(wanted: str | None) -> tuple[tuple[str, ...], str]:
    """The devices of the two columns, and why these. `wanted`: "A,B", "A" or None."""
    if wanted is not None:
        try:
            names = [backend.device(name.strip()).name for name in wanted.split(",")]
        except backend.DeviceError as error:
            raise backend.DeviceError(f"--devices {wanted}: {error}") from None
        if len(names) > 2:
            raise InputError(f"--devices {wanted}: there are two columns; name one or two devices")
        return (names[0], names[-1]), "as you asked"
    gpus = [name for name in backend.available() if name.startswith("gpu")]
    if len(gpus) >= 2:
        return (gpus[0], gpus[1]), "this machine has two GPUs"
    if gpus:
        return (gpus[0], gpus[0]), "this machine has one GPU; it takes both columns"
    return ("cpu:0", "cpu:1"), ("two virtual devices on the processor; "
                                f"{backend.why_no_gpu().partition(': ')[0]}")
