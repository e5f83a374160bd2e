# cython: infer_types=True
"""What all protocols of one stack share: its time, randomness, addresses, memory and the frames that go out.

Nothing here is locked: who calls the stack holds its one lock (libos/net/stack.py).
"""

from libos.net import octets, seq, structs
from libos.net.outbox import Outbox
from libos.net.pool import Pool
from libos.net.tape import Tape

BURST = 50  # ICMP errors that we send at once (RFC 4443, section 2.4 f; RFC 1812, section 4.3.2.8)


def is4(high, low):
    """Whether an address is an IPv4 one."""
    return high == 0 and low >> 32 == 0xFFFF


def is_multicast(high, low):
    if is4(high, low):
        return low >> 28 & 15 == 14
    return high >> 56 == 0xFF


def is_loopback(high, low):
    """Of the network 127/8, or ::1."""
    return high == 0 and (low == 1 or low >> 24 == 0xFFFF7F)


def within(high, low, net_high, net_low, prefix):
    """Whether the first `prefix` bits of an address are those of a network."""
    if prefix <= 64:
        return prefix == 0 or (high ^ net_high) >> (64 - prefix) == 0
    return high == net_high and (low ^ net_low) >> (128 - prefix) == 0


class Host:
    """A host with one device. `mac` is an integer of 48 bits, `seed` 16 secret bytes; `frames` is the outbox'
    capacity, `at` where memory is wanted; `cut`: octets of the longest frame that the device cuts into segments.
    """

    def __init__(self, mac, mtu, seed, room=1 << 30, frames=256, at=0, cut=0):
        self.tape = Tape()
        self.pool = Pool(room, at)
        self.cut = cut
        self.out = Outbox(self.pool, frames, cut if cut > mtu + structs.ETHERNET else mtu + structs.ETHERNET)
        self.loop = Outbox(self.pool, frames, mtu + structs.ETHERNET)
        self.now = 0
        self.mtu = mtu
        self.mac = mac
        self.key0 = int.from_bytes(seed[:8], "big")
        self.key1 = int.from_bytes(seed[8:16], "big")
        self.drawn = 0
        pool = self.pool
        self.addresses_at = pool.take(structs.ADDRESSES * structs.address_size())
        self.routes_at = pool.take(structs.ROUTES * structs.route_size())
        self.paths_at = pool.take(structs.PATHS * structs.path_size())
        self.neighbors_at = pool.take(structs.NEIGHBORS * structs.neighbor_size())
        self.packet_at = pool.take(structs.packet_size())
        self.quoted_at = pool.take(structs.packet_size())
        self.fragments_at = pool.take(structs.REASSEMBLIES * structs.fragments_size())
        self.scratch_at = pool.take(65536 + 64)  # for a datagram that is too long for a frame, and its headers
        self.frame_at = self.frame_mac = self.frame_header = 0
        self.address_count = self.route_count = 0
        self.generation = 1
        self.ident = self.random() & 0xFFFF
        self.trust_checksums = False  # of the frame that has come: its device has looked
        self.leave_checksums = False  # of TCP and UDP: the device writes them
        self.hop_high = self.hop_low = self.from_high = self.from_low = 0
        self.hop_mtu = 0
        self.tokens = BURST
        self.tokens_at = self.neighbors_due = self.fragments_at_time = 0
        self.frames_in = self.frames_out = self.refused = self.unreachable = 0

    def random(self):
        """64 bits that nobody can foretell; the same ones again from the same seed."""
        self.drawn += 1
        return octets.hash(self.key0, self.key1, self.drawn, 0, 0, 0, 0, 0)

    def full(self):
        """Whether frames have to wait for the caller to take some out, or for the next turn of the loopback."""
        return self.out.count == self.out.capacity or self.loop.count == self.loop.capacity

    def mix(self, a, b, c):
        """For tables of this host."""
        return octets.mix(self.key0, a, b, c)

    def mine(self, high, low):
        """Whether an address is one of this host's: its own, or of 127/8 (RFC 1122, section 3.2.1.3)."""
        for i in range(self.address_count):
            a = structs.address(self.addresses_at + i * structs.address_size())
            if a.low == low and a.high == high:
                return True
        return is_loopback(high, low)

    def source_for(self, high, low):
        """Leave in `from_high, from_low` the address to speak from to that host (RFC 6724, rules 1, 2 and 8); false if
        none.
        """
        found = False
        best = -1
        family = 4 if is4(high, low) else 6
        if self.mine(high, low):
            self.from_high = high
            self.from_low = low
            return True
        local = high >> 54 == 0x3FA
        for i in range(self.address_count):
            a = structs.address(self.addresses_at + i * structs.address_size())
            if a.family != family:
                continue
            rank = 0
            if within(high, low, a.high, a.low, a.prefix):
                rank = 2
            if family == 6 and (a.high >> 54 == 0x3FA) == local:
                rank += 1
            if rank > best:
                best = rank
                found = True
                self.from_high = a.high
                self.from_low = a.low
        return found

    def broadcasts(self, high, low):
        """Whether an IPv4 address is a broadcast on a link of ours."""
        if not is4(high, low):
            return False
        if seq.low32(low + 1) == 0:
            return True
        for i in range(self.address_count):
            a = structs.address(self.addresses_at + i * structs.address_size())
            if a.family == 4 and 96 < a.prefix < 127 and within(high, low, a.high, a.low, a.prefix):
                rest = seq.shift(1, 128 - a.prefix) - 1
                if low & rest == rest:
                    return True
        return False

    def allowed(self):
        """Whether one more error message may go out now: a bucket of tokens, one more each millisecond."""
        if self.now - self.tokens_at > 1000000:
            self.tokens += (self.now - self.tokens_at) // 1000000
            self.tokens_at = self.now
            if self.tokens > BURST:
                self.tokens = BURST
        if self.tokens <= 0:
            return False
        self.tokens -= 1
        return True

    def add_address(self, high, low, prefix):
        """Answer to an address; `prefix` counts bits of 128. Raises ValueError when there are too many."""
        if self.address_count == structs.ADDRESSES:
            raise ValueError("too many addresses")
        a = structs.address(self.addresses_at + self.address_count * structs.address_size())
        a.high = high
        a.low = low
        a.prefix = prefix
        a.family = 4 if is4(high, low) else 6
        self.address_count += 1
        self.generation += 1

    def changed(self, at, size):
        """Who calls the stack has changed fields of a record that are its user's, as `size` octets at `at` show."""
        if self.tape.on:
            self.tape.call(structs.CALL_CHANGED, at, at, size, 0, 0, 0)

    def close(self):
        """Give all memory back."""
        self.pool.close()
