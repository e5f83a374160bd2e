"""The contract of a fabric: what RDMA is to Catmint's core (libos/fabric/machine.py).

An *endpoint* exchanges messages with other endpoints, its *peers*, and reads and writes their memory. It is reliable:
messages of one peer to another arrive once and in the order of their sends, into receive buffers that were posted
before. A send that fails is the last: nothing goes on between the two until each has forgotten the other. Between
peers, and between messages, reads and writes, there is no order, but that a window (below) is there before the peer can
have a message that was sent after it was made. Memory is named by (address, length); all that requests name is
registered: the number of its *region* goes with it. It stays as it is until the request is completed.

Requests are asynchronous: each brings a context, a number that its completion brings back, and says False where there
is no room for it now. `poll` takes completions. Nothing calls back, nothing sleeps, one thread at a time may call.

A *window* is what a peer sees of a region: it has a key, which the peer is told in a message, and ends when it is
withdrawn. 64-bit words at multiples of 8 are read and written whole.

To sleep: `arm()`, and if that says yes, poll(2) on `bell()`, or whatever the platform waits with, no longer than until
`deadline`; then `disarm()`.

How this looks in verbs, libfabric and NDSPI is in libos/fabric/ndspi.py and docs/catmint.md.
"""

COMPILED = __file__.endswith(".so")


class Fabric:
    """Base of all endpoints. `address`: the bytes by which peers find it, at most 256; `capabilities`: of structs.pxd;
    `receives`, `requests`: how many may be out at a time; `segments`: pieces of memory in one request; `peers`: numbers
    of peers are below it; `injects`: bytes of the longest message that `inject` takes, 0: it takes none.
    """

    def __init__(self, address, capabilities, receives, requests, segments, peers):
        self.address = address
        self.capabilities = capabilities
        self.receives = receives
        self.requests = requests
        self.segments = segments
        self.peers = peers
        self.injects = 0
        self.refused = 0  # requests for which there was no room
        self.failed = 0  # completions that were not OK

    def peer(self, address, length):
        """The number of the peer whose `length` bytes of address are there, the same each time; -1: it can't be one.

        It need not be reached yet: that is found out by the first request.
        """
        return -1

    def forget(self, peer):
        """Nothing more is sent to it. What is out completes as CANCELED, or as it would have; its number may be given
        to another.
        """

    def register(self, address, length):
        """The number of a region; -1: that memory can't be registered."""
        return -1

    def deregister(self, region):
        """No request that is out names it, and no window is left."""

    def expose(self, region, address, length, access, peer):
        """The number of a window on these bytes for that peer; -1: none is left. `access`: MAY_READ, MAY_WRITE."""
        return -1

    def key(self, window):
        """What the peer must name."""
        return 0

    def base(self, window):
        """What the peer calls the first byte."""
        return 0

    def withdraw(self, window):
        """From now on its key is refused."""

    def post_receive(self, address, length, region, context):
        """Room for a message of up to `length` bytes, of any peer."""
        return False

    def send(self, peer, pieces, count, context):
        """A message: the `count` pieces (address, length, region: three 64-bit words each) at `pieces`, one after
        another. It completes when the memory is the caller's again; the peer may have it later, or have died.
        """
        return False

    def inject(self, peer, address, length):
        """A message of a few bytes, registered or not, which are the caller's again at once: nothing is completed, and
        that the peer is gone is found out by another request. False: there is no room for it now, or `send` tells why.
        """
        return False

    def write(self, peer, pieces, count, remote, key, context):
        """Write the pieces to `remote` and what follows in the peer's window; the peer hears nothing of it."""
        return False

    def read(self, peer, pieces, count, remote, key, context):
        """Read into the pieces from `remote` and what follows in the peer's window."""
        return False

    def poll(self, completions, limit):
        """Write up to `limit` completions (structs.pxd) to `completions`; how many."""
        return 0

    def deadline(self, now):
        """When `poll` has something to do though no bell rings: nanoseconds, -1 for never."""
        return -1

    def arm(self):
        """Have the bell rung by what is completed from now on. False: do not sleep, something is there already."""
        return True

    def disarm(self):
        """No bell is needed any more."""

    def bell(self):
        """What the platform waits on: for poll(2) a descriptor; -1: nothing ever rings."""
        return -1

    def close(self):
        """Let go of everything; harmless to repeat. Memory that requests name is not touched any more."""


class PythonFabric(Fabric):
    """Base of endpoints that stay Python: compiled callers reach the subclass's methods, and take the GIL for them."""

    def peer(self, address, length):
        return getattr(self, "peer")(address, length)  # noqa: B009 - by name: the method of the Python subclass

    def forget(self, peer):
        getattr(self, "forget")(peer)  # noqa: B009

    def register(self, address, length):
        return getattr(self, "register")(address, length)  # noqa: B009

    def deregister(self, region):
        getattr(self, "deregister")(region)  # noqa: B009

    def expose(self, region, address, length, access, peer):
        return getattr(self, "expose")(region, address, length, access, peer)  # noqa: B009

    def key(self, window):
        return getattr(self, "key")(window)  # noqa: B009

    def base(self, window):
        return getattr(self, "base")(window)  # noqa: B009

    def withdraw(self, window):
        getattr(self, "withdraw")(window)  # noqa: B009

    def post_receive(self, address, length, region, context):
        return getattr(self, "post_receive")(address, length, region, context)  # noqa: B009

    def send(self, peer, pieces, count, context):
        return getattr(self, "send")(peer, pieces, count, context)  # noqa: B009

    def inject(self, peer, address, length):
        return getattr(self, "inject")(peer, address, length)  # noqa: B009

    def write(self, peer, pieces, count, remote, key, context):
        return getattr(self, "write")(peer, pieces, count, remote, key, context)  # noqa: B009

    def read(self, peer, pieces, count, remote, key, context):
        return getattr(self, "read")(peer, pieces, count, remote, key, context)  # noqa: B009

    def poll(self, completions, limit):
        return getattr(self, "poll")(completions, limit)  # noqa: B009

    def deadline(self, now):
        return getattr(self, "deadline")(now)  # noqa: B009

    def arm(self):
        return getattr(self, "arm")()  # noqa: B009

    def disarm(self):
        getattr(self, "disarm")()  # noqa: B009
