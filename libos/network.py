"""A network of our own under an unmodified program: its device and stack, which sockets are on it, and the keeper.

Opened when the program first asks for something that may be there. Routes decide which connections are; a socket bound
to an address of the network is on it alone, one bound to any address (0.0.0.0, ::) on the kernel's and on ours.
"""

import _socket
import os
import select
from _thread import allocate_lock
from time import sleep

from libos import calls, driver, layout, own_socket, pair, raw, relay
from libos.catnip import words
from libos.crossing import LOOPBACK, Bound, Crossing, Listening
from libos.errors import Fail
from libos.gateway import Gateway
from libos.keeper import Keeper
from libos.memory_file import high_copy
from libos.net import octets, routes, structs
from libos.net.tcp import user
from libos.net_options import take_over
from libos.pair import Pair
from libos.refusal import Refused
from libos.runtime import instrument
from libos.tape_file import TapeFile

COMPILED = __file__.endswith(".so")
if not COMPILED:
    octets.copy  # noqa: B018 - now: later, what it is made of may be out of reach
FAMILIES = {_socket.AF_INET: 4, _socket.AF_INET6: 6}
BACKLOG = 4096
STRANGERS = 64
ENOMEM, EINPROGRESS = 12, 115
PATIENCE = 1000  # turns until the kernel has made a connection of its own ends


class Refusal(Exception):
    """What the program asked for can't be: `errno`."""

    def __init__(self, errno):
        super().__init__(errno)
        self.errno = errno


class Locked:
    def __init__(self, gateway):
        self.gateway = gateway

    def __enter__(self):
        while not self.gateway.enter():
            sleep(0)  # whoever has it may want the GIL
        self.gateway.catnip.tick()
        return self.gateway

    def __exit__(self, *_):
        catnip = self.gateway.catnip
        catnip.stack.poll(catnip.host.now)
        catnip.flush(catnip.host.now)
        self.gateway.remind()
        self.gateway.leave()
        self.gateway.carry()  # for who did not get the lock


class Network:
    """`make`: called at first use, the composition (libos.catnip.Catnip). `catloop`: whose sockets these are."""

    def __init__(self, catloop, make, own_thread, log):
        self.catloop = catloop
        self.make = make
        self.own_thread = own_thread
        self.log = log
        self.gateway = None
        self.opening = allocate_lock()
        self.shown = None  # its interface; in a forked child its parent's, until it has opened a network of its own
        self.failed = False  # it could not be opened
        self.forks = False  # we are told of them
        self.tape = None  # the file that all the stack does is written to
        self.pairs = []  # (the program's side, the far ends' side)
        self.crossings = {}  # by relay
        self.by_fd = {}  # by the far end's descriptor
        self.expected = {}  # by the address that the program will see: connections it has not accepted yet
        self.listeners = {}  # by record
        self.landings = {}  # by family
        self.early = {}  # by family and port, far ends that others of our threads are about to ask for
        self.sockets = set()  # of datagrams (libos/net_socket.py)
        self.past = []  # epoll sets of parents

    def open(self):
        """The gateway, with device and stack behind it. Raises OSError, Fail."""
        with self.opening:
            return self.opened()

    def opened(self):
        if self.gateway is None:
            if not self.forks:
                self.forks = True
                os.register_at_fork(
                    before=self.before_fork, after_in_parent=self.after_fork, after_in_child=self.in_child
                )
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
            self.keeper = Keeper(self)
        return self.gateway

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
        if self.gateway is None:
            return
        for crossing in tuple(self.crossings.values()):
            crossing.depart()
        while self.gateway.depart(0, False):
            sleep(0.001)
        self.keeper.stop()
        driver.here().on = False
        self.gateway.finish()

    def before_fork(self):
        """The stack stays with the parent: what a child shares goes through the kernel from now on."""
        if self.gateway is None:
            return
        for crossing in tuple(self.crossings.values()):
            crossing.go_plain()
        while not self.gateway.enter():
            sleep(0)

    def after_fork(self):
        if self.gateway is not None:
            self.gateway.leave()

    def in_child(self):
        """Far ends, landings and device are the parent's alone."""
        self.opening = allocate_lock()
        if self.gateway is None:
            return
        driver.here().on = False
        self.gateway.catnip.host.tape.on = False  # nor is what is recorded
        socks = *(c.sock for c in self.crossings.values()), *self.landings.values(), *self.early.values()
        numbers = [sock.detach() for sock in socks]
        self.past.append(self.epoll)  # it would close its number once more
        for fd in (*numbers, self.epoll.fileno(), self.call):
            raw.syscall(calls.SYS_close, fd, 0, 0, 0, 0, 0)  # libc's close may be the program's own fork's
        self.gateway.left = True
        self.gateway = None
        for socket in self.sockets:
            socket.lost = True
        self.sockets.clear()
        for table in (self.crossings, self.by_fd, self.expected, self.listeners, self.landings, self.early):
            table.clear()
        self.pairs.clear()

    def locked(self):
        """For `with`: the gateway, with its lock, told the time; what was made goes out."""
        return Locked(self.gateway)

    def there(self):
        """Whether the network is open, or could be opened; if not, the log says why, once, and all is the kernel's."""
        try:
            return not self.failed and self.open() is not None
        except (OSError, Fail) as error:
            self.failed = True
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
        with self.locked() as gateway:
            return bool(routes.find(gateway.catnip.host, *words(packed)))

    def owns(self, packed):
        """Whether an address is one of ours."""
        if not self.may_have(packed):
            return False
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

    def bind(self, sock, packed, port):
        """A Bound for the program's socket, with that address of ours (and port, 0 for any). Raises Refusal."""
        with self.locked() as gateway:
            record = self.record(gateway, sock)
            try:
                self.checked(user.bind(gateway.tcp, record, *words(packed), port))
            except Refusal:
                user.close(gateway.tcp, record)
                raise
            return Bound(self, record, sock.family, gateway.name(record, False))

    def listen(self, bound, sock, port, backlog, where):
        """Listen at the port, by every address where `bound` is None. `where`: the kernel's listener, the program's
        socket. Raises Refusal.
        """
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
            listener = Listening(self, record, sock.family, bound.local if bound else None, where)
            self.listeners[record] = listener
            return listener

    def bring(self, listener, record):
        """A connection has come in: a far end of ours connects to the program's listening socket."""
        gateway = self.gateway
        crossing = Crossing(self, record, listener.family, gateway.name(record, False), gateway.name(record, True))
        sock = None
        try:
            sock = own_socket.raised(own_socket.made(listener.family, _socket.SOCK_STREAM))
            sock.bind((LOOPBACK[listener.family], 0))
            crossing.met = sock.getsockname()[:2]
            self.expected[crossing.met] = crossing
            crossing.begin(sock, layout.R_OPENING)  # till it is connected: threads of the program take turns meanwhile
            sock.connect_ex(listener.where)
            crossing.met_program()
        except (OSError, Refused):
            self.give_up(crossing, sock)

    def give_up(self, crossing, sock):
        """There is no way to the program: the peer hears of it."""
        self.unmet(crossing)
        if crossing.relay:
            self.end(crossing)
        elif sock is not None:
            sock.close()
        with self.locked() as gateway:
            user.abort(gateway.tcp, crossing.record)

    def unmet(self, crossing):
        if crossing.met is not None and self.expected.get(crossing.met) is crossing:
            del self.expected[crossing.met]

    def accepted(self, fd):
        """The Crossing of a socket that the program has accepted, None for the kernel's own."""
        if not self.expected:
            return None
        sock = own_socket.standing_for(fd)
        try:
            peer = sock.getpeername()[:2]
        except OSError:
            return None
        finally:
            sock.detach()
        return self.expected.pop((peer[0].removeprefix("::ffff:"), peer[1]), None)

    def connect(self, near, bound, packed, port):
        """Begin to connect the program's socket to an address of the network: a Crossing. Raises Refusal, OSError."""
        landing = self.landing(near.family)
        with self.locked() as gateway:
            record = bound.record if bound else self.record(gateway, near)
            r = user.connect(gateway.tcp, record, *words(packed), port)
            if r < 0 and r != -structs.IN_PROGRESS:
                if not bound:
                    user.close(gateway.tcp, record)
                self.checked(r)
            crossing = Crossing(self, record, near.family, gateway.name(record, False), (packed, port))
        try:
            error = near.connect_ex(landing.getsockname())
            if error not in (0, EINPROGRESS):
                raise Refusal(error)
            crossing.begin(self.landed(landing, near.family, near.getsockname()[1]), layout.R_OPENING)
        except BaseException:
            with self.locked() as gateway:
                user.abort(gateway.tcp, record)
            raise
        return crossing

    def landing(self, family):
        """Where sockets of the program are connected to."""
        if family not in self.landings:
            sock = own_socket.raised(own_socket.made(family, _socket.SOCK_STREAM))
            sock.bind((LOOPBACK[family], 0))
            sock.listen(BACKLOG)
            self.landings[family] = sock
        return self.landings[family]

    def landed(self, landing, family, port):
        """The far end of the connection from `port`."""
        for _ in range(PATIENCE):
            if (family, port) in self.early:
                return self.early.pop((family, port))
            try:
                fd, peer = landing._accept()
            except BlockingIOError:
                os.sched_yield()
                continue
            os.set_blocking(fd, False)
            self.early[family, peer[1]] = own_socket.standing_for(own_socket.high(fd))
            while len(self.early) > STRANGERS:  # programs that have no business here
                self.early.pop(next(iter(self.early))).close()
        raise Refusal(ENOMEM)

    def slot(self):
        """(the program's side of a pair, the far ends' side, a slot of it)."""
        for near, beyond in self.pairs:
            slot = near.take_slot()
            if slot >= 0:
                return near, beyond, slot
        near = pair.make()
        beyond = Pair(high_copy(near.fd), 0)
        family = self.catloop.family
        family.keep(b"network/%d" % len(self.pairs), near)
        near.live += 1  # kept while there is no connection
        beyond.live += 1
        family.by_block[beyond.block] = beyond
        self.pairs.append((near, beyond))
        gateway = self.gateway
        with self.locked():
            raw.store(gateway.pairs_at + gateway.pairs * 8, beyond.block)
            gateway.pairs += 1
        return near, beyond, near.take_slot()

    def end(self, crossing):
        """Close a far end that is over."""
        self.crossings.pop(crossing.relay, None)
        self.by_fd.pop(crossing.sock.fileno(), None)
        with self.locked() as gateway:
            self.catloop.records.give_back(crossing.far)
            gateway.end(crossing.relay)
        crossing.sock.close()
        self.unmet(crossing)
