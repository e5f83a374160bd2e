"""Cattree's PDPIX calls for Python programs: durable append-only logs on a block device (docs/cattree.md)."""

import os
import select
from threading import active_count

from libos.errors import Fail, Kind
from libos.log import recovery
from libos.log.group import Entry
from libos.log_queue import LogQueue
from libos.pdpix import INBOUND, OUTBOUND, LibOS
from libos.runtime.memory import Heap

SPIN = 20000  # ns that a wait looks by itself while something is on its way
LONG = 100000000  # ns; a wait of a single thread that would be as long as this may as well wait for the device's write
SIZE = 64 << 20  # bytes of a file that is made


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
        if device is None:
            if path is None:
                raise Fail(Kind.INVALID, "neither the path of a file nor a device")
            device = self.opened(path, size)
        self.by_log: dict[int, set[LogQueue]] = {}
        try:
            self.volume = self.recovered(device)
            self.over(LogDevice(self))
            self.settle(lambda: self.volume.idle)
            if self.volume.fresh:
                raise Fail(Kind.DEVICE, "the device can't be written")
        except BaseException:
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

    def recovered(self, device):
        """The volume of the device, as it was left."""
        steps = recovery.opened(device, self.heap, int.from_bytes(os.urandom(8), "little"))
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

    def settle(self, reached):
        """Go on until `reached()`."""
        while True:
            with self.lock:
                self.advance()
                if reached():
                    return
            if self.volume.device.bell() >= 0:
                select.select([self.volume.device.bell()], [], [], 0.1)

    def shut(self) -> None:
        """What was pushed goes to the device, then the device is let go of."""
        with self.lock:
            for qd in [qd for qd, queue in self.queues.items() if isinstance(queue, LogQueue) and queue.libos is self]:
                self.close(qd)
        self.volume.checkpoint_due = True
        self.settle(lambda: self.volume.idle and not self.volume.readings.out)
        with self.lock:
            self.shared.devices.remove(self.device)
            self.device.close()
            self.volume.device.close()
            self.volume.close()
            if self.file:
                self.heap.free(self.scratch)
                os.close(self.file.fd)

    def advance(self):
        """Send what waits, take what is finished, wake who waited for it. True when there was anything."""
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

    def forget(self, reading):
        """What was read for nobody."""
        if reading.memory:
            self.heap.free(reading.memory)

    def forsake(self, queue):
        """A queue is closed."""
        self.by_log[queue.log.number].discard(queue)

    def open_or_fail(self, queue):
        if self.queues.get(queue.qd) is not queue:
            raise Fail(Kind.BAD_QUEUE)

    def open(self, name: str, create: bool = False) -> int:
        """The qd of a log, its cursor at the beginning. Raises INVALID when there is none of that name."""
        with self.lock:
            return self.entered(self.log_of(name, create))

    def creat(self, name: str) -> int:
        """The qd of an empty log, made if there is none: durable by then (creat(2)). Raises NO_SPACE, DEVICE."""
        with self.lock:
            old = self.volume.catalog.names.get(name.encode())
            entry = self.volume.reset(old) if old else None
            log = self.log_of(name, True)
            self.settle(lambda: self.volume.idle)
            if entry is not None and entry.failure:
                raise Fail(Kind[entry.failure])
            return self.entered(log)

    def log_of(self, name, create):
        packed = name.encode()
        if not 0 < len(packed) <= 255:
            raise Fail(Kind.INVALID, "a name has 1 to 255 bytes")
        log = self.volume.catalog.names.get(packed)
        if log is None and not create:
            raise Fail(Kind.INVALID, f"no log named {name!r}")
        return log or self.volume.create(packed)

    def entered(self, log):
        queue = LogQueue(self, log)
        self.by_log.setdefault(log.number, set()).add(queue)
        return self.add(queue)

    def logs(self) -> dict[str, tuple[int, int]]:
        """The logs by their names: from which byte to which."""
        with self.lock:
            return {name.decode(): (log.head, log.end) for name, log in self.volume.catalog.names.items()}

    def log_queue(self, qd) -> LogQueue:
        queue = self.queue_of(qd)
        if not isinstance(queue, LogQueue):
            raise Fail(Kind.UNSUPPORTED, f"queue {qd} is not a log")
        return queue

    def lseek(self, qd: int, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the cursor (lseek(2)); where it is now. Raises INVALID outside of what the log holds."""
        with self.lock:
            return self.log_queue(qd).seek(offset, whence)

    def truncate(self, qd: int, offset: int) -> None:
        """Forget the bytes before `offset`, on the device with the next group. Raises INVALID beyond the end."""
        with self.lock:
            log = self.log_queue(qd).log
            if not 0 <= offset <= log.end:
                raise Fail(Kind.INVALID, f"the log ends at {log.end}")
            if offset > log.head:
                self.volume.truncate(log, offset)
