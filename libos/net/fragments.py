# cython: infer_types=True
"""Datagrams that come in fragments are put together again (RFC 791, RFC 8200 section 4.5).

Sixteen at a time; of more the oldest gives way. A map has a bit for each block of 8 octets. Fragments that overlap
end their datagram (RFC 5722, for IPv4 as well, as Linux does): nobody needs them but who wants to deceive.
"""

from libos.net import octets, seq, structs

LIFE = 30 * 10**9  # RFC 791 lets the sender choose, RFC 8200 says 60 s; Linux' value for IPv4
BUFFER = 131072  # 65536 octets, and 8192 octets of map behind them


def whole(host, p):
    """Take a fragment; true when its datagram is whole, and then `p` is the whole one until the next fragment comes."""
    f = entry(host, p)
    if not f:
        return False
    length = p.transport_length
    last = seq.number(p.fragment_offset) + length
    # All but the last are multiples of 8; none reaches beyond what a length field can say.
    if last > 65535 - 20 or (p.more_fragments and length & 7) or length == 0:
        forget(host, f)
        return False
    if not p.more_fragments:
        if f.total and f.total != last:
            forget(host, f)
            return False
        f.total = last
    fresh = mark(f, p.fragment_offset >> 3, (last + 7) >> 3)
    if fresh < 0:
        forget(host, f)
        return False
    if fresh == 0:
        return False
    octets.copy(f.buffer + p.fragment_offset, p.transport, length)
    f.got += length
    if p.ecn == 3:
        f.ecn = 3
    if f.total == 0 or f.got < f.total:
        return False
    if f.got > f.total:
        forget(host, f)
        return False
    p.transport = f.buffer
    p.transport_length = f.total
    p.more_fragments = p.fragment_offset = 0
    if f.ecn:
        p.ecn = f.ecn
    # the buffer stays until its place is needed: nobody finds it any more
    f.until = host.now
    f.total = f.got = 0
    f.used = 2
    return True


def entry(host, p):
    """Where the fragments of one datagram are collected; a null one where there is no memory."""
    oldest = structs.fragments(host.fragments_at)
    for i in range(structs.REASSEMBLIES):
        f = structs.fragments(host.fragments_at + i * structs.fragments_size())
        if (
            f.used == 1
            and f.id == p.fragment_id
            and f.protocol == p.protocol
            and f.source_low == p.source_low
            and f.target_low == p.target_low
            and f.source_high == p.source_high
            and f.target_high == p.target_high
        ):
            return f
        if oldest.used and (f.used == 0 or f.until < oldest.until):
            oldest = f
    forget(host, oldest)
    oldest.buffer = host.pool.take(BUFFER)
    if oldest.buffer == 0:
        return structs.fragments(0)
    oldest.id = p.fragment_id
    oldest.protocol = p.protocol
    oldest.source_high = p.source_high
    oldest.source_low = p.source_low
    oldest.target_high = p.target_high
    oldest.target_low = p.target_low
    oldest.until = host.now + LIFE
    oldest.used = 1
    return oldest


def forget(host, f):
    if f.buffer:
        host.pool.give(f.buffer, BUFFER)
    f.buffer = 0
    f.total = f.got = 0
    f.used = f.ecn = 0


def mark(f, first, last):
    """Note the blocks of a fragment: 1 when they are new, 0 when all were there (it came twice), -1 when some were."""
    taken = False
    free = False
    i = first
    while i < last:
        at = f.buffer + 65536 + (i >> 3)
        bits = octets.get8(at)
        if bits >> (i & 7) & 1:
            taken = True
        else:
            free = True
            octets.put8(at, bits | 1 << (i & 7))
        i += 1
    if taken:
        return -1 if free else 0
    return 1


def poll(host):
    """Forget what was not whole in time."""
    if host.now < host.fragments_at_time:
        return
    host.fragments_at_time = host.now + seq.milliseconds(1000)
    for i in range(structs.REASSEMBLIES):
        f = structs.fragments(host.fragments_at + i * structs.fragments_size())
        if f.used and f.until <= host.now:
            forget(host, f)
