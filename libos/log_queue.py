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
        self.popped = None  # the reading of a pop

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
            reading = self.popped
            if reading is not None and reading.offset != self.cursor:  # an earlier pop's, taken back
                self.abandon()
                reading = None
            if reading is None:
                if self.cursor < self.log.head:
                    raise Fail(Kind.INVALID, f"offset {self.cursor} is forgotten: the log begins at {self.log.head}")
                if self.cursor >= self.log.end:
                    return 0, SGArray([]), None
                reading = self.popped = self.libos.volume.readings.begin(self.log, self.cursor, self)
                self.libos.volume.device.submit()
            if not reading.done:
                return None
            self.popped = None
            outcome = self.brought(reading, size)
            self.cursor += outcome[0]
            return outcome

        return attempt

    def brought(self, reading, size):
        """What a reading that is done has brought, at most `size` bytes. Raises Fail."""
        if reading.failure:
            raise Fail(Kind[reading.failure])
        whole = (c_char * reading.length).from_address(reading.address)
        sga = SGArray([memoryview(whole).cast("B")], self.libos.heap, (reading.memory,))
        sga.trim(size)
        return len(sga), sga, None

    def reading(self, size, offset, element=False):
        """The attempt at a read by place, and what is to be done when it ends, well or not. `element`: what is left of
        the element there, as a pop.
        """
        span = None
        readings = self.libos.volume.readings

        def attempt():
            nonlocal span
            if span is None:
                if offset < self.log.head:
                    raise Fail(Kind.INVALID, f"offset {offset} is forgotten: the log begins at {self.log.head}")
                if offset >= self.log.end:
                    return 0, SGArray([]), None
                span = (
                    readings.begin(self.log, offset, self) if element else readings.span(self.log, offset, size, self)
                )
                self.libos.volume.device.submit()
            if not span.done:
                return None
            taken, span = span, None
            return self.brought(taken, size)

        def ended():
            if span is not None:
                self.libos.unwanted(span)

        return attempt, ended

    def watching(self, offset):
        """The attempt at a watch for something behind an offset."""
        return lambda: (1, None, None) if self.log.end > offset else None

    def abandon(self):
        """Nobody wants what is being read."""
        reading, self.popped = self.popped, None
        if reading is None:
            return
        self.libos.unwanted(reading)

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
