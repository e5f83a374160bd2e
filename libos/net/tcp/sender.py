# cython: infer_types=True
"""Segments that go out: what to send when, and how it is written."""

from libos.net import octets, output, ring, seq, structs
from libos.net.tcp import flight, timing, window
from libos.net.tcp.congestion import control
from libos.net.wire import tcp_header


def payload_room(c):
    """The most octets of data a segment takes: options lie within the MSS (RFC 6691)."""
    return c.mss - 12 if c.flags & structs.TIMESTAMPS else c.mss


def may_send(c):
    """Whether data may go out in this state (RFC 9293, section 3.10.2), or is still to go before the FIN."""
    return c.state >= structs.ESTABLISHED and c.state != structs.FIN_WAIT_2 and c.state != structs.TIME_WAIT


def emit(t, c, start, length, flags):
    """Write one segment with data from the buffer; false when it can't go out now."""
    blocks = sack_blocks(c, length)
    options = 12 if c.flags & structs.TIMESTAMPS else 0
    if blocks:
        options += 4 + seq.number(blocks) * 8
    at = output.begin(t.host, c)
    if at == 0:
        return False
    urgent = 0
    ecn = 0
    if c.flags & structs.URGENT_OUT and length and seq.gt(c.snd_up, start):
        # The pointer counts from this segment: RFC 9293, section 3.8.5. It is the octet behind the urgent one, as all
        # do it (RFC 6093).
        flags |= structs.URG
        urgent = seq.low32(seq.diff(c.snd_up, start))
        if urgent > 65535:
            urgent = 65535
    if c.flags & structs.ECN and not flags & structs.SYN:
        if c.flags & structs.ECE_DUE:
            flags |= structs.ECE
        if length and seq.ge(start, c.snd_nxt):
            # Data that is sent for the first time may be marked: RFC 3168, sections 6.1 and 6.1.5.
            ecn = 2
            if c.flags & structs.CWR_DUE:
                c.flags ^= structs.CWR_DUE
                flags |= structs.CWR
    tcp_header.write(at, c.local_port, c.remote_port, start, c.rcv_nxt, flags, window.offered(c), urgent, 20 + options)
    to = at + 20
    if c.flags & structs.TIMESTAMPS:
        to = tcp_header.write_timestamp(to, timing.stamp(t, c), c.ts_recent)
    if blocks:
        to = write_sacks(c, to, blocks)
    if length:
        ring.get(structs.tx_of(c), seq.diff(start, c.tx_seq), to, length)
    output.end(t.host, c, at, 20 + options + length, ecn)
    t.segments_out += 1 if length <= payload_room(c) else (length + payload_room(c) - 1) // payload_room(c)
    c.ack_owed = 0
    c.ack_at = 0
    c.last_ack = c.rcv_nxt
    c.flags &= ~(structs.ACK_NOW | structs.DSACK)
    return True


def sack_blocks(c, length):
    """How many SACK blocks go with so many octets of data (RFC 2018, section 3)."""
    if not c.flags & structs.SACK or (c.hole_count == 0 and not c.flags & structs.DSACK):
        return 0
    count = c.hole_count + (1 if c.flags & structs.DSACK else 0)
    most = 3 if c.flags & structs.TIMESTAMPS else 4
    if count > most:
        count = most
    while count and length + 4 + seq.number(count) * 8 > payload_room(c):
        count -= 1
    return count


def write_sacks(c, to, blocks):
    """The option: a duplicate first (RFC 2883), then the block that came last, then the others (RFC 2018,
    section 4).
    """
    octets.put32(to, 0x01010000 | structs.OPTION_SACK << 8 | (2 + blocks * 8))
    to += 4
    if c.flags & structs.DSACK:
        octets.put32(to, c.dsack_left)
        octets.put32(to + 4, c.dsack_right)
        to += 8
        blocks -= 1
    return write_holes(c, to, blocks)


def write_holes(c, to, blocks):
    first = seq.low32(0)
    for i in range(c.hole_count):
        if seq.ge(c.sack_recent, c.hole_left[i]) and seq.lt(c.sack_recent, c.hole_right[i]):
            first = i
    i = first
    n = seq.low32(0)
    while n < blocks and i < c.hole_count:
        octets.put32(to, c.hole_left[i])
        octets.put32(to + 4, c.hole_right[i])
        to += 8
        # after the newest one all others from the lowest on
        i = 0 if n == 0 else i + 1
        if i == first:
            i += 1
        n += 1
    return to


def emit_syn(t, c):
    """A SYN, or the SYN,ACK in SYN-RECEIVED, with what we can do or have agreed to."""
    passive = c.state == structs.SYN_RECEIVED
    at = output.begin(t.host, c)
    if at == 0:
        return False
    flags = seq.low32(structs.SYN)
    offered = c.rx_limit if c.rx_limit < 65535 else 65535
    if passive:
        flags |= structs.ACK
        if c.flags & structs.ECN:
            flags |= structs.ECE
    elif t.ecn == 1 and c.backoff == 0:
        flags |= structs.ECE | structs.CWR
    if c.backoff >= 1 and not passive:
        c.flags &= ~structs.ECN
    to = tcp_header.write_mss(at + 20, window.our_mss(t, c))
    if not passive or c.flags & structs.TIMESTAMPS:
        to = tcp_header.write_timestamp(to, timing.stamp(t, c), c.ts_recent)
    if not passive or c.flags & structs.SACK:
        to = tcp_header.write_sack_permitted(to)
    if not passive or c.snd_scale or c.rcv_scale:
        to = tcp_header.write_scale(to, window.our_scale(c))
    ack = c.rcv_nxt if passive else 0
    tcp_header.write(at, c.local_port, c.remote_port, c.iss, ack, flags, seq.low32(offered), 0, to - at)
    output.end(t.host, c, at, to - at, 0)
    t.segments_out += 1
    if passive:
        c.rcv_adv = seq.add(c.rcv_nxt, offered)
        c.last_ack = c.rcv_nxt
        c.flags &= ~structs.ACK_NOW
    return True


def acknowledge(t, c):
    """An acknowledgment with no data, now or as soon as a frame can go out."""
    if not emit(t, c, c.snd_nxt, 0, structs.ACK):
        c.flags |= structs.ACK_NOW
        if t.host.full():
            t.pend(c)


def retransmit(t, c, index):
    """Send an entry of the scoreboard again, in pieces when segments have become smaller; false when it can't
    go out.
    """
    s = flight.at(c, index)
    if s.marks & structs.HAS_SYN:
        if not emit_syn(t, c):
            return False
        flight.sent_again(t, c, s)
        return True
    flags = structs.ACK
    length = seq.number(s.length)
    if s.marks & structs.HAS_FIN:
        length -= 1
        flags |= structs.FIN
    room = payload_room(c)
    if length > room:
        if not flight.split(t, c, index, room):
            return False
        s = flight.at(c, index)
        length = room
        flags &= ~structs.FIN
    if s.marks & structs.HAS_PSH:
        flags |= structs.PSH
    if not emit(t, c, s.seq, length, flags):
        return False
    flight.sent_again(t, c, s)
    return True


def next_length(t, c):
    """Octets of new data that may go out in the next segment; 0: only a FIN is due; -1: nothing may."""
    left = flight.unsent(c)
    if left < 0:
        return -1
    if left == 0:
        return 0 if c.flags & structs.FIN_QUEUED else -1
    n = left if left < payload_room(c) else payload_room(c)
    usable = seq.gap(seq.add(c.snd_una, c.snd_wnd), c.snd_nxt)
    if usable <= 0:
        return -1
    budget = c.cwnd - flight.pipe(c)
    if budget < n and not (budget > 0 and flight.pipe(c) == 0):
        return -1
    if n > usable:
        # The sender's side of silly-window avoidance: a part only of what is a good deal of the largest window seen
        # (RFC 1122, section 4.2.3.4); else the persist timer asks.
        if usable * 2 < c.max_window:
            return -1
        return usable
    if n < payload_room(c):
        return -1 if held_back(t, c, n, left) else n
    return several(t, c, left, usable, budget) if t.host.cut else n


def several(t, c, left, usable, budget):
    """Octets of as many full segments as may go out in one frame, which the device cuts; one at least."""
    room = payload_room(c)
    n = t.host.cut - c.header_length - 60
    if n > left:
        n = left
    if n > usable:
        n = usable
    if n > budget:
        n = budget
    mac = octets.get48(structs.header_of(c))
    if n < 2 * room or c.flags & structs.URGENT_OUT or c.generation != t.host.generation or mac == t.host.mac:
        return room
    if not flight.room(t, c):  # each of them has an entry
        return room
    if n > (c.sent_size - c.sent_count) * room:
        n = (c.sent_size - c.sent_count) * room
    return n - n % room


def held_back(t, c, n, left):
    """Whether a small segment that is all there is waits for more."""
    if c.flags & structs.FIN_QUEUED:
        return False
    if c.options & (structs.CORK | structs.MORE):
        # Corked: until there is a full segment, or for 200 ms (tcp(7)).
        if c.cork_at == 0:
            c.cork_at = t.host.now + seq.milliseconds(200)
            return True
        return c.cork_at > t.host.now
    if c.options & structs.NODELAY:
        return False
    # Nagle's rule (RFC 9293, section 3.7.4) would wait for anything unacknowledged; as in Linux (Minshall's variant),
    # only another small segment on its way makes this one wait: it saves the stall at the end of a write of many
    # segments.
    return seq.gt(c.small_end, c.snd_una) and c.sent_count > 0


def send_new(t, c, n):
    """Send the next `n` octets, with the FIN where they are the last; false when they can't go out."""
    if not flight.room(t, c):
        return False
    flags = structs.ACK
    marks = 0
    fin = c.flags & structs.FIN_QUEUED and n == flight.unsent(c)
    if fin:
        flags |= structs.FIN
        marks = structs.HAS_FIN
    if n and n == flight.unsent(c):
        flags |= structs.PSH
        marks |= structs.HAS_PSH
    start = c.snd_nxt
    part = payload_room(c)  # what goes out may be what shows that the path takes less
    if not emit(t, c, start, n, flags):
        return False
    length = n + 1 if fin else n
    if n < payload_room(c):
        c.small_end = seq.add(start, length)
    if c.recovery == structs.RECOVERY:
        c.prr_out += length
    while n > part:
        flight.append(t, c, start, part, 0)
        start = seq.add(start, part)
        n -= part
        length -= part
    flight.append(t, c, start, length, marks)
    c.snd_nxt = seq.add(start, length)
    c.cork_at = 0
    return True


def transmit(t, c):
    """Send what may be sent: first what is lost, then new data, then an acknowledgment that is owed."""
    if c.state == structs.SYN_SENT or c.state == structs.SYN_RECEIVED or c.state < structs.SYN_SENT:
        if c.state > structs.LISTEN and (c.flags & structs.ACK_NOW or c.lost):
            retransmit(t, c, 0)
        return
    sent = False
    oldest = False
    first = c.sent_count == 0
    if may_send(c):
        if first and c.srtt and flight.unsent(c) > 0 and t.host.now - c.progress > c.rto:
            control.restart(c)
        while c.lost:
            if flight.pipe(c) + c.mss > c.cwnd and flight.pipe(c) > 0:
                break
            index = flight.index_of_lost(c)
            if index < 0 or not retransmit(t, c, index):
                break
            if index == 0:
                oldest = True
            if c.recovery == structs.RECOVERY:
                c.prr_out += flight.at(c, index).length
        if c.lost == 0:
            n = next_length(t, c)
            while n >= 0:
                if not send_new(t, c, n):
                    break
                sent = True
                n = next_length(t, c)
        if first and sent:
            c.progress = t.host.now
        timing.set_retransmission(t, c, oldest)
    if c.flags & structs.ACK_NOW:
        acknowledge(t, c)
    if t.host.full():
        t.pend(c)
    t.arm(c)
