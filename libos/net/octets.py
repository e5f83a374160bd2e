"""Octets at raw addresses: compiled code has them inline (octets.h), interpreted code by ctypes at the first use.

`get`/`put` are of so many bits in network byte order; `copy`, `move` (may overlap) and `zero` take bytes. `sum(a, n,
sum)` is the Internet checksum's sum (RFC 1071), of 16 bits and not yet complemented; `hash` is SipHash-2-4 of six
words, `mix` a quick keyed mix for tables. `remainder(a, n)` tells octets from others: they are a large number, divided
by 2^61 - 1.
"""

KEPT = []


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    if not KEPT:
        from libos.net import octets_ctypes

        KEPT.append(octets_ctypes)
    value = globals()[name] = getattr(KEPT[0], name)
    return value
