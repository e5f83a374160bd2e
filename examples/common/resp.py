"""Redis' protocol without I/O: requests out of a byte stream, and the encoding of answers.

https://redis.io/docs/latest/develop/reference/protocol-spec/; the words of errors are redis' own.
"""

import re

MOST_ARGUMENTS = 1024
LARGEST = 1 << 20  # bytes of all arguments of a request
LONGEST_LINE = 1 << 16
INTEGER = re.compile(rb"0|-?[1-9][0-9]{0,17}")


class Malformed(Exception):
    """A request that can't be read, or is too large; nothing behind it can be read either."""


def integer(text):
    """The number that a line says; -1, which is valid nowhere, when it says none."""
    return int(text) if INTEGER.fullmatch(text) else -1


class Requests:
    """Bytes in by `receive`, requests out by `next`: lists of bytes, the command first."""

    def __init__(self):
        self.buffer = bytearray()
        self.scanned = 0
        self.missing = 0
        self.length = None
        self.request = []
        self.size = 0

    def receive(self, data):
        self.buffer += data

    def next(self):
        """The next request, or None when more has to come. Raises Malformed."""
        while True:
            if not self.missing:
                line = self.line("inline request")
                if line is None:
                    return None
                if not line.startswith(b"*"):
                    if words := line.split():
                        return words
                    continue
                count = integer(line[1:])
                if count > MOST_ARGUMENTS or (count < 0 and not INTEGER.fullmatch(line[1:])):
                    raise Malformed("invalid multibulk length")
                if count <= 0:
                    continue
                self.missing, self.request, self.size = count, [], 0
            if not self.argument():
                return None
            if not self.missing:
                return self.request

    def argument(self):
        """Take one more argument; false when it isn't there yet. Raises Malformed."""
        if self.length is None:
            line = self.line("bulk count string")
            if line is None:
                return False
            if not line.startswith(b"$"):
                raise Malformed(f"expected '$', got '{chr(line[0]) if line else ' '}'")
            length = integer(line[1:])
            self.size += length
            if length < 0 or self.size > LARGEST:
                raise Malformed("invalid bulk length")
            self.length = length
        if len(self.buffer) < self.length + 2:
            return False
        self.request.append(bytes(self.buffer[: self.length]))
        del self.buffer[: self.length + 2]
        self.length = None
        self.missing -= 1
        return True

    def line(self, what):
        """The next line without its end, or None; what was searched before isn't searched again. Raises Malformed."""
        end = self.buffer.find(b"\n", self.scanned)
        if end > LONGEST_LINE or (end < 0 and len(self.buffer) > LONGEST_LINE):
            raise Malformed(f"too big {what}")
        if end < 0:
            self.scanned = len(self.buffer)
            return None
        line = bytes(self.buffer[:end]).removesuffix(b"\r")
        del self.buffer[: end + 1]
        self.scanned = 0
        return line


def simple(words):
    return b"+%s\r\n" % words.encode()


def error(words):
    """An error; ends of lines in it become blanks, as in redis."""
    return b"-%s\r\n" % words.encode("latin-1").strip(b"\r\n").replace(b"\r", b" ").replace(b"\n", b" ")


def number(value):
    return b":%d\r\n" % value


def bulk(value):
    """A byte string; None: there is none."""
    return b"$-1\r\n" if value is None else b"$%d\r\n%s\r\n" % (len(value), value)


def array(values):
    return b"*%d\r\n" % len(values) + b"".join(map(bulk, values))
