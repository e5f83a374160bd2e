# cython: infer_types=True
"""Segments on their way, in sequence order: the scoreboard of RFC 6675, one entry a segment as RFC 8985 needs it.

`flight` counts the octets of all entries, `sacked` those delivered out of order, `lost` those held for lost and not
yet sent again; what is left is in the pipe. SYN and FIN count as an octet.
"""

from libos.net import octets, seq, structs


def at(c, index):
    """Entry `index`, counted from the oldest."""
    return structs.sent(c.sent_at + ((c.sent_head + index) & (c.sent_size - 1)) * structs.sent_size())


def unsent(c):
    """Octets in the buffer that were never sent; -1 when the FIN behind them was."""
    return seq.gap(seq.add(c.tx_seq, c.tx.used), c.snd_nxt)


def pipe(c):
    """Octets that are believed to be in the network (RFC 6675, section 4, Pipe)."""
    left = c.flight - c.sacked - c.lost
    if c.duplicates and not c.flags & structs.SACK:
        # Without SACK each duplicate acknowledgment stands for a segment that has left: RFC 6582, section 3.2.
        left -= seq.number(c.duplicates) * c.mss
    return left if left > 0 else 0


def waiting(c):
    """Octets that the windows allow and that are not out yet: a burst of acknowledgments is answered as one, when it
    is over. To congestion control they are in flight.
    """
    n = unsent(c)
    usable = seq.gap(seq.add(c.snd_una, c.snd_wnd), c.snd_nxt)
    if n > usable:
        n = usable
    if n > c.cwnd - c.flight:
        n = c.cwnd - c.flight
    return n if n > 0 else 0


def room(t, c):
    """Whether one more entry can be made; takes memory where it must."""
    if c.sent_count < c.sent_size:
        return True
    size = c.sent_size * 2 if c.sent_size else 2
    new = t.host.pool.take(size * structs.sent_size())
    if new == 0:
        return False
    for i in range(c.sent_count):
        octets.copy(new + i * structs.sent_size(), structs.self_of_sent(at(c, i)), structs.sent_size())
    if c.sent_size:
        t.host.pool.give(c.sent_at, c.sent_size * structs.sent_size())
    c.sent_at = new
    c.sent_size = size
    c.sent_head = 0
    return True


def append(t, c, start, length, marks):
    """A segment was sent for the first time; there is room."""
    c.sent_count += 1
    s = at(c, c.sent_count - 1)
    s.seq = start
    s.length = length
    s.time = t.host.now
    s.marks = marks
    s.times = 1
    c.flight += length


def forget_oldest(c, s):
    """The oldest entry has arrived."""
    c.flight -= s.length
    if s.marks & structs.SACKED:
        c.sacked -= s.length
    elif s.marks & structs.LOST:
        c.lost -= s.length
    c.sent_head = (c.sent_head + 1) & (c.sent_size - 1)
    c.sent_count -= 1


def lose(c, s):
    """A segment is held for lost."""
    if not s.marks & (structs.SACKED | structs.LOST):
        s.marks |= structs.LOST
        c.lost += s.length


def lose_all(c):
    """The time-out has passed: all that is not known to have arrived is lost (RFC 8985, section 6.3)."""
    for i in range(c.sent_count):
        lose(c, at(c, i))


def sent_again(t, c, s):
    """A segment was sent once more: it is in the pipe again."""
    if s.marks & structs.LOST:
        s.marks ^= structs.LOST
        c.lost -= s.length
    s.marks |= structs.AGAIN
    s.time = t.host.now
    s.times += 1
    c.retransmissions += 1
    t.retransmitted += 1


def index_of_lost(c):
    """Which entry is to be sent again first, -1 for none."""
    if c.lost == 0:
        return -1
    for i in range(c.sent_count):
        if at(c, i).marks & structs.LOST:
            return i
    return -1


def split(t, c, index, length):
    """Make two entries of one, the first of them of `length` octets; false where there is no memory."""
    if not room(t, c):
        return False
    i = c.sent_count
    while i > index + 1:
        octets.copy(structs.self_of_sent(at(c, i)), structs.self_of_sent(at(c, i - 1)), structs.sent_size())
        i -= 1
    c.sent_count += 1
    s = at(c, index)
    rest = at(c, index + 1)
    octets.copy(structs.self_of_sent(rest), structs.self_of_sent(s), structs.sent_size())
    rest.seq = seq.add(s.seq, length)
    rest.length = s.length - length
    s.length = length
    s.marks &= ~(structs.HAS_FIN | structs.HAS_PSH)
    return True
