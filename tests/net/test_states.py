"""Each state of RFC 9293, section 3.3.2, as calls and segments lead to it, is the record that one would write by hand.

All fields count but places in memory, tables and what is drawn by chance: sequence numbers from the initial ones, times
in milliseconds from now; what is not named is zero.
"""

import pytest
import script
from frames import words
from soundness import gap, sound

from libos.net import structs

MS = 10**6
ELSEWHERE = set(
    """chain bound bound_before parent pending event waiting user sent_at sent_size sent_head heap_deadline heap_index
    deadline accepting generation header_length partial ident header ts_offset iss irs hole_left hole_right""".split()
)
OURS = set("snd_una snd_nxt snd_wl2 snd_up tx_seq recover rack_end probe_end fack rack_round small_end".split())
THEIRS = set("snd_wl1 rcv_nxt rcv_adv rcv_up last_ack fin_seq sack_recent dsack_left dsack_right".split())
TIMES = set(
    """min_rtt_at rack_time progress ts_recent_at retransmit_at ack_at cork_at keep_at end_at reorder_at trim_at
    cubic_start cubic_last""".split()
)
SPANS = set("srtt rttvar rto min_rtt rack_rtt".split())
FLAGS = "SACK ACTIVE BOUND HASHED EXPLICIT FIN_QUEUED FIN_RECEIVED".split()


def said(c, name, now):
    """A field of a record as a person would say it."""
    value = getattr(c, name)
    if name in ("tx", "rx"):
        return value.used
    if value == 0:
        return 0
    if name in OURS:
        return gap(value, c.iss)
    if name in THEIRS:
        return gap(value, c.irs)
    if name in TIMES:
        return (value - now) / MS
    if name in SPANS:
        return value / MS
    if name == "state":
        return script.STATES[value]
    if name == "flags":
        known = {flag for flag in FLAGS if value & getattr(structs, flag)}
        return known if sum(getattr(structs, flag) for flag in known) == value else value
    return value


def image(c, now):
    """All that is in a record."""
    return {name: said(c, name, now) for name, _ in c._fields_ if name not in ELSEWHERE}


# --- records, written by hand: each is an earlier one with other values ---

US, PEER = words(script.US), words(script.PEER)
# RFC 6298, section 2.1: RTO is 1 s until a round trip was measured. CUBIC; keep-alive of RFC 1122, section 4.2.3.6
NEW = {
    "family": 4, "tx_limit": 1 << 20, "rx_limit": 1 << 20, "rto": 1000, "rack_steps": 1, "congestion": structs.CUBIC,
    "keep_idle": 7200, "keep_interval": 75, "keep_count": 9, "time_to_live": 64,
}  # fmt: skip
LISTENING = NEW | {"state": "LISTEN", "flags": {"BOUND", "EXPLICIT"}, "local_port": 8080, "backlog": 5}
# the peer has not said its MSS: 536 (RFC 9293, section 3.7.1); the SYN is octet 0, on its way, data begins at 1
NAMED = {
    "local_high": US[0], "local_low": US[1], "remote_high": PEER[0], "remote_low": PEER[1], "remote_port": 33333,
    "local_port": 8080,
}  # fmt: skip
SYN_SENT = NEW | NAMED | {
    "state": "SYN_SENT", "flags": {"ACTIVE", "BOUND", "HASHED"}, "local_port": None,
    "snd_nxt": 1, "tx_seq": 1, "sent_count": 1, "flight": 1, "retransmit_at": 1000,
    "peer_mss": 536, "mss": 536, "full_seen": 536,
}  # fmt: skip
SYN_RECEIVED = NEW | NAMED | {
    "state": "SYN_RECEIVED", "flags": {"BOUND", "HASHED", "SACK"},
    "snd_nxt": 1, "tx_seq": 1, "sent_count": 1, "flight": 1, "retransmit_at": 1000,
    "snd_wnd": 65535, "max_window": 65535, "rcv_nxt": 1, "rcv_adv": 65536, "last_ack": 1,
    "peer_mss": 1000, "mss": 1000, "full_seen": 536,
}  # fmt: skip
# the handshake took 60 ms: SRTT is that, RTTVAR half of it (RFC 6298, section 2.2), RTO the least there is; a window of
# ten segments (RFC 6928), no threshold yet; RACK's newest delivery is the SYN (RFC 8985, section 5.2)
ESTABLISHED = SYN_RECEIVED | {
    "state": "ESTABLISHED", "sent_count": 0, "flight": 0, "retransmit_at": 0,
    "snd_una": 1, "snd_wl1": 1, "snd_wl2": 1, "cwnd": 10_000, "ssthresh": 1 << 40,
    "srtt": 60, "rttvar": 30, "rto": 200, "min_rtt": 60, "rack_time": -60, "rack_rtt": 60, "rack_end": 1, "fack": 1,
}  # fmt: skip
BEGUN = ESTABLISHED | {"flags": {"ACTIVE", "BOUND", "HASHED", "SACK"}, "local_port": None, "snd_wl1": 0}
# RFC 8985, section 7.2: a probe after two round trips, and the 40 ms of a delayed acknowledgment for a single segment
ON_ITS_WAY = {"sent_count": 1, "retransmit_at": 160, "timer_kind": structs.TIMER_PROBE}
SENT = ESTABLISHED | ON_ITS_WAY | {"snd_nxt": 501, "tx": 500, "flight": 500, "small_end": 501}
HEARD = ESTABLISHED | {"rcv_nxt": 501, "rx": 500, "ack_owed": 500, "ack_at": 40}
OPEN = {"BOUND", "HASHED", "SACK"}
# our FIN is octet 1, theirs too: each counts in sequence space
FIN_WAIT_1 = ESTABLISHED | ON_ITS_WAY | {
    "state": "FIN_WAIT_1", "flags": OPEN | {"FIN_QUEUED"}, "snd_nxt": 2, "flight": 1, "small_end": 2,
}  # fmt: skip
# acknowledged after 100 ms: SRTT 7/8 of 60 and 1/8 of 100, RTTVAR 3/4 of 30 and 1/4 of 40 (RFC 6298, section 2.3)
ANSWERED = {
    "snd_una": 2, "snd_wl2": 2, "sent_count": 0, "flight": 0, "retransmit_at": 0, "timer_kind": 0,
    "srtt": 65, "rttvar": 32.5, "rack_rtt": 100, "rack_end": 2, "fack": 2, "rack_time": -100, "min_rtt_at": -100,
}  # fmt: skip
FIN_WAIT_2 = FIN_WAIT_1 | ANSWERED | {"state": "FIN_WAIT_2"}
CLOSING = FIN_WAIT_1 | {
    "state": "CLOSING", "flags": OPEN | {"FIN_QUEUED", "FIN_RECEIVED"}, "fin_seq": 1, "rcv_nxt": 2, "last_ack": 2,
    "retransmit_at": 100, "timer_kind": structs.TIMER_RTO, "progress": -100, "min_rtt_at": -100, "rack_time": -160,
}  # fmt: skip
# sixty seconds of silence; what was measured is of 100 ms ago
TIME_WAIT = CLOSING | ANSWERED | {
    "state": "TIME_WAIT", "end_at": 60_000, "progress": -100, "rack_time": -200, "min_rtt_at": -200,
}  # fmt: skip
CLOSE_WAIT = ESTABLISHED | {
    "state": "CLOSE_WAIT", "flags": OPEN | {"FIN_RECEIVED"}, "fin_seq": 1, "rcv_nxt": 2, "last_ack": 2,
}  # fmt: skip
LAST_ACK = CLOSE_WAIT | ON_ITS_WAY | {
    "state": "LAST_ACK", "flags": OPEN | {"FIN_RECEIVED", "FIN_QUEUED"}, "snd_nxt": 2, "flight": 1, "small_end": 2,
}  # fmt: skip
# its user has it still, the tables don't
CLOSED = LAST_ACK | ANSWERED | {
    "state": 0, "flags": {"SACK", "FIN_QUEUED", "FIN_RECEIVED"}, "snd_wl1": 2,
}  # fmt: skip
RESET = ESTABLISHED | {"state": 0, "flags": {"SACK"}, "error": structs.RESET}
REFUSED = SYN_SENT | {
    "state": 0, "flags": {"ACTIVE"}, "error": structs.REFUSED, "progress": -100, "sent_count": 0, "flight": 0,
    "retransmit_at": 0,
}  # fmt: skip

# --- and the ways there ---

ACCEPTED = "+0 accepted(mss 1000, sackOK) = 4\n"
WE_END = ACCEPTED + "+0 shutdown(4, wr) = 0\n+0 > F. 1:1(0) ack 1\n"
THEY_END = ACCEPTED + "+0 < F. 1:1(0) ack 1\n+0 > . 1:1(0) ack 2\n"
BOTH_END = THEY_END + "+0 shutdown(4, wr) = 0\n+0 > F. 1:1(0) ack 2\n"
CALLED = "+0 socket() = 3\n+0 connect(3) = IN_PROGRESS\n+0 > S 0:0(0)\n"
LISTENER = "+0 socket() = 3\n+0 bind(3, 8080) = 0\n+0 listen(3, 5) = 0\n"
WAYS = {
    "CLOSED, new": ("+0 socket() = 3", NEW),
    "LISTEN": (LISTENER, LISTENING),
    "SYN-SENT": (CALLED, SYN_SENT),
    "SYN-RECEIVED": (LISTENER + "+0 < S 0:0(0) win 65535 <mss 1000,sackOK>\n+0 > S. 0:0(0) ack 1", SYN_RECEIVED),
    "ESTABLISHED by accept": (ACCEPTED, ESTABLISHED),
    "ESTABLISHED by connect": ("+0 connected(mss 1000, sackOK) = 3", BEGUN),
    "ESTABLISHED, octets on their way": (ACCEPTED + "+0 write(4, 500) = 500\n+0 > P. 1:501(500) ack 1", SENT),
    "ESTABLISHED, octets unread": (ACCEPTED + "+0 < P. 1:501(500) ack 1", HEARD),
    "FIN-WAIT-1": (WE_END, FIN_WAIT_1),
    "FIN-WAIT-2": (WE_END + "+.1 < . 1:1(0) ack 2", FIN_WAIT_2),
    "CLOSING": (WE_END + "+.1 < F. 1:1(0) ack 1\n+0 > . 2:2(0) ack 2", CLOSING),
    "TIME-WAIT": (WE_END + "+.1 < . 1:1(0) ack 2\n+.1 < F. 1:1(0) ack 2\n+0 > . 2:2(0) ack 2", TIME_WAIT),
    "CLOSE-WAIT": (THEY_END, CLOSE_WAIT),
    "LAST-ACK": (BOTH_END, LAST_ACK),
    "CLOSED, after both have ended": (BOTH_END + "+.1 < . 2:2(0) ack 2", CLOSED),
    "CLOSED, by a reset": (ACCEPTED + "+0 < R. 1:1(0) ack 1", RESET),
    "CLOSED, refused": (CALLED + "+.1 < R. 0:0(0) ack 1", REFUSED),
}


@pytest.mark.parametrize("name", WAYS)
def test_the_record_is_as_written(name):
    way, expected = WAYS[name]
    runner = script.Runner()
    runner.run(way)
    at = runner.tcp.find(*US, 8080, *PEER, 33333) if expected.get("state") == "SYN_RECEIVED" else runner.last
    c = structs.Tcb.from_address(at)
    found = image(c, runner.now)
    if expected.get("local_port") is None and "local_port" in expected:
        assert 32768 <= found["local_port"] < 61000  # drawn by chance: RFC 6056
        found["local_port"] = None
    assert {name: value for name, value in found.items() if value != expected.get(name, 0)} == {}, expected
    sound(c)
    runner.close()
