"""Frames in a byte stream, without I/O: a length of four bytes, big-endian, and as many bytes of body.

A body is a kind (one byte) and fields, each with a length of four bytes; numbers are fields of eight bytes.
"""

LARGEST = 1 << 16  # bytes of a body


class Malformed(Exception):
    """Bytes that are no frame, or a body that isn't what it should be."""


class Frames:
    """Bytes in by `receive`, bodies out by `next`."""

    def __init__(self):
        self.buffer = bytearray()

    def receive(self, data):
        self.buffer += data

    def next(self):
        """The next body, or None when more has to come. Raises Malformed."""
        if len(self.buffer) < 4:
            return None
        length = int.from_bytes(self.buffer[:4])
        if not 0 < length <= LARGEST:
            raise Malformed(f"a frame of {length} bytes")
        if len(self.buffer) < 4 + length:
            return None
        body = bytes(self.buffer[4 : 4 + length])
        del self.buffer[: 4 + length]
        return body


def frame(kind, *fields):
    """A frame of a kind and fields, bytes or numbers. Raises Malformed when it would be too large."""
    body = [bytes([kind])]
    for field in fields:
        data = field.to_bytes(8) if isinstance(field, int) else field
        body += (len(data).to_bytes(4), data)
    joined = b"".join(body)
    if len(joined) > LARGEST:
        raise Malformed(f"a frame of {len(joined)} bytes")
    return len(joined).to_bytes(4) + joined


class Body:
    """What is in a body, taken one field after the other; each raises Malformed when it isn't there."""

    def __init__(self, body):
        self.kind = body[0]
        self.body = body
        self.at = 1

    def data(self):
        start = self.at + 4
        end = start + int.from_bytes(self.body[self.at : start])
        if end > len(self.body) or start > len(self.body):
            raise Malformed("a field behind the end")
        self.at = end
        return self.body[start:end]

    def number(self):
        data = self.data()
        if len(data) != 8:
            raise Malformed("a number of other than eight bytes")
        return int.from_bytes(data)

    def many(self, *takes):
        """A list of tuples up to the end of the body; `takes` are methods of this."""
        found = []
        while self.at < len(self.body):
            found.append(tuple(take() for take in takes))
        return found

    def end(self):
        if self.at < len(self.body):
            raise Malformed("something behind the last field")
