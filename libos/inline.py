"""Push, pop and wait for what need not wait: queues in memory with room, or with an element, and nobody in line, and
what native functions pass on of those.

Connections of Catmint are such queues too; a pop that has to wait there does so without a coroutine.

Compiled code does these without a lock, since it has the GIL from beginning to end; everything else, and all of it in
interpreted mode, goes by way of LibOS.start and LibOS.collect.
"""

from libos.immediate import Immediate
from libos.operation import Guard, Operation, Result, Shared
from libos.sgarray import SGArray

COMPILED = __file__.endswith(".so")


class Inline:
    """The base of LibOS, which has the ways for everything else."""

    def __init__(self, shared):
        self.shared: Shared = shared
        self.lock: Guard = shared.lock
        self.inlined = self.blocked = self.awaited_ones = 0

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
        size = -1 if found is None else found.put_at_once(sga)
        return self.push_in_turn(qd, sga) if size < 0 else self.at_its_end("PUSH", found.qd, size, None)

    def pop(self, qd: int, size: int = 65536) -> int:
        """Ask for the next element: at most `size` bytes of a stream, or one whole message. Returns a qtoken."""
        queue = self.immediate(qd) if type(qd) is int and type(size) is int and size > 0 else None
        element = None if queue is None else queue.at_once()
        if element is not None:
            return self.at_its_end("POP", queue.qd, queue.origin, element)
        if queue is not None and queue.expects():
            return self.expected(queue, size)
        return self.pop_in_turn(qd, size)

    def expected(self, queue, size):
        """The qtoken of a pop that waits first in its queue's line, without a coroutine."""
        operation = Operation("POP", queue, queue.popping(size))
        qtoken = self.shared.next_qtoken(queue.qd)
        operation.qtoken = qtoken
        self.shared.operations[qtoken] = operation
        queue.waiting[0].append(operation)
        self.blocked += 1
        return qtoken

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

    def awaited(self, operation):
        """The result of a pop that waits first in line without a coroutine, where it comes in a moment; else None."""
        found = operation.queue
        if operation.slot is not None or operation.done is not None or not isinstance(found, Immediate):
            return None
        queue = found
        line = queue.waiting[0]
        element = queue.awaited() if line and line[0] is operation else None
        if element is None:
            return None
        del line[0], self.shared.operations[operation.qtoken]
        self.awaited_ones += 1
        return Result("POP", queue.qd, operation.qtoken, element.length(), element)

    def wait(self, qtoken: int, timeout: float | None = None) -> Result:
        """The result of one operation. Raises TIMED_OUT after `timeout` seconds, INVALID for a token not live."""
        if COMPILED and not self.lock.depth and type(qtoken) is int:
            found = self.shared.operations.pop(qtoken, None)
            if type(found) is Result:
                return found
            if found is not None:
                self.shared.operations[qtoken] = found
                element = self.awaited(found) if timeout is None or timeout > 0 else None
                if element is not None:
                    return element
        return self.wait_any([qtoken], timeout)[1]
