"""A tape in a file: what `catflap run --record` writes, and `catflap replay` reads (libos/net/replay.py).

The file is mapped, so that what is recorded is in it however the program ends. It grows by steps that the file system
has promised room for. Only its owner may read it: it holds all that was said, and the secrets of the stack.

It begins with MAGIC (16 octets), the size of the head, and a sum of the head and the pages (8 octets each, as the
machine has them). The head is a dictionary as Python writes it, filled up with spaces; then come the pages of the
stack's memory that are not zero, then the records (libos/net/recorder.py).
"""

import itertools
import os
import resource
import time

from libos import calls, raw
from libos.memory_file import MAP_SHARED, READ_WRITE, SYS_mmap, high
from libos.net import octets, structs
from libos.net.recorder import Recorder, state
from libos.net.snapshot import attributes, layout, pages

COMPILED = __file__.endswith(".so")
SYS_ftruncate, SYS_fallocate = 77, 285
MAGIC = b"catflap tape 1\n\0"
STEP = 1 << 22
LARGEST = 1 << 38
PAGE = 4096


class TapeFile(Recorder):
    """The tape of a stack that nothing was asked of but its configuration. `about`: what the head says besides. Raises
    OSError.
    """

    def __init__(self, stack, path, about):
        super().__init__(stack)
        largest = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        self.limit = LARGEST if largest < 0 else min(LARGEST, largest)  # growing beyond it would send SIGXFSZ
        self.fd = created(path)
        address = raw.syscall(SYS_mmap, 0, LARGEST, READ_WRITE, MAP_SHARED, self.fd, 0)
        self.base = self.at = self.end = address if address > 0 else 0
        error = self.grow() if address > 0 else -address
        if error:
            os.close(self.fd)
            raise OSError(error, f"no room for {path}")
        self.begin({**about, "wall": time.time_ns(), "now": stack.host.now})
        self.start()

    def begin(self, head):
        """Write what comes before the records."""
        used = pages(self.stack)
        text = repr({**head, "layout": layout(), "attributes": attributes(self.stack), "pages": used}).encode()
        text += b" " * (-len(text) % 8)
        for octet in MAGIC + len(text).to_bytes(8, "little") + bytes(8) + text:
            octets.put8(self.at, octet)
            self.at += 1
        for page in used:
            octets.copy(self.at, self.stack.host.pool.base + page, PAGE)
            self.at += PAGE
        raw.store(self.base + 24, octets.remainder(self.base + 32, self.at - self.base - 32))

    def grow(self):
        r = -calls.EINTR
        if self.end - self.base + STEP > self.limit:
            return 27  # EFBIG
        while r == -calls.EINTR:
            r = raw.syscall(SYS_fallocate, self.fd, 0, self.end - self.base, STEP, 0, 0)
        if r == 0:
            self.end += STEP
        return -r

    def finish(self):
        if self.on:
            self.note(structs.CALL_STATE, state(self.stack))
            self.note(structs.CALL_END, 0)
            self.on = self.going = False
            self.close()

    def close(self):
        raw.syscall(SYS_ftruncate, self.fd, self.at - self.base, 0, 0, 0, 0)


def created(path):
    """A descriptor of a new file of that name, or, where there is one, with this process' number behind it. Raises
    OSError.
    """
    own = f"{path}.{os.getpid()}"
    for name in itertools.chain((path, own), (f"{own}.{n}" for n in itertools.count(2))):
        try:
            return high(os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            continue
