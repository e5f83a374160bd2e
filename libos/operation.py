"""One operation in flight, what wait* returns for it, and what the libOSes of a process share to wait for them all."""

from threading import RLock

from libos.runtime import scheduler
from libos.runtime.timers import Timers

COMPILED = __file__.endswith(".so")


class Result:
    """What wait* returns for one operation.

    opcode: PUSH, POP, ACCEPT, CONNECT, WATCH, or FAILED; qd: its queue; qtoken; value: bytes pushed, the new qd of an
    accept, the ready mask of a watch; sga: what a pop took (empty: end of stream), to be freed by the application;
    address: the sender of a popped datagram, the peer of an accept; error: the Fail of a FAILED one.
    """

    __slots__ = ("opcode", "qd", "qtoken", "value", "sga", "address", "error")

    def __init__(self, opcode, qd, qtoken, value=0, sga=None, address=None, error=None):
        self.opcode = opcode
        self.qd = qd
        self.qtoken = qtoken
        self.value = value
        self.sga = sga
        self.address = address
        self.error = error

    @property
    def result(self):
        """Among the operations of a libOS a result stands for its own: one that was complete at once."""
        return self

    @property
    def done(self):
        """Nobody is to be told."""
        return None

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


class Guard:
    """A reentrant lock of which compiled code, that has the GIL all the time, sees at no cost that nobody is inside."""

    def __init__(self):
        self.lock = RLock()
        self.depth = 0

    def __enter__(self):
        self.lock.acquire()
        self.depth += 1

    def __exit__(self, *exception):
        self.depth -= 1
        self.lock.release()


class Shared:
    """Tables of one libOS, or of several whose operations are waited for together."""

    def __init__(self):
        self.lock = Guard()
        self.queues = {}
        self.qd = 499  # the last that was given
        self.operations = {}
        self.generation = 0
        self.scheduler = scheduler.Scheduler(1 << 14)
        self.timers = Timers()
        self.devices = []
        self.sleepers = 0  # threads in a device's poll

    def next_qd(self):
        """A queue descriptor that was never used; they begin at 500, as Demikernel's. Under the lock."""
        self.qd += 1
        return self.qd

    def next_qtoken(self, qd):
        """A qtoken that was never used. Under the lock."""
        self.generation += 1
        return self.generation << 16 | (qd & 0xFFFF)
