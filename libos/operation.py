"""One operation in flight, what wait* returns for it, and what the libOSes of a process share to wait for them all."""

from itertools import count
from threading import RLock

from libos.errors import Fail
from libos.runtime import scheduler
from libos.runtime.timers import Timers
from libos.sgarray import SGArray

FIRST_QD = 500


class Result:
    """What wait* returns for one operation.

    opcode: PUSH, POP, ACCEPT, CONNECT, WATCH, or FAILED; qd: its queue; qtoken; value: bytes pushed, the new qd of an
    accept, the ready mask of a watch; sga: what a pop took (empty: end of stream), to be freed by the application;
    address: the sender of a popped datagram, the peer of an accept; error: the Fail of a FAILED one.
    """

    __slots__ = ("opcode", "qd", "qtoken", "value", "sga", "address", "error")

    def __init__(self, opcode: str, qd: int, qtoken: int, value=0, sga=None, address=None, error=None) -> None:
        self.opcode = opcode
        self.qd = qd
        self.qtoken = qtoken
        self.value: int = value
        self.sga: SGArray | None = sga
        self.address: tuple | None = address
        self.error: Fail | None = error

    def __repr__(self):
        return f"Result({self.opcode}, qd={self.qd}, qtoken={self.qtoken:#x}, value={self.value}, error={self.error!r})"


class Operation:
    """One push, pop, accept, connect or watch in flight. `attempt()` returns (value, sga, address), or None to wait."""

    __slots__ = ("opcode", "queue", "qtoken", "attempt", "undo", "done", "slot", "result")

    def __init__(self, opcode, queue, attempt, undo=None, done=None):
        self.opcode = opcode
        self.queue = queue
        self.qtoken = 0
        self.attempt = attempt
        self.undo = undo
        self.done = done
        self.slot = None
        self.result = None


class Shared:
    """Tables of one libOS, or of several whose operations are waited for together."""

    def __init__(self):
        self.lock = RLock()
        self.queues = {}
        self.qds = count(FIRST_QD)
        self.operations = {}
        self.generations = count(1)
        self.scheduler = scheduler.Scheduler(1 << 14)
        self.timers = Timers()
        self.devices = []
        self.sleepers = 0  # threads in a device's poll
