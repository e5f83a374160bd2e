"""What the rooms in which Catmint's connections begin and end ask of the face that they belong to."""

import ctypes

from libos import raw
from libos.errors import Fail, Kind
from libos.fabric import structs
from libos.fabric.libfabric import SCRATCH, LibFabric
from libos.memory_file import private
from libos.mint_spines import Leaving
from libos.sgarray import SGArray, address_of

LINGER = 5 * 10**9  # ns that what was closed may need at the end
KINDS = {
    structs.CONNECTION_REFUSED: Kind.REFUSED,
    structs.RESET: Kind.RESET,
    structs.TIMED_OUT: Kind.TIMED_OUT,
    structs.NOT_CONNECTED: Kind.NOT_CONNECTED,
    structs.BROKEN_PIPE: Kind.RESET,
    structs.INVALID: Kind.INVALID,
    structs.IN_USE: Kind.IN_USE,
    structs.NO_MEMORY: Kind.NO_MEMORY,
    structs.MESSAGE_TOO_LONG: Kind.INVALID,
}


def endpoint(provider, node):
    """(endpoint, where it reaches others). Raises Fail."""
    from libos import fabric_files

    place = ""
    if provider == "shm":
        fabric_files.clean()
        place, node = fabric_files.place(), fabric_files.name()
    return LibFabric(provider, private(SCRATCH), node), place


class MintCalls:
    """Base of Catmint's faces, which have `catmint`, `heap`, `card`, a `device` of Spines, and `send` and `let_go`."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.result = ctypes.create_string_buffer(24)
        self.result_at = ctypes.addressof(self.result)
        self.by_record: dict = {}  # who is told of the core's news

    def now(self):
        return raw.now()

    def checked(self, r):
        """A count, or None for would-block. Raises Fail."""
        if r >= 0:
            return r
        if r == -structs.WOULD_BLOCK:
            return None
        kind = KINDS.get(-r, Kind.DEVICE)
        raise Fail(kind, kind.value if -r in KINDS else f"Catmint's error {-r}")

    def taken(self, at):
        """The next message of a connection, empty at its end; None while there is none. Raises Fail."""
        r = self.checked(self.catmint.machine.pop(at, self.result_at))
        if r is None:
            return None
        if r == 0:
            return SGArray([])
        buffer, address, length = (raw.load(self.result_at + 8 * k) for k in range(3))
        self.catmint.flush()
        view = memoryview((ctypes.c_char * length).from_address(address)).cast("B")
        return SGArray([view], self.heap, (buffer,))

    def call(self, address, service):
        """Connect to a service of an endpoint: the connection's record. Raises Fail."""
        room = memoryview(address)
        return self.checked(self.catmint.machine.connect(address_of(room), len(room), service, self.now()))

    def leave(self, at, sock=None):
        """A record that was closed is on its way out."""
        self.by_record[at] = leaving = Leaving(self, at, sock)
        self.device.leaving.add(leaving)

    def linger(self, look):
        """At the end: until everything is said that can be, `look()` having it go on."""
        limit = self.now() + LINGER
        while not all(one.said() for one in self.device.leaving) and self.now() < limit:
            if not look():
                self.device.kernel.poll(0.001)
        for one in self.device.leaving:
            one.end()
