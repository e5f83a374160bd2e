"""Journals of files on a volume of Cattree: bytes that are durable there before they are in the file's own place.

A journal is a log. Its first record, `head`, says whose it is, in the words of who began it; the file's bytes follow.
Each is known by a small number and used again and again. One thread at a time.
"""

import fcntl
import os
import resource
import struct
from contextlib import contextmanager
from ctypes import addressof, create_string_buffer, string_at

from libos.blocks.block_file import BlockFile
from libos.blocks.waiting import WaitingDevice
from libos.errors import Fail, Kind
from libos.log.straight import Straight
from libos.memory_file import high
from libos.recovering import recovered

MANY = 32  # journals
MOST = 4 << 20  # bytes of one; all together fill half of the volume
PIECE = 1 << 18  # bytes of a record, at most
LOCK = "hh4xqqi4x"  # struct flock


class Journals:
    """On the file or block device `path`, made of `size` bytes where there is none. `room`: bytes that a journal may
    hold. Raises IN_USE, INVALID for what is no volume, NO_SPACE, DEVICE.
    """

    def __init__(self, path, size, heap):
        self.heap = heap
        writable(size)
        self.file = BlockFile(path, size)
        self.file.fd = high(self.file.fd)
        self.largest = 0 if self.file.whole else self.file.size
        self.out = []  # entries of which it is not known yet what becomes of them
        try:
            self.device = WaitingDevice(self.file)
            writable(self.largest)
            self.volume = recovered(self.device, heap)
            self.settle()
            if self.volume.fresh:
                raise Fail(Kind.DEVICE, "the device can't be written")
        except BaseException:
            os.close(self.file.fd)
            raise
        self.half = self.device.size // 2

    def straight(self):
        """What appends without this, between `end` and `begin`."""
        return Straight(self.volume, MANY)

    def advance(self):
        """Do what can be done now."""
        self.volume.work()
        while tag := self.device.completion():
            self.volume.completed(tag, self.device.result)
            self.volume.work()

    def settle(self):
        """Make everything durable that has been begun. Raises NO_SPACE, DEVICE: then it is not known what is."""
        if not self.volume.idle:
            writable(self.largest)
        while not self.volume.idle:
            self.advance()
        failures = [entry.failure for entry in self.out if entry.failure]
        self.out.clear()
        self.volume.events.clear()
        if failures:
            raise Fail(Kind[failures[0]])

    def log_of(self, number):
        return self.volume.names.get(name_of(number))

    def filled(self):
        """The numbers of all journals that are not empty."""
        numbers = [int(name.split()[1]) for name in self.volume.names if name.startswith(b"journal ")]
        return sorted(number for number in numbers if self.log_of(number).end > self.log_of(number).head)

    def begin(self, number, head):
        """An empty journal gets its head: durable with the first bytes of the file."""
        self.log_of(number) or self.volume.create(name_of(number))
        text = create_string_buffer(head, len(head))
        self.entered(number, addressof(text), len(head), text)

    def append(self, number, address, length):
        """Bytes of the file, which have to stay there until settle(): 1 to PIECE."""
        self.entered(number, address, length, None)

    def entered(self, number, address, length, keep):
        self.out.append(self.volume.append(self.log_of(number), address, length, keep))

    def empty(self, number):
        """Nothing of this journal is needed any more: durable, as all that was begun before. Raises as settle()."""
        log = self.log_of(number)
        if log is not None:
            self.settle()
            self.out.append(self.volume.reset(log))
            self.settle()

    def records(self, number):
        """Its head, then one record of the file's bytes after the other. Raises NO_MEMORY, DEVICE."""
        log, at = self.log_of(number), 0
        while at < log.end:
            reading = self.volume.readings.begin(log, at)
            while not reading.done:
                self.advance()
            self.volume.events.clear()
            if reading.failure:
                raise Fail(Kind[reading.failure])
            record = string_at(reading.address, reading.length)
            self.heap.free(reading.memory)
            yield record
            at += len(record)

    def forsake(self):
        """In a forked child: the volume is its parent's."""
        os.close(self.file.fd)

    def close(self):
        """Let go of the device, and of its lock."""
        self.volume.close()
        os.close(self.file.fd)


@contextmanager
def turn(path):
    """Wait until nobody else is within this for the same volume, and keep others out: whoever finds it in use then
    knows that its owner has restored what there was to restore. Raises OSError.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:  # there is nothing to restore
        yield
        return
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLKW, struct.pack(LOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0))
        yield
    finally:
        os.close(fd)


def name_of(number):
    return b"journal %d" % number


def writable(size):
    """Raises NO_SPACE where this process may not write a file that far: a signal would tell it so (setrlimit(2))."""
    if 0 <= resource.getrlimit(resource.RLIMIT_FSIZE)[0] < size:
        raise Fail(Kind.NO_SPACE, "RLIMIT_FSIZE is below the size of the volume")
