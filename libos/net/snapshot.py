"""What a stack is, taken at the start of a tape and put into another one that has its memory in the same place."""

from libos.net import octets, structs

PAGE = 4096


def layout():
    """A number that tells structures from those of another version."""
    sizes = (
        structs.tcb_size(),
        structs.udp_size(),
        structs.address_size(),
        structs.route_size(),
        structs.path_size(),
        structs.neighbor_size(),
        structs.fragments_size(),
        structs.packet_size(),
    )
    return sum(size << 7 * i for i, size in enumerate(sizes))


def parts(stack):
    """(name, object) of all whose attributes are a stack's."""
    host = stack.host
    return (
        ("host", host),
        ("pool", host.pool),
        ("out", host.out),
        ("loop", host.loop),
        ("tcp", stack.tcp),
        ("deadlines", stack.tcp.deadlines),
        ("udp", stack.udp),
    )


def numbers(part):
    names = [name for name in dir(part) if not name.startswith("_")]
    return {name: int(getattr(part, name)) for name in names if isinstance(getattr(part, name), int)}


def attributes(stack):
    """{part: {name: number}}."""
    return {name: numbers(part) for name, part in parts(stack)}


def pages(stack):
    """Offsets of the pages of a stack's memory that are not zero."""
    pool = stack.host.pool
    return [at for at in range(0, pool.bumped, PAGE) if octets.remainder(pool.base + at, PAGE)]


def put(stack, attributes, pages, source):
    """A new stack is what another one was. `source`: address of its pages, one behind the other."""
    pool = stack.host.pool
    octets.zero(pool.base, pool.bumped)
    for page in pages:
        octets.copy(pool.base + page, source, PAGE)
        source += PAGE
    for name, part in parts(stack):
        for attribute, value in attributes[name].items():
            setattr(part, attribute, value)
