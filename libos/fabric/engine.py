# cython: infer_types=True
"""What all of Catmint's core shares: the fabric, memory, tables of connections and peers, and who has something to do.

Nothing here is locked: who calls the machine holds its one lock.
"""

from libos import raw
from libos.fabric import structs
from libos.fabric.receives import Receives
from libos.fabric.regions import Regions
from libos.fabric.slots import Area, Slots
from libos.net import linked, octets
from libos.net import structs as lists


def room(fabric, buffers, connections, eager, sends, items):
    """Bytes of memory that an Engine of these limits needs."""
    slot = (structs.connection_size() + 63) // 64 * 64 + structs.MAILBOX
    message = (structs.HEADER + eager + 63) // 64 * 64
    item = (structs.item_size() + 63) // 64 * 64
    tables = fabric.peers * structs.peer_size() + buffers.length // structs.UNIT * 8 + structs.LISTENERS * 8
    return connections * slot + sends * message + items * item + tables + 8192


class Engine:
    """`base`, `memory`: as many bytes of zeros as `room` says, at a multiple of 64; `seed`: 16 secret bytes. `eager`:
    bytes of a message that is copied; `window`: messages that a connection may have on its way to us; `largest`: bytes
    of a message; `patience`: how long an opening may take, and how long a peer may be silent before it is asked, and
    again before it is held for dead.
    """

    def __init__(
        self,
        fabric,
        buffers,
        base,
        memory,
        seed,
        connections=1024,
        eager=4096,
        window=64,
        largest=1 << 20,
        sends=256,
        items=8192,
        patience=5 * 10**9,
    ):
        area = Area(base, memory)
        self.fabric = fabric
        self.buffers = buffers
        self.eager, self.window, self.largest, self.patience = eager, window, largest, patience
        self.connections = Slots(area, structs.connection_size(), connections)
        self.items = Slots(area, structs.item_size(), items)
        self.sends = Slots(area, structs.HEADER + eager, sends)
        self.mailboxes = area.take(connections * structs.MAILBOX)
        self.peers = area.take(fabric.peers * structs.peer_size())
        self.listening = area.take(structs.LISTENERS * 8)
        self.work = area.take(lists.queue_size())
        self.calls = area.take(lists.queue_size())
        self.events = area.take(lists.queue_size())
        self.opening = area.take(lists.queue_size())
        self.scratch = area.take(structs.HEADER)  # the header of what has come
        self.pieces = area.take(2 * structs.piece_size())
        self.address = area.take(structs.ADDRESS)  # ours
        self.address_length = len(fabric.address)
        raw.copy(self.address, raw.view_at(memoryview(fabric.address)), self.address_length)
        self.regions = Regions(fabric, buffers, area)
        self.receives = Receives(fabric, buffers, self.regions, self.items, structs.HEADER + eager)
        self.region = fabric.register(base, memory)
        if self.region < 0:
            raise MemoryError(f"the fabric can't register {memory} bytes")
        self.key0 = int.from_bytes(seed[:8], "big")
        self.key1 = int.from_bytes(seed[8:16], "big")
        self.drawn = 0
        self.now = 0
        self.ready = area.take(structs.HEADER + structs.COPIED)  # of a message that is copied at once
        self.at_once = min(eager, structs.COPIED, fabric.injects - structs.HEADER)  # bytes of such a message
        self.quiet = False  # nothing was completed in this turn
        self.stuck = 0  # whose turn it is, as soon as the fabric takes requests again
        self.calls_out = 0
        self.peers_seen = 0  # their numbers are below it
        self.beats_at = self.retry_at = 0
        self.received = self.sent = self.read = self.reported = self.strays = self.refused = self.broken = 0
        self.receives.fill()

    def random(self):
        """64 bits that nobody can foretell; the same ones again from the same seed."""
        self.drawn += 1
        return octets.hash(self.key0, self.key1, self.drawn, 0, 0, 0, 0, 0)

    # --- connections ---

    def create(self):
        """A record; a null one where there is none left."""
        at = self.connections.take()
        c = structs.connection(at)
        if at:
            c.number = self.connections.number(at)
            c.mailbox = self.mailboxes + c.number * structs.MAILBOX
            octets.zero(c.mailbox, structs.MAILBOX)
            c.token = self.random()
            c.peer = c.window = -1
        return c

    def find(self, number, token):
        """The connection that a peer names; a null one where it names none."""
        if number >= self.connections.touched:
            return structs.connection(0)
        c = structs.connection(self.connections.slot(number))
        if c.state <= structs.LISTENING or c.token != token:
            return structs.connection(0)
        return c

    def pend(self, c):
        """There is something to do for it."""
        linked.append(self.work, structs.work_of(c), structs.self_of(c))

    def tell(self, c):
        """Something has happened that its user may wait for."""
        linked.append(self.events, structs.event_of(c), structs.self_of(c))

    # --- peers ---

    def peer(self, number):
        return structs.peer(self.peers + number * structs.peer_size())

    def hold(self, c, number):
        """The connection is one with that peer."""
        p = self.peer(number)
        if p.held == 0:
            p.beat_at = p.beats = 0
        p.heard_at = self.now
        if number >= self.peers_seen:
            self.peers_seen = number + 1
        if self.beats_at == 0:
            self.beats_at = self.now + self.patience
        p.held += 1
        p.witness = structs.self_of(c)
        c.peer = number

    def let_go(self, c):
        """Not any more."""
        if c.peer >= 0:
            p = self.peer(c.peer)
            p.held -= 1
            if p.witness == structs.self_of(c):
                p.witness = 0
            self.unheld(c.peer)
            c.peer = -1

    def unheld(self, number):
        """Forget a peer with which there is no connection."""
        if self.peer(number).held == 0:
            self.fabric.forget(number)

    # --- requests ---

    def outgoing(self):
        """Address of the item of a message that is to be sent; 0 while too many are out."""
        slot = self.sends.take()
        if slot == 0:
            return 0
        at = self.items.take()
        if at == 0:
            self.sends.give(slot)
            return 0
        i = structs.item(at)
        i.kind = structs.A_SEND
        i.buffer = slot
        i.peer = -1
        return at

    def sent_away(self, i):
        """The item of a message is not needed any more."""
        self.sends.give(i.buffer)
        self.items.give(structs.self_of_item(i))

    def headed(self, c, at, kind, flags, answers, length):
        """Write the header of a message of `length` bytes to `at`."""
        h = structs.header(at)
        h.mark = structs.MARK
        h.kind = kind
        h.flags = flags
        h.answers = answers
        h.zero = 0
        h.connection = c.their_number
        h.token = c.their_token
        h.length = length
        h.granted = c.given
        h.done = c.large_read

    def launch(self, c, i, kind, flags, answers, length):
        """Send `length` bytes behind a header; false, and the item is gone, where the fabric is full. Where the item
        has a push, they are those of the push, sent from where they lie.
        """
        self.headed(c, i.buffer, kind, flags, answers, length)
        p = structs.piece(self.pieces)
        p.address = i.buffer
        p.length = structs.HEADER + length
        p.region = self.region
        count = 1
        if i.address:
            push = structs.item(i.address)
            p.length = structs.HEADER
            p = structs.piece(self.pieces + structs.piece_size())
            p.address = push.address
            p.length = length
            p.region = self.regions.of(push.address, length)
            count = 2
        if not self.fabric.send(c.peer, self.pieces, count, structs.self_of_item(i)):
            self.sent_away(i)
            return False
        i.connection = structs.self_of(c)
        c.flying += 1
        c.told = c.given
        self.sent += 1
        return True

    def request(self, c, kind):
        """Address of the item of a read or write for a connection; 0 where there is none."""
        at = self.items.take()
        if at:
            i = structs.item(at)
            i.kind = kind
            i.connection = structs.self_of(c)
        return at
