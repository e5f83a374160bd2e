"""Cattree's PDPIX calls for processes that share a volume: one of them owns it, all ask it (libos/log_link.py)."""

import os

from libos import forsaking
from libos import log_wire as wire
from libos.cattree_native import LONGEST, SIZE, packed_name
from libos.errors import Fail, Kind
from libos.log_link import Link
from libos.pdpix import INBOUND, OUTBOUND, POP, READABLE, WATCH, LibOS
from libos.runtime.memory import Heap
from libos.sgarray import SGArray


class SharedQueue:
    """A log of a shared volume, by its number, and a cursor in it."""

    def __init__(self, libos, number, head):
        self.libos = libos
        self.number = number
        self.cursor = head
        self.popped = self.watched = None  # requests

    def fileno(self):
        """There is no kernel object below."""
        return -1

    def ask(self, direction, kind, first=0, second=0, payload=(), also=None):
        """A request whose answer wakes this queue."""

        def answered():
            if also is not None:
                also()
            self.libos.wake(self, direction)

        return self.libos.link.ask(kind, self.number, first, second, payload, answered)

    def pushing(self, sga, address=None):
        """Asks at once; attempts find out what has become of it."""
        if address is not None:
            raise Fail(Kind.UNSUPPORTED, "a log has no addresses")
        size = len(sga)
        with self.libos.lock:
            sga.retain()  # until it is answered, whatever becomes of the operation
            pieces = [memoryview(segment) for segment in sga.segments if len(segment)]
            request = self.ask(OUTBOUND, wire.PUSH, payload=pieces, also=sga.release)

        def attempt():
            if not request.done:
                return None
            if request.failure:
                raise request.failure
            return size, None, None

        return attempt

    def popping(self, size):
        wanted = min(size, wire.LARGEST)

        def attempt():
            request = self.popped
            if request is None or request.values[1:] != (self.cursor, wanted):  # an earlier pop's, taken back
                request = self.popped = self.ask(INBOUND, wire.POP, self.cursor, wanted)
            if not request.done:
                return None
            self.popped = None
            outcome = self.brought(request)
            self.cursor += outcome[0]
            return outcome

        return attempt

    def reading(self, size, offset):
        request = self.ask(INBOUND, wire.PREAD, offset, size)
        return lambda: self.brought(request) if request.done else None

    def watching(self):
        """Asks for what is behind the cursor, unless that has been asked; nobody takes a watch back from the owner."""
        request = self.watched
        if request is None or request.done or request.values[1] != self.cursor:
            request = self.watched = self.ask(INBOUND, wire.WATCH, self.cursor)

        def attempt():
            if not request.done:
                return None
            if request.failure:
                raise request.failure
            return READABLE, None, None

        return attempt

    def brought(self, request):
        """What the answer of a read has brought. Raises Fail."""
        if request.failure:
            raise request.failure
        data = request.answer[3]
        if not data:
            return 0, SGArray([]), None
        sga = SGArray.alloc(self.libos.heap, len(data))
        sga.segments[0][:] = data
        return len(data), sga, None

    def ready(self, mask):
        return mask & 2

    def blocked(self, direction):
        """The answer wakes us."""

    def close(self):
        self.libos.link.ask(wire.CLOSE, self.number)


class SharedCattreeLibOS(LibOS):
    """As CattreeLibOS, over a volume that other processes use too: the file or block device `path`. Raises INVALID for
    what is no volume, IN_USE when somebody owns it who does not share it, UNSUPPORTED without io_uring, DEVICE.
    """

    def __init__(
        self,
        path: str,
        heap: Heap | None = None,
        clock=None,
        beside: LibOS | None = None,
        size: int = SIZE,
    ) -> None:
        super().__init__(heap or (beside.heap if beside else None), clock, beside=beside)
        self.forsaken = False
        self.link = Link(self, path, size, self.opened)
        self.device = self.link.net.device
        forsaking.hold(self)
        try:
            with self.lock:
                self.link.reach()
            self.logs()
        except BaseException:
            forsaking.let_go(self)
            self.link.close()
            raise

    def orphaned(self):
        """In a forked child: what leads to the owner, and the volume, are its parent's (libos/forsaking.py)."""
        self.forsaken = True
        for qd, queue in list(self.queues.items()):
            if queue.libos is self.link.net:
                queue.socket.close()
            if isinstance(queue, SharedQueue) or queue.libos is self.link.net:
                del self.queues[qd]
        self.shared.devices.remove(self.device)
        if self.link.owner is not None:
            self.link.owner.orphaned()

    def opened(self):
        """The numbers of the logs that are open, as often as each is."""
        return [
            queue.number for queue in self.queues.values() if isinstance(queue, SharedQueue) and queue.libos is self
        ]

    def shut(self) -> None:
        """What was pushed is durable, or has failed; then the volume is left to the others."""
        if self.forsaken:
            return
        with self.lock:
            for qd in [
                qd for qd, queue in self.queues.items() if isinstance(queue, SharedQueue) and queue.libos is self
            ]:
                self.close(qd)
        self.until(lambda: not self.link.waiting, None)
        self.leave()

    def leave(self):
        """Leave the volume to the others, whatever has been asked."""
        with self.lock:
            forsaking.let_go(self)
            self.link.close()

    def call(self, kind, log=0, first=0, second=0, payload=()):
        """Ask, and wait for the answer. Raises Fail."""
        forsaking.check(self)
        with self.lock:
            request = self.link.ask(kind, log, first, second, payload)
        self.until(lambda: request.done, None)
        if request.failure:
            raise request.failure
        return request.answer

    def open(self, name: str, create: bool = False) -> int:
        """The qd of a log, its cursor at the beginning; `create`: it is made if there is none."""
        return self.entered(self.call(wire.OPEN, 0, int(create), payload=[packed_name(name)]))

    def creat(self, name: str) -> int:
        """The qd of an empty log, made if there is none (creat(2))."""
        return self.entered(self.call(wire.CREAT, payload=[packed_name(name)]))

    def entered(self, answer):
        return self.add(SharedQueue(self, answer[0], answer[1]))

    def unlink(self, name: str) -> None:
        """Take a log's name away (unlink(2))."""
        self.call(wire.UNLINK, payload=[packed_name(name)])

    def rename(self, old: str, new: str) -> None:
        """Give a log another name (rename(2))."""
        names = [packed_name(old), packed_name(new)]
        self.call(wire.RENAME, 0, len(names[0]), payload=names)

    def logs(self, prefix: str = "") -> dict[str, tuple[int, int]]:
        """The logs whose names begin so: from which byte to which each is there."""
        listed = self.call(wire.LIST, payload=[os.fsencode(prefix)])[3]
        return {os.fsdecode(name): (head, end) for name, head, end in wire.entries(listed)}

    def log_queue(self, qd) -> SharedQueue:
        queue = self.queue_of(qd)
        if not isinstance(queue, SharedQueue):
            raise Fail(Kind.UNSUPPORTED, f"queue {qd} is not a log")
        return queue

    def watch(self, qd: int, mask: int) -> int:
        """As on every libOS; for READABLE the owner is asked."""
        queue = self.queue_of(qd)
        if mask != READABLE or not isinstance(queue, SharedQueue):
            return super().watch(qd, mask)
        with self.lock:
            return self.start(WATCH, queue, INBOUND, queue.watching())

    def bounds(self, qd: int) -> tuple[int, int]:
        """From which byte to which a log is there."""
        answer = self.call(wire.BOUNDS, self.log_queue(qd).number)
        return answer[1], answer[2]

    def lseek(self, qd: int, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the cursor (lseek(2)); where it is now. Raises INVALID outside of what the log holds."""
        queue = self.log_queue(qd)
        head, end = self.bounds(qd)
        base = {os.SEEK_SET: 0, os.SEEK_CUR: queue.cursor, os.SEEK_END: end}.get(whence)
        if base is None or not head <= base + offset <= end:
            raise Fail(Kind.INVALID, f"an offset outside of {head} to {end}")
        queue.cursor = base + offset
        return queue.cursor

    def pread(self, qd: int, size: int, offset: int) -> int:
        """A qtoken as that of a pop, for up to `size` bytes (1 MiB at most) from `offset` on (pread(2))."""
        queue = self.log_queue(qd)
        if not 0 < size <= wire.LARGEST or not 0 <= offset <= LONGEST:
            raise Fail(Kind.INVALID, f"a read of {size} bytes at {offset}")
        with self.lock:
            return self.start(POP, queue, INBOUND, queue.reading(size, offset))

    def ftruncate(self, qd: int, length: int) -> None:
        """The log ends at `length` (ftruncate(2))."""
        self.moved(wire.FTRUNCATE, qd, length)

    def truncate(self, qd: int, offset: int) -> None:
        """Forget the bytes before `offset`. Raises INVALID beyond the end."""
        self.moved(wire.TRUNCATE, qd, offset)

    def moved(self, kind, qd, offset):
        number = self.log_queue(qd).number
        if not 0 <= offset <= LONGEST:
            raise Fail(Kind.INVALID, f"no offset: {offset}")
        self.call(kind, number, offset)
