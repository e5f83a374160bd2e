"""Socket options (socket(7), tcp(7), ip(7)): the kernel holds their values; the table says which ones we must know.

Each row: (level, option) -> (size in bytes, what to do with the new value of a description).
"""

from libos import raw

SOL_SOCKET = 1
SO_RCVLOWAT = 18


def low_water(description, value):
    description.lowat = value if value > 0 else 1


WATCHED = {(SOL_SOCKET, SO_RCVLOWAT): (4, low_water)}


def changed(description, level, option, address, length):
    """A setsockopt has succeeded: remember what changes how we try an operation inline."""
    row = WATCHED.get((level, option))
    if row and length >= row[0]:
        row[1](description, raw.load32(address))
