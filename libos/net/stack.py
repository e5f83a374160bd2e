# cython: infer_types=True
"""One host's TCP/IP: frames in, frames out, and what users of TCP, UDP and ICMP call.

The machine contract: `receive(frame, length, now)` for each frame of a burst, then `poll(now)`; `next_deadline()` says when
to poll again at the latest. Frames that go out wait in `host.out`, which the caller empties. Users' calls take a record's
address; `host.now` is to be set before one.

One lock guards it all, and is not in here: who calls `receive`, `poll`, or a user's call holds it, and lets go of it afterwards.
None of these takes the GIL when it is compiled, blocks, or calls back.
"""

from libos.net import neighbors, octets, output, routes, seq, structs
from libos.net.host import Host
from libos.net.tcp import arriving, timers, user
from libos.net.tcp.engine import Engine
from libos.net.wire import ethernet, ip_header, tcp_header


class Stack:
    """A host with an Ethernet device of address `mac` (an integer) and `mtu`; `seed` is 16 secret random bytes.

    `room` bytes of address space are all the memory it can use. Raises MemoryError.
    """

    def __init__(self, mac, mtu, seed, room=1 << 30, frames=256):
        self.host = Host(mac, mtu, seed, room, frames)
        self.tcp = Engine(self.host)

    def receive(self, frame, length, now):
        """A frame has come in; it is not kept. Whatever is malformed is dropped and counted (`host.refused`)."""
        self.host.now = now
        self.host.frames_in += 1
        p = structs.packet(self.host.packet_at)
        if not ethernet.read(p, frame, length):
            self.host.refused += 1
            return
        if p.target_mac != self.host.mac and not p.broadcast:
            return
        if p.ether_type == structs.TYPE_IPV4:
            if ip_header.read4(p, self.host.trust_checksums):
                self.internet(p)
            else:
                self.host.refused += 1
        elif p.ether_type == structs.TYPE_IPV6:
            if ip_header.read6(p):
                self.internet(p)
            else:
                self.host.refused += 1
        elif p.ether_type == structs.TYPE_ARP:
            neighbors.arp(self.host, p)

    def internet(self, p):
        """An IP packet whose header is right: is it for us?"""
        if self.host.mine(p.target_high, p.target_low):
            # Nobody outside has an address of ours, or one of the loopback network: RFC 1122, section 3.2.1.3.
            if p.source_mac != self.host.mac and self.host.mine(p.source_high, p.source_low):
                return
            self.transport(p)

    def transport(self, p):
        if p.protocol == structs.PROTOCOL_TCP:
            self.segment(p)

    def segment(self, p):
        """A TCP segment: its sum, its header, then its connection."""
        if not self.host.trust_checksums:
            pseudo = ip_header.pseudo(
                p.source_high, p.source_low, p.target_high, p.target_low, structs.PROTOCOL_TCP, p.transport_length
            )
            if octets.sum(p.transport, p.transport_length, pseudo) != 0xFFFF:
                self.tcp.bad_segments += 1
                return
        if tcp_header.read(p):
            arriving.segment(self.tcp, p)
        else:
            self.tcp.bad_segments += 1

    def poll(self, now):
        """After a burst, and when a deadline has come: timers, and what is waiting to be sent."""
        self.host.now = now
        neighbors.poll(self.host)
        timers.poll(self.tcp)
        timers.flush(self.tcp)
        turns = 0
        while self.host.loop.count and turns < 64:
            self.loop_back()
            timers.flush(self.tcp)
            turns += 1

    def loop_back(self):
        """Packets to ourselves arrive."""
        count = self.host.loop.count
        while count > 0:
            self.receive(self.host.loop.frame(0), self.host.loop.length(0), self.host.now)
            self.host.loop.drop(1)
            count -= 1

    def next_deadline(self):
        """When to poll at the latest, in nanoseconds; the past when something is waiting; 0 for never."""
        if self.tcp.pending_first or self.host.loop.count:
            return self.host.now
        return seq.earlier(timers.next_deadline(self.tcp), neighbors.next_deadline(self.host))
