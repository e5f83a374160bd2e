"""CRC-32C of `n` bytes at address `a`, going on from the one `before`: `crc32c(a, n, before)` (RFC 3720, B.4).

Compiled code has it inline (checksum.h), interpreted code by a table at the first use.
"""

KEPT = []


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    if not KEPT:
        from libos.log import checksum_table

        KEPT.append(checksum_table)
    value = globals()[name] = getattr(KEPT[0], name)
    return value
