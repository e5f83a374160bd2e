"""Open file descriptions: what one or more descriptor numbers stand for (open(2), "open file description").

A description is shared by dup and fork and ends with its last number. It never sleeps: an operation that has to wait
becomes a blocked qtoken and answers CATFLAP_SLEEP, and the trap makes the program's own kernel call from bare C. That
keeps signals, SA_RESTART, cancellation, timeouts and closing races the kernel's own.
"""

from interpose import abi, linux, sockaddr
from libos import driver, raw
from libos.runtime import instrument

COMPILED = __file__.endswith(".so")
GRAVES = 64


class Process:
    """What all descriptions of this process share; filled in by the host at boot."""

    def __init__(self):
        self.forks_at = 0
        self.bells = 0  # page that says which of our threads sleep; 0 while none ever has
        self.stage = 65536  # bytes of a file that sendfile moves at a time
        self.qtokens = None
        self.heap = None
        self.libos = None
        self.log = None
        self.choose = None  # (host bytes, port) -> libOS name or None, when there are address rules
        self.ruled = False
        self.default = ""  # the libOS where no rule decides
        self.watched = False  # some queues have data that the kernel can't see
        self.stream = None  # then the class of their descriptions
        self.attention = None  # the room of that name, where the libOS has such queues
        self.network = None  # of our own, where programs have one (libos/network.py)
        self.abroad = self.datagrams = self.interfaces = None  # then the rooms of these names
        self.mint = None  # by which connections go over a fabric (libos/mint_network.py)
        self.files = None  # the room of that name, where files have a volume
        self.handed = None  # the room of that name, where the interpreter is the program's own
        self.graveyard = []
        self.waiting = []
        self.bind_number = self.grace_begin = self.grace_passed = None


PROCESS = Process()


def process():
    """The one Process, for interpreted rooms (a compiled module keeps its name to itself)."""
    return PROCESS


def stale(r):
    """A kernel that knows no such socket means that the number was closed behind our back."""
    if r == -linux.ENOTSOCK or r == -linux.EBADF:
        return abi.CATFLAP_STALE
    return r


def observe(qd, message, count):
    """Show the pop hook what a struct msghdr at `message` received, segment by segment; returns `count`."""
    return walk(qd, message, count, False)


def observe_push(qd, message):
    """Show the push hook what a struct msghdr at `message` is about to send."""
    walk(qd, message, 0x7FFFFFFFFFFFFFFF, True)


def walk(qd, message, count, outward):
    """Show a hook up to `count` bytes of a message's segments; returns `count`."""
    segment = raw.load(message + 16)
    last = segment + 16 * raw.load(message + 24)
    left = count
    while left > 0 and segment < last:
        part = raw.load(segment + 8)
        if part > left:
            part = left
        if part and outward:
            instrument.pushed(qd, raw.load(segment), part)
        elif part:
            instrument.popped(qd, raw.load(segment), part)
        left -= part
        segment += 16
    return count


class Description:
    """One open file description over one queue. Operations answer a count, -errno, CATFLAP_SLEEP or CATFLAP_STALE."""

    def __init__(self, queue, number, nonblock):
        self.queue = queue
        self.numbers = {number}
        self.nonblock = nonblock
        self.lowat = 1
        self.forgotten = False  # no epoll set takes it any more (interest.py)
        self.epoch = raw.load32(PROCESS.forks_at) if PROCESS.forks_at else 0

    def sleeps(self):
        """Whether an operation that can't be completed inline has to wait in the kernel.

        True is always safe, since the kernel knows the descriptor's mode; false needs certainty, and after a fork
        another process may have changed the mode.
        """
        return not (self.nonblock and self.epoch == raw.load32(PROCESS.forks_at))

    def observed(self, message, count):
        """A pop through a struct msghdr is done."""
        return observe(self.queue.qd, message, count) if instrument.HOOKS.pop else count

    def block(self, kind, qt):
        """Make this operation a blocked qtoken, written to the caller's word at `qt`."""
        raw.store(qt, PROCESS.qtokens.block(kind, self.queue.qd))
        if driver.HERE.on:
            driver.HERE.driver.rest(0)
        return abi.CATFLAP_SLEEP

    # What a kind of description can't do, the kernel refuses better than we could: STALE sends the call there.
    def recv(self, address, size, flags, qt):
        """recv(2) of `size` bytes to `address`."""
        return self.block(abi.CATFLAP_POP, qt)

    def send(self, address, size, flags, qt):
        """send(2) of `size` bytes at `address`."""
        return self.block(abi.CATFLAP_PUSH, qt)

    def recvmsg(self, message, flags, qt):
        """recvmsg(2); `message` is the address of a struct msghdr."""
        return self.block(abi.CATFLAP_POP, qt)

    def sendmsg(self, message, flags, qt):
        """sendmsg(2); `message` is the address of a struct msghdr."""
        return self.block(abi.CATFLAP_PUSH, qt)

    def sendfile(self, in_fd, offset, size, qt):
        """sendfile(2) from the file `in_fd`; `offset` is the address of an off_t, or 0 for the file's own."""
        return self.block(abi.CATFLAP_PUSH, qt)

    def accept(self, address, length, flags, qt):
        """accept4(2)."""
        return self.block(abi.CATFLAP_ACCEPT, qt)

    def connect(self, address, length, qt):
        """connect(2): inline on a non-blocking descriptor, in the kernel's own call otherwise."""
        if PROCESS.ruled and left_by_rule(self, address, length):
            return abi.CATFLAP_STALE
        if self.sleeps():
            return self.block(abi.CATFLAP_CONNECT, qt)
        return stale(self.queue.connect_to(address, length))

    def leave(self):
        """This connection goes where we can't follow. 1 while bytes are on their way back through the kernel."""
        return 0

    def ended(self):
        """The process ends without closing this."""
        return 0

    def bounds(self):
        """An option that bounds what is read or in flight has changed."""

    def shutdown(self, how):
        """shutdown(2)."""
        return stale(raw.syscall(linux.SYS_shutdown, self.queue.fd, how, 0, 0, 0, 0))

    def handle(self):
        """Address by which readiness finds this description's data beside the kernel; 0 when there is none."""
        return 0

    def close_number(self, number):
        """One number leaves. True when others remain and the queue had to move to one of them."""
        self.numbers.discard(number)
        if not self.numbers:
            PROCESS.libos.release(self.queue)
            retire(self)
            return False
        if self.queue.fd != number:
            return False
        self.queue.move(next(iter(self.numbers)))
        return True

    def become(self, other):
        """Replace this description by `other` under all its numbers (a stream that starts to listen)."""
        other.numbers = set(self.numbers)
        other.lowat = self.lowat
        other.epoch = self.epoch
        ALIVE[id(other)] = other
        for number in other.numbers:
            PROCESS.bind_number(number, id(other), 0)
        retire(self)


def left_by_rule(d, address, length):
    """Whether an address rule gives this description to the kernel; then its numbers are the kernel's from now on."""
    try:
        where = sockaddr.read(address, length)
        if where is None:
            return False
        choice = PROCESS.choose(*where)
        if choice == "catnap":
            d.leave()
        if choice != "kernel":
            return False
        for number in list(d.numbers):
            PROCESS.bind_number(number, 0, abi.CATFLAP_KERNEL_ADDRESS)
            d.close_number(number)
        return True
    except BaseException as error:
        PROCESS.log("address rule", error)
        return False


ALIVE = {}


def register(description):
    """Keep a description alive and put it into the descriptor table; false when its number is beyond the table."""
    ALIVE[id(description)] = description
    for number in list(description.numbers):  # from the first on, another thread may close it
        if PROCESS.bind_number(number, id(description), 0) != 0:
            del ALIVE[id(description)]
            return False
    return True


def is_alive(description):
    """False when its last number is closed: nothing may lead to it any more."""
    return id(description) in ALIVE


def retire(description):
    """Free a description once no thread can still be inside it: a grace period for every GRAVES of them."""
    retired = ALIVE.pop(id(description), None)
    if retired is None or not COMPILED:
        return
    PROCESS.graveyard.append(retired)
    if len(PROCESS.graveyard) < GRAVES:
        return
    if PROCESS.waiting and not PROCESS.grace_passed():
        return
    PROCESS.waiting = PROCESS.graveyard
    PROCESS.graveyard = []
    PROCESS.grace_begin()
