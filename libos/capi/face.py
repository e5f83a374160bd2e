"""The calls of include/demi, as functions of addresses: what the library jumps to.

Each returns 0 or a positive errno, as its man page says (docs/man). No Python object is touched and no GIL is taken.
"""

from libos import raw
from libos.capi import arrays, names, process, results, storing, submitting

COMPILED = __file__.endswith(".so")


def native():
    """{call: address} of the compiled calls, or nothing when interpreted."""
    if not COMPILED:
        return {}
    return {
        "queue": raw.address_of(names.queue),
        "socket": raw.address_of(names.socket),
        "bind": raw.address_of(names.bind),
        "listen": raw.address_of(names.listen),
        "accept": raw.address_of(submitting.accept),
        "connect": raw.address_of(submitting.connect),
        "close": raw.address_of(names.close),
        "push": raw.address_of(submitting.push),
        "pushto": raw.address_of(submitting.pushto),
        "pop": raw.address_of(submitting.pop),
        "getpeername": raw.address_of(names.getpeername),
        "getsockname": raw.address_of(names.getsockname),
        "getsockopt": raw.address_of(names.getsockopt),
        "setsockopt": raw.address_of(names.setsockopt),
        "sgaalloc": raw.address_of(arrays.sgaalloc),
        "sgafree": raw.address_of(arrays.sgafree),
        "wait": raw.address_of(results.wait),
        "wait_any": raw.address_of(results.wait_any),
        "wait_next_n": raw.address_of(results.wait_next_n),
        "open": raw.address_of(storing.open),
        "unlink": raw.address_of(storing.unlink),
        "rename": raw.address_of(storing.rename),
        "names": raw.address_of(storing.names),
        "lseek": raw.address_of(storing.lseek),
        "bounds": raw.address_of(storing.bounds),
        "truncate": raw.address_of(storing.truncate),
        "ftruncate": raw.address_of(storing.ftruncate),
        "pread": raw.address_of(storing.pread),
        "count": raw.address_of(process.count),
    }
