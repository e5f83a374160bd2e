"""A network of our own under an unmodified program: its device and stack, which sockets are on it, and the keeper.

Opened when the program first asks for something that may be there. Routes decide which connections are; a socket bound
to an address of the network is on it alone, one bound to any address (0.0.0.0, ::) on the kernel's and on ours.
"""

import _socket
import os
import select
from _thread import allocate_lock
from time import sleep

from libos import driver, errand, gate, layout, own_socket, raw, relay
from libos.arrivals import Arrivals, make_sure
from libos.catnip import words
from libos.crossing import LOOPBACK, Bound, Crossing, Listening
from libos.errors import Fail
from libos.forks import Forks
from libos.gateway import Gateway
from libos.keeper import Keeper
from libos.landings import Landings
from libos.member import Member
from libos.net import octets, routes, structs
from libos.net.tcp import user
from libos.net_options import take_over
from libos.own_pairs import OwnPairs
from libos.refusal import Refusal
from libos.runtime import instrument
from libos.tape_file import TapeFile
from libos.tree import Tree

COMPILED = __file__.endswith(".so")
if not COMPILED:
    octets.copy  # noqa: B018 - now: later, what it is made of may be out of reach
FAMILIES = {_socket.AF_INET: 4, _socket.AF_INET6: 6}
ENOMEM, EINPROGRESS = 12, 115
RELAY = (1 << 48) - 1


class Locked:
    def __init__(self, gateway):
        self.gateway = gateway

    def __enter__(self):
        while not self.gateway.lock():
            sleep(0)  # whoever has it may want the GIL
        self.gateway.catnip.tick()
        return self.gateway

    def __exit__(self, *_):
        catnip = self.gateway.catnip
        catnip.stack.poll(catnip.host.now)
        catnip.flush(catnip.host.now)
        self.gateway.remind()
        self.gateway.unlock()
        self.gateway.carry_on()  # for who did not get the lock


class Network:
    """`make`: called at first use, the composition (libos.catnip.Catnip). `catloop`: whose sockets these are."""

    def __init__(self, catloop, make, host, own_thread, log):
        self.catloop = catloop
        self.make = make
        self.host = host  # in words; None where no other program can be it (libos/gate.py)
        self.gate = None  # the socket by which others are let in
        self.own_thread = own_thread
        self.log = log
        self.gateway = None
        self.opening = allocate_lock()
        self.shown = None  # its interface; in a forked child its parent's, until it has opened a network of its own
        self.failed = False  # it could not be opened
        self.steward = False  # this process goes on with it for others, and is no program's (libos/steward.py)
        self.tree = None  # what it shares with the processes that it forks, and was forked from
        self.member = None  # of that tree: another process has the stack
        self.tape = None  # the file that all the stack does is written to
        self.pairs = OwnPairs(catloop.family, b"network", self.drain)
        self.crossings = {}  # by relay
        self.introduced = 0  # how many of them to members of the tree
        self.by_fd = {}  # by the far end's descriptor
        self.bounds = {}  # sockets with a name that are no connections, by record
        self.listeners = {}  # those of them that listen
        self.doors = set()  # where members of the tree knock
        self.lines = set()  # to them
        self.strangers = {}  # families of some of them, by key (libos/line.py)
        self.bell = None  # by which they wake the keeper
        self.landings = Landings()
        self.arrivals = Arrivals(self)
        self.sockets = set()  # of datagrams (libos/net_socket.py)
        self.posts = {}  # of those that others have, by record
        self.forks = Forks(self)

    def open(self):
        """The gateway, with device and stack behind it; None where another process of the tree has it. Raises OSError,
        Fail.
        """
        with self.opening:
            if self.gateway is None and self.member is None:
                self.find()
            return self.opened() if self.member is None else None

    def find(self):
        """Whether another process has it: one of our tree, or one that is the same host."""
        if self.tree is None or not self.tree.owner():
            self.gate = gate.claimed(self.host) if self.host else None
            if self.host and self.gate is None:
                self.shown, given = gate.knock(self.host)
                self.tree = Tree(0, given)
            elif self.tree is not None and self.tree.door is None:  # of others, who have ended
                self.tree = Tree(0)
        if self.tree and not self.tree.claim(os.getpid()):
            self.leave_gate()
            self.member = Member(self)

    def leave_gate(self):
        if self.gate is not None:
            self.gate.close()
            self.gate = None

    def opened(self):
        if self.gateway is None:
            call = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            self.call = own_socket.high(call)
            self.epoll = select.epoll()
            catnip = self.make()
            catnip.device = instrument.device(catnip.device)
            gateway = Gateway(catnip, self.call)
            self.epoll.register(self.call, select.EPOLLIN)
            self.begin_tape(catnip.stack)
            if gateway.catnip.device.bell() >= 0:
                self.epoll.register(gateway.catnip.device.bell(), select.EPOLLIN)
            self.gateway = gateway
            self.shown = catnip.host.mac.to_bytes(6, "big"), catnip.host.mtu, catnip.addresses
            driver.here().driver = gateway
            driver.here().on = True
            if self.tree:
                self.forks.open_door()
            if self.gate is not None:
                gate.Gate(self, self.gate)
            self.keeper = Keeper(self)
        return self.gateway

    def watch(self, sock, who, events=select.EPOLLIN):
        """`who` hears of what the kernel has to say of a socket of ours."""
        self.by_fd[sock.fileno()] = who
        self.epoll.register(sock.fileno(), events)

    def unwatch(self, sock):
        del self.by_fd[sock.fileno()]
        self.epoll.unregister(sock.fileno())

    def begin_tape(self, stack):
        """Record, if that was asked for; where it can't be, the log says why and the program goes on."""
        if self.tape:
            try:
                TapeFile(stack, self.tape, {"pid": os.getpid(), "program": os.readlink("/proc/self/exe")})
            except OSError as error:
                self.log(f"nothing is recorded in {self.tape}", error)

    def farewell(self):
        """A program that is a Python ends, and its threads stop where they are, the keeper too: say goodbye for what is
        open, and wait while it is answered.
        """
        if self.gateway is None or self.forks.passed_on():
            return
        for crossing in tuple(self.crossings.values()):
            crossing.depart()
        while self.gateway.depart(0, False):
            sleep(0.001)
        self.keeper.stop()
        driver.here().on = False
        self.gateway.finish()

    def forget(self):
        """All that was there is another process's."""
        for socket in self.sockets:
            socket.lost = not socket.port
        self.sockets.clear()
        for table in (self.crossings, self.by_fd, self.arrivals.expected, self.bounds, self.listeners, self.posts):
            table.clear()
        self.doors.clear()
        self.lines.clear()
        self.strangers.clear()
        self.bell = self.gate = None
        self.pairs.forget()

    def locked(self):
        """For `with`: the gateway, with its lock, told the time; what was made goes out."""
        return Locked(self.gateway)

    def there(self):
        """Whether the network is open, or could be opened; if not, the log says why, once, and all is the kernel's."""
        try:
            return not self.failed and (self.open() is not None or self.member is not None)
        except (OSError, Fail) as error:
            self.failed = True
            self.leave_gate()
            if self.tree and self.tree.owner() == os.getpid():
                self.tree.vacant()
            self.log(f"the network is not there: {error}")
            return False

    def interface(self):
        """(MAC, MTU, ((packed address, prefix length), ...)) of the network's interface; None where there is none."""
        return self.shown if self.shown or self.there() else None

    def may_have(self, packed):
        """Whether an address may be of a network at all, and there is one."""
        if packed[:1] == b"\x7f" and len(packed) == 4 or packed in (bytes(15) + b"\1", bytes(4), bytes(16)):
            return False
        return self.there()

    def reaches(self, packed):
        """Whether routes lead to an address by this network."""
        if not self.may_have(packed):
            return False
        if self.member is not None:
            return self.member.reaches(packed)
        with self.locked() as gateway:
            return bool(routes.find(gateway.catnip.host, *words(packed)))

    def owns(self, packed):
        """Whether an address is one of ours."""
        if not self.may_have(packed):
            return False
        if self.member is not None:
            return self.member.owns(packed)
        with self.locked() as gateway:
            return bool(gateway.catnip.host.mine(*words(packed)))

    def checked(self, r):
        """Raises Refusal for one of the stack's errors."""
        if r < 0:
            raise Refusal(relay.errno_of(-r))
        return r

    def record(self, gateway, sock):
        """A record of the stack for the program's socket, with its options."""
        record = user.open(gateway.tcp, FAMILIES[sock.family])
        if not record:
            raise Refusal(ENOMEM)
        take_over(gateway.tcp, record, sock)
        return record

    def bind(self, sock, packed, port, end):
        """A Bound for the program's socket, whose record is `end`, with that address of ours (and port, 0 for any).
        Raises Refusal.
        """
        if self.member is not None:
            return self.member.bind(sock, packed, port, end)
        self.sweep()
        with self.locked() as gateway:
            record = self.record(gateway, sock)
            try:
                self.checked(user.bind(gateway.tcp, record, *words(packed), port))
            except Refusal:
                user.close(gateway.tcp, record)
                raise
            return Bound(self, record, sock.family, gateway.name(record, False), end)

    def listen(self, bound, sock, port, backlog, end):
        """Listen by every address where `bound` is None. `port`: of the kernel's listener, the program's socket, whose
        record is `end`. Raises Refusal.
        """
        if self.member is not None:
            return self.member.listen(bound, sock, port, backlog, end)
        self.sweep()
        with self.locked() as gateway:
            record = bound.record if bound else self.record(gateway, sock)
            try:
                if not bound:
                    self.checked(user.bind(gateway.tcp, record, 0, 0, port))
                self.checked(user.listen(gateway.tcp, record, backlog))
            except Refusal:
                if not bound:
                    user.close(gateway.tcp, record)
                raise
            gateway.listening(record)
            place = LOOPBACK[sock.family], port
            listener = Listening(self, record, sock.family, bound.local if bound else None, end, place)
            if bound:
                listener.kept, listener.line = bound.kept, bound.line
            return listener

    def sweep(self):
        """Close what was bound for others of the tree that have it no more."""
        for bound in tuple(self.bounds.values()):
            bound.sweep()

    def sweep_posts(self):
        """The same of datagram sockets: the kernel is asked for each."""
        for post in tuple(self.posts.values()):
            post.sweep()

    def connect(self, near, bound, packed, port):
        """Begin to connect the program's socket to an address of the network: a Crossing, or a Passage. Raises Refusal,
        OSError.
        """
        if self.member is not None:
            return self.member.connect(near, bound, packed, port)
        landing = self.landings.of(near.family)
        crossing = self.dial(near, bound, packed, port)
        error = near.connect_ex(landing.getsockname())
        if error not in (0, EINPROGRESS):
            self.hang_up(crossing)
            raise Refusal(error)
        self.land(crossing, near.getsockname()[1])
        return crossing

    def dial(self, near, bound, packed, port):
        """A Crossing whose connection is asked for; it has no far end yet. Raises Refusal."""
        with self.locked() as gateway:
            record = bound.record if bound else self.record(gateway, near)
            r = user.connect(gateway.tcp, record, *words(packed), port)
            if r < 0 and r != -structs.IN_PROGRESS:
                if not bound:
                    user.close(gateway.tcp, record)
                self.checked(r)
            if bound:
                bound.taken()
            return Crossing(self, record, near.family, gateway.name(record, False), (packed, port))

    def crossing(self, handle):
        """The Crossing that members know by a handle, None where it has come to its end."""
        found = self.crossings.get(handle & RELAY)
        return found if found is not None and found.handle == handle else None

    def hang_up(self, crossing):
        with self.locked() as gateway:
            user.abort(gateway.tcp, crossing.record)

    def land(self, crossing, port):
        """The program's socket has been connected to our landing, from `port` of loopback. Raises Refusal, Refused."""
        try:
            crossing.begin(self.landings.landed(crossing.family, port), layout.R_OPENING)
            if self.tree:
                make_sure(crossing.sock)
        except BaseException:
            self.hang_up(crossing)
            raise

    def drain(self, beyond):
        """Look at what is soiled in one more pair, of which we are the other side; false where there are too many."""
        with self.locked() as gateway:
            return gateway.drain_also(beyond.block)

    def drain_no_more(self, beyond):
        with self.locked() as gateway:
            gateway.drain_no_more(beyond.block)

    def told_options(self, handle, sock, names):
        """Have the owner know what options a socket of ours has."""
        if self.member is not None:
            self.member.tell(errand.OPTIONS, handle=handle, options=errand.told(sock, names))

    def told_release(self, handle, last):
        """Have the owner know that a socket is closed; `last`: nobody else of ours has it."""
        if self.member is not None:
            self.member.tell(errand.RELEASED, handle=handle, number=last)

    def end(self, crossing):
        """Close a far end that is over."""
        self.crossings.pop(crossing.relay, None)
        self.by_fd.pop(crossing.sock.fileno(), None)
        with self.locked() as gateway:
            self.catloop.records.give_back(crossing.far)
            gateway.end(crossing.relay)
        crossing.sock.close()
        self.arrivals.unmet(crossing)
        if crossing.line is not None:
            crossing.line.over()

    def serve(self):
        """Connections that have come in, and those that are over."""
        for listener in list(self.listeners.values()):
            listener.take()
        for at, crossing in list(self.crossings.items()) if self.gateway.any_over() else ():
            if raw.load(at + layout.R_FLAGS) & layout.R_OVER:
                self.end(crossing)
