# cython: infer_types=True
"""The User Datagram Protocol (RFC 768, RFC 1122 section 4.1) with multicast (RFC 1112): sockets, and datagrams
that arrive.
"""

from libos import raw
from libos.net import groups, icmp, linked, octets, structs
from libos.net import host as hosts
from libos.net.wire import ip_header


def group_index(u, high, low):
    """Which of the socket's groups an address is, -1 for none."""
    for i in range(u.groups):
        if u.group_low[i] == low and u.group_high[i] == high:
            return i
    return -1


def joined(u, high, low):
    return group_index(u, high, low) >= 0


class Sockets:
    """All UDP sockets of a host, by local port."""

    def __init__(self, host):
        self.host = host
        self.ports = host.pool.take(1024 * 8)
        self.events = host.pool.take(structs.queue_size())
        self.port_low, self.port_high = 32768, 60999
        self.received = self.sent = self.dropped = self.bad = 0
        self.limit = 212992  # octets that wait in one socket: Linux' default

    def port_list(self, port):
        return self.ports + (port & 1023) * 8

    def arrives(self, p):
        """A datagram for this host or for a group or broadcast that it may listen to."""
        at = p.transport
        if p.transport_length < 8:
            self.bad += 1
            return
        length = octets.get16(at + 4)
        if length < 8 or length > p.transport_length:
            self.bad += 1
            return
        sum = octets.get16(at + 6)
        # None at all is allowed for IPv4 only: RFC 768; RFC 8200, section 8.1.
        if sum == 0 and p.family == 6 and not self.host.trust_checksums:
            self.bad += 1
            return
        if sum and not self.host.trust_checksums:
            pseudo = ip_header.pseudo(
                p.source_high, p.source_low, p.target_high, p.target_low, structs.PROTOCOL_UDP, length
            )
            if octets.sum(at, length, pseudo) != 0xFFFF:
                self.bad += 1
                return
        p.source_port = octets.get16(at)
        p.target_port = octets.get16(at + 2)
        p.payload = at + 8
        p.payload_length = length - 8
        if hosts.is_multicast(p.target_high, p.target_low) or self.host.broadcasts(p.target_high, p.target_low):
            delivered = self.to_members(p)
            self.received += delivered
            return
        chosen = self.find(p.target_port, p)
        if chosen:
            self.deliver(structs.udp(chosen), p)
            self.received += 1
        else:
            # Nobody has this port: RFC 1122, section 4.1.3.1.
            icmp.port_unreachable(self.host, p)

    def match(self, u, p):
        """How exactly a socket is meant by a datagram, -1 where it is not."""
        rank = 0
        if u.local_port != p.target_port:
            return -1
        if u.local_high or u.local_low:
            if u.local_low != p.target_low or u.local_high != p.target_high:
                return -1
            rank = 2
        elif u.family == 4 and p.family == 6:
            return -1
        elif u.family == 6 and p.family == 4:
            if u.options & structs.V6_ONLY:
                return -1
        else:
            rank = 1
        if u.remote_port:
            if u.remote_port != p.source_port or u.remote_low != p.source_low or u.remote_high != p.source_high:
                return -1
            rank += 4
        return rank

    def find(self, port, p):
        """Address of the socket that is meant most exactly; among equals with REUSE_PORT the sender decides."""
        best = -1
        chosen = 0
        at = raw.load(self.port_list(port))
        while at:
            u = structs.udp(at)
            rank = self.match(u, p)
            if rank > best or (rank == best and rank >= 0 and self.lot(at, p) > self.lot(chosen, p)):
                best = rank
                chosen = at
            at = u.chain
        return chosen

    def lot(self, at, p):
        """What a socket draws for a sender: always the same, from the same seed."""
        return self.host.mix(at - self.host.pool.base, p.source_low, p.source_port)

    def to_members(self, p):
        """One copy for each socket that has joined the group, or hears broadcasts; true when there was one."""
        delivered = False
        all = not hosts.is_multicast(p.target_high, p.target_low)
        at = raw.load(self.port_list(p.target_port))
        while at:
            u = structs.udp(at)
            at = u.chain
            if u.local_port != p.target_port or (u.family == 4 and p.family == 6):
                continue
            if (u.local_high or u.local_low) and (u.local_low != p.target_low or u.local_high != p.target_high):
                continue
            if u.remote_port and (
                u.remote_port != p.source_port or u.remote_low != p.source_low or u.remote_high != p.source_high
            ):
                continue
            if all or joined(u, p.target_high, p.target_low):
                self.deliver(u, p)
                delivered = True
        return delivered

    def deliver(self, u, p):
        """Put a datagram into a socket's queue; false when it is full, and the datagram is dropped."""
        size = structs.datagram_size() + p.payload_length
        if u.queued + size > u.limit:
            u.dropped += 1
            self.dropped += 1
            return False
        at = self.host.pool.take(size)
        if at == 0:
            self.dropped += 1
            return False
        d = structs.datagram(at)
        d.next = 0
        d.length = p.payload_length
        d.source_high = p.source_high
        d.source_low = p.source_low
        d.target_high = p.target_high
        d.target_low = p.target_low
        d.source_port = p.source_port
        d.hop_limit = p.hop_limit
        d.traffic_class = ip_header.traffic_class(p)
        octets.copy(at + structs.datagram_size(), p.payload, p.payload_length)
        if u.last:
            structs.datagram(u.last).next = at
        else:
            u.first = at
        u.last = at
        u.queued += size
        self.tell(u)
        return True

    def error(self, q, what, hard):
        """`what` was reported of a datagram of ours: a connected socket hears of it (RFC 1122, section 4.1.3.3)."""
        at = raw.load(self.port_list(q.source_port))
        while at:
            u = structs.udp(at)
            at = u.chain
            if u.local_port == q.source_port and u.remote_port == q.target_port and u.remote_low == q.target_low:
                if u.remote_high == q.target_high and hard:
                    u.error = what
                    self.tell(u)

    def tell(self, u):
        """Something has happened that the user of `u` may wait for."""
        linked.append(self.events, structs.event_of_udp(u), structs.self_of_udp(u))

    def next_event(self):
        """Take the address of a socket whose readiness may have changed, 0 where there is none left."""
        if self.host.tape.on and structs.queue(self.events).count:
            return self.host.tape.call(structs.CALL_UDP_NEXT_EVENT, 0, 0, 0, 0, 0, 0)
        return linked.take(self.events)

    def report_groups(self, family):
        """A router asks which groups are heard here."""
        for i in range(1024):
            at = raw.load(self.ports + i * 8)
            while at:
                u = structs.udp(at)
                for j in range(u.groups):
                    if hosts.is4(u.group_high[j], u.group_low[j]) == (family == 4):
                        groups.report(self.host, u.group_high[j], u.group_low[j], structs.GROUP_HEARD)
                at = u.chain

    def member(self, high, low):
        """Whether any socket has joined a group."""
        for i in range(1024):
            at = raw.load(self.ports + i * 8)
            while at:
                u = structs.udp(at)
                if joined(u, high, low):
                    return True
                at = u.chain
        return False
