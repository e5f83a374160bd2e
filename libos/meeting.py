"""How the two ends of a local TCP connection meet and get their segment: no daemon, no root, a few system calls.

Each end finds out by socket diagnostics which socket is its peer. The accepting end listens under an abstract Unix
name made of both cookies; the connecting end, once its connection is worth it too, connects there and says which
process it is; the accepting end answers with a slot in the pair of the two. Both check the other's credentials
against the uid that owns the TCP socket. Nothing waits: every step is tried when the program next uses the
connection, and the one who comes first tries again a little later.
"""

import _socket
import os
import struct

from libos import diagnostics, kernel_only, layout, own_socket, raw, rings, spine
from libos.memory_file import high
from libos.pair import SIZE
from libos.refusal import Refused

VERSION = 3
HELLO = struct.Struct("=8sIIQ16s16s")  # magic, version, slot, bytes of a pair, the sender's family and process
MAGIC = b"catflap\0"
TRIES = 24
PATIENCE = 500000000  # ns that an end waits at least for the other, which may have no core at the moment
SO_LINGER, SO_PEERCRED = 13, 17
SHORT = (9, 12, 23, 24, 27)  # EBADF, ENOMEM, ENFILE, EMFILE, EFBIG: of what our own process may have
# EPERM, EACCES, ENOSYS, EPROTONOSUPPORT, EAFNOSUPPORT: what a service manager's or container's filter answers
FORBIDDEN = (1, 13, 38, 93, 97)
UID_MAP, UNMAPPED, EVERYBODY = "/proc/self/uid_map", 65534, ["0", "0", "4294967295"]


class Meeting:
    """The rendezvous of one connection. `step()` until it returns True (the end is attached) or raises Refused."""

    relay = 0  # none of ours carries its bytes
    place = b"\0catflap/meet/"  # what the names begin with

    def __init__(self, family, end, accepting):
        self.family = family
        self.end = end
        self.accepting = accepting
        self.sock = None
        self.listener = None
        self.begin()
        self.cut = False
        tcp = own_socket.standing_for(spine.fd_of(end))
        try:
            if kernel_only.found(tcp):
                raise Refused("LEFT")
            self.cookie = diagnostics.cookie(tcp)
            self.name = self.found(tcp)
        except OSError as error:
            if error.errno in FORBIDDEN:
                raise Refused("SECCOMP")
            raise
        finally:
            tcp.detach()

    def found(self, tcp):
        """The name under which the two ends meet. Raises Refused where the other end is none of ours, OSError."""
        self.peer = diagnostics.peer_of(tcp)
        if self.peer is None:
            raise Refused("PEER_UNKNOWN")
        if not same_user(self.peer.uid):
            raise Refused("PEER_UID")
        pair = (self.peer.cookie, self.cookie) if self.accepting else (self.cookie, self.peer.cookie)
        return self.place + b"%x/%x" % pair

    def begin(self):
        """Nothing has been tried since the last news of the other end."""
        self.tries = 0
        self.since = raw.now()

    def holds(self, fd):
        """Whether `fd` still stands for the socket of this connection."""
        try:
            sock = own_socket.standing_for(fd)
        except OSError:
            return False
        try:
            return diagnostics.cookie(sock) == self.cookie
        finally:
            sock.detach()

    def close(self):
        for sock in (self.sock, self.listener):
            if sock is not None:
                sock.close()
        self.sock = self.listener = None

    def parted(self):
        """The program has closed its connection."""

    def step(self):
        try:
            done = self.accept_step() if self.accepting else self.connect_step()
        except BlockingIOError:
            done = False
        except (EOFError, ConnectionResetError, BrokenPipeError):  # called off by a fork of the other end's: once more
            self.close()
            if self.cut:
                raise Refused("PEER_PLAIN")
            self.cut = True
            done = False
        except OSError as error:
            self.close()
            raise Refused(because(error.errno))
        except MemoryError:
            self.close()
            raise Refused("NO_MEMORY")
        if done:
            self.close()
            return True
        self.tries += 1
        if self.tries > TRIES and raw.now() - self.since > PATIENCE:
            self.close()
            raise Refused("PEER_PLAIN")
        return False

    def unix(self):
        return own_socket.raised(own_socket.made(_socket.AF_UNIX, _socket.SOCK_STREAM))

    def hello(self, slot=0):
        return HELLO.pack(MAGIC, VERSION, slot, SIZE, self.family.key, self.family.identity)

    def check(self, text):
        """(slot, family, process) of the sender. Raises Refused for another version and for who isn't the socket's
        owner.
        """
        uid = struct.unpack("=iII", self.sock.getsockopt(diagnostics.SOL_SOCKET, SO_PEERCRED, 12))[1]
        if uid != self.peer.uid or len(text) < HELLO.size:
            raise Refused("PEER_UID" if uid != self.peer.uid else "PEER_UNKNOWN")
        magic, version, slot, size, family, process = HELLO.unpack_from(text)
        if magic != MAGIC or version != VERSION or size != SIZE:
            raise Refused("OTHER_VERSION")
        if slot >= layout.SLOTS:
            raise Refused("PEER_UNKNOWN")
        return slot, family, process

    def connect(self):
        """Whether the other end is there."""
        sock = self.unix()
        try:
            sock.connect(self.name)
        except (ConnectionRefusedError, BlockingIOError):
            sock.close()
            return False
        self.sock = sock
        self.begin()
        return True

    def connect_step(self):
        if self.sock is None:
            if not self.connect():
                return False
            self.family.start_bells()
            send(self.sock, self.hello(), self.family.page_fd)
            return False
        text, fds = receive(self.sock, 2)
        try:
            slot, family, process = self.check(text)
            page, memory = fds
            sides = (0, 1)
            if process == self.family.identity:
                process += b"/other"  # both ends are ours: the pair is mapped a second time, from the other side
                sides = (0,)
            pair = self.family.pair_from(process, memory, sides)
            if raw.load(pair.block + 64 + slot * 8):
                raise Refused("PEER_UNKNOWN")  # that slot is another connection's
            self.family.hear(self.end, family, page)
            pair.attach(self.end, slot)
        finally:
            close_all(fds)
        return True

    def accept(self):
        """The other end has come. Raises BlockingIOError."""
        if self.listener is None:
            self.listener = self.unix()
            self.listener.bind(self.name)
            self.listener.listen(1)
        fd, _ = self.listener._accept()
        os.set_blocking(fd, False)
        self.sock = own_socket.standing_for(high(fd))
        self.begin()

    def accept_step(self):
        if self.sock is None:
            self.accept()
        text, fds = receive(self.sock, 1)
        try:
            _, family, process = self.check(text)
            self.family.start_bells()
            pair, slot = self.family.pair_with(process)
            self.family.hear(self.end, family, fds[0])
            pair.attach(self.end, slot)
            send(self.sock, self.hello(slot), self.family.page_fd, pair.fd)
        finally:
            close_all(fds)
        return True


def same_user(uid):
    """Whether a uid, as the kernel tells it to us, is ours. In a user namespace one number stands for all that it has
    not mapped (user_namespaces(7)).
    """
    if uid != os.geteuid():
        return False
    if uid != UNMAPPED:
        return True
    try:
        with open(UID_MAP) as f:
            return f.read().split() == EVERYBODY
    except OSError:
        return False


def because(number):
    """The reason for an errno that ended a meeting."""
    if number in SHORT:
        return "NO_MEMORY"
    return "SECCOMP" if number in FORBIDDEN else "PEER_PLAIN"


def agree(end):
    """Our direction inward may leave the kernel, unless a thread of ours waits in it now. True when that is said."""
    if raw.load(end + layout.IN_STATE) != layout.PLAIN:
        return True
    if raw.load(end + layout.STRANGERS_IN) or not raw.compare_exchange(end + layout.IN_LOCK, 0, rings.here().pid):
        return False
    position = raw.kernel_received(spine.fd_of(end))
    if position >= 0:
        raw.store(end + layout.POSITION, position)
        raw.store(end + layout.IN_STATE, layout.AGREED)
        raw.store(raw.load(end + layout.IN) + layout.H_AGREED, 1)
    raw.store(end + layout.IN_LOCK, 0)
    return position >= 0


def reset_at_close(fd):
    """Closing with unread bytes resets the connection (RFC 2525, section 2.17); the spine does not know of ours."""
    sock = own_socket.standing_for(fd)
    try:
        sock.setsockopt(diagnostics.SOL_SOCKET, SO_LINGER, struct.pack("=ii", 1, 0))
    finally:
        sock.detach()


def send(sock, text, *fds):
    rights = struct.pack(f"={len(fds)}i", *fds)
    # a peer that has given up must not end our program by SIGPIPE
    sock.sendmsg([text], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)], _socket.MSG_NOSIGNAL)


def receive(sock, count):
    """(text, exactly `count` descriptors). Raises BlockingIOError while nothing is there, EOFError when the other
    end has closed, Refused for anything odd.
    """
    text, control, flags, _ = sock.recvmsg(4096, _socket.CMSG_SPACE(4 * count), _socket.MSG_CMSG_CLOEXEC)
    if not text:
        raise EOFError
    fds = []
    for level, kind, data in control:
        if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
            fds += struct.unpack(f"={len(data) // 4}i", data[: len(data) // 4 * 4])
    if len(fds) != count:
        close_all(fds)
        raise Refused("PEER_UNKNOWN")
    return text, fds


def close_all(fds):
    for fd in fds:
        os.close(fd)
