# cython: infer_types=True
"""SYN cookies (RFC 4987, section 3.6): under a flood the state of a handshake lies in its sequence number.

    31..27  minutes, of 32        26..24  index of the MSS        23..0  keyed hash of both sockets, the peer's ISN
    and these

Scale and SACK lie in the low six bits of our timestamp, which comes back (as in Linux); without timestamps there are
none.
"""

from libos.net import octets, seq, structs
from libos.net.tcp import agreement, sender, timing

MINUTE = 60 * 10**9


def minute(t):
    return seq.low32(t.host.now // MINUTE) & 31


def size(index):
    """The MSS that an index stands for: the common ones."""
    if index < 4:
        return 536 if index == 0 else (1220 if index == 1 else (1360 if index == 2 else 1440))
    return 1460 if index == 4 else (4312 if index == 5 else (8940 if index == 6 else 64))


def code(t, p, client, when, index):
    """The cookie for a client whose initial sequence number is `client`."""
    h = octets.hash(
        t.host.key1,
        t.host.key0,
        p.source_high,
        p.source_low,
        p.target_high,
        p.target_low,
        seq.words(p.source_port, p.target_port),
        seq.words(client, when << 3 | index),
    )
    return when << 27 | index << 24 | (seq.low32(h) & 0xFFFFFF)


def answer(t, listener, p):
    """A SYN,ACK that leaves nothing here."""
    index = 7
    i = 0
    while i < 7:
        if size(i) <= p.mss:
            index = i
        i += 1
    listener.told_at = seq.low32(t.host.now // 1000000000) + 1
    c = t.facing(p)
    if not c:
        return
    c.rx_limit = listener.rx_limit
    c.user_mss = listener.user_mss
    c.state = structs.SYN_RECEIVED
    c.iss = code(t, p, p.seq, minute(t), index)
    timing.begin(t, c)
    agreement.agree(t, c, p)
    if p.has_timestamp:
        stamp = timing.stamp(t, c)
        carried = (stamp & ~63) | (c.snd_scale if p.has_scale else 15) << 1 | p.sack_permitted
        if seq.gt(carried, stamp):
            # never ahead of the clock: what follows must not seem older (RFC 7323, section 5)
            carried = seq.add(carried, -64)
        c.ts_offset = seq.add(c.ts_offset, seq.gap(carried, stamp))
    else:
        c.flags &= ~structs.SACK
        c.snd_scale = c.rcv_scale = 0
    if sender.emit_syn(t, c):
        t.cookies_out += 1
    t.destroy(c)


def recent(t, listener):
    """Whether a cookie of this listener may still come back: two minutes after the last one."""
    return listener.told_at != 0 and t.host.now // 1000000000 - seq.number(listener.told_at) < 120


def check(t, p):
    """The MSS that an acknowledgment brings back; 0 when it is no cookie of ours of the last two minutes."""
    value = seq.add(p.ack, -1)
    when = value >> 27
    index = value >> 24 & 7
    age = (minute(t) - when) & 31
    if age > 1 or code(t, p, seq.add(p.seq, -1), when, index) != value:
        return 0
    return size(index)


def options(t, c, p):
    """What the SYN had asked for, out of the timestamp that comes back. An ACK has no such options of its own."""
    p.has_scale = p.sack_permitted = 0
    if not p.has_timestamp:
        return
    echo = p.ts_echo & 63
    p.sack_permitted = echo & 1
    if echo >> 1 & 15 != 15:
        p.has_scale = 1
        p.scale = echo >> 1 & 15
