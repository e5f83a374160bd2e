"""The file of a segment: made by the first host, joined by the others, and a port of it."""

import os
import secrets
from types import SimpleNamespace

from libos import raw
from libos.devices import addresses, layout
from libos.errors import Fail, Kind
from libos.memory_file import SYS_munmap, mapped, sealed

MAGIC = int.from_bytes(b"flapeth1", "little")
SMALLEST, LARGEST = 68, 9000  # MTU: RFC 791, 3.2; jumbo frames
SYS_madvise = 28
MADV_DONTNEED, MADV_REMOVE, MADV_DONTFORK, MADV_DOFORK, MADV_WIPEONFORK, MADV_KEEPONFORK = 4, 9, 10, 11, 18, 19


def stride(mtu):
    """Bytes of a slot: its word and the largest frame, in whole cache lines."""
    return (layout.S_FRAME + layout.HEADER + mtu + 63) & ~63


def ring_size(shape):
    return shape.slots * stride(shape.mtu)


def size_of(shape):
    """Bytes of the whole file. Most of them never take memory."""
    return layout.S_RINGS + layout.PORTS * ring_size(shape)


def make(mtu, slots, network):
    """A new file: (descriptor, address). Raises Fail and OSError."""
    if not SMALLEST <= mtu <= LARGEST:
        raise Fail(Kind.INVALID, f"an MTU is from {SMALLEST} to {LARGEST} bytes, not {mtu}")
    if not 64 <= slots <= 65536 or slots & (slots - 1):
        raise Fail(Kind.INVALID, f"the slots of a ring are a power of two from 64 to 65536, not {slots}")
    net = addresses.network(network)
    size = size_of(SimpleNamespace(mtu=mtu, slots=slots))
    fd = sealed("catflap-segment", size)
    try:
        os.fchmod(fd, 0o600)
        base = mapped(fd, size, size, 0, True)
    except BaseException:
        os.close(fd)
        raise
    for offset, value in (
        (layout.S_MTU, mtu),
        (layout.S_SLOTS, slots),
        (layout.S_NETWORK, int(net.network_address)),
        (layout.S_PREFIX, net.prefixlen),
        (layout.S_ID, secrets.randbits(40)),
        (layout.S_MAGIC, MAGIC),
    ):
        raw.store(base + offset, value)
    return fd, base


def join(fd):
    """The address of a file that another host has made. Raises Fail where it is no segment."""
    size = os.fstat(fd).st_size
    base = mapped(fd, size, size, 0, True) if size > layout.S_RINGS else 0
    if not base or size_of(shape(base)) != size:
        raise Fail(Kind.DEVICE, "what the segment's hosts offer is of another version, or damaged")
    return base


def shape(base):
    """What the head of a segment says: checked copies. Raises Fail."""
    words = [
        raw.load(base + at) for at in (layout.S_MTU, layout.S_SLOTS, layout.S_NETWORK, layout.S_PREFIX, layout.S_ID)
    ]
    mtu, slots, network, prefix, identity = words
    good = raw.load(base + layout.S_MAGIC) == MAGIC and SMALLEST <= mtu <= LARGEST
    good = good and 64 <= slots <= 65536 and not slots & (slots - 1)
    if not good or not network < 1 << 32 or not prefix <= 30 or not identity < 1 << 40:
        raise Fail(Kind.DEVICE, "what the segment's hosts offer is of another version, or damaged")
    return SimpleNamespace(mtu=mtu, slots=slots, network=network, prefix=prefix, identity=identity)


def mark(base, port, up):
    """Say that a port is in use, or no longer."""
    at, bit = base + layout.S_UP + (port >> 6) * 8, raw.bit(port & 63)
    if up:
        raw.fetch_or(at, bit)
    else:
        raw.fetch_and(at, raw.invert(bit))


def clear(base, shape, port):
    """Give the memory of a port's ring back. Nobody has the port, or whoever calls."""
    mark(base, port, False)
    record = base + layout.S_RECORDS + port * layout.RECORD
    raw.store(record + layout.P_INTENT, 0)
    raw.store(record + layout.P_SLEEPER, 0)
    raw.syscall(SYS_madvise, base + layout.S_RINGS + port * ring_size(shape), ring_size(shape), MADV_REMOVE, 0, 0, 0)


def sweep(names, base, shape):
    """Clear the ports of hosts that have ended without saying so. Under the lock."""
    for port in range(layout.PORTS):
        if raw.load(base + layout.S_UP + (port >> 6) * 8) & raw.bit(port & 63):
            bell = names.bound(port)
            if bell >= 0:
                clear(base, shape, port)
                os.close(bell)


def claim(names, base, shape, wanted):
    """A port that nobody has: (number, the bell's descriptor). `wanted` is a number, or None for any. Under the lock.

    Ports are given out in turn, so that an address is not soon another host's. Raises IN_USE.
    """
    count = addresses.ports(shape.prefix)
    if wanted is None:
        start = raw.load(base + layout.S_NEXT) % count
        order = [(start + i) % count for i in range(count)]
    elif 0 <= wanted < count:
        order = [wanted]
    else:
        raise Fail(Kind.INVALID, f"this segment has ports 0 to {count - 1}, not {wanted}")
    for port in order:
        bell = names.bound(port)
        if bell >= 0:
            clear(base, shape, port)
            if wanted is None:
                raw.store(base + layout.S_NEXT, port + 1)
            return port, bell
    raise Fail(Kind.IN_USE, f"all {count} ports are taken" if wanted is None else f"port {wanted} is taken")


def unmap(base, size):
    raw.syscall(SYS_munmap, base, size, 0, 0, 0, 0)
