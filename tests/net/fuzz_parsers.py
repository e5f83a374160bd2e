"""Fuzz targets: frames that are right down to one protocol's header, and from there on are the input.

A target is an object that takes an input, `run(octets)`, and answers what came of it as an integer, in both modes the
same.
"""

import ctypes
import struct
import zlib

from frames import checksum, packed, pseudo, words

from libos.net import neighbors, structs, udp_user
from libos.net.stack import Stack
from libos.net.tcp import user

MAC, PEER = 0x020000000001, 0x020000000002
ETHERNET = MAC.to_bytes(6, "big") + PEER.to_bytes(6, "big")
US, THEM = {4: "10.0.0.1", 6: "fd00::1"}, {4: "10.0.0.2", 6: "fd00::2"}
NOW = 1000 * 10**9
RENEWED = 512  # inputs that one stack sees
POINTERS = structs.Packet.frame_length.offset  # what a Packet begins with are addresses, which nobody compares


def make_stack(room=1 << 26):
    """A stack whose device has checked all sums, so that an input need not be lucky."""
    stack = Stack(MAC, 1500, b"fuzzing the sky!", room, 16)
    host = stack.host
    host.trust_checksums = True
    for family, prefix in ((4, 120), (6, 64)):
        host.add_address(*words(US[family]), prefix)
        neighbors.add(host, *words(THEM[family]), PEER)
    host.now = NOW
    return stack


def sockets(stack):
    """Somebody listens to both protocols: a listener on port 80, a UDP socket on 5000."""
    listener, datagrams = user.open(stack.tcp, 6), udp_user.open(stack.udp, 6)
    assert user.bind(stack.tcp, listener, 0, 0, 80) == user.listen(stack.tcp, listener, 2) == 0
    assert udp_user.bind(stack.udp, datagrams, 0, 0, 5000) == 0
    return listener, datagrams


def settle(stack, now):
    """Let time pass until nothing is left to do."""
    for _ in range(10_000):
        due = stack.next_deadline()
        if not due:
            return
        now = max(now, due)
        stack.poll(now)
        stack.host.out.drop(stack.host.out.count)
    raise AssertionError("there is always something to do")


def nothing_left(stack, before, now):
    """No record, no timer and no memory outlives its users."""
    settle(stack, now)
    stack.poll(stack.host.now + 100 * 10**9)  # fragments are forgotten
    tcp, host = stack.tcp, stack.host
    assert tcp.connections == tcp.listeners == tcp.deadlines.count == 0
    for queue in (tcp.pending, tcp.events, tcp.time_waits, stack.udp.events):
        assert structs.queue_size() and structs.Queue.from_address(queue).count == 0
    tables = tcp.deadlines.size * 8
    tables = 1 << (tables - 1).bit_length() if tables else 0
    assert host.pool.used - before == tables, f"{host.pool.used - before - tables} octets are lost"


class Parser:
    """`frame(input)` makes a frame, or several."""

    def __init__(self, frame):
        self.frame = frame
        self.buffer = ctypes.create_string_buffer(1 << 16)
        self.at = ctypes.addressof(self.buffer)
        self.left = 0

    def renew(self):
        self.stack = make_stack()
        self.before = self.stack.host.pool.used
        self.listener, self.datagrams = sockets(self.stack)
        self.packet = self.stack.host.packet_at
        self.left = RENEWED

    def end(self):
        """Raises AssertionError when something stays behind."""
        if self.left:
            user.close(self.stack.tcp, self.listener)
            udp_user.close(self.stack.udp, self.datagrams)
            nothing_left(self.stack, self.before, NOW)
            self.stack.host.close()
            self.left = 0

    def run(self, data):
        if not self.left:
            self.renew()
        stack, host, verdict = self.stack, self.stack.host, 0
        ctypes.memset(self.packet, 0, structs.packet_size())
        frames = self.frame(data)
        for frame in (frames,) if isinstance(frames, bytes) else frames:
            size = len(frame)
            ctypes.memmove(self.at, frame, size)
            stack.receive(self.at, size, NOW)
        verdict = zlib.crc32(ctypes.string_at(self.packet + POINTERS, structs.packet_size() - POINTERS))
        counts = (host.refused, stack.tcp.bad_segments, stack.udp.bad, stack.udp.received)
        verdict = zlib.crc32(repr(counts).encode(), verdict)
        stack.poll(NOW)
        for sent in host.out.contents():
            verdict = zlib.crc32(sent, verdict)
        while udp_user.first(stack.udp, self.datagrams):
            verdict = zlib.crc32(b"%d" % udp_user.receive_into(stack.udp, self.datagrams, self.at, 65536), verdict)
        self.left -= 1
        if not self.left:
            self.left = 1
            self.end()
        return verdict


def ethernet(data):
    return data[:1514]


def under_ethernet(kind):
    head = ETHERNET + struct.pack(">H", kind)
    return lambda data: head + data[:1500]


def packet(family, protocol, body, hops=64):
    if family == 4:
        head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 1, 0, hops, protocol, 0)
        return ETHERNET + b"\x08\0" + head + packed(THEM[4]) + packed(US[4]) + body
    head = struct.pack(">IHBB", 6 << 28, len(body), protocol, hops)
    return ETHERNET + b"\x86\xdd" + head + packed(THEM[6]) + packed(US[6]) + body


def under_ip(protocol):
    """The first octet says of which family."""
    return lambda data: packet(6 if data[:1] > b"\x7f" else 4, protocol, data[1:1400])


def icmp(data):
    """ICMP and ICMPv6, whose sums are always looked at."""
    family, body = (6, 58) if data[:1] > b"\x7f" else (4, 1), data[1:1400]
    body = body[:2] + b"\0\0" + body[4:]
    cover = pseudo(THEM[6], US[6], 58, len(body)) if family[0] == 6 else b""
    body = body[:2] + struct.pack(">H", checksum(cover + body)) + body[4:]
    return packet(*family, body, 255)


def fragments(data):
    """Pieces of one or two datagrams: four octets each say which, where, how long, and whether more follow."""
    for i in range(0, min(len(data) - 3, 160), 4):
        which, where, length, more = data[i : i + 4]
        body = udp(which & 1, 2000)[where : where + length * 2] if which & 2 else bytes(length)
        offset, more = (where * 8 if which & 4 else where // 2 * 8), more & 1
        if which & 128:
            head = struct.pack(">BBHI", 17, 0, offset & 0xFFF8 | more, which & 1)
            yield packet(6, 44, head + body)
        else:
            frame = bytearray(packet(4, 17, body))
            struct.pack_into(">HH", frame, 18, which & 1, more << 13 | offset // 8)
            yield bytes(frame)


def udp(which, length):
    return struct.pack(">HHHH", 1000 + which, 5000, length, 0) + bytes(length - 8)


PARSERS = {
    "ethernet": ethernet,
    "arp": under_ethernet(0x0806),
    "ipv4": under_ethernet(0x0800),
    "ipv6": under_ethernet(0x86DD),
    "icmp": icmp,
    "tcp": under_ip(6),
    "udp": under_ip(17),
    "fragments": fragments,
}
