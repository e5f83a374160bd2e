"""The program that takes what comes on a queue of an interface to a socket of AF_XDP, loaded and attached by bpf(2)
without a library. It is attached as long as its link's descriptor is open: it goes with its process.
"""

import os
import struct

from libos import calls, raw
from libos.memory_file import SYS_munmap, high, private

SYS_bpf = 321
MAP_CREATE, MAP_UPDATE, PROG_LOAD, LINK_CREATE = 0, 2, 5, 28
XSKMAP, PROG_XDP, ATTACH_XDP = 17, 6, 37
DRIVER, GENERIC = 4, 2  # XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE
PASS = 2  # XDP_PASS
ROOM = 4096
STEPS, ATTRIBUTES, LICENSE, KEY, VALUE = 0, 1024, 2048, 2064, 2072


def poke(at, data):
    """Bytes to raw memory, zeros behind them up to a multiple of eight."""
    for i in range(0, len(data), 8):
        raw.store(at + i, int.from_bytes(data[i : i + 8], "little"))


def steps(table):
    """To the socket that `table` has for the queue; where there is none the kernel gets the frame."""
    words = (
        (0x61, 0x12, 16, 0),  # r2 = context.rx_queue_index
        (0x18, 0x11, 0, table),  # r1 = table, in two parts
        (0, 0, 0, 0),
        (0xB7, 0x03, 0, PASS),
        (0x85, 0, 0, 51),  # bpf_redirect_map
        (0x95, 0, 0, 0),
    )
    return b"".join(struct.pack("=BBhi", *word) for word in words)


class Program:
    """The program, and its table of sockets by queue. Raises OSError."""

    def __init__(self, queue):
        self.place = private(ROOM)
        self.table = self.program = self.link = -1
        try:
            self.table = high(self.bpf(MAP_CREATE, struct.pack("=5I", XSKMAP, 4, 4, queue + 1, 0)))
            code = steps(self.table)
            poke(self.place + STEPS, code)
            poke(self.place + LICENSE, b"GPL\0")
            places = self.place + STEPS, self.place + LICENSE
            self.program = high(self.bpf(PROG_LOAD, struct.pack("=IIQQ", PROG_XDP, len(code) // 8, *places)))
        except BaseException:
            self.close()
            raise

    def bpf(self, command, attributes):
        poke(self.place + ATTRIBUTES, attributes.ljust(128, b"\0"))
        result = raw.syscall(SYS_bpf, command, self.place + ATTRIBUTES, 128, 0, 0, 0)
        if result < 0:
            raise OSError(-result, os.strerror(-result))
        return result

    def lead(self, queue, fd):
        """What comes on a queue goes to the socket `fd`, once the program is attached."""
        poke(self.place + KEY, struct.pack("=I", queue))
        poke(self.place + VALUE, struct.pack("=I", fd))
        self.bpf(MAP_UPDATE, struct.pack("=I4xQQQ", self.table, self.place + KEY, self.place + VALUE, 0))

    def attach(self, index):
        """Attach it to an interface: by its driver, or where that can't, before the kernel's stack. Which it was."""
        for way in (DRIVER, GENERIC):
            try:
                self.link = high(self.bpf(LINK_CREATE, struct.pack("=4I", self.program, index, ATTACH_XDP, way)))
                return way
            except OSError as error:
                if way == GENERIC or error.errno in (calls.EBUSY, calls.EPERM):
                    raise

    def close(self):
        for fd in (self.link, self.program, self.table):
            if fd >= 0:
                os.close(fd)
        self.link = self.program = self.table = -1
        if self.place:
            raw.syscall(SYS_munmap, self.place, ROOM, 0, 0, 0, 0)
            self.place = 0
