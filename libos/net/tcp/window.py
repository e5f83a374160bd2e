# cython: infer_types=True
"""Windows: what we offer, never taken back and never silly (RFC 9293, section 3.8.6), and what the peer offers."""

from libos.net import seq


def our_mss(t, c):
    """What to say in a SYN: the device's MTU less the headers (RFC 9293, section 3.7.1; RFC 6691)."""
    mss = seq.low32(t.host.mtu) - (40 if c.family == 4 else 60)
    if c.user_mss and c.user_mss < mss:
        return c.user_mss
    return mss if mss < 65535 else 65535


def our_scale(c):
    """The least scale that lets the whole buffer be offered (RFC 7323, section 2.3), 14 at most."""
    scale = 0
    while scale < 14 and seq.shift(65535, scale) < c.rx_limit:
        scale += 1
    return scale


def free_room(c):
    """Octets that the receive buffer can take and the field can say."""
    left = c.rx_limit - c.rx.used
    most = seq.shift(65535, c.rcv_scale)
    if left > most:
        return most
    return left if left > 0 else 0


def current(c):
    """The window that the peer may use now: up to the edge it was told."""
    left = seq.gap(c.rcv_adv, c.rcv_nxt)
    return left if left > 0 else 0


def worthwhile(c):
    """The least growth that is told: RFC 1122, section 4.2.3.3."""
    half = c.rx_limit // 2
    full = seq.number(c.full_seen)
    return half if half < full else full


def offered(c):
    """The field for the next segment; moves the edge that the peer knows."""
    before = current(c)
    room = free_room(c)
    if room - before < worthwhile(c):
        room = before
    # Rounded up: a window rounded down would take back what was offered (RFC 7323, section 2.4).
    field = (room + seq.shift(1, c.rcv_scale) - 1) >> c.rcv_scale
    if field > 65535:
        field = 65535
    edge = seq.add(c.rcv_nxt, seq.shift(field, c.rcv_scale))
    if seq.gt(edge, c.rcv_adv):
        c.rcv_adv = edge
    return seq.low32(field)


def update(t, c, start, ack, size):
    """The peer's window, unless the segment is older than the one it was taken from last: RFC 9293, section
    3.10.7.4.
    """
    if seq.lt(c.snd_wl1, start) or (c.snd_wl1 == start and seq.le(c.snd_wl2, ack)):
        c.snd_wnd = size
        c.snd_wl1 = start
        c.snd_wl2 = ack
        if size > c.max_window:
            c.max_window = size
