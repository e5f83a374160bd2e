"""What lies in raw memory, and the numbers of the protocols: declared in structs.pxd, where each field is explained.

`self_of(c)` is the address of a structure, `header_of(c)` that of a Tcb's headers, `urgent_of(c)` of its urgent
octet, `tx_of(c)` and `rx_of(c)` are its rings.
"""

KEPT = {}


def views(names):
    """What structs.pxd says in C about parts of structures."""
    import ctypes

    for name in ("self_of", "self_of_udp", "self_of_sent", "self_of_path", "self_of_neighbor"):
        names[name] = ctypes.addressof
    names["header_of"] = lambda c: ctypes.addressof(c) + names["Tcb"].header.offset
    names["urgent_of"] = lambda c: ctypes.addressof(c) + names["Tcb"].urgent_octet.offset
    names["tx_of"] = lambda c: c.tx
    names["rx_of"] = lambda c: c.rx
    return names


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    if not KEPT:
        from libos.net import declared

        KEPT.update(views(declared.read(__file__.rpartition(".")[0] + ".pxd")))
        globals().update(KEPT)
    if name not in KEPT:
        raise AttributeError(name)
    return KEPT[name]
