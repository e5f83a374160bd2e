# cython: infer_types=True
"""What two sides agree on by the options of their SYNs: sizes, scale, timestamps, SACK."""

from libos.net import seq, structs
from libos.net.tcp import window


def agree(t, c, p):
    """What the options of the peer's SYN allow from now on; in a SYN,ACK they answer ours."""
    if p.mss:
        c.peer_mss = p.mss if p.mss > 64 else 64  # none so small that headers are all there is (CVE-2019-11479)
    c.snd_scale = 0
    c.rcv_scale = 0
    if p.has_scale:
        # More than 14 counts as 14: RFC 7323, section 2.3.
        c.snd_scale = p.scale if p.scale < 14 else 14
        c.rcv_scale = window.our_scale(c)
    if p.has_timestamp:
        c.flags |= structs.TIMESTAMPS
        c.ts_recent = p.ts_value
        c.ts_recent_at = t.host.now
    else:
        c.flags &= ~structs.TIMESTAMPS
    if p.sack_permitted:
        c.flags |= structs.SACK
    c.irs = p.seq
    c.rcv_nxt = seq.add(p.seq, 1)
    c.rcv_adv = c.last_ack = c.rcv_nxt
    # The window in a SYN is never scaled: RFC 7323, section 2.2.
    c.snd_wnd = c.max_window = p.window
    c.snd_wl1 = p.seq
    c.snd_wl2 = p.ack
