"""Lines of the operations on logs, as the half that has the GIL sees them: what waits in them, and how it ends."""

from ctypes import string_at

from libos import calls, raw
from libos.core import layout, logs
from libos.errors import Fail, Kind
from libos.log.names import LONGEST as LONGEST_NAME

COMPILED = __file__.endswith(".so")


class Opened:
    """A log as a queue: its cursor, and whether its first pop is being read for."""

    def __init__(self, qd, log, cursor):
        self.qd = qd
        self.log = log
        self.cursor = cursor
        self.reading = False


def error_of(failure):
    """-errno of a name of errors.Kind."""
    known = {
        "NO_SPACE": calls.ENOSPC,
        "NO_MEMORY": calls.ENOMEM,
        "CANCELED": calls.ECANCELED,
        "DEVICE": calls.EIO,
        "RESET": calls.ECONNRESET,
        "IN_USE": calls.EADDRINUSE,
    }
    return -known.get(failure, calls.EINVAL)


def named(at):
    """The name at an address. Raises INVALID."""
    name = string_at(at)
    if not 0 < len(name) <= LONGEST_NAME:
        raise Fail(Kind.INVALID)
    return name


class LogLines:
    """`queues`: by qd what is open."""

    def __init__(self, table):
        self.table = table
        self.heap = table.heap
        self.queues = {}

    def waiting(self, opened):
        """[(push, its pieces)] of all that are in no group. Under the lock."""
        table, found = self.table, []
        queue = table.queue_of(opened.qd)
        number = raw.load(queue + layout.UNJOINED) if queue else 0
        if number:
            raw.store(queue + layout.UNJOINED, 0)
        while number:
            operation = table.at(number)
            at = table.segments(operation + layout.COUNT)
            count = raw.load(operation + layout.COUNT)
            found.append((operation, [(raw.load(at + i * 16), raw.load(at + i * 16 + 8)) for i in range(count)]))
            number = raw.load(operation + layout.NEXT)
        return found

    def complete_push(self, opened, operation, result):
        """With `result` bytes, or an error; not if its queue has been closed meanwhile."""
        self.table.lock()
        if self.table.queue_of(opened.qd):
            logs.end(self.table, operation, result)
        self.table.unlock()

    def first_pop(self, opened):
        """The first pop in a line, 0: there is none."""
        self.table.lock()
        queue = self.table.queue_of(opened.qd)
        first = raw.load(queue + layout.FIRST_IN) if queue else 0
        operation = self.table.at(first) if first else 0
        self.table.unlock()
        return operation

    def asked_at(self, operation):
        """(offset, size) of a pop that says so; a size of 0: it does not."""
        if raw.load32(operation + layout.NOTED) & layout.ADDRESSED:
            return raw.load(operation + layout.ADDRESS), raw.load(operation + layout.ADDRESS + 8)
        return 0, 0

    def popped(self, opened, operation, result, address=0, memory=0):
        """A pop is complete: with `result` bytes at an address in an object of the heap, or an error. Not if its queue
        has been closed meanwhile.
        """
        table = self.table
        table.lock()
        queue = table.queue_of(opened.qd)
        if queue:
            if result > 0 and not raw.load32(operation + layout.NOTED) & layout.ADDRESSED:
                opened.cursor += result
            table.unlink(queue + layout.FIRST_IN, operation)
            if memory:
                raw.store(operation + layout.COUNT, 1)
                raw.store(operation + layout.SEGMENTS, address)
                raw.store(operation + layout.SEGMENTS + 8, result)
                raw.store(operation + layout.VALUE, result)
            table.complete(operation, result)
        table.unlock()
        if memory and not queue:
            self.heap.free(memory)

    def entered(self, log, line, cursor):
        """The qd of a new queue of a log, whose line in straight groups that is; 0 when there is none left."""
        self.table.lock()
        queue = logs.add(self.table, line)
        self.table.unlock()
        if not queue:
            return 0
        qd = raw.load(queue + layout.QUEUE_QD)
        self.queues[qd] = Opened(qd, log, cursor)
        return qd

    def spelled(self, names, to, room, size_to):
        """Names, each with a zero behind it, to an address with so much room; how much they need to another."""
        text = b"".join([name + b"\0" for name in names])
        raw.store(size_to, len(text))
        if len(text) > room:
            return -calls.ERANGE
        raw.copy(to, raw.view_at(memoryview(text)), len(text))
        return 0
