"""On which devices a command calculates, and with how many threads."""

from __future__ import annotations

from .. import backend
from ..errors import InputError
from ..parallel import Communicator, devices_of_rank

__all__ = ["choose_devices"]


def choose_devices(wanted: str | None, threads: int | None = None,
                   group: Communicator | None = None) -> tuple[tuple[str, ...], str]:
    """The devices of the two columns, and the reason; also set the number of `threads`.

    wanted: "A,B", "A" or None, the best. group: the processes among which devices are shared out.
    """
    if threads is not None:
        backend.set_threads(threads)
    if wanted is None:
        names = [name for name in backend.available() if name.startswith("gpu")]
        if not names:
            return ("cpu:0", "cpu:1"), ("two virtual devices on the processor; "
                                        f"{backend.why_no_gpu().partition(': ')[0]}")
        why = ("this machine has one GPU; it takes both columns" if len(names) == 1 else
               f"this machine has {len(names)} GPUs")
    else:
        try:
            names = [backend.device(name.strip()).name for name in wanted.split(",")]
        except backend.DeviceError as error:
            raise backend.DeviceError(f"--devices {wanted}: {error}") from None
        why = "as you asked"
    if group and group.size > 1:
        return (devices_of_rank(names, group.local_rank, group.local_size),
                f"{why}, for {group.local_size} ranks on this machine")
    if wanted is not None and len(names) > 2:
        raise InputError(f"--devices {wanted}: there are two columns; name one or two devices")
    return (names[0], names[:2][-1]), why
