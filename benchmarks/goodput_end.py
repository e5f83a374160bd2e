"""A host at an end of goodput_path.py: the same program for both stacks, on Catnap (Linux') or on Catnip."""

import ipaddress
import json
import socket
import sys
import time

from benchmarks.goodput_path import ADDRESSES
from libos.catnip_native import CatnipLibOS
from libos.devices.tap import Tap
from libos.factory import native
from libos.sgarray import SGArray

PORT, CHUNK = 8080, 1 << 16


def stack(side, i):
    if side == "linux":
        return native("catnap")
    return CatnipLibOS(device=Tap(f"cat{i}"), addresses=((ipaddress.ip_address(ADDRESSES[i]).packed, 24),))


def done(libos, qtoken):
    """The result of an operation that went well. Raises Fail."""
    result = libos.wait(qtoken)
    if result.error:
        raise result.error
    return result


def sink(libos, octets):
    """Seconds from the accepted connection to the end of its stream."""
    listener = libos.socket(socket.AF_INET, socket.SOCK_STREAM)
    libos.bind(listener, (ADDRESSES[1], PORT))
    libos.listen(listener)
    print("up", flush=True)
    connection, left = done(libos, libos.accept(listener)).value, octets
    start = time.monotonic()
    while size := len(sga := done(libos, libos.pop(connection, CHUNK)).sga):
        left -= size
        libos.sgafree(sga)
    assert left == 0, f"{left} octets of {octets} have not come"
    print(json.dumps({"octets": octets, "seconds": time.monotonic() - start}), flush=True)


def source(libos, octets):
    qd = libos.socket(socket.AF_INET, socket.SOCK_STREAM)
    if not isinstance(libos, CatnipLibOS):  # which has no other default
        libos.setsockopt(qd, socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
    done(libos, libos.connect(qd, (ADDRESSES[1], PORT)))
    chunk = bytes(CHUNK)
    for at in range(0, octets, CHUNK):
        done(libos, libos.push(qd, SGArray.of(chunk[: octets - at])))
    libos.shutdown(qd, socket.SHUT_WR)
    done(libos, libos.pop(qd))


if __name__ == "__main__":
    role, side, octets = sys.argv[1:]
    {"sink": sink, "source": source}[role](stack(side, ("source", "sink").index(role)), int(octets))
