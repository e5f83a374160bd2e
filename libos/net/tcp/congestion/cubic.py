# cython: infer_types=True
"""CUBIC (RFC 9438): the window grows along a cubic of the time since the last loss.

In integers, so that both modes and all machines agree: times in milliseconds, windows in octets. C is 0.4, beta 0.7.
"""

from libos.net import seq
from libos.net.tcp import flight


def start(c):
    c.cubic_max = c.cubic_k = c.cubic_start = c.cubic_w = c.cubic_last = 0


def cube_root(n):
    """The largest whole r with r*r*r <= n."""
    low = seq.number(0)
    high = seq.number(2000000)
    while low < high:
        middle = (low + high + 1) >> 1
        if middle * middle * middle <= n:
            low = middle
        else:
            high = middle - 1
    return low


def begin_epoch(c, now):
    """Congestion avoidance begins: K is how long it takes to be where the loss was (RFC 9438, equation 2)."""
    c.cubic_start = now
    c.cubic_w = c.cwnd
    if c.cubic_max > c.cwnd:
        # K**3 = (W_max - cwnd) / (C * mss) in s**3; times 10**9 it is in ms**3
        c.cubic_k = cube_root((c.cubic_max - c.cwnd) * 10 // (4 * c.mss) * 1000000000)
    else:
        c.cubic_k = 0
        c.cubic_max = c.cwnd


def acked(c, octets, now):
    if c.cubic_start == 0:
        begin_epoch(c, now)
    # the window one round trip from now: RFC 9438, section 4.2
    t = (now - c.cubic_start + c.srtt) // 1000000 - c.cubic_k
    if t > 1000000:
        t = 1000000
    target = c.cubic_max + t * t // 1000 * t // 1000 * 4 // 10 * c.mss // 1000
    if target < c.cwnd:
        target = c.cwnd
    if target > c.cwnd + c.cwnd // 2:
        target = c.cwnd + c.cwnd // 2
    # Reno-friendly region: an estimate of what NewReno would have, alpha = 3 * (1 - beta) / (1 + beta), and 1 from the
    # window on that there was at the loss, section 4.3
    if c.cubic_w < c.cubic_last:
        c.cubic_w += octets * c.mss * 9 // (c.cwnd * 17)
    else:
        c.cubic_w += octets * c.mss // c.cwnd
    if c.cubic_w > target:
        c.cwnd = c.cubic_w
    elif target > c.cwnd:
        c.acked_part += octets * (target - c.cwnd)
        if c.acked_part >= c.cwnd:
            c.cwnd += c.acked_part // c.cwnd
            c.acked_part = c.acked_part % c.cwnd


def lost(c, now):
    # Fast convergence: who loses below its last maximum leaves room for others, RFC 9438, section 4.7.
    c.cubic_max = c.cwnd * 17 // 20 if c.cwnd < c.cubic_last else c.cwnd
    c.cubic_last = c.cwnd
    c.cubic_start = 0
    # of what is in flight: a window that was not in use says nothing (section 4.6)
    base = c.flight + flight.waiting(c)
    if base > c.cwnd:
        base = c.cwnd
    after = base * 7 // 10
    return after if after > 2 * c.mss else 2 * c.mss
