"""A fuzz target: octets that tell a whole stack a story of segments, datagrams, errors, time and users' calls.

An octet says what happens next, the ones behind it how. Sequence numbers and acknowledgments are told from where the
connection is, so that most of what comes is near enough to matter.
"""

import ctypes
import itertools
import struct
import zlib

import fuzz_parsers
from frames import words
from fuzz_parsers import NOW, PEER, THEM, US, icmp, packet
from soundness import sound

from libos.net import structs, udp_user
from libos.net.tcp import user

MS, SECOND = 10**6, 10**9
SLOTS = 4  # pairs of sockets: two of a listener, two that we begin; of both families
COMMON = (16, 16, 16, 24, 24, 2, 18, 17, 20, 4, 48, 80, 144, 25, 3, 0)  # control bits that make sense
SIZES = (0, 1, 100, 536, 1000, 1448, 7, 8)
WINDOWS = (65535, 0, 1, 500, 5000, 20000)
TIMES = (MS, 40 * MS, 200 * MS, SECOND, 3 * SECOND, 10 * SECOND, 61 * SECOND, 7200 * SECOND)
OPTIONS = (structs.NODELAY, structs.CORK, structs.KEEPALIVE, structs.OOB_INLINE, structs.QUICK_ACK, structs.LINGER)
AMOUNTS = (1, 100, 1448, 5000, 30_000, 0)
HIGH = words(US[4])[0]


class Story:
    """One input on one stack."""

    def __init__(self, data, thorough):
        self.octets = itertools.chain(data, itertools.repeat(0))
        self.left = len(data)
        self.thorough = thorough
        self.verdict = 0
        self.now = NOW
        setup = self.octet()
        self.stack = fuzz_parsers.make_stack(1 << 20 if setup & 1 else 1 << 26)
        self.tcp, self.udp, self.host = self.stack.tcp, self.stack.udp, self.stack.host
        self.before = self.host.pool.used
        self.tcp.half_open_limit = 0 if setup & 2 else 256
        self.tcp.ecn = setup >> 2 & 1
        self.tcp.congestion = (setup >> 3 & 3) % 3
        self.tcp.time_wait_limit = 1
        if setup & 32:
            self.tcp.rx_limit = self.tcp.tx_limit = 4096
        self.listener, self.datagrams = fuzz_parsers.sockets(self.stack)
        self.handles = []
        self.ports = [80, 80, 0, 0]  # ours, of each slot
        self.stuck = False
        self.frame = self.sent = b""

    def octet(self):
        self.left -= 1
        return next(self.octets)

    def near(self, scale=536):
        """A number from a few octets before to many behind: mostly none."""
        n = self.octet()
        return 0 if n < 128 else (n - 160) if n < 192 else (n - 200) * scale

    # what happens

    def segment(self):
        which, control, shape = self.octet(), self.octet(), self.octet()
        slot, family = which & 3, 6 if which & 4 else 4
        flags = COMMON[control & 15] if control < 192 else self.octet()
        ours, theirs = self.ports[slot], 1001 + slot
        at = self.tcp.find(*words(US[family]), ours, *words(THEM[family]), theirs)
        seq, ack, una, stamp, echo = 1000, 0, 0, 100, 0
        if at:
            c = structs.Tcb.from_address(at)
            seq, ack, una, stamp, echo = c.rcv_nxt, c.snd_nxt, c.snd_una, c.ts_recent, c.ts_offset
            if c.state == structs.SYN_SENT:
                seq = 1000
        if shape & 1:
            seq += self.near()
        if shape & 2:
            ack = una + self.near()
        elif not at:
            ack = self.cookie(ours, theirs)
        window = WINDOWS[self.octet() % len(WINDOWS)] if shape & 4 else 65535
        options = b""
        if flags & structs.SYN:
            options += struct.pack(">BBHBBBB", 2, 4, 1460 if shape & 8 else 40, 1, 3, 3, shape >> 4)
            options += b"\4\2\1\1" if shape & 16 else b""
        if shape & 32:
            stamp = stamp + self.near(1) & 0xFFFFFFFF
            options += struct.pack(">BBBBII", 1, 1, 8, 10, stamp, echo + (self.now // MS) & 0xFFFFFFFF)
        if shape & 64 and not flags & structs.SYN:
            blocks = 1 + (self.octet() & 1)
            edges = [una + self.octet() * 100 & 0xFFFFFFFF for _ in range(2 * blocks)]
            options += struct.pack(f">BBBB{2 * blocks}I", 1, 1, 5, 2 + 8 * blocks, *edges)
        size = SIZES[self.octet() & 7] if shape & 128 else 0
        urgent = self.octet() if flags & structs.URG else 0
        head = (20 + len(options)) << 10 | flags
        seq, ack = seq & 0xFFFFFFFF, ack & 0xFFFFFFFF
        head = struct.pack(">HHIIHHHH", theirs, ours, seq, ack, head, window, 0, urgent)
        self.receive(packet(family, 6, head + options + bytes(size)))

    def cookie(self, ours, theirs):
        """What would acknowledge our last SYN,ACK."""
        at = 34 if self.sent[12:14] == b"\x08\0" else 54
        if self.sent[at : at + 4] == struct.pack(">HH", ours, theirs):
            return int.from_bytes(self.sent[at + 4 : at + 8], "big") + 1
        return 0

    def call(self):
        which, what = self.octet(), self.octet()
        if what & 15 == 0 or not self.handles:
            at = user.accept(self.tcp, self.listener)
            if at > 0:
                self.handles.append(at)
            return self.note(at > 0)
        if what & 15 == 1:
            return self.connect(which)
        at = self.handles[which % len(self.handles)]
        amount = AMOUNTS[(what >> 4) % len(AMOUNTS)]
        tcp, memory = self.tcp, MEMORY
        match what & 15:
            case 2 | 3:
                self.note(user.send(tcp, at, memory, amount, what & 15 == 3))
            case 4 | 5:
                self.note(user.receive_into(tcp, at, memory, amount, what & 15 == 5))
            case 6:
                self.note(user.send_urgent(tcp, at, memory, amount))
            case 7:
                self.note(user.receive_urgent(tcp, at, memory, what & 16) + user.at_mark(tcp, at))
            case 8:
                self.note(user.shutdown(tcp, at, what & 16, what & 32))
            case 9:
                user.close(tcp, self.handles.pop(which % len(self.handles)))
            case 10:
                user.abort(tcp, self.handles.pop(which % len(self.handles)))
            case 11:
                self.note(user.set_option(tcp, at, OPTIONS[(what >> 4) % len(OPTIONS)], which & 128))
            case 12:
                self.note(user.ready(tcp, at) + user.take_error(tcp, at))
            case 13:
                c = structs.Tcb.from_address(at)
                c.user_timeout, c.keep_idle, c.linger = (0, 5000, 0)[what >> 4 & 1], 10, 0
            case 14:
                structs.Tcb.from_address(at).user_mss = 200
                user.renew(tcp, at)
            case _:
                self.events()
        return None

    def connect(self, which):
        slot, family = 2 + (which & 1), 6 if which & 4 else 4
        if len(self.handles) < 6 and (at := user.open(self.tcp, family)):
            self.handles.append(at)
            self.note(user.connect(self.tcp, at, *words(THEM[family]), 1001 + slot))
            self.ports[slot] = structs.Tcb.from_address(at).local_port

    def events(self):
        while at := self.tcp.next_event():
            self.note(user.ready(self.tcp, at))
        while at := self.udp.next_event():
            self.note(udp_user.ready(self.udp, at))

    def datagram(self):
        what, size = self.octet(), self.octet()
        family = 6 if what & 4 else 4
        match what & 3:
            case 0:
                body = struct.pack(">HHHH", 9, 5000 if what & 8 else 5001, 8 + size, 0) + bytes(size)
                self.receive(packet(family, 17, body))
            case 1:
                target = words(("10.0.0.2", "10.0.0.77", "224.0.0.9", "10.0.0.1")[what >> 4 & 3])
                if family == 6:
                    target = words(("fd00::2", "fd00::77", "ff02::9", "::1")[what >> 4 & 3])
                self.note(udp_user.send(self.udp, self.datagrams, MEMORY, size * 30, *target, 5000 if what & 8 else 9))
            case 2:
                self.note(udp_user.receive_into(self.udp, self.datagrams, MEMORY, 1000))
            case 3:
                join = udp_user.leave if what & 8 else udp_user.join
                self.note(join(self.udp, self.datagrams, *words("ff02::9" if family == 6 else "224.0.0.9")))

    def reported(self):
        """An ICMP error about what we have sent last, or any message."""
        kind, code, mtu = self.octet(), self.octet(), self.octet()
        six = self.sent[12:14] == b"\x86\xdd"
        self.receive(icmp(struct.pack(">BBBHHH", 255 * six, kind, code, 0, 0, mtu * 10) + self.sent[14:200]))

    def neighbor(self):
        what, last = self.octet(), self.octet()
        mac = PEER + last
        if what & 1:
            body = struct.pack(">HHBBH", 1, 0x800, 6, 4, 1 + (what >> 1 & 1)) + mac.to_bytes(6, "big")
            body += bytes((10, 0, 0, last)) + bytes(6) + bytes((10, 0, 0, 1))
            self.receive(fuzz_parsers.ETHERNET + b"\x08\x06" + body)
        else:
            target = words(US[6] if what & 2 else f"fd00::{last:x}")
            kind, flags, option = 135 + (what >> 2 & 1), (what & 0xF0) << 24, 2 - (what >> 3 & 1)
            body = struct.pack(">BBBHIQQBB", 255, kind, 0, 0, flags, *target, option, 1)
            self.receive(icmp(body + mac.to_bytes(6, "big")))

    def pieces(self):
        """The last packet again, in fragments."""
        cut = self.octet() & 15
        frame = bytearray(self.frame)
        if frame[12:14] != b"\x08\0" or len(frame) < 34 or frame[14] != 0x45:
            return
        for start, end, more in ((0, cut * 8, 1), (cut * 8, len(frame) - 34, 0)):
            piece = frame[:34] + frame[34 + start : 34 + end]
            struct.pack_into(">HHH", piece, 16, len(piece) - 14, self.left & 0xFFFF, more << 13 | start // 8)
            self.receive(bytes(piece))

    def mutated(self):
        """The last frame again, with an octet changed."""
        where, bits = self.octet(), self.octet()
        frame = bytearray(self.frame)
        if frame:
            frame[where % len(frame)] ^= bits
            self.receive(bytes(frame))

    def wait(self):
        self.advance(self.now + TIMES[self.octet() & 7])

    def device(self):
        """The device takes nothing, or again."""
        self.stuck = bool(self.octet() & 1)

    HAPPENS = (*7 * [segment], call, call, call, wait, datagram, reported, mutated, pieces, neighbor)

    # the machinery

    def note(self, value):
        self.verdict = zlib.crc32(b"%d" % value, self.verdict)

    def receive(self, frame):
        self.frame = frame
        ctypes.memmove(MEMORY, frame, len(frame))
        self.stack.receive(MEMORY, len(frame), self.now)

    def collect(self):
        self.stack.poll(self.now)
        if not self.stuck:
            for frame in self.host.out.contents():
                self.verdict = zlib.crc32(frame, self.verdict)
                self.sent = frame

    def advance(self, until):
        self.collect()
        for _ in range(2000):
            due = self.stack.next_deadline()
            if not due or due > until or (self.stuck and due <= self.now):
                break
            self.now = self.host.now = max(self.now, due)
            self.collect()
        else:
            raise AssertionError("time does not go on")
        self.now = self.host.now = until

    def records(self):
        return [structs.Tcb.from_address(at) for at in self.handles]

    def run(self):
        while self.left > 0:
            what = self.octet()
            (Story.device if what == 255 else Story.HAPPENS[what & 15])(self)
            self.collect()
            if self.thorough:
                for c in self.records():
                    sound(c)
        self.end()
        return self.verdict

    def end(self):
        for c in self.records():
            sound(c)
        self.stuck = False
        for at in self.handles:
            user.abort(self.tcp, at)
        user.close(self.tcp, self.listener)
        udp_user.close(self.udp, self.datagrams)
        self.collect()
        self.note(self.host.pool.used - self.before)
        fuzz_parsers.nothing_left(self.stack, self.before, self.now)
        self.host.close()


KEPT = ctypes.create_string_buffer(1 << 17)
MEMORY = ctypes.addressof(KEPT)


class Whole:
    """The target. `thorough`: records are looked at after each step, not only in the end."""

    def __init__(self, thorough=False):
        self.thorough = thorough

    def run(self, data):
        ctypes.memset(MEMORY, 0, 2048)
        return Story(data, self.thorough).run()

    def end(self):
        pass
