"""What members of a tree ask the owner of its network (libos/tree.py), and its answers, as messages on a line.

An errand is for one socket: `handle` is what the stack knows it by at the owner's, 0 before it does, `end` its record,
which all of the family have at one address. Both speak of addresses as (packed, port).
"""

import struct

from libos.catnip import eight, unpacked, words

COMPILED = __file__.endswith(".so")
REACHES, OWNS, BIND, LISTEN, CONNECT, LANDED, ATTACH, OPTIONS, RELEASED = range(1, 10)
POST, POST_BIND, POST_CONNECT, POST_DISSOLVE, POST_GROUP, POST_REACH, POST_OPTIONS = range(
    10, 17
)  # of datagrams (libos/posts.py)
MESSAGE = struct.Struct("=HHiQQQ16sH")  # kind, family, number, handle, end, slot, address, port
OPTION = struct.Struct("=iii")  # level, name, value
NOWHERE = bytes(4), 0


def message(kind, family=0, number=0, handle=0, end=0, slot=0, name=None, options=()):
    """The bytes of an errand, or of an answer: its `kind` is an errno, or 0."""
    packed, port = name or NOWHERE
    high, low = words(packed)
    head = MESSAGE.pack(kind, family, number, handle, end, slot, eight(high) + eight(low), port)
    return head + b"".join(OPTION.pack(*option) for option in options)


class Errand:
    """One that was received. Raises struct.error for what is none. `sock`: what the stack looks at of the member's
    socket, its family and its options.
    """

    def __init__(self, text):
        self.kind, self.family, self.number, self.handle, self.end, self.slot, packed, port = MESSAGE.unpack_from(text)
        self.name = unpacked(int.from_bytes(packed[:8], "big"), int.from_bytes(packed[8:], "big")), port
        self.options = {(level, name): value for level, name, value in OPTION.iter_unpack(text[MESSAGE.size :])}

    def getsockopt(self, level, name):
        """As of a kernel socket. Raises OSError for an option that it has not."""
        if (level, name) not in self.options:
            raise OSError(92, "no such option")
        return self.options[level, name]


def told(sock, names):
    """The options of a kernel socket, as an errand has them."""
    found = []
    for level, name in names:
        try:
            found.append((level, name, sock.getsockopt(level, name)))
        except OSError:
            continue  # not of this family
    return found
