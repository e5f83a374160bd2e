"""What a libOS polls, and several of them at once."""

import select
from threading import Event, active_count

from libos.errors import Fail, Kind


class Device:
    """What a libOS polls. This one has nothing to poll: in-memory queues wake their operations themselves."""

    def __init__(self):
        self.bell = Event()

    def poll(self, timeout):
        """Look for I/O for at most `timeout` nanoseconds (None: for ever) and wake what became ready.

        Raises TIMED_OUT when nothing ever could: one thread waiting for ever for itself is a program's mistake.
        """
        if timeout is None and active_count() == 1:
            raise Fail(Kind.TIMED_OUT, "nothing is left that could complete this wait")
        self.bell.wait(None if timeout is None else timeout / 1e9)
        self.bell.clear()

    def ring(self, sleepers):
        """Wake the threads that sleep in poll."""
        self.bell.set()


def poll_all(devices, timeout):
    """As Device.poll, of several that have a descriptor each (`fileno`): asleep on all of them."""
    sleeping = select.poll()
    for device in devices:
        sleeping.register(device.fileno(), select.POLLIN)
    limits = [device.doze() for device in devices]
    try:
        nearest = min((limit for limit in (timeout, *limits) if limit is not None), default=None)
        sleeping.poll(None if nearest is None else -(-nearest // 1000000))
    finally:
        for device in devices:
            device.rouse()
    for device in devices:
        device.poll(0)
