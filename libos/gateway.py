"""Catnip under an unmodified program: the turn that carries its sockets' bytes between far ends (libos/relay.py) and
the stack. Whoever of the program's threads looks for something to do takes turns; the keeper does while they sleep.

One lock, held for a turn only. Who does not get it leaves a bit behind, and who has it looks for bits after letting go.
"""

from libos import at_exit, calls, driver, endpoint, layout, postbox, raw, relay, rings
from libos.catnip import unpacked
from libos.driver import Driver
from libos.memory_file import private
from libos.net import neighbors, routes, structs
from libos.net.tcp import closing, user
from libos.passing import Passing

COMPILED = __file__.endswith(".so")
AREA = 4096
PAIRS = (AREA - 128) // 8
RELAYS = 16384
ASLEEP, AWAKE, CALLED = 0, 1, 2  # the keeper
LISTENING = 1  # what a listener's record has for its user
NEVER = (1 << 63) - 1
PATIENCE = 1000000000  # ns without a segment, after which the end of a process waits for answers no more
LONGEST = 60 * PATIENCE


class Gateway(Driver):
    """`catnip`: the stack and its device. `call` is an eventfd that wakes the keeper."""

    def __init__(self, catnip, call):
        self.catnip = catnip
        self.tcp = catnip.stack.tcp
        self.udp = catnip.stack.udp
        self.call = call
        area = private(AREA + relay.STAGE + RELAYS * layout.R_SIZE)
        self.lock_at = area
        self.armed_at = area + 64  # the device's bell is rung for the keeper
        self.called_at = area + 72  # whether the keeper has to be woken
        self.one_at = area + 80  # behind it: whether a relay has come to its end
        self.passing = Passing(area + 96)
        self.pairs_at = area + 128  # blocks of the far ends' side
        self.stage = area + AREA
        self.relays = self.stage + relay.STAGE
        self.pairs = 0
        self.bell_at = 0  # the word that says whether members of the tree are to wake the keeper; 0: there are none
        self.free = self.used = 0
        self.looks = 0
        self.relieved = False  # a thread of the program takes turns again: the keeper has to see that it goes on
        self.seen_at = 0  # the time of the last look
        self.heard = self.patient_until = 0  # at the end of the process: segments, and how long others are waited for
        self.wakes_at = 0  # when the keeper looks by itself
        self.left = False  # this process is a forked child: all of it is the parent's
        raw.store(self.one_at, 1)
        raw.store(self.called_at, AWAKE)
        at_exit.call(last)

    def look(self):
        self.seen_at = raw.now()
        return self.take_turns()

    def look_again(self):
        if self.take_turns():
            return True
        self.seen_at = raw.now()  # now, when nobody waits for it, and not when a frame does
        return False

    def take_turns(self):
        """As long as there is something to do, at the time that was last seen."""
        found = False
        while raw.load(self.lock_at) == 0 and self.enter():
            if self.turn(self.seen_at):
                found = True
            self.leave()
            if not self.soiled():
                break
        return found

    def carry(self):
        while self.soiled() and self.enter():
            self.turn(raw.now())
            self.leave()

    def rest(self):
        """Have the device ring for the keeper, and see that it wakes in time."""
        if not self.enter():
            self.relieved = False
            self.wake_keeper()  # it arms when the lock is free
            return
        if not raw.load(self.armed_at):
            self.turn(raw.now())
            if not self.arm():
                self.relieved = False
                self.wake_keeper()
        self.remind()
        self.leave()
        self.carry()

    def remind(self):
        """See that the keeper, if it sleeps, wakes in time for what is due. Under the lock."""
        due = self.catnip.deadline(self.catnip.tick())
        if due and due < self.wakes_at:
            self.wake_keeper()

    def depart(self, at, reset):
        """Once for each connection and again while it says so: drains as the kernel would; who does not answer for a
        second is reset.
        """
        if not self.enter():
            return True
        self.catnip.tick()
        if at and not relay.has(at, layout.R_OVER):
            if reset:
                relay.abort(self.tcp, at)
            else:
                relay.mark(at, layout.R_RELEASED)
                endpoint.look_next(raw.load(at + layout.R_FAR))
            self.pump(at)
        self.turn(raw.now())
        r = closing.unanswered(self.tcp) or neighbors.anything_held(self.catnip.host)
        now = raw.now()
        if self.patient_until == 0 or self.tcp.segments_in != self.heard:
            self.heard = self.tcp.segments_in
            self.patient_until = now + PATIENCE
        elif r and now > self.patient_until:
            closing.give_up(self.tcp)
            self.catnip.flush(now)
            r = False
        self.leave()
        self.carry()
        return r

    def pass_on(self):
        if self.passing.ask():
            self.wake_keeper()
        return self.passing.wait()

    def finish(self):
        """What is recorded ends here, but where a thread that stands still has the lock."""
        tries = 1000
        while not self.enter():
            tries -= 1
            if tries == 0:
                return
            raw.syscall(calls.SYS_poll, 0, 0, 1, 0, 0, 0)
        self.catnip.host.tape.finish()
        self.leave()

    def enter(self):
        """Take the lock if it is free. Who has the GIL must not wait for it otherwise: its holder may want that."""
        return raw.compare_exchange(self.lock_at, 0, rings.HERE.pid)

    def leave(self):
        raw.store(self.lock_at, 0)
        raw.fence()

    def hold(self):
        """Take the lock, by all means: for who has no GIL."""
        turns = 0
        while not self.enter():
            turns += 1
            if turns & 63 == 0:
                raw.syscall(calls.SYS_sched_yield, 0, 0, 0, 0, 0, 0)
            raw.pause()

    def receive(self, end, message, address, size, flags):
        """The next datagram of a program's socket, into `size` octets at `address` or a struct msghdr: as recvmsg(2),
        -EAGAIN where there is none.
        """
        self.hold()
        r = postbox.take(self.udp, raw.load(end + layout.POST), message, address, size, flags, self.stage)
        self.leave()
        self.carry()
        return r

    def send(self, end, message, address, size, name):
        """Send a datagram of a program's socket to the sockaddr at `name` (0: its peer): as sendmsg(2)."""
        self.hold()
        at = raw.load(end + layout.POST)
        r = -calls.ENETDOWN
        if at:
            now = self.catnip.tick()
            r = postbox.send(self.udp, at, message, address, size, name, self.stage)
            while r == -calls.EAGAIN:  # the device takes what waits, or it is lost, within a moment
                self.turn(raw.now())
                self.leave()
                raw.pause()
                self.hold()
                now = self.catnip.tick()
                at = raw.load(end + layout.POST)
                r = postbox.send(self.udp, at, message, address, size, name, self.stage) if at else -calls.EBADF
            self.catnip.flush(now)
            if self.catnip.host.loop.count:  # to ourselves
                self.catnip.stack.poll(now)
                self.hear()
            self.remind()
        self.leave()
        self.carry()
        return r

    def error(self, end):
        """The error that is pending at a program's datagram socket, which is then told. Under the lock."""
        return postbox.error(self.udp, raw.load(end + layout.POST))

    def reaches(self, name):
        """Whether routes lead to the address of a sockaddr by this network."""
        high, low = postbox.high_of(name), postbox.low_of(name)
        if postbox.at_home(high, low):
            return False
        self.hold()
        found = routes.find(self.catnip.host, high, low)
        self.leave()
        self.carry()
        return found

    def arm(self):
        """Under the lock. False when there is something already."""
        if not self.catnip.device.arm():
            return False
        raw.store(self.armed_at, 1)
        if self.bell_at:
            raw.store(self.bell_at, 1)
            raw.fence()
        return True

    def wake_keeper(self):
        if raw.exchange(self.called_at, CALLED) == ASLEEP:
            raw.syscall(calls.SYS_write, self.call, self.one_at, 8, 0, 0, 0)

    def keeper_sleeps(self):
        """From now on it has to be woken; false when it was called meanwhile."""
        return raw.exchange(self.called_at, ASLEEP) != CALLED

    def keeper_is_awake(self):
        """What it was called for it looks at next."""
        self.relieved = False
        raw.store(self.called_at, AWAKE)
        self.wakes_at = 0

    def drain_also(self, block):
        """One more pair whose other side may soil it; false when there are too many. Under the lock."""
        if self.pairs == PAIRS:
            return False
        raw.store(self.pairs_at + self.pairs * 8, block)
        self.pairs += 1
        return True

    def drain_no_more(self, block):
        """Under the lock."""
        for i in range(self.pairs):
            if raw.load(self.pairs_at + i * 8) == block:
                self.pairs -= 1
                raw.store(self.pairs_at + i * 8, raw.load(self.pairs_at + self.pairs * 8))
                return

    def soiled(self):
        """Whether a program's end has something to be carried on."""
        i = 0
        while i < self.pairs:
            if raw.load(raw.load(raw.load(self.pairs_at + i * 8))):
                return True
            i += 1
        return False

    def turn(self, now):
        """Under the lock: the program's bytes go out, what came in goes to the program, and only then what can wait."""
        now = self.catnip.tell(now)
        self.looks += 1
        if raw.load(self.armed_at):
            raw.store(self.armed_at, 0)
            self.catnip.device.disarm()
            if self.bell_at:
                raw.store(self.bell_at, 0)
            self.relieved = True
            self.wake_keeper()  # it sleeps until the bell, which may be silent now
        found = self.drain()
        if found:
            self.catnip.flush(now)
        if self.catnip.receive(now):
            found = True
            self.hear()
        if self.catnip.answer(now):
            found = True
        if self.hear():
            found = True
            self.catnip.answer(now)
        return found

    def drain(self):
        """Carry on what the program's ends have soiled."""
        found = False
        i = 0
        while i < self.pairs:
            block = raw.load(self.pairs_at + i * 8)
            if raw.load(raw.load(block)):
                found = True
                self.drain_pair(block, raw.load(block))
            i += 1
        return found

    def drain_pair(self, block, area):
        summary = raw.exchange(area, 0)
        while summary:
            i = raw.ctz(summary)
            summary &= summary - 1
            soiled = raw.exchange(area + layout.DIRTY_WORDS + i * 8, 0)
            while soiled:
                far = raw.load(block + 64 + (i * 64 + raw.ctz(soiled)) * 8)
                soiled &= soiled - 1
                if far:
                    self.pump(raw.load(far + layout.RELAY))

    def hear(self):
        """Tell far ends what has happened to their connections."""
        found = False
        at = self.tcp.next_event()
        while at:
            found = True
            whose = structs.tcb(at).user
            if whose == LISTENING:
                self.wake_keeper()
            elif whose:
                self.pump(whose)
            at = self.tcp.next_event()
        at = self.udp.next_event()
        while at:
            found = True
            postbox.heard(at)
            at = self.udp.next_event()
        return found

    def pump(self, at):
        if at:
            relay.pump(self.tcp, at, self.stage)
            if relay.has(at, layout.R_OVER):
                raw.store(self.one_at + 8, 1)
                self.wake_keeper()

    def any_over(self):
        """Whether there are relays that have come to their end: the keeper, who asks, closes their far ends."""
        return raw.exchange(self.one_at + 8, 0) != 0

    def begin(self, record, far, flags):
        """A relay between a record of the stack and a far end, under the lock; 0 when there are too many."""
        at = self.free
        if at:
            self.free = raw.load(at + layout.R_NEXT)
        elif self.used < RELAYS:
            at = self.relays + self.used * layout.R_SIZE
            self.used += 1
        else:
            return 0
        raw.store(at + layout.R_AT, record)
        raw.store(at + layout.R_FAR, far)
        raw.store(at + layout.R_OWN, 0)
        raw.store(at + layout.R_FLAGS, flags)
        raw.store(far + layout.RELAY, at)
        structs.tcb(record).user = at
        structs.tcb(record).options |= structs.OOB_INLINE  # the spine has no second way for it
        self.catnip.host.changed(record, structs.tcb_size())
        return at

    def end(self, at):
        """The keeper has closed the far end: the relay is free for another one. Under the lock."""
        raw.store(at + layout.R_NEXT, self.free)
        self.free = at

    def wait_until(self, now):
        """Before the keeper sleeps, under the lock: until when, 0 to look again at once."""
        if not self.arm() or self.soiled():
            return 0
        due = self.catnip.deadline(now)
        self.wakes_at = due if due else NEVER
        return self.wakes_at

    def listening(self, record):
        """A record that is to listen is the keeper's to hear of."""
        structs.tcb(record).user = LISTENING
        self.catnip.host.changed(record, structs.tcb_size())

    def accepted(self, record):
        """The next connection that waits at a listener, 0 for none. Under the lock."""
        r = user.accept(self.tcp, record)
        return r if r > 0 else 0

    def name(self, record, peer):
        """(packed address, port) of a record's own name, or its peer's."""
        c = structs.tcb(record)
        if peer:
            return unpacked(c.remote_high, c.remote_low), c.remote_port
        return unpacked(c.local_high, c.local_low), c.local_port


def last(nothing):
    """What the program has closed already, or has not, is to arrive: nobody will send it once more."""
    limit = raw.now() + LONGEST
    if driver.HERE.on and driver.HERE.driver.pass_on():
        return
    while driver.HERE.on and driver.HERE.driver.depart(0, False) and raw.now() < limit:
        raw.syscall(calls.SYS_poll, 0, 0, 1, 0, 0, 0)
    if driver.HERE.on:
        driver.HERE.driver.finish()
