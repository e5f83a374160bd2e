"""What always holds of a connection's record, whatever has come and whatever was called."""

from libos.net import structs

M32 = 2**32


def gap(a, b):
    return (a - b + 2**31) % M32 - 2**31


def sound(c):
    """What always holds of a record."""
    entries = []
    for i in range(c.sent_count):
        at = c.sent_at + ((c.sent_head + i) & (c.sent_size - 1)) * structs.sent_size()
        entries.append(structs.Sent.from_address(at))
    assert c.flight == sum(s.length for s in entries)
    assert c.sacked == sum(s.length for s in entries if s.marks & structs.SACKED)
    assert c.lost == sum(s.length for s in entries if s.marks & structs.LOST)
    assert not any(s.marks & structs.SACKED and s.marks & structs.LOST for s in entries)
    follows = c.snd_una
    for s in entries:
        assert s.seq == follows and s.length > 0
        follows = (s.seq + s.length) % M32
    if c.state >= structs.SYN_SENT and c.state != structs.TIME_WAIT:
        assert follows == c.snd_nxt
    if c.sent_count and c.state >= structs.SYN_SENT:
        assert c.retransmit_at, "something is out and no timer runs"
    edges = [gap(edge, c.rcv_nxt) for i in range(c.hole_count) for edge in (c.hole_left[i], c.hole_right[i])]
    assert edges == sorted(set(edges)) and (not edges or edges[0] > 0)
    assert 0 <= c.rx.used <= c.rx_limit + 65535 and c.rx.used <= c.rx.size or c.rx.used == 0
    assert 0 <= c.tx.used <= c.tx_limit
    assert c.cwnd > 0 or c.state < structs.ESTABLISHED
    assert c.ssthresh >= 0 and c.mss >= 0
    if c.heap_index:
        assert c.heap_deadline <= c.deadline or c.deadline == 0
