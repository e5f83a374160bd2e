"""The half of a volume's logs that has the GIL: its machine (libos/log/volume.py), which has the volume alone meanwhile
(logs.py). What it writes and reads is waited for.
"""

import os
import select
from ctypes import string_at

from libos import calls, raw
from libos.blocks.block_file import BlockFile
from libos.blocks.uring import UringDevice
from libos.core import layout, logs
from libos.core.log_lines import LogLines, error_of, named
from libos.errors import Fail, Kind
from libos.log.group import Entry
from libos.log.straight import Straight
from libos.recovering import recovered

COMPILED = __file__.endswith(".so")
SIZE = 64 << 20  # bytes of a file that is made
LINES = 1024  # logs that have one in straight groups
LONGEST = (1 << 63) - 1  # what an off_t can say
WHENCE = os.SEEK_SET, os.SEEK_CUR, os.SEEK_END
CREATE, EMPTY = os.O_CREAT, os.O_TRUNC


class Stores(LogLines):
    """Of the file or block device `path`, which is made of `size` bytes if it is not there. Raises Fail."""

    def __init__(self, table, path, size=SIZE):
        LogLines.__init__(self, table)
        heap = self.heap
        self.file = BlockFile(path, size)
        try:
            self.device = UringDevice(self.file, heap.alloc(128))
            self.volume = recovered(self.device, heap)
            self.settle(True)
            if self.volume.fresh:
                raise Fail(Kind.DEVICE, "the device can't be written")
        except BaseException:
            os.close(self.file.fd)
            raise
        self.lines = {}  # by number of a log: [its line, how many queues it has]
        self.straight = Straight(self.volume, LINES, True)
        flags = 0 if self.file.write_through else calls.RWF_DSYNC
        members = heap.alloc(2 * logs.MOST * 16)
        logs.use(table, self.straight, self.device, self.file.fd, flags, members)
        table.stores = self
        table.register(self.device.ring_fd, calls.POLLIN, layout.LOG_BELL)
        self.straight.begin()

    def forked(self):
        """In a child: the volume, and its lock, are the parent's."""
        os.close(self.file.fd)
        os.close(self.device.ring_fd)
        self.table.stores = None

    # --- what waits ---

    def turn(self):
        """Do what there is for the machine."""
        self.straight.end()
        there = logs.here()
        if there.tag:
            tag, there.tag = there.tag, 0
            self.volume.completed(tag, there.result)
        self.table.lock()
        found = [(opened, self.waiting(opened)) for opened in self.queues.values()]
        self.table.unlock()
        for opened, pushes in found:
            for operation, parts in pushes:
                self.append(opened, operation, parts)
        for opened in self.queues.values():
            self.pop(opened)
        self.settle()
        self.straight.begin()

    def append(self, opened, operation, parts):
        size = sum(length for _, length in parts)
        if size > self.volume.largest:
            self.complete_push(opened, operation, -calls.EINVAL)
        else:
            several = parts if len(parts) > 1 else None
            self.volume.append(opened.log, parts[0][0], size, (opened, operation), several)

    def pop(self, opened):
        """Begin the first of its pops, if there is one; those that need nothing read are complete."""
        while not opened.reading:
            operation = self.first_pop(opened)
            if not operation:
                return
            log = opened.log
            offset, size = self.asked_at(operation)
            if not size:
                offset = opened.cursor
            if offset < log.head:
                self.popped(opened, operation, -calls.EINVAL)
            elif offset >= log.end:
                memory = self.heap.alloc(1)
                self.popped(opened, operation, 0 if memory else -calls.ENOMEM, memory, memory)
            else:
                opened.reading = True
                if size:
                    self.volume.readings.span(log, offset, size, (opened, operation))
                else:
                    self.volume.readings.begin(log, offset, (opened, operation))

    def settle(self, whole=False):
        """Until the machine has nothing to do, but, if not `whole`, for a superblock on its way."""
        volume, device = self.volume, self.device
        while True:
            volume.work()
            device.submit()
            tag = device.completion()
            while tag:
                volume.completed(tag, device.result)
                tag = device.completion()
                volume.work()
                device.submit()
            while volume.events:
                self.happened(volume.events.popleft())
            if (volume.idle if whole else volume.resting) and not volume.readings.out and not volume.events:
                return
            device.submit()  # the next reads
            if device.out:
                select.select([device.ring_fd], [], [])

    def happened(self, event):
        opened, operation = event.keep
        if isinstance(event, Entry):
            self.complete_push(opened, operation, error_of(event.failure) if event.failure else event.length)
            return
        opened.reading = False
        if event.failure:
            self.popped(opened, operation, error_of(event.failure))
        else:
            self.popped(opened, operation, event.length, event.address, event.memory)
        self.pop(opened)

    # --- calls that are done when they return: a number, or -errno ---

    def call(self, what, *words):
        """One of those below, with what waits before it."""
        try:
            self.turn()
            self.straight.end()
            return getattr(self, what)(*words)
        except Fail as error:
            return error_of(error.kind.name)
        except KeyError:  # closed meanwhile
            return -calls.EBADF
        finally:
            self.settle()
            self.straight.begin()

    def made(self, entry):
        self.settle()
        if entry.failure:
            raise Fail(Kind[entry.failure])
        return 0

    def log_named(self, at):
        log = self.volume.names.get(named(at))
        if log is None:
            raise Fail(Kind.INVALID)
        return log

    def open(self, at, flags):
        name = named(at)
        log = self.volume.names.get(name)
        if flags & ~(CREATE | EMPTY) or (log is None and not flags & CREATE):
            return -calls.EINVAL
        if log is None:
            log = self.volume.new_log()
            self.made(self.volume.rename(log, name))
        elif flags & EMPTY:
            self.made(self.volume.reset(log))
        if log.number not in self.lines:
            self.lines[log.number] = [self.free_line(log), 0]
        qd = self.entered(log, self.lines[log.number][0], log.head)
        if qd:
            self.lines[log.number][1] += 1
            self.volume.hold(log)
        elif not self.lines[log.number][1]:
            del self.lines[log.number]
        return qd or -calls.EMFILE

    def free_line(self, log):
        """A line in straight groups that no other log has, or none: then the machine does all."""
        used = {line for line, _ in self.lines.values()}
        found = next((line for line in range(LINES) if line not in used), logs.NO_LINE)
        if found != logs.NO_LINE:
            self.straight.bind(found, log)
        return found

    def forget(self, qd):
        """A queue has been closed."""
        self.straight.end()
        log = self.queues.pop(qd).log
        line = self.lines[log.number]
        line[1] -= 1
        if not line[1]:
            del self.lines[log.number]
        self.volume.let_go(log)
        self.settle()
        self.straight.begin()

    def unlink(self, at):
        return self.made(self.volume.unlink(self.log_named(at)))

    def rename(self, old, new):
        log = self.log_named(old)
        name = named(new)
        return 0 if self.volume.names.get(name) is log else self.made(self.volume.rename(log, name))

    def names(self, prefix, to, room, size_to):
        first = string_at(prefix)
        return self.spelled(sorted(name for name in self.volume.names if name.startswith(first)), to, room, size_to)

    def lseek(self, qd, offset, whence, to):
        opened = self.queues[qd]
        log = opened.log
        if whence not in WHENCE:
            return -calls.EINVAL
        offset += (0, opened.cursor, log.end)[WHENCE.index(whence)]
        if not log.head <= offset <= log.end:
            return -calls.EINVAL
        opened.cursor = offset
        raw.store(to, offset)
        return 0

    def bounds(self, qd, first, end):
        log = self.queues[qd].log
        raw.store(first, log.head)
        raw.store(end, log.end)
        return 0

    def truncate(self, qd, offset):
        log = self.queues[qd].log
        if not 0 <= offset <= log.end:
            return -calls.EINVAL
        if offset > log.head:
            self.volume.truncate(log, offset)
        return 0

    def ftruncate(self, qd, length):
        log = self.queues[qd].log
        if not log.head <= length <= LONGEST:
            return -calls.EINVAL
        return 0 if length == log.end else self.made(self.volume.resize(log, length))
