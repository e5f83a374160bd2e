"""Files of captured frames: both common formats read, both written. Times are nanoseconds since 1970.

pcap and pcapng are described in the IETF drafts draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng.
"""

import os
import struct

from libos.errors import Fail, Kind

ETHERNET = 1  # LINKTYPE_ETHERNET
MICROSECONDS, NANOSECONDS = 0xA1B2C3D4, 0xA1B23C4D
SECTION, INTERFACE, ENHANCED, SIMPLE = 0x0A0D0D0A, 1, 6, 3
BYTE_ORDER = 0x1A2B3C4D
IF_NAME, IF_TSRESOL, EPB_FLAGS = 2, 9, 2
INBOUND, OUTBOUND = 1, 2
LARGEST = 1 << 18  # bytes of a frame or block that are believed


def created(path):
    """An unbuffered file for writing that only we may read: what was written stays, however the program ends."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o600), "wb", buffering=0)


class PcapWriter:
    """A pcap file with nanoseconds. Raises OSError."""

    def __init__(self, path):
        self.file = created(path)
        self.file.write(struct.pack("=IHHiIII", NANOSECONDS, 2, 4, 0, 0, LARGEST, ETHERNET))

    def write(self, time, frame, direction=0):
        seconds, rest = divmod(time, 1_000_000_000)
        self.file.write(struct.pack("=IIII", seconds, rest, len(frame), len(frame)) + frame)

    def close(self):
        self.file.close()


class PcapngWriter:
    """A pcapng file of one interface, whose frames know their direction. Raises OSError."""

    def __init__(self, path, interface="catflap"):
        self.file = created(path)
        self.file.write(block(SECTION, struct.pack("=IHHq", BYTE_ORDER, 1, 0, -1)))
        options = option(IF_NAME, interface.encode()) + option(IF_TSRESOL, b"\x09") + option(0, b"")
        self.file.write(block(INTERFACE, struct.pack("=HHI", ETHERNET, 0, 0) + options))

    def write(self, time, frame, direction=0):
        head = struct.pack("=IIIII", 0, time >> 32, time & 0xFFFFFFFF, len(frame), len(frame))
        flags = option(EPB_FLAGS, struct.pack("=I", direction)) + option(0, b"") if direction else b""
        self.file.write(block(ENHANCED, head + padded(frame) + flags))

    def close(self):
        self.file.close()


def padded(data):
    return data + bytes(-len(data) % 4)


def block(kind, body):
    size = struct.pack("=I", len(body) + 12)
    return struct.pack("=I", kind) + size + body + size


def option(code, value):
    return struct.pack("=HH", code, len(value)) + padded(value)


def read(path):
    """(time, frame) of each frame of a pcap or pcapng file, as far as it is whole. Raises Fail for another, OSError."""
    with open(path, "rb") as file:
        start = file.read(4)
        for order in "<>":
            magic = struct.unpack(order + "I", start)[0] if len(start) == 4 else 0
            if magic in (MICROSECONDS, NANOSECONDS):
                yield from read_pcap(file, order, 1 if magic == NANOSECONDS else 1000)
                return
        if magic != SECTION:
            raise Fail(Kind.INVALID, f"{path} is no capture file")
        file.seek(0)
        yield from read_pcapng(file)


def read_pcap(file, order, unit):
    head = file.read(20)
    if len(head) < 20 or struct.unpack(order + "16xI", head)[0] & 0xFFFFFFF != ETHERNET:
        raise Fail(Kind.INVALID, f"{file.name} does not hold Ethernet frames")
    while len(head := file.read(16)) == 16:
        seconds, rest, size, _ = struct.unpack(order + "IIII", head)
        frame = file.read(size) if size <= LARGEST else b""
        if len(frame) < size or size > LARGEST:
            return
        yield seconds * 1_000_000_000 + rest * unit, frame


def read_pcapng(file):
    """Interfaces of other links are passed over. A section may have another byte order."""
    order, interfaces = "<", []
    while len(head := file.read(8)) == 8:
        if head[:4] == b"\x0a\x0d\x0d\x0a":
            mark = file.read(4)
            order, interfaces = "<" if mark == struct.pack("<I", BYTE_ORDER) else ">", []
            size = struct.unpack(order + "I", head[4:])[0]
            if mark != struct.pack(order + "I", BYTE_ORDER) or not 28 <= size <= LARGEST:
                return
            if len(file.read(size - 12)) < size - 12:
                return
            continue
        kind, size = struct.unpack(order + "II", head)
        body = file.read(size - 8) if 12 <= size <= LARGEST else b""
        if len(body) < max(size - 8, 4):
            return
        try:
            if kind == INTERFACE:
                interfaces.append(interface(order, body))
            elif kind == ENHANCED:
                which, high, low, length = struct.unpack_from(order + "IIII", body)
                link, ticks = interfaces[which]
                if link == ETHERNET and length <= len(body) - 24:
                    yield (high << 32 | low) * 1_000_000_000 // ticks, body[20 : 20 + length]
            elif kind == SIMPLE and interfaces[0][0] == ETHERNET:
                yield 0, body[4 : 4 + min(struct.unpack_from(order + "I", body)[0], len(body) - 8)]
        except (struct.error, IndexError):
            return


def interface(order, body):
    """(link type, ticks in a second) of an interface."""
    link, ticks, at = struct.unpack_from(order + "H", body)[0], 1_000_000, 8
    while at + 4 <= len(body) - 4:
        code, length = struct.unpack_from(order + "HH", body, at)
        if code == 0:
            break
        if code == IF_TSRESOL:
            value = body[at + 4]
            ticks = 1 << (value & 0x7F) if value & 0x80 else 10 ** (value & 0x7F)
        at += 4 + length + -length % 4
    return link, ticks
