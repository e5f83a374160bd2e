"""The half of the C face's logs that has the GIL, of a volume that other processes use too: each operation is asked of
its owner (libos/cattree_shared.py), and a thread of its own hears the answers.

Nobody has the volume alone, so that nobody waits for another's call here: what is to be asked in its order is asked
under the libOS's lock, and what is answered is complete in the table.
"""

import os
from _thread import allocate_lock
from ctypes import CDLL, create_string_buffer, string_at
from threading import Thread

from libos import calls, raw
from libos import log_wire as wire
from libos.cattree_shared import SIZE, SharedCattreeLibOS
from libos.core import logs
from libos.core.log_lines import LogLines, error_of, named
from libos.errors import Fail, Kind

COMPILED = __file__.endswith(".so")
CREATE, EMPTY = os.O_CREAT, os.O_TRUNC
SIG_BLOCK, SIG_SETMASK, SIGSET = 0, 2, 128  # the last in bytes
FAREWELL = 1  # seconds that what was asked is waited for at the end


class SharedStores(LogLines):
    """Of the file or block device `path`, which is made of `size` bytes if it is not there. Raises Fail."""

    def __init__(self, table, path, size=SIZE):
        LogLines.__init__(self, table)
        sigmask, mask = CDLL(None).pthread_sigmask, create_string_buffer(SIGSET)
        # signals are the program's threads'; Python's own module would take SIGINT away from them
        sigmask(SIG_BLOCK, b"\xff" * SIGSET, mask)
        try:
            self.store = SharedCattreeLibOS(path, size=size)
            self.store.link.opened = self.numbers
            self.over = False
            self.thread = Thread(target=self.run, name="catflap-logs", daemon=True)
            self.thread.start()
        finally:
            sigmask(SIG_SETMASK, mask, None)
        logs.share(table)
        table.stores = self

    def numbers(self):
        """The numbers of the logs that are open, as often as each is."""
        return [opened.log for opened in self.queues.values()]

    def run(self):
        self.store.until(self.ended, None)

    def ended(self):
        return self.over

    def forked(self):
        """In a child: the volume is its parent's (libos/forsaking.py)."""
        self.store = self.table.stores = None

    def shut(self):
        """The process ends: what was asked is done, if that is soon."""
        if self.store is None:
            return
        with self.store.lock:
            self.over = True
        self.rouse()
        self.thread.join()
        try:
            self.store.until(self.answered, FAREWELL)
        except Fail:
            pass
        self.store.leave()

    def answered(self):
        return not self.store.link.waiting

    # --- what waits ---

    def turn(self):
        """Ask for what there is."""
        with self.store.lock:
            for opened in list(self.queues.values()):
                self.table.lock()
                pushes = self.waiting(opened)
                # copied: a queue may be closed, and its buffers freed, before they have gone out
                found = [(operation, b"".join([string_at(*part) for part in parts])) for operation, parts in pushes]
                self.table.unlock()
                for operation, data in found:
                    self.push(opened, operation, data)
                self.pop(opened)
        self.rouse()

    def push(self, opened, operation, data):
        if len(data) > wire.LARGEST:
            self.complete_push(opened, operation, -calls.EINVAL)
            return

        def answered():
            result = error_of(request.failure.kind.name) if request.failure else len(data)
            self.complete_push(opened, operation, result)

        request = self.store.link.ask(wire.PUSH, opened.log, 0, 0, (data,), answered)

    def pop(self, opened):
        """Ask for the first of its pops, if there is one."""
        operation = 0 if opened.reading else self.first_pop(opened)
        if not operation:
            return
        opened.reading = True
        offset, size = self.asked_at(operation)

        def answered():
            opened.reading = False
            if request.failure:
                self.popped(opened, operation, error_of(request.failure.kind.name))
            else:
                self.brought(opened, operation, request.answer[3])
            self.pop(opened)

        if size:
            request = self.store.link.ask(wire.PREAD, opened.log, offset, size, (), answered)
        else:
            request = self.store.link.ask(wire.POP, opened.log, opened.cursor, wire.LARGEST, (), answered)

    def brought(self, opened, operation, data):
        memory = self.heap.alloc(max(len(data), 1))
        if memory:
            raw.copy(memory, raw.view_at(memoryview(data)), len(data))
        self.popped(opened, operation, len(data) if memory else -calls.ENOMEM, memory, memory)

    def rouse(self):
        """The thread may have something to see to."""
        with self.store.lock:
            if self.store.sleepers:
                self.store.device.ring(self.store.sleepers)

    # --- calls that are done when they return: a number, or -errno ---

    def call(self, what, *words):
        """One of those below, with what waits before it."""
        try:
            self.turn()
            return getattr(self, what)(*words)
        except Fail as error:
            return error_of(error.kind.name)
        except KeyError:  # closed meanwhile
            return -calls.EBADF

    def asked(self, kind, log=0, first=0, second=0, payload=()):
        """Ask, and wait for the answer. Raises Fail."""
        over = allocate_lock()
        over.acquire()
        with self.store.lock:
            request = self.store.link.ask(kind, log, first, second, payload, over.release)
        self.rouse()
        over.acquire()
        if request.failure:
            raise request.failure
        return request.answer

    def open(self, at, flags):
        name = named(at)
        if flags & ~(CREATE | EMPTY):
            return -calls.EINVAL
        create = flags & CREATE
        number, head, _, _ = self.asked(wire.CREAT if flags == CREATE | EMPTY else wire.OPEN, 0, create, 0, (name,))
        if flags == EMPTY:  # there is such a one
            self.asked(wire.CLOSE, number)
            number, head, _, _ = self.asked(wire.CREAT, 0, 0, 0, (name,))
        with self.store.lock:
            qd = self.entered(number, logs.NO_LINE, head)
            if not qd:
                self.store.link.ask(wire.CLOSE, number)
        return qd or -calls.EMFILE

    def forget(self, qd):
        """A queue has been closed."""
        with self.store.lock:
            self.store.link.ask(wire.CLOSE, self.queues.pop(qd).log)

    def unlink(self, at):
        self.asked(wire.UNLINK, 0, 0, 0, (named(at),))
        return 0

    def rename(self, old, new):
        name = named(old)
        self.asked(wire.RENAME, 0, len(name), 0, (name, named(new)))
        return 0

    def names(self, prefix, to, room, size_to):
        listed = self.asked(wire.LIST, 0, 0, 0, (string_at(prefix),))[3]
        return self.spelled([name for name, _, _ in wire.entries(listed)], to, room, size_to)

    def lseek(self, qd, offset, whence, to):
        opened = self.queues[qd]
        _, head, end, _ = self.asked(wire.BOUNDS, opened.log)
        base = {os.SEEK_SET: 0, os.SEEK_CUR: opened.cursor, os.SEEK_END: end}.get(whence)
        if base is None or not head <= base + offset <= end:
            raise Fail(Kind.INVALID)
        opened.cursor = base + offset
        raw.store(to, opened.cursor)
        return 0

    def bounds(self, qd, first, end):
        _, head, last, _ = self.asked(wire.BOUNDS, self.queues[qd].log)
        raw.store(first, head)
        raw.store(end, last)
        return 0

    def truncate(self, qd, offset):
        return self.moved(wire.TRUNCATE, qd, offset)

    def ftruncate(self, qd, length):
        return self.moved(wire.FTRUNCATE, qd, length)

    def moved(self, kind, qd, offset):
        log = self.queues[qd].log
        if offset < 0:
            raise Fail(Kind.INVALID)
        self.asked(kind, log, offset)
        return 0
