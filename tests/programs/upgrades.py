"""Whether Catloop carries a program's connections, as another process sees it."""

import flap
from roles import until

from shim import inside


def carried(program):
    """Bytes, in and out, that rings have moved over the connections that a program and its children have open."""
    families = {}
    for pid in program.family():
        try:
            process = inside.Process(pid)
            if process.table:
                families.setdefault(process.family, (process, set()))[1].update(process.touched())
        except inside.Unreadable:  # it has ended
            continue
    total = 0
    for process, pages in families.values():
        try:
            total += sum(record["HEAD"] + record["TAIL"] for record in process.records(pages))
        except inside.Unreadable:
            continue
        finally:
            process.close()
    return total


def rings(pair):
    """Whether connections between a server and a client are to be upgraded: on Catmint, too, a program has rings."""
    return pair.server == pair.client and pair.server in ("auto", "catmint", *flap.FABRICS)


def warm(pair, use, *programs):
    """With rings: `use()` the connections until rings carry some of each program's."""

    def warmed():
        use()
        return all(map(carried, programs))

    if rings(pair):
        until(warmed, "upgraded connections")


def check_carried(pair, *programs, least=1):
    """With rings: `least` bytes or more have gone through rings over the open connections of each of these
    programs; without, none.
    """
    for program in programs:
        if rings(pair):
            until(lambda program=program: carried(program) >= least, f"{least} bytes in rings", program=program)
        else:
            assert carried(program) == 0
