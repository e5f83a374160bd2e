"""The receive rings of a segment: one for each port, one receiver, any number of senders, none of whom may block it.

A sender writes into its own record which slot it is about to take, takes it by moving the tail on, copies the frame in
and publishes the slot's word, which says the turn of the ring that it belongs to. A sender that is killed between the
last two leaves a slot that is never filled: after a while the receiver looks who took it, and passes over it if nobody
that lives did. Positions never wrap. Whatever is read here another process may have written: a position that can't be
counts as a full or an empty ring, and the receiver, who alone knows where it is, puts it right.
"""

from libos import calls, raw
from libos.devices import layout

COMPILED = __file__.endswith(".so")


class Ring:
    """What a port knows of the segment's memory: `base` in shared memory, `mine` in its own."""

    def __init__(self, base, mine, port, slots, stride, largest):
        self.base = base
        self.mine = mine
        self.port = port
        self.slots = slots  # of each ring, a power of two
        self.shift = slots.bit_length() - 1
        self.stride = stride  # bytes from slot to slot
        self.largest = largest  # bytes of a frame
        self.socket = -1  # the bell's, from which others' are rung
        self.head = 0  # position of the next frame: the authority, the shared one is a copy
        self.looks = 0  # that found nothing since a frame came
        self.stuck_at = 0  # position that was found taken and not filled, at `stuck_since`
        self.stuck_since = 0
        self.torn = 0  # frames that were overwritten while they were read, or could not be
        self.lost = 0  # slots passed over, whose senders have died
        self.rung = 0  # bells that we rang

    def record(self, port):
        return self.base + layout.S_RECORDS + port * layout.RECORD

    def slot(self, port, position):
        ring = self.base + layout.S_RINGS + port * self.slots * self.stride
        return ring + (position & (self.slots - 1)) * self.stride

    def turn(self, position):
        return (position >> self.shift) & layout.TURNS

    def up(self, port):
        """Whether a port says that it is in use."""
        return raw.load(self.base + layout.S_UP + (port >> 6) * 8) & raw.bit(port & 63) != 0

    def put(self, port, address, length):
        """Copy a frame into the ring of `port` and wake its sleeper. False: it is full."""
        record = self.record(port)
        known = self.mine + layout.M_HEADS + port * 8
        tries = 0
        while tries < 4096:  # more than that only a tail that somebody plays with needs
            tail = raw.load(record + layout.P_TAIL)
            used = tail - raw.load(known)
            if not 0 <= used < self.slots:
                raw.store(known, raw.load(record + layout.P_HEAD))
                used = tail - raw.load(known)
                if not 0 <= used < self.slots:
                    return False
            raw.store(self.record(self.port) + layout.P_INTENT, (tail & layout.POSITIONS) | port << 48)
            if raw.compare_exchange(record + layout.P_TAIL, tail, tail + 1):
                slot = self.slot(port, tail)
                # the line of the word at last and all at once: the receiver looks at it all the time, and would take
                # it away in between
                beside = length if length < layout.S_BESIDE else layout.S_BESIDE
                raw.copy(slot + layout.S_FRAME + beside, address + beside, length - beside)
                raw.copy(slot + layout.S_FRAME, address, beside)
                raw.store(slot, self.turn(tail) << 32 | self.port << 16 | length)
                raw.fence()  # the receiver raises its flag, then looks at the slot
                if raw.load(record + layout.P_SLEEPER) and raw.exchange(record + layout.P_SLEEPER, 0):
                    self.ring(port)
                return True
            tries += 1
        return False

    def ring(self, port):
        """One datagram. EAGAIN means that the bell is ringing already, and who is gone needs none."""
        name = self.mine + layout.M_NAMES + port * layout.M_NAME
        self.rung += 1
        raw.syscall(calls.SYS_sendto, self.socket, name, 1, calls.DONTWAIT | calls.NOSIGNAL, name + 8, raw.load(name))

    def filled(self):
        """Whether the slot at our head is published."""
        return raw.load(self.slot(self.port, self.head)) >> 32 == self.turn(self.head)

    def get(self, place):
        """Copy the next frame to `place`: its length, 0 when there is none. The slot is the senders' again by
        `release`.
        """
        while True:
            slot = self.slot(self.port, self.head)
            word = raw.load(slot)
            if word >> 32 != self.turn(self.head):
                return 0
            self.head += 1
            length = word & 0xFFFF
            if layout.HEADER <= length <= self.largest:
                raw.copy(place, slot + layout.S_FRAME, length)
                if raw.load(slot) == word:
                    return length
            self.torn += 1

    def sender(self):
        """The port that the frame last got came from; it may be any number below 65536."""
        return (raw.load(self.slot(self.port, self.head - 1)) >> 16) & 0xFFFF

    def release(self):
        """What was got may be overwritten."""
        raw.store(self.record(self.port) + layout.P_HEAD, self.head)
        self.looks = 0

    def nothing(self):
        """A look has found nothing; now and then that has a reason which time does not heal."""
        self.looks += 1
        if self.looks & 1023 == 0:
            self.mend()

    def mend(self):
        """Put right what a dead or scribbling sender has left. When to look again at the latest, -1 for never."""
        record = self.record(self.port)
        while not self.filled():
            ahead = raw.load(record + layout.P_TAIL) - self.head
            if raw.load(record + layout.P_HEAD) != self.head:
                raw.store(record + layout.P_HEAD, self.head)
            if ahead == 0:
                return -1
            if not 0 < ahead <= self.slots:
                raw.store(record + layout.P_TAIL, self.head)
                return -1
            now = raw.now()
            if self.stuck_at != self.head:
                self.stuck_at = self.head
                self.stuck_since = now
            if now - self.stuck_since < layout.PATIENCE:
                return self.stuck_since + layout.PATIENCE
            if self.taken_by_the_living():
                self.stuck_since = now
            elif not self.filled():
                self.head += 1
                self.lost += 1
                self.stuck_at = self.head
                raw.store(record + layout.P_HEAD, self.head)
        return -1

    def taken_by_the_living(self):
        """Whether a process that lives has said that it takes the slot at our head."""
        intent = (self.head & layout.POSITIONS) | self.port << 48
        port = 0
        while port < layout.PORTS:
            if raw.load(self.record(port) + layout.P_INTENT) == intent and self.lives(port):
                return True
            port += 1
        return False

    def lives(self, port):
        """Whether a port's bell is there and its process has not ended. A child may have inherited the bell."""
        name = self.mine + layout.M_NAMES + port * layout.M_NAME
        probe = raw.syscall(calls.SYS_socket, calls.AF_UNIX, calls.BELL, 0, 0, 0, 0)
        if probe < 0:
            return True
        refused = raw.syscall(calls.SYS_connect, probe, name + 8, raw.load(name), 0, 0, 0) == -calls.ECONNREFUSED
        raw.syscall(calls.SYS_close, probe, 0, 0, 0, 0, 0)
        return not refused and not raw.ended(raw.load(self.record(port) + layout.P_PID) & 0x7FFFFFFF)
