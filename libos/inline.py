"""Push, pop and wait for what need not wait: queues in memory with room, or with an element, and nobody in line, and
what native functions pass on of those.

Compiled code does these without a lock, since it has the GIL from beginning to end; everything else, and all of it in
interpreted mode, goes by way of LibOS.start and LibOS.collect.
"""

from libos.immediate import Immediate
from libos.memory_queue import MemoryQueue
from libos.operation import Guard, Result, Shared
from libos.sgarray import SGArray

COMPILED = __file__.endswith(".so")


class Inline:
    """The base of LibOS, which has the ways for everything else."""

    def __init__(self, shared):
        self.shared: Shared = shared
        self.lock: Guard = shared.lock
        self.inlined = 0

    def immediate(self, qd):
        """The queue of a qd, if something may be had of it here and now; None otherwise."""
        if not COMPILED or self.lock.depth:
            return None
        queue = self.shared.queues.get(qd)
        return queue if isinstance(queue, Immediate) else None

    def push(self, qd: int, sga: SGArray) -> int:
        """Submit a whole array. Returns a qtoken; completes when the device has taken all of it.

        Raises BAD_QUEUE, and INVALID for an empty or freed array.
        """
        found = self.immediate(qd) if type(qd) is int and type(sga) is SGArray else None
        if type(found) is not MemoryQueue:
            return self.push_in_turn(qd, sga)
        queue, array = found, sga
        size = array.length()
        if queue.waiting[0] or queue.waiting[1] or queue.count >= queue.capacity or not array.alive or size == 0:
            return self.push_in_turn(qd, sga)
        qtoken = self.at_its_end("PUSH", queue.qd, size, None)
        array.retain()
        queue.put(array)
        return qtoken

    def pop(self, qd: int, size: int = 65536) -> int:
        """Ask for the next element: at most `size` bytes of a stream, or one whole message. Returns a qtoken."""
        queue = self.immediate(qd) if type(qd) is int and type(size) is int and size > 0 else None
        element = None if queue is None else queue.at_once()
        if element is None:
            return self.pop_in_turn(qd, size)
        return self.at_its_end("POP", queue.qd, queue.origin, element)

    def at_its_end(self, opcode, qd, value, sga):
        """The qtoken of a new operation, whose result is live among the others: under the very integer that the
        application gets, so that it is found by its address.
        """
        result = Result.__new__(Result)
        result.opcode, result.qd, result.value, result.sga = opcode, qd, value, sga
        result.address = result.error = None
        qtoken = self.shared.next_qtoken(qd)
        result.qtoken = qtoken
        self.shared.operations[qtoken] = result
        self.inlined += 1
        return qtoken

    def wait(self, qtoken: int, timeout: float | None = None) -> Result:
        """The result of one operation. Raises TIMED_OUT after `timeout` seconds, INVALID for a token not live."""
        if COMPILED and not self.lock.depth and type(qtoken) is int:
            found = self.shared.operations.pop(qtoken, None)
            if type(found) is Result:
                return found
            if found is not None:
                self.shared.operations[qtoken] = found
        return self.wait_any([qtoken], timeout)[1]
