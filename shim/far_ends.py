"""Connections that Catnip carries on inside a process, seen from outside: what its stack knows of each.

The program's socket has a far end in the same process, the far end a relay, and that a record of the stack
(libos/relay.py). Any of them may go or be another's while it is looked at: a step is believed where the next one
points back.
"""

from dataclasses import dataclass
from ipaddress import IPv6Address

from libos import layout
from libos.net import structs
from shim.inside import Unreadable, written

STATES = ("CLOSED", "LISTEN", "SYN_SENT", "SYN_RECEIVED", "ESTABLISHED", "FIN_WAIT_1", "FIN_WAIT_2", "CLOSE_WAIT",
          "CLOSING", "LAST_ACK", "TIME_WAIT")  # fmt: skip


@dataclass
class FarEnd:
    """`pid` and `fd`: whose and which socket it is. `near`: the program's record, 0 while it has no rings.

    `tcp` is the connection's state (RFC 9293, section 3.3.2), `cwnd` in bytes, `srtt` in nanoseconds, 0 before the
    first measurement; `retransmissions` counts segments.
    """

    pid: int
    fd: int
    near: int
    local: str
    remote: str
    tcp: str
    cwnd: int
    srtt: int
    retransmissions: int


def find(records, processes):
    """The far ends among the records of a family, which these processes ({pid: Process}) are of."""
    for record in records:
        process = processes.get(record["OWNER"])
        if record["RELAY"] and process:
            try:
                found = behind(process, record)
            except Unreadable:  # of another kind of record the word is no address, or it is over
                continue
            if found:
                yield found


def behind(process, record):
    """The FarEnd that a record is, None when it is the program's own. Raises Unreadable."""
    at = record["RELAY"]
    relay = memoryview(process.read(at, layout.R_SIZE)).cast("Q")
    if relay[layout.R_FAR // 8] != record["AT"]:
        return None
    c = structs.Tcb.from_buffer_copy(process.read(relay[layout.R_AT // 8], structs.tcb_size()))
    if c.user != at or c.state not in NAMES:
        return None
    local = written(host(c.local_high, c.local_low), c.local_port)
    remote = written(host(c.remote_high, c.remote_low), c.remote_port)
    near = relay[layout.R_OWN // 8]
    measured = (max(c.cwnd, 0), max(c.srtt, 0), c.retransmissions)
    return FarEnd(process.pid, record["FD"], near, local, remote, NAMES[c.state], *measured)


def host(high, low):
    """The text of an address in the stack's two words (RFC 4291, section 2.5.5.2)."""
    address = IPv6Address(high << 64 | low)
    return str(address.ipv4_mapped or address)


NAMES = {getattr(structs, name): name.replace("_", "-") for name in STATES}
