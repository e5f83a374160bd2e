"""What lies in raw memory, and the numbers of Catmint's protocol: declared in structs.pxd, where each is explained.

`self_of(c)` is the address of a connection, `self_of_item(i)` of an item; `work_of(c)` and the like are its links,
`pushes_of(c)` and the like the addresses of its queues.
"""

KEPT = {}


def views(names):
    """What structs.pxd says in C about parts of structures."""
    import ctypes
    import operator

    names["self_of"] = names["self_of_item"] = ctypes.addressof
    for name in ("link", "work", "event", "opening"):
        names[name + "_of"] = operator.attrgetter(name)
    for name in ("pushes", "larges", "finished", "messages", "accepting"):
        names[name + "_of"] = placed(getattr(names["Connection"], name).offset, ctypes.addressof)
    return names


def placed(offset, address):
    return lambda c: address(c) + offset


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    if not KEPT:
        from libos.net import declared
        from libos.net import structs as lists

        own = __file__.rpartition(".")[0] + ".pxd"
        KEPT.update(views(declared.read(own, Link=lists.Link, Queue=lists.Queue)))
        globals().update(KEPT)
    if name not in KEPT:
        raise AttributeError(name)
    return KEPT[name]
