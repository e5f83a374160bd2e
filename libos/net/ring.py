# cython: infer_types=True
"""Octets in order: a ring of a power of two that grows with use. Offsets count from the oldest octet."""

from libos.net import octets


def hold(host, r, octets_in_all):
    """Make the ring at least that large; false where there is no memory."""
    if octets_in_all <= r.size:
        return True
    size = r.size if r.size else 256  # what an idle connection keeps
    while size < octets_in_all:
        size *= 2
    at = host.pool.take(size)
    if at == 0:
        return False
    # all of the old ring: beyond the octets in order there may be some that came early
    first = r.size - r.head
    if r.size:
        octets.copy(at, r.at + r.head, first)
        octets.copy(at + first, r.at, r.head)
        host.pool.give(r.at, r.size)
    r.at = at
    r.size = size
    r.head = 0
    return True


def put(r, offset, source, count):
    """Copy in; the room was asked for. `used` is the caller's to count."""
    at = (r.head + offset) & (r.size - 1)
    first = r.size - at
    if first >= count:
        octets.copy(r.at + at, source, count)
        return
    octets.copy(r.at + at, source, first)
    octets.copy(r.at, source + first, count - first)


def get(r, offset, target, count):
    """Copy out."""
    at = (r.head + offset) & (r.size - 1)
    first = r.size - at
    if first >= count:
        octets.copy(target, r.at + at, count)
        return
    octets.copy(target, r.at + at, first)
    octets.copy(target + first, r.at, count - first)


def drop(r, count):
    """Forget the oldest octets."""
    r.head = (r.head + count) & (r.size - 1)
    r.used -= count


def release(host, r):
    """Give the memory back; an empty ring takes some again when it is used."""
    if r.size:
        host.pool.give(r.at, r.size)
    r.at = r.size = r.head = r.used = 0
