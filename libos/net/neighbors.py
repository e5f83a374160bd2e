# cython: infer_types=True
"""Who on the link has an address: ARP (RFC 826, RFC 1122 section 2.3.2) and Neighbor Discovery (RFC 4861), kept in
one table.

The states are those of RFC 4861, section 7.3.2, for both. Entries lie in sets of eight; in a full set the one that was
used longest ago makes room, so that nobody can fill the table for others. Frames for a neighbor whose address is
asked for wait, four at most, the oldest are dropped (RFC 4861, section 7.2.2).
"""

from libos.net import host as hosts
from libos.net import octets, seq, structs
from libos.net.wire import arp_packet, ethernet, icmp_message, ip_header

RETRANSMIT = 10**9  # between questions (RFC 4861, section 10; RFC 1122, section 2.3.2.1)
TRIES = 3
REACHABLE_TIME = 30 * 10**9
PROBE_DELAY = 5 * 10**9


def entry(host, high, low, make):
    """The entry of an address, or the one that it takes where it has none and `make`; its address is 0 where not."""
    first = (host.mix(high, low, 1) & 63) * 8
    oldest = structs.neighbor(host.neighbors_at + first * structs.neighbor_size())
    for i in range(8):
        n = structs.neighbor(host.neighbors_at + (first + i) * structs.neighbor_size())
        if n.state != structs.NOBODY and n.low == low and n.high == high:
            return n
        if oldest.state == structs.PERMANENT or (
            n.state != structs.PERMANENT and (n.state == structs.NOBODY or n.used < oldest.used)
        ):
            oldest = n
    if not make or oldest.state == structs.PERMANENT:
        return structs.neighbor(0)
    forget(host, oldest)
    oldest.high = high
    oldest.low = low
    return oldest


def lookup(host, high, low):
    """The Ethernet address of a next hop; 0 when it is not known, and then `hold` asks for it."""
    if hosts.is_multicast(high, low):
        return ethernet.group(high, low)
    if host.broadcasts(high, low):
        return ethernet.EVERYBODY
    if host.mine(high, low):
        return host.mac
    n = entry(host, high, low, False)
    if not n or n.state == structs.INCOMPLETE:
        return 0
    n.used = host.now
    # Traffic to a STALE neighbor starts the delay after which it is probed: RFC 4861, section 7.3.3.
    if n.state == structs.STALE:
        n.state = structs.DELAY
        wake(host, n, host.now + PROBE_DELAY)
    return n.mac


def hold(host, high, low, frame, length):
    """Keep a frame until the address of its next hop is known, and ask for it."""
    n = entry(host, high, low, True)
    if not n:
        return
    at = host.pool.take(structs.waiting_size() + length)
    if at == 0:
        return
    w = structs.waiting(at)
    w.next = 0
    w.length = length
    octets.copy(at + structs.waiting_size(), frame, length)
    if n.count == structs.WAITING_FRAMES:
        drop_oldest(host, n)
    if n.waiting == 0:
        n.waiting = at
    else:
        last = n.waiting
        while structs.waiting(last).next:
            last = structs.waiting(last).next
        structs.waiting(last).next = at
    n.count += 1
    n.used = host.now
    if n.state == structs.NOBODY:
        n.state = structs.INCOMPLETE
        n.probes = 1
        wake(host, n, host.now + RETRANSMIT)
        ask(host, n, True)
    elif n.state != structs.INCOMPLETE:
        release(host, n)


def anything_held(host):
    """Whether any frame waits for its neighbor's address."""
    for i in range(structs.NEIGHBORS):
        if structs.neighbor(host.neighbors_at + i * structs.neighbor_size()).waiting:
            return True
    return False


def drop_oldest(host, n):
    at = n.waiting
    n.waiting = structs.waiting(at).next
    n.count -= 1
    host.pool.give(at, structs.waiting_size() + structs.waiting(at).length)


def ask(host, n, everybody):
    """Send a request for a neighbor's address: to all, or to itself to hear whether it is still there."""
    if not host.source_for(n.high, n.low):
        return
    if n.high or n.low >> 32 != 0xFFFF:
        solicit(host, n, everybody)
        return
    at = host.out.reserve()
    if at:
        ethernet.write(at, ethernet.EVERYBODY if everybody else n.mac, host.mac, structs.TYPE_ARP)
        arp_packet.write(at + 14, 1, host.mac, seq.low32(host.from_low), 0, seq.low32(n.low))
        host.out.commit(42)


def solicit(host, n, everybody):
    """A Neighbor Solicitation (RFC 4861, section 4.3), to the solicited-node group or to the neighbor."""
    at = host.out.reserve()
    if at == 0:
        return
    high = n.high
    low = n.low
    mac = n.mac
    if everybody:
        high = icmp_message.link_scope()
        low = icmp_message.node_group(n.low)
        mac = ethernet.group(high, low)
    ethernet.write(at, mac, host.mac, structs.TYPE_IPV6)
    ip_header.write6(at + 14, 32, 0, 0, 255, structs.PROTOCOL_ICMPV6, host.from_high, host.from_low, high, low)
    icmp_message.write_neighbor(at + 54, 135, 0, n.high, n.low, 1, host.mac)
    icmp_message.seal(at + 54, 32, host.from_high, host.from_low, high, low, structs.PROTOCOL_ICMPV6)
    host.out.commit(86)


def learn(host, high, low, mac, make, confirmed):
    """An address was heard: `confirmed` where it answers us; `make` an entry where there is none."""
    n = entry(host, high, low, make)
    if not n or n.state == structs.PERMANENT or mac == 0 or mac >> 40 & 1:
        return
    if n.mac != mac:
        n.mac = mac
        host.generation += 1
    elif not confirmed and n.state != structs.INCOMPLETE and n.state != structs.NOBODY:
        return
    n.probes = 0
    n.state = structs.REACHABLE if confirmed else structs.STALE
    wake(host, n, host.now + REACHABLE_TIME)
    n.used = host.now
    release(host, n)


def release(host, n):
    """Send what has waited for a neighbor."""
    while n.waiting:
        at = n.waiting
        octets.put48(at + structs.waiting_size(), n.mac)
        host.out.put(at + structs.waiting_size(), structs.waiting(at).length)
        drop_oldest(host, n)


def forget(host, n):
    while n.waiting:
        drop_oldest(host, n)
    if n.state > structs.INCOMPLETE:
        host.generation += 1
    octets.zero(structs.self_of_neighbor(n), structs.neighbor_size())


def arp(host, p):
    """An ARP packet, in the order of RFC 826: update, then add where we are meant, then answer."""
    if not arp_packet.read(p):
        return
    sender = arp_packet.sender_ip(p)
    target = arp_packet.target_ip(p)
    mac = arp_packet.sender_mac(p)
    for_us = target != 0 and host.mine(0, ip_header.MAPPED | target)
    # A packet with no sender's address probes for a duplicate and teaches nothing: RFC 5227, section 2.1.1.
    if sender and not host.mine(0, ip_header.MAPPED | sender):
        learn(host, 0, ip_header.MAPPED | sender, mac, for_us, arp_packet.operation(p) == 2 and for_us)
    if for_us and arp_packet.operation(p) == 1 and target >> 24 != 127:
        at = host.out.reserve()
        if at:
            ethernet.write(at, mac, host.mac, structs.TYPE_ARP)
            arp_packet.write(at + 14, 2, host.mac, target, mac, sender)
            host.out.commit(42)


def discovery(host, p):
    """A Neighbor Solicitation or Advertisement at p.transport; false when it is neither, or one to be ignored."""
    at = p.transport
    kind = octets.get8(at)
    # only from the link itself: RFC 4861, sections 7.1.1 and 7.1.2
    if (kind != 135 and kind != 136) or p.hop_limit != 255 or p.transport_length < 24 or octets.get8(at + 1):
        return False
    high = octets.get64(at + 8)
    low = octets.get64(at + 16)
    mac = icmp_message.link_address(at + 24, at + p.transport_length, 1 if kind == 135 else 2)
    if kind == 135:
        if not host.mine(high, low):
            return False
        if p.source_high or p.source_low:
            learn(host, p.source_high, p.source_low, mac, True, False)
        advertise(host, p, high, low)
        return True
    n = entry(host, high, low, False)
    if n:
        # Only an answer to a solicitation confirms that the neighbor hears us: RFC 4861, section 7.2.5.
        learn(host, high, low, mac if mac else n.mac, False, octets.get8(at + 4) & 0x40 != 0)
    return True


def advertise(host, p, target_high, target_low):
    """Answer a solicitation (RFC 4861, section 7.2.4); one without a source looks for a duplicate and is told
    to all.
    """
    at = host.out.reserve()
    if at == 0:
        return
    if p.source_high == 0 and p.source_low == 0:
        advertised(host, at, icmp_message.link_scope(), 1, 0x20, target_high, target_low)
    else:
        ethernet.write(at, p.source_mac, host.mac, structs.TYPE_IPV6)
        advertised(host, at, p.source_high, p.source_low, 0x60, target_high, target_low)


def advertised(host, at, high, low, flags, target_high, target_low):
    """Write an advertisement and send it: with the Ethernet header that is there, or to the group that it is for."""
    if high == icmp_message.link_scope():
        ethernet.write(at, ethernet.group(high, low), host.mac, structs.TYPE_IPV6)
    ip_header.write6(at + 14, 32, 0, 0, 255, structs.PROTOCOL_ICMPV6, target_high, target_low, high, low)
    icmp_message.write_neighbor(at + 54, 136, flags, target_high, target_low, 2, host.mac)
    icmp_message.seal(at + 54, 32, target_high, target_low, high, low, structs.PROTOCOL_ICMPV6)
    host.out.commit(86)


def announce(host):
    """Tell the link who we are, so that nobody goes on with what it knows of an earlier owner of our addresses
    (RFC 5227, section 2.3; RFC 4861, section 7.2.6).
    """
    for i in range(host.address_count):
        a = structs.address(host.addresses_at + i * structs.address_size())
        at = host.out.reserve()
        if at == 0:
            return
        if a.family == 4:
            ethernet.write(at, ethernet.EVERYBODY, host.mac, structs.TYPE_ARP)
            arp_packet.write(at + 14, 1, host.mac, seq.low32(a.low), 0, seq.low32(a.low))
            host.out.commit(42)
        else:
            advertised(host, at, icmp_message.link_scope(), 1, 0x20, a.high, a.low)


def wake(host, n, until):
    """Look at an entry at `until`."""
    n.until = until
    host.neighbors_due = seq.earlier(host.neighbors_due, until)


def poll(host):
    """Look at timers. The answer is a frame that can't be delivered: it is the caller's to give back, then poll
    again.
    """
    if host.neighbors_due == 0 or host.now < host.neighbors_due:
        return 0
    soonest = seq.number(0)
    for i in range(structs.NEIGHBORS):
        n = structs.neighbor(host.neighbors_at + i * structs.neighbor_size())
        if n.state == structs.NOBODY or n.state == structs.PERMANENT:
            continue
        if n.until <= host.now:
            failed = step(host, n)
            if failed:
                return failed
        if n.state != structs.NOBODY and n.state != structs.STALE:
            soonest = seq.earlier(soonest, n.until)
    host.neighbors_due = soonest
    return 0


def step(host, n):
    """The timer of one entry has passed."""
    if n.state == structs.REACHABLE:
        # Not heard from for a while: traffic will find out (RFC 4861, section 7.3.2, STALE).
        n.state = structs.STALE
        host.generation += 1
    elif n.state == structs.DELAY:
        n.state = structs.PROBE
        n.probes = 0
    if n.state != structs.INCOMPLETE and n.state != structs.PROBE:
        return 0
    if n.probes < TRIES:
        n.probes += 1
        wake(host, n, host.now + RETRANSMIT)
        ask(host, n, n.state == structs.INCOMPLETE)
        return 0
    failed = n.waiting
    if failed:
        n.waiting = structs.waiting(failed).next
        n.count -= 1
    else:
        forget(host, n)
    return failed


def next_deadline(host):
    """When to poll next, 0 for never."""
    return host.neighbors_due


def add(host, high, low, mac):
    """An entry for ever. Raises ValueError when its set has no room."""
    n = entry(host, high, low, True)
    if not n:
        raise ValueError("too many permanent neighbors")
    n.mac = mac
    n.state = structs.PERMANENT
    host.generation += 1
