"""One end of the benchmark of devices: `python -m benchmarks.devices_end KIND ROLE PORT SIZE COUNT`.

KIND is `device`, a port of DPDK's as our frame device, alone, or `pdpix`, Catnip on it, for programs written for PDPIX.
Roles, messages and what is printed are those of benchmarks/c/dpdk.c; PORT has DPDK's text of the port.
"""

import ctypes
import gc
import socket
import sys
import time

from benchmarks.native import loops
from libos.devices import layout
from libos.devices.dpdk import Dpdk
from libos.factory import native

FRAME, LEAST = 1514, 60
ADDRESSES = {True: "10.77.1.1", False: "10.77.1.2"}  # of who comes first, and who asks
LISTENING, POP = 7, 1 << 16


def device(role, port, size, count):
    """Messages in frames: what is to be printed, None where frames were lost."""
    port = Dpdk(port)
    frames = ctypes.create_string_buffer(layout.BURST * layout.FRAME)
    frame = ctypes.create_string_buffer((b"\xff" * 6 + port.mac + b"\x88\xb5").ljust(FRAME, b"x"), FRAME)
    at, there = ctypes.addressof(frame), ctypes.addressof(frames)
    if role in ("pong", "sink"):
        print("up", flush=True)
    found = []
    if role == "pong":
        complete = loops.frame_pong(port, there, at, size, FRAME, count) == count
    elif role == "sink":
        found = [loops.frame_sink(port, there, count)]
        complete = found[0] > 0
    elif role == "source":
        complete = loops.frame_source(port, at, size, count) < 1 << 32
    else:
        times = (ctypes.c_uint64 * count)()
        complete = loops.frame_ping(port, there, at, size, FRAME, ctypes.addressof(times), count) == count
        found = list(times)[count // 10 :]  # what goes first warms up
    time.sleep(0.2 if role in ("ping", "source") else 0.05)  # the last frames are the other end's
    port.close()
    return found if complete else None


def pdpix(role, port, size, count):
    """Messages on a connection: the server answers each one with as much."""
    serves = role == "pong"
    own = socket.inet_aton(ADDRESSES[serves])
    libos = native("catnip", device=Dpdk(port), addresses=((own, 16),))
    qd = libos.socket(socket.AF_INET, socket.SOCK_STREAM)
    if serves:
        libos.bind(qd, ("0.0.0.0", LISTENING))
        libos.listen(qd, 1)
        print("up", flush=True)
        qd = libos.wait(libos.accept(qd)).value
    else:
        libos.wait(libos.connect(qd, (ADDRESSES[True], LISTENING)))
    libos.queue_of(qd).set_option(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    gc.disable()
    message, found = libos.sgaalloc(size), []
    for _ in range(count):
        before = time.perf_counter_ns()
        if not serves:
            libos.wait(libos.push(qd, message))
        left = size
        while left:
            sga = libos.wait(libos.pop(qd)).sga
            if sga is None or not len(sga):
                return None
            left -= len(sga)
            libos.sgafree(sga)
        if serves:
            libos.wait(libos.push(qd, message))
        found.append(time.perf_counter_ns() - before)
    time.sleep(0.05 if serves else 0.2)
    return [] if serves else found[count // 10 :]


if __name__ == "__main__":
    kind, role, port, *numbers = sys.argv[1:]
    found = {"device": device, "pdpix": pdpix}[kind](role, port, *map(int, numbers))
    if found is None:
        sys.exit("frames were lost, or the other end has gone")
    print(*found, sep="\n")
