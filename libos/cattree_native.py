"""Cattree's PDPIX calls for Python programs: durable append-only logs on a block device (docs/cattree.md)."""

import os
import select
from threading import active_count

from libos import forsaking
from libos.errors import Fail, Kind
from libos.log.group import Entry
from libos.log.names import LONGEST as LONGEST_NAME
from libos.log_queue import LogQueue
from libos.pdpix import INBOUND, OUTBOUND, POP, WATCH, LibOS
from libos.recovering import recovered
from libos.runtime.memory import Heap

SPIN = 20000  # ns that a wait looks by itself while something is on its way
LONG = 100000000  # ns; a wait of a single thread that would be as long as this may as well wait for the device's write
SIZE = 64 << 20  # bytes of a file that is made
LONGEST = (1 << 63) - 1  # what an off_t can say


class LogDevice:
    """The volume and its device, as what a libOS polls: an epoll set of the device's bell and one of our own."""

    def __init__(self, libos):
        self.libos = libos
        self.block_device = libos.volume.device
        self.bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.epoll = select.epoll()
        self.epoll.register(self.bell, select.EPOLLIN)
        if self.block_device.bell() >= 0:
            self.epoll.register(self.block_device.bell(), select.EPOLLIN)

    def look(self):
        """Send what waits and take what is finished. True when there was anything."""
        with self.libos.lock:
            return self.libos.advance()

    def poll(self, timeout):
        """Look for at most `timeout` nanoseconds, None for ever: spins while something is on its way, then sleeps."""
        # a block device is flushed twice by such a write
        if self.libos.file and not self.libos.file.whole and (timeout is None or timeout >= LONG):
            self.block_device.patient = active_count() == 1
        try:
            if self.look() or timeout == 0:
                return
        finally:
            self.block_device.patient = False
        clock = self.libos.clock
        limit = clock.now() + (SPIN if timeout is None else min(timeout, SPIN))
        while not self.libos.volume.idle and clock.now() < limit:
            if self.look():
                return
        self.epoll.poll(-1 if timeout is None else timeout / 1e9)
        self.rouse()
        self.look()

    def fileno(self):
        """Readable while there is something for `poll`: for whoever sleeps elsewhere, between `doze` and `rouse`."""
        return self.epoll.fileno()

    def doze(self):
        """Send what waits; how many ns may be slept: 0 when something is finished already, None for ever."""
        return 0 if self.look() else None

    def rouse(self):
        try:
            os.eventfd_read(self.bell)
        except BlockingIOError:
            pass

    def ring(self, sleepers):
        """Wake the threads that sleep in poll."""
        os.eventfd_write(self.bell, 1)

    def close(self):
        self.epoll.close()
        os.close(self.bell)


def packed_name(name):
    packed = os.fsencode(name)
    if not 0 < len(packed) <= LONGEST_NAME:
        raise Fail(Kind.INVALID, f"a name has 1 to {LONGEST_NAME} bytes")
    return packed


class CattreeLibOS(LibOS):
    """PDPIX over logs on a device: the file or block device `path`, made of `size` bytes where there is none; or a
    BlockDevice, `device`. Raises IN_USE, INVALID for what is no volume, UNSUPPORTED without io_uring, DEVICE.
    """

    def __init__(
        self,
        heap: Heap | None = None,
        clock=None,
        beside: LibOS | None = None,
        path: str | None = None,
        size: int = SIZE,
        device=None,
    ) -> None:
        super().__init__(heap or (beside.heap if beside else None), clock, beside=beside)
        self.file = None
        self.forsaken = False
        if device is None:
            if path is None:
                raise Fail(Kind.INVALID, "neither the path of a file nor a device")
            device = self.opened(path, size)
        self.by_log: dict[int, set[LogQueue]] = {}
        if self.file:
            forsaking.hold(self)
        try:
            self.volume = recovered(device, self.heap)
            self.over(LogDevice(self))
            self.settle(lambda: self.volume.idle)
            if self.volume.fresh:
                raise Fail(Kind.DEVICE, "the device can't be written")
        except BaseException:
            forsaking.let_go(self)
            device.close()
            if self.file:
                os.close(self.file.fd)
            raise

    def opened(self, path, size):
        from libos.blocks.block_file import BlockFile
        from libos.blocks.uring import UringDevice

        self.file = BlockFile(path, size)
        self.scratch = self.heap.alloc(128)
        try:
            return UringDevice(self.file, self.scratch)
        except Fail:
            os.close(self.file.fd)
            raise

    def own_queues(self):
        return [qd for qd, queue in self.queues.items() if isinstance(queue, LogQueue) and queue.libos is self]

    def settle(self, reached):
        """Go on until `reached()`."""
        while True:
            with self.lock:
                self.advance()
                if reached():
                    return
            if self.volume.device.bell() >= 0:
                select.select([self.volume.device.bell()], [], [], 0.1)

    def orphaned(self):
        """In a forked child: the volume is its parent's (libos/forsaking.py)."""
        self.forsaken = True
        for qd in self.own_queues():
            del self.queues[qd]
        if self.device in self.shared.devices:
            self.shared.devices.remove(self.device)
        os.close(self.file.fd)
        os.close(self.volume.device.bell())

    def shut(self) -> None:
        """What was pushed goes to the device, then the device is let go of."""
        if self.forsaken:
            return
        with self.lock:
            for qd in self.own_queues():
                self.close(qd)
        self.volume.checkpoint_due = True
        self.settle(lambda: self.volume.idle and not self.volume.readings.out)
        with self.lock:
            forsaking.let_go(self)
            self.shared.devices.remove(self.device)
            self.device.close()
            self.volume.device.close()
            self.volume.close()
            if self.file:
                self.heap.free(self.scratch)
                os.close(self.file.fd)

    def advance(self):
        """Send what waits, take what is finished, wake who waited for it. True when there was anything."""
        forsaking.check(self)
        volume = self.volume
        device, events, found = volume.device, volume.events, False
        volume.work()
        device.submit()
        while tag := device.completion():
            volume.completed(tag, device.result)
            found = True
            volume.work()
            device.submit()
        pushed = set()  # each is woken once: an operation that is done wakes the next in line
        while events:
            found = True
            event = events.popleft()
            if isinstance(event, Entry):
                queue, sga = event.keep
                sga.release()
                pushed.add(queue)
            elif event.keep is None:
                self.forget(event)
            else:
                self.wake(event.keep, INBOUND)
        for queue in pushed:
            self.wake(queue, OUTBOUND)
            for reader in self.by_log.get(queue.log.number, ()):
                if reader.waiting[INBOUND]:
                    self.wake(reader, INBOUND)
        return found

    def unwanted(self, reading):
        """Nobody waits for a reading any more, whether it is done or not."""
        reading.keep = None
        if reading.done:
            self.forget(reading)

    def forget(self, reading):
        """What was read for nobody."""
        if reading.memory:
            self.heap.free(reading.memory)

    def forsake(self, queue):
        """A queue is closed."""
        self.by_log[queue.log.number].discard(queue)
        self.volume.let_go(queue.log)

    def open_or_fail(self, queue):
        if self.queues.get(queue.qd) is not queue:
            raise Fail(Kind.BAD_QUEUE)

    # Names are texts, as os.fsdecode makes them of 1 to 255 bytes. What changes one is durable when the call returns.
    # These raise INVALID for a name that there can't be or isn't, NO_SPACE, DEVICE.

    def open(self, name: str, create: bool = False) -> int:
        """The qd of a log, its cursor at the beginning; `create`: it is made if there is none."""
        with self.lock:
            packed = packed_name(name)
            if create and packed not in self.volume.names:
                self.made(self.volume.rename(self.volume.new_log(), packed))
            return self.entered(self.log_of(name))

    def creat(self, name: str) -> int:
        """The qd of an empty log, made if there is none (creat(2))."""
        with self.lock:
            old = self.volume.names.get(packed_name(name))
            if old is not None:
                self.made(self.volume.reset(old))
            return self.open(name, True)

    def open_number(self, number: int) -> int:
        """The qd of the log of a number, which it keeps for life, whatever its name."""
        with self.lock:
            log = self.volume.catalog.logs.get(number)
            if log is None or not self.volume.names.of(log):
                raise Fail(Kind.INVALID, f"no log of number {number} is left")
            return self.entered(log)

    def unlink(self, name: str) -> None:
        """Take a log's name away (unlink(2)): it is there until the last that has it open closes it, or the end."""
        with self.lock:
            self.made(self.volume.unlink(self.log_of(name)))

    def rename(self, old: str, new: str) -> None:
        """Give a log another name (rename(2)): a log of that name loses it in the same instant, as if unlinked."""
        with self.lock:
            log, packed = self.log_of(old), packed_name(new)
            if self.volume.names.get(packed) is not log:
                self.made(self.volume.rename(log, packed))

    def made(self, entry):
        """Wait until a change is durable."""
        self.settle(lambda: entry.done)
        if entry.failure:
            raise Fail(Kind[entry.failure])

    def log_of(self, name):
        log = self.volume.names.get(packed_name(name))
        if log is None:
            raise Fail(Kind.INVALID, f"no log named {name!r}")
        return log

    def entered(self, log):
        forsaking.check(self)
        self.volume.hold(log)
        queue = LogQueue(self, log)
        self.by_log.setdefault(log.number, set()).add(queue)
        return self.add(queue)

    def logs(self, prefix: str = "") -> dict[str, tuple[int, int]]:
        """The logs whose names begin so, in the order of their bytes: from which byte to which each is there."""
        first = os.fsencode(prefix)
        forsaking.check(self)
        with self.lock:
            found = sorted((name, log) for name, log in self.volume.names.items() if name.startswith(first))
            return {os.fsdecode(name): (log.head, log.end) for name, log in found}

    def log_queue(self, qd) -> LogQueue:
        queue = self.queue_of(qd)
        if not isinstance(queue, LogQueue):
            raise Fail(Kind.UNSUPPORTED, f"queue {qd} is not a log")
        return queue

    def lseek(self, qd: int, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the cursor (lseek(2)); where it is now. Raises INVALID outside of what the log holds."""
        with self.lock:
            return self.log_queue(qd).seek(offset, whence)

    def bounds(self, qd: int) -> tuple[int, int]:
        """From which byte to which a log is there."""
        with self.lock:
            log = self.log_queue(qd).log
            return log.head, log.end

    def pread(self, qd: int, size: int, offset: int) -> int:
        """A qtoken as that of a pop, for up to `size` bytes (1 MiB at most) from `offset` on, wherever elements end;
        fewer at the end of the log (pread(2)). The cursor stays where it is.
        """
        return self.read(qd, size, offset, False)

    def pop_at(self, qd: int, size: int, offset: int) -> int:
        """A qtoken as that of a pop whose cursor is `offset`. The cursor stays where it is."""
        return self.read(qd, size, offset, True)

    def read(self, qd, size, offset, element):
        queue = self.log_queue(qd)
        if not 0 < size <= 1 << 20 or offset < 0:
            raise Fail(Kind.INVALID, f"a read of {size} bytes at {offset}")
        return self.start(POP, queue, INBOUND, *queue.reading(size, offset, element))

    def watch_behind(self, qd: int, offset: int) -> int:
        """A qtoken as that of a watch for READABLE, of a cursor that is `offset`."""
        queue = self.log_queue(qd)
        return self.start(WATCH, queue, INBOUND, queue.watching(offset))

    def ftruncate(self, qd: int, length: int) -> None:
        """The log ends at `length` (ftruncate(2)): what is behind is cut off, or zeros follow to there. Durable when it
        returns, as what was pushed before. Raises INVALID before the beginning, NO_SPACE, DEVICE.
        """
        with self.lock:
            log = self.log_queue(qd).log
            self.settle(lambda: not self.volume.waiting(log))
            if not log.head <= length <= LONGEST:
                raise Fail(Kind.INVALID, f"a log from {log.head} on can't end at {length}")
            if length != log.end:
                self.made(self.volume.resize(log, length))

    def truncate(self, qd: int, offset: int) -> None:
        """Forget the bytes before `offset`, on the device with the next group. Raises INVALID beyond the end."""
        with self.lock:
            log = self.log_queue(qd).log
            if not 0 <= offset <= log.end:
                raise Fail(Kind.INVALID, f"the log ends at {log.end}")
            if offset > log.head:
                self.volume.truncate(log, offset)
