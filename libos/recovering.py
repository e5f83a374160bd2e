"""From a block device to its volume of Cattree."""

import os
import select

from libos.errors import Fail, Kind
from libos.log import recovery


def recovered(device, heap):
    """The volume of a device, as it was left; a new one where its first bytes are zeros. Raises INVALID."""
    steps = recovery.opened(device, heap, int.from_bytes(os.urandom(8), "little"))
    result = None
    try:
        while True:
            offset, address, length = steps.send(result)
            device.read(1, offset, address, length)
            device.submit()
            while not device.completion():
                select.select([device.bell()], [], [])
            result = device.result
    except StopIteration as end:
        return end.value
    except ValueError as damage:
        raise Fail(Kind.INVALID, str(damage))
