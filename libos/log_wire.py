"""What a process that shares a volume says to its owner, and what it is answered: messages on a stream.

A message is a header and `length` bytes behind it. An answer has the id of what it answers; DONE, or the place of its
failure among the kinds of libos.errors, from 1 on. Numbers are of this machine: both ends are on it.
"""

import struct

from libos.errors import Fail, Kind

# kind, length, id, number of a log, and two values that mean what the kind says
HEADER = struct.Struct("=IIQQQQ")
LARGEST = 1 << 20  # bytes behind a header
ENTRY = struct.Struct("=QQI")  # of a listing: head, end, length of the name that follows

# HELLO: the secret. OPEN, REOPEN, CREAT: a name or number; answered with number, head and end. PUSH: an element.
# POP, PREAD: offset, size; answered with bytes. BOUNDS: answered with head and end. TRUNCATE, FTRUNCATE: offset.
# RENAME: the old name, whose length is the first value, and the new. LIST: a prefix; answered with entries.
# WATCH: an offset; answered when there is something behind it. BYE, from the owner: it goes, and what it has not
# answered it has not done.
HELLO, OPEN, CREAT, REOPEN, CLOSE, PUSH, POP, PREAD, BOUNDS, TRUNCATE, FTRUNCATE, UNLINK, RENAME, LIST, BYE = range(15)
WATCH = 15
READS = (HELLO, OPEN, REOPEN, CLOSE, POP, PREAD, BOUNDS, LIST, WATCH)  # may be asked twice

DONE = 0
KINDS = list(Kind)


def packed(kind, number=0, log=0, first=0, second=0, length=0):
    """The header of a message of `length` bytes more."""
    return HEADER.pack(kind, length, number, log, first, second)


def failure(fail):
    """The kind of an answer that says so."""
    return KINDS.index(fail.kind) + 1


def failed(kind, payload):
    """The Fail that an answer says."""
    found = KINDS[kind - 1] if kind <= len(KINDS) else Kind.DEVICE
    return Fail(found, bytes(payload).decode(errors="replace"))


def entries(listed):
    """(name, head, end) of each log in the answer to LIST."""
    at = 0
    while at < len(listed):
        head, end, length = ENTRY.unpack_from(listed, at)
        at += ENTRY.size + length
        yield listed[at - length : at], head, end


class Inbox:
    """Messages out of the bytes of a stream."""

    def __init__(self):
        self.bytes = bytearray()

    def add(self, more):
        """These bytes have come."""
        self.bytes += more

    def next(self):
        """(kind, id, log, first, second, payload) of the first message, None until it is there as a whole. Raises
        ValueError for what is none.
        """
        if len(self.bytes) < HEADER.size:
            return None
        kind, length, number, log, first, second = HEADER.unpack_from(self.bytes)
        if length > LARGEST or kind > 255:
            raise ValueError(f"a message of kind {kind} and {length} bytes")
        end = HEADER.size + length
        if end > len(self.bytes):
            return None
        payload = bytes(self.bytes[HEADER.size : end])
        del self.bytes[:end]
        return kind, number, log, first, second, payload
