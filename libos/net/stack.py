# cython: infer_types=True
"""One host's TCP/IP: frames in, frames out, and what users of TCP, UDP and ICMP call.

The machine contract: `receive(frame, length, now)` for each frame of a burst, then `poll(now)`; `next_deadline()`
says when to poll again at the latest. Frames that go out wait in `host.out`, which the caller empties. Users' calls
take a record's address; `host.now` is to be set before one.

One lock guards it all, and is not in here: who calls `receive`, `poll`, or a user's call holds it, and lets go of it
afterwards. None of these takes the GIL when it is compiled, blocks, or calls back.
"""

from libos.net import fragments, icmp, neighbors, octets, routes, seq, structs
from libos.net import host as hosts
from libos.net.host import Host
from libos.net.tcp import arriving, reported, timers
from libos.net.tcp.engine import Engine
from libos.net.udp import Sockets
from libos.net.wire import ethernet, icmp_message, ip_header, tcp_header


class Stack:
    """A host with an Ethernet device of address `mac` (an integer) and `mtu`; `seed` is 16 secret random bytes.

    `room` bytes of address space, at `at` where that is free, are all the memory it can use; `cut`: what the device
    cuts (Host). Raises MemoryError.
    """

    def __init__(self, mac, mtu, seed, room=1 << 30, frames=256, at=0, cut=0):
        self.host = Host(mac, mtu, seed, room, frames, at, cut)
        self.tcp = Engine(self.host)
        self.udp = Sockets(self.host)
        self.looping = False

    def receive(self, frame, length, now):
        """A frame has come in; it is not kept. Whatever is malformed is dropped and counted (`host.refused`). Its
        checksums are looked at unless `host.trust_checksums`.
        """
        self.host.now = now
        if self.host.tape.on:
            self.host.tape.call(structs.CALL_RECEIVE, self.host.trust_checksums, frame, length, 0, 0, 0)
            return
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
        ours = self.host.mine(p.target_high, p.target_low)
        # Nobody outside has an address of ours, or one of the loopback network: RFC 1122, section 3.2.1.3.
        if not self.looping and (
            self.host.mine(p.source_high, p.source_low) or hosts.is_loopback(p.target_high, p.target_low)
        ):
            return
        if not ours and not self.heard(p):
            return
        if (p.more_fragments or p.fragment_offset) and not fragments.whole(self.host, p):
            return
        if not ours or p.broadcast:
            # TCP has no groups: RFC 9293, section 3.9.2.3 (MUST-57).
            if p.protocol == structs.PROTOCOL_TCP:
                return
            p.broadcast = 1
        if p.protocol == structs.PROTOCOL_TCP:
            self.segment(p)
        elif p.protocol == structs.PROTOCOL_UDP:
            self.udp.arrives(p)
        elif (p.protocol == structs.PROTOCOL_ICMP and p.family == 4) or (
            p.protocol == structs.PROTOCOL_ICMPV6 and p.family == 6
        ):
            self.controlled(p)
        elif p.protocol == structs.PROTOCOL_IGMP and p.family == 4:
            # A query: RFC 3376, section 4.1.
            if p.transport_length >= 8 and octets.get8(p.transport) == 0x11:
                self.udp.report_groups(4)
        elif p.protocol != structs.NO_NEXT_HEADER:
            icmp.protocol_unreachable(self.host, p)

    def controlled(self, p):
        """A message of ICMP; a query of MLD (RFC 3810, section 5.1) is one too."""
        if p.family == 6 and p.transport_length >= 24 and p.hop_limit == 1 and octets.get8(p.transport) == 130:
            self.udp.report_groups(6)
        else:
            self.reported(icmp.arrives(self.host, p))

    def heard(self, p):
        """Whether a packet that is not for an address of ours is for a group or broadcast that we listen to."""
        if self.host.broadcasts(p.target_high, p.target_low):
            return True
        if not hosts.is_multicast(p.target_high, p.target_low):
            return False
        if p.family == 6:
            # all nodes, and the solicited-node groups: whose address it is, is looked at there (RFC 4291, section 2.8)
            if p.target_high == icmp_message.link_scope() and (p.target_low == 1 or p.target_low >> 24 == 0x1FF):
                return True
        elif p.target_low & 0xFFFFFFF == 1:
            return True
        return self.udp.member(p.target_high, p.target_low)

    def reported(self, what):
        """An ICMP error about the packet in `host.quoted_at`, as icmp.arrives answers it."""
        if what == 0:
            return
        q = structs.packet(self.host.quoted_at)
        hard = what & icmp.HARD != 0
        if what == icmp.MTU:
            if q.protocol == structs.PROTOCOL_TCP:
                reported.smaller(self.tcp, q)
            elif q.protocol == structs.PROTOCOL_UDP:
                routes.learn_mtu(self.host, q.target_high, q.target_low, q.mss)
        elif q.protocol == structs.PROTOCOL_TCP:
            reported.error(self.tcp, q, what & ~icmp.HARD, hard)
        elif q.protocol == structs.PROTOCOL_UDP:
            self.udp.error(q, what & ~icmp.HARD, hard)

    def undelivered(self, at):
        """A frame whose next hop does not answer: as if a router had said so."""
        w = structs.waiting(at)
        q = structs.packet(self.host.quoted_at)
        if icmp_message.read_quoted(q, at + structs.waiting_size() + 14, w.length - 14):
            self.reported(structs.HOST_UNREACHABLE)
        self.host.pool.give(at, structs.waiting_size() + w.length)

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
        if self.host.tape.on:
            if not self.idle():
                self.host.tape.call(structs.CALL_POLL, 0, 0, 0, 0, 0, 0)
            return
        failed = neighbors.poll(self.host)
        while failed:
            self.undelivered(failed)
            failed = neighbors.poll(self.host)
        fragments.poll(self.host)
        timers.poll(self.tcp)
        timers.flush(self.tcp)
        turns = 0
        while self.host.loop.count and turns < 64:
            self.loop_back()
            timers.flush(self.tcp)
            turns += 1

    def idle(self):
        """Whether a poll would find nothing to do."""
        if structs.queue(self.tcp.pending).count or self.host.loop.count:
            return False
        due = seq.earlier(timers.next_deadline(self.tcp), neighbors.next_deadline(self.host))
        return self.host.now < self.host.fragments_at_time and (due == 0 or self.host.now < due)

    def loop_back(self):
        """Packets to ourselves arrive: no device has written their checksums, and none is looked at."""
        count = self.host.loop.count
        trusting = self.host.trust_checksums
        self.looping = self.host.trust_checksums = True
        while count > 0:
            self.receive(self.host.loop.frame(0), self.host.loop.length(0), self.host.now)
            self.host.loop.drop(1)
            count -= 1
        self.looping = False
        self.host.trust_checksums = trusting

    def next_deadline(self):
        """When to poll at the latest, in nanoseconds; the past when something is waiting; 0 for never."""
        if structs.queue(self.tcp.pending).count or self.host.loop.count:
            return self.host.now
        return seq.earlier(timers.next_deadline(self.tcp), neighbors.next_deadline(self.host))
