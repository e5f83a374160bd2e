"""Logs of Cattree as PDPIX queues: attempts at operations, under the libOS's lock."""

import os
from ctypes import c_char

from libos.errors import Fail, Kind
from libos.sgarray import SGArray, address_of


class LogQueue:
    """A log and a cursor in it: the offset of the next pop."""

    def __init__(self, libos, log):
        self.libos = libos
        self.log = log
        self.cursor = log.head
        self.reading = None

    def fileno(self):
        """There is no kernel object below."""
        return -1

    def pushing(self, sga, address=None):
        """Appends at once; attempts find out what has become of it."""
        volume, size = self.libos.volume, len(sga)
        if address is not None:
            raise Fail(Kind.UNSUPPORTED, "a log has no addresses")
        if size > volume.largest:
            raise Fail(Kind.INVALID, f"an element of {size} bytes; at most {volume.largest} fit")
        with self.libos.lock:
            self.libos.open_or_fail(self)
            parts = [segment for segment in sga.segments if len(segment)]
            sga.retain()  # until the device has it, whatever becomes of the operation
            if len(parts) == 1:
                entry = volume.append(self.log, address_of(parts[0]), size, (self, sga))
            else:
                where = [(address_of(part), len(part)) for part in parts]
                entry = volume.append(self.log, where[0][0], size, (self, sga), where)

        def attempt():
            if not entry.done:
                return None
            if entry.failure:
                raise Fail(Kind[entry.failure])
            return size, None, None

        return attempt

    def popping(self, size):
        def attempt():
            reading = self.reading
            if reading is not None and reading.offset != self.cursor:  # an earlier pop's, taken back
                self.abandon()
                reading = None
            if reading is None:
                if self.cursor < self.log.head:
                    raise Fail(Kind.INVALID, f"offset {self.cursor} is forgotten: the log begins at {self.log.head}")
                if self.cursor >= self.log.end:
                    return 0, SGArray([]), None
                reading = self.reading = self.libos.volume.readings.begin(self.log, self.cursor, self)
                self.libos.volume.device.submit()
            if not reading.done:
                return None
            self.reading = None
            if reading.failure:
                raise Fail(Kind[reading.failure])
            whole = (c_char * reading.length).from_address(reading.address)
            sga = SGArray([memoryview(whole).cast("B")], self.libos.heap, (reading.memory,))
            sga.trim(size)
            self.cursor += len(sga)
            return len(sga), sga, None

        return attempt

    def abandon(self):
        """Nobody wants what is being read."""
        reading, self.reading = self.reading, None
        if reading is None:
            return
        reading.keep = None
        if reading.done:
            self.libos.forget(reading)

    def ready(self, mask):
        return mask & (2 | (1 if self.cursor < self.log.end else 0))

    def seek(self, offset, whence):
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self.cursor, os.SEEK_END: self.log.end}.get(whence)
        if base is None or not self.log.head <= base + offset <= self.log.end:
            raise Fail(Kind.INVALID, f"an offset outside of {self.log.head} to {self.log.end}")
        self.cursor = base + offset
        return self.cursor

    def blocked(self, direction):
        """The device tells of everything anyway."""

    def close(self):
        self.abandon()
        self.libos.forsake(self)
