# cython: infer_types=True
"""Octets that come in: put in order, acknowledged, read by the user.

                rcv_nxt - rx.used      rcv_nxt                                 rcv_adv
    -- read -------|-- in order, rx.used --|-- hole --|= came early =|-- hole --|-- not offered --

What came early lies in the same ring, where it belongs, and is remembered as ranges, sixteen at most.
"""

from libos.net import ring, seq, structs
from libos.net.tcp import closing, sender, timing, window

ENOUGH = 32768  # of window that the peer may use: the next acknowledgment is early enough to say that there is more


def text(t, c, p):
    """The urgent pointer, text and FIN of an acceptable segment, in states in which there may be any."""
    if c.state != structs.ESTABLISHED and c.state != structs.FIN_WAIT_1 and c.state != structs.FIN_WAIT_2:
        return
    if p.flags & structs.URG:
        urgent(t, c, p)
    if (p.payload_length or p.flags & structs.FIN) and take(t, c, p):
        closing.fin_received(t, c)
    if c.flags & structs.ACK_NOW:
        t.pend(c)


def take(t, c, p):
    """The text and the FIN of an acceptable segment; true when the FIN is now in order (RFC 9293, section 3.10.7.4)."""
    start = p.seq
    length = p.payload_length
    payload = p.payload
    fin = p.flags & structs.FIN != 0
    skip = seq.gap(c.rcv_nxt, start)
    if skip > 0:
        # The beginning is there already: it is cut off, and reported as a duplicate (RFC 2883).
        if length:
            duplicate(c, start, seq.add(start, skip if skip < length else length))
        if skip > length or (skip == length and not fin):
            c.flags |= structs.ACK_NOW
            return False
        payload += skip
        length -= skip
        start = c.rcv_nxt
    beyond = seq.gap(seq.add(start, length), seq.add(c.rcv_nxt, window.current(c)))
    if beyond > 0:
        # What lies beyond the window is cut off, and the FIN behind it.
        length -= beyond
        fin = False
        c.flags |= structs.ACK_NOW
    if fin:
        c.fin_seq = seq.add(start, length)
        c.flags |= structs.FIN_AHEAD
    if length > 0:
        if start == c.rcv_nxt:
            in_order(t, c, payload, length)
        else:
            ahead(t, c, start, payload, length)
    elif fin and start != c.rcv_nxt:
        c.flags |= structs.ACK_NOW
    if c.flags & structs.FIN_AHEAD and c.fin_seq == c.rcv_nxt:
        c.flags ^= structs.FIN_AHEAD
        return True
    return False


def in_order(t, c, payload, length):
    """The next octets of the stream."""
    if not ring.hold(t.host, structs.rx_of(c), c.rx.used + length):
        return
    ring.put(structs.rx_of(c), c.rx.used, payload, length)
    c.rx.used += length
    c.rcv_nxt = seq.add(c.rcv_nxt, length)
    if c.hole_count:
        # A segment that fills a gap is acknowledged at once: RFC 5681, section 4.2.
        close_hole(t, c)
        c.flags |= structs.ACK_NOW
    owe(t, c, length)
    t.tell(c)


def owe(t, c, length):
    """An acknowledgment is due: at once for the second full segment, else within 40 ms (RFC 5681, section 4.2)."""
    if length > c.full_seen:
        c.full_seen = length if length < c.mss else c.mss  # a device may have put several segments into one
    c.ack_owed += length
    if c.ack_owed >= 2 * c.full_seen or c.options & structs.QUICK_ACK:
        c.flags |= structs.ACK_NOW
    elif c.ack_at == 0:
        c.ack_at = t.host.now + timing.DELAYED_ACK


def ahead(t, c, start, payload, length):
    """Octets that came before those they follow: kept, and acknowledged at once (RFC 5681, section 4.2)."""
    offset = c.rx.used + seq.diff(start, c.rcv_nxt)
    end = seq.add(start, length)
    for i in range(c.hole_count):
        if seq.le(c.hole_left[i], start) and seq.ge(c.hole_right[i], end):
            duplicate(c, start, end)
    if ring.hold(t.host, structs.rx_of(c), offset + length) and remember(c, start, end):
        ring.put(structs.rx_of(c), offset, payload, length)
        c.sack_recent = start
    sender.acknowledge(t, c)


def remember(c, start, end):
    """Add a range to those that came early; false when there are too many of them."""
    left = start
    right = end
    i = 0
    while i < c.hole_count and seq.lt(c.hole_right[i], start):
        i += 1
    # i is the first range that the new one touches or lies before; j the first one beyond it
    j = i
    while j < c.hole_count and seq.le(c.hole_left[j], end):
        if seq.lt(c.hole_left[j], left):
            left = c.hole_left[j]
        if seq.gt(c.hole_right[j], right):
            right = c.hole_right[j]
        j += 1
    if i == j:
        if c.hole_count == structs.HOLES:
            return False
        k = c.hole_count
        while k > i:
            c.hole_left[k] = c.hole_left[k - 1]
            c.hole_right[k] = c.hole_right[k - 1]
            k -= 1
        c.hole_count += 1
    else:
        k = j
        while k < c.hole_count:
            c.hole_left[k - (j - i - 1)] = c.hole_left[k]
            c.hole_right[k - (j - i - 1)] = c.hole_right[k]
            k += 1
        c.hole_count -= j - i - 1
    c.hole_left[i] = left
    c.hole_right[i] = right
    return True


def close_hole(t, c):
    """Ranges that now follow on what is in order are in order too."""
    while c.hole_count and seq.le(c.hole_left[0], c.rcv_nxt):
        more = seq.gap(c.hole_right[0], c.rcv_nxt)
        if more > 0:
            c.rx.used += more
            c.rcv_nxt = c.hole_right[0]
        remove_first(c)


def remove_first(c):
    for i in range(1, c.hole_count):
        c.hole_left[i - 1] = c.hole_left[i]
        c.hole_right[i - 1] = c.hole_right[i]
    c.hole_count -= 1


def duplicate(c, left, right):
    """What came twice is said in the next acknowledgment (RFC 2883)."""
    if c.flags & structs.SACK:
        c.dsack_left = left
        c.dsack_right = right
        c.flags |= structs.DSACK


def urgent(t, c, p):
    """The urgent pointer of a segment: RFC 9293, section 3.10.7.4, sixth; it points behind the urgent octet
    (RFC 6093).
    """
    if p.urgent == 0:
        return
    up = seq.add(p.seq, seq.number(p.urgent) - 1)
    if seq.lt(up, read_position(c)) or (c.flags & structs.URGENT_IN and seq.le(up, c.rcv_up)):
        return
    c.rcv_up = up
    c.flags |= structs.URGENT_IN
    c.flags &= ~(structs.URGENT_VALID | structs.URGENT_READ)
    t.tell(c)


def read_position(c):
    """Sequence number of the next octet that the user reads."""
    return seq.add(c.rcv_nxt, -c.rx.used - (1 if c.flags & structs.FIN_RECEIVED else 0))


def at_mark(c):
    """Whether the urgent octet is the next one."""
    return c.flags & structs.URGENT_IN and c.rx.used and c.rcv_up == read_position(c)


def until_mark(c, n):
    """How many of the next `n` octets lie before the urgent one: a read stops there (tcp(7))."""
    distance = seq.gap(c.rcv_up, read_position(c))
    return distance if c.flags & structs.URGENT_IN and 0 < distance < n else n


def past_mark(c):
    """The urgent octet is the next one, and does not lie in the stream: who reads past it finds it aside (tcp(7))."""
    if not c.flags & structs.URGENT_READ:
        ring.get(structs.rx_of(c), 0, structs.urgent_of(c), 1)
        c.flags |= structs.URGENT_VALID
    c.flags &= ~(structs.URGENT_IN | structs.URGENT_READ)
    ring.drop(structs.rx_of(c), 1)


def read(t, c, address, size, peek):
    """Copy up to `size` octets to the user: how many. With `peek` they stay."""
    skipped = 0
    if at_mark(c) and not c.options & structs.OOB_INLINE:
        if peek:
            skipped = 1
        else:
            past_mark(c)
    n = c.rx.used - skipped
    n = until_mark(c, n if n < size else size)
    if n <= 0:
        return 0
    ring.get(structs.rx_of(c), skipped, address, n)
    if not peek:
        skip(t, c, n)
    return n


def skip(t, c, n):
    """The user has taken the oldest `n` octets."""
    ring.drop(structs.rx_of(c), n)
    if c.rx.used == 0 and c.rx.size > 4096:
        # a large buffer that stays empty is given back
        c.trim_at = t.host.now + seq.milliseconds(1000)
    opened(t, c)


def opened(t, c):
    """Room was made: a peer that had little left is told of a good deal more (RFC 9293, section 3.8.6.2.2)."""
    if c.state < structs.ESTABLISHED or c.flags & structs.FIN_RECEIVED:
        return
    before = window.current(c)
    grown = window.free_room(c) - before
    if grown >= 2 * window.worthwhile(c) and before * 2 < window.free_room(c) and before < ENOUGH:
        sender.acknowledge(t, c)
