"""What lies in raw memory, and the numbers of the protocols: declared in structs.pxd, where each field is explained.

`self_of(c)` is the address of a structure, `header_of(c)` that of a Tcb's headers, `urgent_of(c)` of its urgent
octet, `accepting_of(c)` of a listener's queue; `tx_of(c)` and `rx_of(c)` are its rings, `pending_of(c)` and the like
its links.
"""

KEPT = {}


def views(names):
    """What structs.pxd says in C about parts of structures."""
    import ctypes
    import operator

    for name in ("self_of", "self_of_udp", "self_of_sent", "self_of_path", "self_of_neighbor", "self_of_link"):
        names[name] = ctypes.addressof
    names["header_of"] = lambda c: ctypes.addressof(c) + names["Tcb"].header.offset
    names["urgent_of"] = lambda c: ctypes.addressof(c) + names["Tcb"].urgent_octet.offset
    names["accepting_of"] = lambda c: ctypes.addressof(c) + names["Tcb"].accepting.offset
    for name in ("tx", "rx", "pending", "event", "waiting"):
        names[name + "_of"] = operator.attrgetter(name)
    names["event_of_udp"] = operator.attrgetter("event")
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
