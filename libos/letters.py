# cython: infer_types=True
"""Datagrams by way of the kernel: between the process that has the stack and the others of its tree, which have no part
in its memory (libos/tree.py).

A socket of theirs has a *post* at the owner's (libos/posts.py), a kernel UDP socket of ours that is connected to it
over loopback. A datagram goes between the two as a *letter*: the tree's key, which nobody else knows, then an error
that is to be told or the address that is told by IP_PKTINFO, then a Datagram of the stack, and its payload. So the
kernel says when there is something, bounds what waits, and hands each letter to one of those who share a socket.

The word POST of a socket's end says that its datagrams are letters, with LETTERS set: the post's port, the socket's
family, and what the program wants to be told beside them (libos/ancillary.py).
"""

from libos import ancillary, calls, postbox, raw, relay
from libos.catnip import words
from libos.memory_file import private
from libos.net import host as hosts
from libos.net import octets, seq, structs, udp_user

COMPILED = __file__.endswith(".so")
if not COMPILED:
    octets.copy  # noqa: B018 - now: later, what it is made of may be out of reach
LETTERS = 1 << 63
IPV6, TOLD = 1 << 16, 20  # of the word: a bit, and how far the options of what is told are shifted
OWN_KEY, ERROR, OWN, DATAGRAM = 0, 8, 12, 16
MOST = 65507 - 16 - 64  # octets of a payload
TRIES = 1000
MANY = 64
# what lies in the memory of a process's letters, twice, that of the owner under the gateway's lock: the lock, a struct
# msghdr and its struct iovecs, an address or an error's letter, scratch, the network's addresses, a record, the letter
LOCK, MESSAGE, SEGMENTS, NAME, SCRATCH, OURS, RECORD, LETTER = 0, 64, 128, 192, 512, 1024, 2048, 4096
ROOM = 1 << 16
SIZE = LETTER + ROOM + 4096


class Letters:
    """Of this process. `key`: the tree's; `addresses`: how many the network has."""

    def __init__(self):
        self.at = 0
        self.key = 0
        self.addresses = 0
        self.nobody = None  # no stack

    def begin(self, key, addresses):
        """`addresses`: the network's, as ((packed, prefix length), ...). Raises OSError."""
        if not self.at:
            self.at = private(2 * SIZE)
        for i, (packed, _) in enumerate(addresses[:MANY]):
            high, low = words(packed)
            raw.store(self.at + OURS + 16 * i, high)
            raw.store(self.at + OURS + 16 * i + 8, low)
        self.addresses = min(len(addresses), MANY)
        self.key = key

    def mine(self, high, low):
        """Whether an address is the network's."""
        i = 0
        while i < self.addresses:
            at = self.at + OURS + 16 * i
            if raw.load(at) == high and raw.load(at + 8) == low:
                return True
            i += 1
        return False

    def forked(self):
        """Whoever had the lock is not in this process."""
        if self.at:
            raw.store(self.at + LOCK, 0)

    def hold(self):
        turns = 0
        while not raw.compare_exchange(self.at + LOCK, 0, 1):
            turns += 1
            if turns & 63 == 0:
                raw.syscall(calls.SYS_sched_yield, 0, 0, 0, 0, 0, 0)
            raw.pause()

    def leave(self):
        raw.store(self.at + LOCK, 0)


HERE = Letters()


def here():
    return HERE


def word(port, family, options):
    """POST of an end: `family` is 4 or 6, `options` are a record's."""
    return LETTERS | port | (IPV6 if family == 6 else 0) | (options >> 16) << TOLD


def of_post(fd):
    """The user of a record that has a post, by its descriptor."""
    return LETTERS | fd


def is_letters(post):
    return post & LETTERS != 0


def record(post):
    """A record of the stack's kind that says of a socket what is looked at here."""
    u = structs.udp(HERE.at + RECORD)
    u.family = 6 if post & IPV6 else 4
    u.options = seq.low32((post & (LETTERS - 1)) >> TOLD << 16)
    return u


def receive(fd, post, away, message, address, size, flags):
    """The next datagram, as recvmsg(2): a letter, or where `away` is false one of the kernel's; -EAGAIN where there is
    none.
    """
    HERE.hold()
    r = opened(fd, post, away, message, address, size, flags)
    if r == -calls.ECONNREFUSED and not raw.load32(HERE.at + LETTER + ERROR):  # the kernel's word: the post is gone
        r = -calls.ENETDOWN
    HERE.leave()
    return r


def opened(fd, post, away, message, address, size, flags):
    asked = HERE.at + MESSAGE
    letter = HERE.at + LETTER
    while True:
        raw.store32(letter + ERROR, 0)
        octets.zero(asked, 56)
        if message:
            octets.copy(asked, message, 56)
        raw.store(asked + postbox.MSG_IOV, HERE.at + SEGMENTS)
        raw.store(asked + postbox.MSG_IOVLEN, 1)
        raw.store(HERE.at + SEGMENTS, letter)
        raw.store(HERE.at + SEGMENTS + 8, ROOM)
        r = raw.syscall(calls.SYS_recvmsg, fd, asked, flags & ~calls.TRUNC | calls.DONTWAIT, 0, 0, 0)
        if r < 0:
            return r
        if r >= DATAGRAM + structs.datagram_size() and raw.load(letter + OWN_KEY) == HERE.key:
            return read(post, message, address, size, flags, r)
        raw.store32(letter + ERROR, 0)
        if not away:
            return copied(message, address, size, flags, r)
        if flags & calls.PEEK:  # somebody's who has no business here
            raw.syscall(calls.SYS_recvfrom, fd, letter, 0, calls.DONTWAIT, 0, 0)


def read(post, message, address, size, flags, length):
    letter = HERE.at + LETTER
    if raw.load32(letter + ERROR):
        return -seq.number(raw.load32(letter + ERROR))
    structs.datagram(letter + DATAGRAM).length = length - DATAGRAM - structs.datagram_size()
    u = record(post)
    own = raw.load32(letter + OWN)
    return postbox.handed(u, letter + DATAGRAM, own, message, address, size, flags, HERE.at + SCRATCH)


def copied(message, address, size, flags, length):
    """What the kernel had, its name and control messages where they belong already."""
    letter = HERE.at + LETTER
    asked = HERE.at + MESSAGE
    if message:
        raw.store32(message + postbox.MSG_NAMELEN, raw.load32(asked + postbox.MSG_NAMELEN))
        raw.store(message + postbox.MSG_CONTROLLEN, raw.load(asked + postbox.MSG_CONTROLLEN))
        r = postbox.scattered(message, letter, length)
        cut = calls.TRUNC if r < length else 0
        raw.store32(message + postbox.MSG_FLAGS, raw.load32(asked + postbox.MSG_FLAGS) | cut)
    else:
        r = length if length < size else size
        if r and address < 65536:
            return -calls.EFAULT
        octets.copy(address, letter, r)
    return length if flags & calls.TRUNC and r >= 0 else r


def send(fd, post, message, address, size, name):
    """Send a datagram to the sockaddr at `name` (0: its peer), as sendmsg(2)."""
    HERE.hold()
    r = -told(fd) if name == 0 else seq.number(0)
    if r == 0:
        r = written(post, message, address, size, name)
    if r >= 0:
        size = r
        tries = 0
        while True:
            r = posted(fd, post, size)
            tries += 1
            if r != -calls.EAGAIN or tries > TRIES:
                break
            raw.syscall(calls.SYS_sched_yield, 0, 0, 0, 0, 0, 0)
        r = -calls.ENETDOWN if r == -calls.ECONNREFUSED else size if r >= 0 else r
    HERE.leave()
    return r


def error(fd):
    """The error that is the next to be told, which is told then; 0 for none."""
    HERE.hold()
    r = told(fd)
    HERE.leave()
    return r


def told(fd):
    letter = HERE.at + LETTER
    size = DATAGRAM + structs.datagram_size()
    r = raw.syscall(calls.SYS_recvfrom, fd, letter, size, calls.PEEK | calls.DONTWAIT, 0, 0)
    if r < size or raw.load(letter + OWN_KEY) != HERE.key or raw.load32(letter + ERROR) == 0:
        return 0
    raw.syscall(calls.SYS_recvfrom, fd, letter, size, calls.DONTWAIT, 0, 0)
    return raw.load32(letter + ERROR)


def before(fd):
    """Octets that the next letter of a socket has before its payload; 0 where none waits."""
    HERE.hold()
    letter = HERE.at + LETTER
    r = raw.syscall(calls.SYS_recvfrom, fd, letter, DATAGRAM, calls.PEEK | calls.DONTWAIT, 0, 0)
    found = r == DATAGRAM and raw.load(letter + OWN_KEY) == HERE.key
    HERE.leave()
    return DATAGRAM + structs.datagram_size() if found else 0


def posted(fd, post, size):
    at = HERE.at + NAME
    octets.zero(at, 28)
    raw.store32(at, calls.AF_INET6 if post & IPV6 else calls.AF_INET)
    octets.put16(at + 2, seq.low32(post & 0xFFFF))
    if post & IPV6:
        octets.put64(at + 16, 1)
    else:
        octets.put32(at + 4, 0x7F000001)
    length = DATAGRAM + structs.datagram_size() + size
    named = 28 if post & IPV6 else 16
    return raw.syscall(calls.SYS_sendto, fd, HERE.at + LETTER, length, calls.DONTWAIT | calls.NOSIGNAL, at, named)


def written(post, message, address, size, name):
    """Write a letter: the length of its payload, or -errno."""
    letter = HERE.at + LETTER
    payload = letter + DATAGRAM + structs.datagram_size()
    if message:
        size = postbox.gathered(message, payload)
        if size < 0:
            return size
    if size > MOST:
        return -calls.EMSGSIZE
    if not message:
        if size and address < 65536:
            return -calls.EFAULT
        octets.copy(payload, address, size)
    u = record(post)
    d = structs.datagram(letter + DATAGRAM)
    d.source_high = d.source_low = d.target_high = d.target_low = 0
    d.source_port = d.hop_limit = d.traffic_class = 0
    if name:
        d.target_high = postbox.high_of(name)
        d.target_low = postbox.low_of(name)
        d.source_port = postbox.port_of(name)
        if d.source_port == 0:
            return -calls.EINVAL
    if message and raw.load(message + postbox.MSG_CONTROLLEN):
        ipv4 = hosts.is4(d.target_high, d.target_low) if name else u.family == 4
        r = ancillary.read(HERE.nobody, u, message, ipv4)
        if r < 0:
            return r
        if (ancillary.HERE.source_high or ancillary.HERE.source_low) and not HERE.mine(
            ancillary.HERE.source_high, ancillary.HERE.source_low
        ):
            return -calls.ENETUNREACH if ipv4 else -calls.EINVAL
        d.source_high = ancillary.HERE.source_high
        d.source_low = ancillary.HERE.source_low
        d.hop_limit = seq.low32(ancillary.HERE.hops + 1)
        d.traffic_class = seq.low32(ancillary.HERE.traffic_class + 1)
    raw.store(letter + OWN_KEY, HERE.key)
    raw.store(letter + ERROR, 0)
    return size


def deliver(s, at):
    """At the owner's, under the gateway's lock: what has come to a record goes to the socket whose post it has."""
    u = structs.udp(at)
    fd = seq.number(u.user & 0x7FFFFFFF)
    area = HERE.at + SIZE
    if u.error:
        report(fd, relay.errno_of(seq.low32(udp_user.take_error(s, at))))
    while u.first:
        d = structs.datagram(u.first)
        envelope(0, ancillary.own(s, d))
        raw.store(area + SEGMENTS, area + NAME)
        raw.store(area + SEGMENTS + 8, DATAGRAM)
        raw.store(area + SEGMENTS + 16, u.first)
        raw.store(area + SEGMENTS + 24, structs.datagram_size() + d.length)
        octets.zero(area + MESSAGE, 56)
        raw.store(area + MESSAGE + postbox.MSG_IOV, area + SEGMENTS)
        raw.store(area + MESSAGE + postbox.MSG_IOVLEN, 2)
        flags = calls.DONTWAIT | calls.NOSIGNAL
        r = raw.syscall(calls.SYS_sendmsg, fd, area + MESSAGE, flags, 0, 0, 0)
        if r == -calls.ECONNREFUSED:  # of what was sent before: once more
            raw.syscall(calls.SYS_sendmsg, fd, area + MESSAGE, flags, 0, 0, 0)
        udp_user.pop(s, at)


def envelope(error, own):
    """What a letter to a member begins with."""
    at = HERE.at + SIZE + NAME
    raw.store(at + OWN_KEY, HERE.key)
    raw.store32(at + ERROR, error)
    raw.store32(at + OWN, own)


def report(fd, error):
    """A letter of an error alone."""
    at = HERE.at + SIZE + NAME
    envelope(error, 0)
    octets.zero(at + DATAGRAM, structs.datagram_size())
    size = DATAGRAM + structs.datagram_size()
    raw.syscall(calls.SYS_sendto, fd, at, size, calls.DONTWAIT | calls.NOSIGNAL, 0, 0)


def collect(s, at, fd):
    """At the owner's, under the gateway's lock: the next letter of a post goes to the network. 0, or -EAGAIN where
    there is none, -EBUSY where the device takes no more: then it is to be tried `again`.
    """
    letter = HERE.at + SIZE + LETTER
    r = raw.syscall(calls.SYS_recvfrom, fd, letter, ROOM, calls.DONTWAIT, 0, 0)
    if r < 0:
        return r
    if r < DATAGRAM + structs.datagram_size() or raw.load(letter + OWN_KEY) != HERE.key:
        return 0
    structs.datagram(letter + DATAGRAM).length = r - DATAGRAM - structs.datagram_size()
    return again(s, at, fd)


def again(s, at, fd):
    d = structs.datagram(HERE.at + SIZE + LETTER + DATAGRAM)
    r = seq.number(0)
    if (d.source_high or d.source_low) and not s.host.mine(d.source_high, d.source_low):
        r = -structs.INVALID
    else:
        ancillary.HERE.source_high = d.source_high
        ancillary.HERE.source_low = d.source_low
        ancillary.HERE.hops = seq.number(d.hop_limit) - 1
        ancillary.HERE.traffic_class = seq.number(d.traffic_class) - 1
        payload = HERE.at + SIZE + LETTER + DATAGRAM + structs.datagram_size()
        r = ancillary.send(s, at, payload, d.length, d.target_high, d.target_low, d.source_port)
    if r == -structs.WOULD_BLOCK:
        return -calls.EBUSY
    if r < 0:
        report(fd, calls.EDESTADDRREQ if r == -structs.NOT_CONNECTED else relay.errno_of(seq.low32(-r)))
    return 0
