"""Raw memory and raw kernel calls for the rooms on the data path.

Compiled code resolves these names at build time (raw.pxd: inline C); interpreted code gets the ctypes twins of
raw_ctypes.py at its first use, so that a compiled program never pays for importing ctypes.

Addresses are plain integers. `load/store` move 64 bits with acquire/release order, `load32/store32` 32 bits;
`fetch_*` return the value before the operation; `syscall(n, a..f)` returns the kernel's result or -errno.
"""

KEPT = []  # what it is looked up in: a program's own Python does not find it by its name any more


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    if not KEPT:
        from libos import raw_ctypes

        KEPT.append(raw_ctypes)
    value = globals()[name] = getattr(KEPT[0], name)
    return value
