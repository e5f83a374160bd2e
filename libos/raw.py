"""Raw memory and raw kernel calls for the rooms on the data path.

Compiled code resolves these names at build time (raw.pxd: inline C); interpreted code gets the ctypes twins of
raw_ctypes.py at its first use, so that a compiled program never pays for importing ctypes.

Addresses are plain integers. `load/store` move 64 bits with acquire/release order, `load32/store32` 32 bits;
`fetch_*` return the value before the operation; `syscall(n, a..f)` returns the kernel's result or -errno.
"""

from libos import later


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    value = globals()[name] = getattr(later.room("libos.raw_ctypes"), name)
    return value
