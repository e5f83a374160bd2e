"""Structures and numbers for interpreted code, read from the .pxd that declares them for compiled code.

So both modes have one description. A structure becomes a ctypes.Structure of that name over raw memory, whose fields
wrap as the C ones do; a structure `Tcb` also brings `tcb(address)` and `tcb_size()`. An enumeration becomes
integers.
"""

import ctypes
import re

TYPES = {
    "unsigned char": ctypes.c_uint8,
    "unsigned int": ctypes.c_uint32,
    "int": ctypes.c_int32,
    "long long": ctypes.c_int64,
    "unsigned long long": ctypes.c_uint64,
    "size_t": ctypes.c_size_t,
}
FIELD = re.compile(r"    ((?:unsigned )?(?:int|char|long long|size_t)|[A-Z]\w+) (.*)")
NAME = re.compile(r"(\w+)(?:\[(\d+)\])?$")
NUMBER = re.compile(r"    (\w+) = (.+)")


def read(path, **others):
    """Names declared in a .pxd: structures, how to get at them, integers. Raises ValueError for what it can't read.

    `others`: structures that it takes from other files.
    """
    names, block, fields = dict(others), None, []
    with open(path) as file:
        lines = [line.split("#")[0].rstrip() for line in file]
    for line in [*lines, "end"]:
        if not line:
            continue
        if not line.startswith(" "):
            if block not in (None, "enum"):
                add_structure(names, block, fields)
            start = re.match(r"ctypedef struct (\w+):|cdef (enum):", line)
            block, fields = (start[1] or start[2]) if start else None, []
        elif block == "enum":
            name, value = NUMBER.fullmatch(line).groups()
            names[name] = int(value, 0)
        elif block:
            fields += fields_of(line, names)
    return names


def fields_of(line, names):
    """[(name, ctypes type)] of a line like `    unsigned int a, b[4]`; `names` has the structures that came before."""
    found = FIELD.fullmatch(line)
    if not found:
        raise ValueError(f"not a field: {line}")
    kind, result = TYPES.get(found[1]) or names[found[1]], []
    for item in found[2].split(","):
        name, count = NAME.match(item.strip()).groups()
        result.append((name, kind * int(count) if count else kind))
    return result


def add_structure(names, name, fields):
    structure = type(name, (ctypes.Structure,), {"_fields_": fields})
    lower = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    names[name] = structure
    names[lower] = lambda address: structure.from_address(address) if address else None
    names[lower + "_size"] = lambda: ctypes.sizeof(structure)
