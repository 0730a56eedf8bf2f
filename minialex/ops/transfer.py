"""The only bridge between two devices."""

from .. import backend, checks
from ..backend import Device
from ..tensor import Tensor, record

__all__ = ["transfer"]


def transfer(x: Tensor, device: str | Device, *, label: str = "") -> Tensor:
    """Copy x to another device; backward copies the gradient back.  Keeps nothing.

    On its own device x comes back as it is, so that one program serves one, two or mixed devices.
    label: what `backend.record_transfers` calls this copy.  Not an `@op`, because it alone works on
    two devices.  Paper: section 3.2 (the columns talk in certain layers).  Built in chapter 08.
    """
    checks.tensor("transfer", x, Tensor)
    source, destination = x.device, backend.device(device)
    if source is destination:
        return x
    value = destination.receive(x.data, source, label)

    def backward(gy):
        return source.receive(gy, destination, f"{label}, gradient" if label else "gradient")

    return record("transfer", value, destination, backward, (x,), backward_device=source)
