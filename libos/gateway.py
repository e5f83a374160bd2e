"""Catnip under an unmodified program: the turn that carries its sockets' bytes between far ends (libos/relay.py) and
the stack. Whoever of the program's threads looks for something to do takes turns; the keeper does while they sleep.
"""

from libos import calls, endpoint, layout, letters, postbox, raw, relay
from libos.carrier import Carrier
from libos.catnip import unpacked
from libos.net import neighbors, routes, seq, structs
from libos.net.tcp import closing, user

COMPILED = __file__.endswith(".so")
LISTENING = 1  # what a listener's record has for its user
NEVER = (1 << 63) - 1
MANY = 64  # letters
PATIENCE = 1000000000  # ns without a segment, after which the end of a process waits for answers no more


class Gateway(Carrier):
    """`catnip`: the stack and its device. `call` is an eventfd that wakes the keeper."""

    def __init__(self, catnip, call):
        self.catnip = catnip
        catnip.settle()  # its device may be another now
        self.tcp = catnip.stack.tcp
        self.udp = catnip.stack.udp
        self.bell_at = 0  # the word that says whether members of the tree are to wake the keeper; 0: there are none
        self.heard = self.patient_until = 0  # at the end of the process: segments, and how long others are waited for
        Carrier.__init__(self, call, relay.STAGE, layout.R_SIZE)

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

    def receive(self, end, message, address, size, flags):
        """The next datagram of a program's socket, into `size` octets at `address` or a struct msghdr: as recvmsg(2),
        -EAGAIN where there is none.
        """
        self.hold()
        r = postbox.take(self.udp, self.posted(end), message, address, size, flags, self.stage)
        self.leave()
        self.carry()
        return r

    def send(self, end, message, address, size, name):
        """Send a datagram of a program's socket to the sockaddr at `name` (0: its peer): as sendmsg(2), -EAGAIN where
        it has come to be one for letters.
        """
        self.hold()
        at = self.posted(end)
        r = -calls.EAGAIN if letters.is_letters(raw.load(end + layout.POST)) else -calls.ENETDOWN
        if at:
            now = self.catnip.tick()
            r = postbox.send(self.udp, at, message, address, size, name, self.stage)
            while r == -calls.EAGAIN:  # the device takes what waits, or it is lost, within a moment
                self.turn(raw.now())
                self.leave()
                raw.pause()
                self.hold()
                now = self.catnip.tick()
                at = self.posted(end)
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
        return postbox.error(self.udp, self.posted(end))

    def posted(self, end):
        """The record of a program's datagram socket, 0 where it has none here. Under the lock."""
        post = raw.load(end + layout.POST)
        return 0 if letters.is_letters(post) else post

    def deliver(self, at):
        """A record has a post from now on (libos/posts.py). Under the lock."""
        letters.deliver(self.udp, at)

    def shared(self, end):
        """A program's datagram socket has a post from now on: nothing waits for it here. Under the lock."""
        postbox.emptied(end)

    def collect(self, at, fd):
        """Letters of a post go out, not too many at once: an error of the kernel's, or 0. Under the lock."""
        r = seq.number(0)
        count = 0
        while r == 0 and count < MANY:
            r = letters.collect(self.udp, at, fd)
            tries = 0
            while r == -calls.EBUSY and tries < MANY:  # the device takes what waits within a moment
                self.turn(raw.now())
                raw.pause()
                r = letters.again(self.udp, at, fd)
                tries += 1
            if r == -calls.EBUSY:
                r = 0
            count += 1
        return 0 if r == -calls.EAGAIN else r

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
            if letters.is_letters(structs.udp(at).user):
                letters.deliver(self.udp, at)
            else:
                postbox.heard(at)
            at = self.udp.next_event()
        return found

    def carried(self, at):
        relay.pump(self.tcp, at, self.stage)

    def begin(self, record, far, flags):
        """As `take`, of a record of the stack."""
        at = self.take(record, far, flags)
        if at:
            structs.tcb(record).user = at
            structs.tcb(record).options |= structs.OOB_INLINE  # the spine has no second way for it
            self.catnip.host.changed(record, structs.tcb_size())
        return at

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
