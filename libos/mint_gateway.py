"""Catmint under an unmodified program: the turn that carries its sockets' bytes between their rings and the fabric
(libos/mint_relay.py). Whoever of the program's threads looks for something to do takes turns; the keeper does while
they sleep.
"""

from libos import calls, layout, mint_relay, raw, rings
from libos.carrier import Carrier
from libos.fabric import structs
from libos.memory_file import private

COMPILED = __file__.endswith(".so")
if not COMPILED:
    structs.OPEN  # noqa: B018 - now: later, what it is made of may be out of reach
STAGE = 4096  # bytes of a message
NEVER = (1 << 63) - 1
PATIENCE = 1000000000  # ns without a message, after which the end of a process waits for answers no more
OWED = 100000000  # ns until the other side hears of a few bytes that were taken
AGAIN = 2000000  # ns between two looks at peers that may be dead
ROUSE = 50000000  # ns in which the keeper, once awake, looks again by itself
GLANCE = 1000000000  # ns between two looks of the keeper while a thread of the program listens
FILES = 4096  # bytes of the names of an endpoint's files


class MintGateway(Carrier):
    """`catmint`: fabric and core. `bells`: the BelledFabric, where that is one. `call` is an eventfd that wakes the
    keeper.
    """

    def __init__(self, catmint, bells, call):
        self.catmint = catmint
        self.machine = catmint.machine
        self.bells = bells
        self.bell = bells.bell_of if bells is not None else 0  # the keeper's
        self.heap = catmint.buffers.heap
        self.room = 0  # of the next message
        self.result = private(64)
        self.files = private(FILES)  # paths that go with the process, each ended by a zero, one behind the other
        self.sleeper = 0  # the bell of the thread of the program that has gone to sleep last, while peers wake it
        self.past = 0  # and of who was it before
        self.roused_at = 0  # when the keeper was last told that threads of the program are awake
        self.owed_at = 0  # when other sides hear what was taken; 0: they have
        self.suspect_at = 0  # when peers that may be dead are looked at next; 0: there are none
        self.heard = self.patient_until = 0  # at the end of the process: messages, and how long others are waited for
        Carrier.__init__(self, call, 0, mint_relay.SIZE)

    def turn(self, now):
        """Under the lock: the program's bytes go out, and what came in goes to the program."""
        self.looks += 1
        if raw.load(self.armed_at):
            self.disarm()
            self.relieved = True
            if now > self.roused_at + ROUSE:  # it sleeps until a bell, which may be silent now
                self.roused_at = now
                self.wake_keeper()
        if self.sleeper:
            self.past = self.sleeper
            self.sleeper = 0
        return self.move_all(now)

    def move_all(self, now):
        """As `turn`, of who is about to sleep."""
        found = self.drain()
        if self.catmint.turn():
            found = True
        if self.hear():
            found = True
        if self.suspect_at and now >= self.suspect_at:
            self.look_at_suspects(now)
        if self.owed_at and now >= self.owed_at:
            self.repay()
        if self.bells is not None:
            self.bells.wake()
        return found

    def asleep(self, bell):
        """Whether the thread of a bell sleeps (interpose/watching.py)."""
        return raw.load(self.bells.word - self.bell * 64 + bell * 64) != 0

    def carry(self):
        while (self.soiled() or (self.sleeper and not self.asleep(self.sleeper))) and self.enter():
            self.turn(raw.now())
            self.leave()

    def rest(self, bell):
        """As Carrier's: peers wake the calling thread itself, where they ring bells."""
        if not self.enter():
            self.relieved = False
            self.wake_keeper()  # it arms when the lock is free
            return
        self.move_all(raw.now())
        if 0 < bell < 64 and self.bells is not None and self.bells.word:
            self.sleeper = bell
        if not self.arm():
            self.relieved = False
            self.wake_keeper()
        self.remind()
        self.leave()
        self.carry()

    def hear(self):
        """Tell relays what has happened to their connections."""
        found = False
        at = self.machine.next_event()
        while at:
            found = True
            c = structs.connection(at)
            if c.state != structs.LISTENING:
                self.let_go(at)
                if c.user:
                    self.pump(c.user)
            at = self.machine.next_event()
        if found:
            self.catmint.flush()
        return found

    def let_go(self, at):
        """The core has sent some messages of a connection: their memory is ours again."""
        while self.machine.finished(at, self.result):
            room = raw.load(self.result)
            if self.room:
                self.heap.free(room)
            else:
                self.room = room

    def carried(self, relay):
        at = raw.load(relay + layout.R_AT)
        if at == 0:
            return
        if not mint_relay.has(relay, mint_relay.R_BROKEN):
            self.inward(relay, at)
        if mint_relay.spine_spoke(relay):
            mint_relay.mark(relay, mint_relay.R_SUSPECT)
            self.suspect_at = 1
        if not mint_relay.has(relay, mint_relay.R_BROKEN):
            self.outward(relay, at)
        if mint_relay.done(relay):
            self.part(relay, at)

    def inward(self, relay, at):
        """From the fabric to the program."""
        came = False
        r = self.machine.pop(at, self.result)
        while r == 1:
            came = True
            right = mint_relay.arrived(relay, raw.load(self.result + 8), raw.load(self.result + 16))
            self.heap.free(raw.load(self.result))
            if not right:
                self.machine.lost(at)
                break
            r = self.machine.pop(at, self.result)
        if came:
            rings.tell_receiver(raw.load(relay + layout.R_FAR))
            if self.owed_at == 0 and mint_relay.has(relay, mint_relay.R_OWING):
                self.owed_at = raw.now() + OWED
        if structs.connection(at).state == structs.BROKEN:
            mint_relay.lose(relay)

    def outward(self, relay, at):
        """From the program to the fabric. One message may wait for its turn; then nothing more is said."""
        while structs.connection(at).state == structs.OPEN and structs.connection(at).pushes.count == 0:
            if self.room == 0:
                self.room = self.heap.alloc(STAGE)
                if self.room == 0:
                    return
            length = mint_relay.next_message(relay, self.room)
            if length == 0:
                return
            if self.machine.push_at_once(at, self.room, length):
                continue
            if self.machine.push(at, self.room, length, self.room) < 0:
                self.machine.lost(at)
                mint_relay.lose(relay)
                return
            self.room = 0
            self.catmint.flush()
            self.let_go(at)

    def part(self, relay, at):
        """Nothing is left to be done but to close the far end; the keeper sees to that."""
        structs.connection(at).user = 0
        self.machine.close(at)
        raw.store(relay + layout.R_AT, 0)
        mint_relay.mark(relay, layout.R_OVER)

    def repay(self):
        self.owed_at = 0
        i = 0
        while i < self.used:
            relay = self.relays + i * self.size
            i += 1
            if raw.load(relay + layout.R_AT) and mint_relay.has(relay, mint_relay.R_OWING):
                mint_relay.repay(relay)
                self.pump(relay)

    def look_at_suspects(self, now):
        """Peers whose spine has said something that they have not: are they dead? What they had sent comes first."""
        self.suspect_at = 0
        i = 0
        while i < self.used:
            relay = self.relays + i * self.size
            i += 1
            if raw.load(relay + layout.R_AT) == 0 or not mint_relay.has(relay, mint_relay.R_SUSPECT):
                continue
            if raw.ended(raw.load(relay + mint_relay.PEER)):
                while self.catmint.turn():
                    self.hear()
                if raw.load(relay + layout.R_AT) and not mint_relay.has(relay, mint_relay.R_HEARD):
                    self.machine.lost(raw.load(relay + layout.R_AT))
                    mint_relay.lose(relay)
            else:
                if raw.load(relay + mint_relay.PEER) == 0:
                    self.machine.doubt(raw.load(relay + layout.R_AT))
                self.suspect_at = now + AGAIN

    def deadline(self, now):
        """When a turn is needed at the latest, though no bell rings; -1 for never."""
        due = self.catmint.deadline(now)
        if self.suspect_at and (due < 0 or self.suspect_at < due):
            due = self.suspect_at
        if self.owed_at and (due < 0 or self.owed_at < due):
            due = self.owed_at
        if self.sleeper and (due < 0 or now + GLANCE < due):  # it may have left its sleep by a jump
            due = now + GLANCE
        return due

    def arm(self):
        if self.bells is not None:
            self.bells.bell_of = self.sleeper if self.sleeper else self.bell
        if not self.catmint.fabric.arm():
            return False
        raw.store(self.armed_at, 1)
        if self.bells is not None and self.catmint.turn():  # who has looked whether we sleep before has rung no bell
            self.hear()
            self.disarm()
            return False
        return True

    def disarm(self):
        raw.store(self.armed_at, 0)
        self.catmint.fabric.disarm()

    def remind(self):
        if self.bells is not None:
            self.bells.wake()
        due = self.deadline(raw.now())
        if 0 <= due < self.wakes_at:
            self.wake_keeper()

    def wait_until(self, now):
        """Before the keeper sleeps, under the lock: until when, 0 to look again at once."""
        if self.past and self.asleep(self.past):
            self.sleeper = self.past
        if not self.arm() or self.soiled():
            return 0
        due = self.deadline(now)
        self.wakes_at = due if due >= 0 else NEVER
        return self.wakes_at

    def depart(self, at, reset):
        """Once for each connection and again while it says so: until the other side has all that was sent."""
        if not self.enter():
            return True
        if at and raw.load(at + layout.R_AT):
            raw.store(at + layout.R_OWN, 0)
            mint_relay.mark(at, layout.R_RELEASED)
            self.pump(at)
        self.turn(raw.now())
        r = self.undelivered()
        now = raw.now()
        if self.patient_until == 0 or self.catmint.engine.received != self.heard:
            self.heard = self.catmint.engine.received
            self.patient_until = now + PATIENCE
        elif now > self.patient_until:
            r = False
        self.leave()
        self.carry()
        return r

    def undelivered(self):
        """Whether connections that the program has closed have something that the other side has not heard."""
        i = 0
        while i < self.used:
            relay = self.relays + i * self.size
            if raw.load(relay + layout.R_AT) and mint_relay.has(relay, layout.R_RELEASED):
                return True
            i += 1
        return False

    def finish(self):
        """The endpoint's files go with the process."""
        at = self.files
        while raw.load(at) & 0xFF:
            raw.syscall(calls.SYS_unlink, at, 0, 0, 0, 0, 0)
            while raw.load(at) & 0xFF:
                at += 1
            at += 1

    def opened(self, at):
        """Of a connection that is asked for: 1 when it is there, -1 when it can't be, 0 until then."""
        if structs.connection(at).state == structs.OPEN:
            return 1
        return -1 if structs.connection(at).state == structs.BROKEN else 0

    def bind(self, at, relay):
        """What happens to a connection is that relay's to hear of."""
        structs.connection(at).user = relay

    def begin(self, at, far, peer):
        """A relay between a connection of the core and a far end, whose other side is the process `peer`; 0 when there
        are too many. Under the lock.
        """
        relay = self.take(at, far, 0)
        if relay:
            mint_relay.begin(relay, peer)
            self.bind(at, relay)
        return relay
