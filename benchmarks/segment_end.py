"""One host of the segment's benchmark: `python -m benchmarks.segment_end ROLE SEGMENT SIZE COUNT MTU`.

Roles: pong and sink are port 0, and say "up" when they are; ping and source are the others. `SIZE`: bytes of a frame.
Prints JSON: the nanoseconds of each round trip, or of the whole.
"""

import ctypes
import json
import sys

from benchmarks.native import loops
from libos.devices import layout
from libos.devices.segment import Segment


def main(role, name, size, count, mtu):
    device = Segment(name, port=0 if role in ("pong", "sink") else None, mtu=mtu)
    frames = ctypes.create_string_buffer(layout.BURST * layout.FRAME)
    other = device.mac[:5] + bytes([1 if role == "pong" else 0])
    frame = ctypes.create_string_buffer((other + device.mac + b"\x08\x00").ljust(size, b"x"), size)
    at, there = ctypes.addressof(frame), ctypes.addressof(frames)
    if role in ("pong", "sink"):
        print("up", flush=True)
    if role == "pong":
        complete = loops.frame_pong(device, there, at, size, size, count) == count
    elif role == "sink":
        took = loops.frame_sink(device, there, count)
        complete = took > 0
        print(json.dumps(took))
    elif role == "source":
        complete = loops.frame_source(device, at, size, count) < 1 << 32
    else:
        times = (ctypes.c_uint64 * count)()
        complete = loops.frame_ping(device, there, at, size, size, ctypes.addressof(times), count) == count
        print(json.dumps(list(times)))
    device.close()
    if not complete:
        sys.exit("frames were lost, or the other host has gone")


main(*sys.argv[1:3], *(int(word) for word in sys.argv[3:]))
