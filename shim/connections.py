"""The TCP and UDP descriptors of processes under Catflap, and how each of them is served: for `top` and `why`."""

import time
from dataclasses import dataclass

import psutil

from libos import layout
from shim import far_ends, inside, reasons
from shim.inside import written

MOVED = (layout.RING, layout.REPLAYING)


@dataclass
class Connection:
    """One descriptor of one process. `libos` moves its bytes; `code` is 0 or the reason why that is the kernel.

    `tcp` and what follows it: of a connection on Catnip, as far_ends.FarEnd has them.
    """

    pid: int
    program: str
    fd: int
    protocol: str
    local: str
    remote: str
    libos: str = "kernel"
    state: str = "kernel"
    code: int = 0
    peer: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    level_in: int = 0
    level_out: int = 0
    spins: int = 0
    sleeps: int = 0
    fulls: int = 0
    tcp: str = ""
    cwnd: int = 0
    srtt: int = 0
    retransmissions: int = 0

    @property
    def name(self):
        return reasons.name(self.code) if self.code else ""

    def as_dict(self):
        return {**vars(self), "name": self.name}


class Snapshot:
    """Processes under Catflap and their connections at one moment, or those of process `only`.

    `unreadable`: {pid: (program, inside.Unreadable)} of those that can't be looked into.
    """

    def __init__(self, only=None):
        self.time = time.monotonic()
        self.processes = inside.catflapped()
        self.unreadable = {}
        self.connections = []
        self.addresses, self.holders = addresses()
        self.families = {}
        try:
            for process in self.processes:
                if only in (None, process.pid):
                    self.look(process, only is not None)
        finally:
            for process in self.processes:
                process.close()

    def look(self, process, alone):
        try:
            self.connections += self.of(process)
        except inside.Unreadable as error:
            if alone:
                raise
            if inside.alive(process.pid):
                self.unreadable[process.pid] = (process.program, error)

    def of(self, process):
        """The connections of one process."""
        program, links = process.program, process.descriptors()
        numbers, found = {}, []
        for fd, link in links.items():
            numbers.setdefault(link, []).append(fd)
        records, far = self.records(process) if process.table else ({}, {})
        for fd, link in sorted(links.items()):
            kind = inside.protocol(process.pid, fd) if link.startswith("socket:") else ""
            if kind and process.entry(fd)[1] != inside.OWN and (process.pid, fd) not in far:
                local, remote, status = self.addresses.get(link, ("", "", ""))
                row = Connection(process.pid, program, fd, kind, local, remote)
                row.peer = self.holders.get((remote, local), 0) if remote else 0
                record = serve(row, process, candidates(records, numbers[link]), status)
                beyond = far.get((local, remote)) or record and far.get(record["AT"])
                if beyond:
                    carried(row, beyond)
                found.append(row)
        return found

    def records(self, process):
        """What any process of its family has touched: ({descriptor number: records}, far ends as in `by_near`)."""
        if process.family not in self.families:
            pages, relatives = set(), {}
            for other in self.processes:
                if other.family == process.family:
                    relatives[other.pid] = other
                    try:
                        pages |= other.touched()
                    except inside.Unreadable:  # it may have ended
                        continue
            records = process.records(pages)
            self.families[process.family] = by_number(records), self.by_near(far_ends.find(records, relatives))
        return self.families[process.family]

    def by_near(self, found):
        """Far ends by what the program's end may be known by: its record, its (local, remote) on loopback.

        And by their own (process, descriptor).
        """
        known = {}
        for far in found:
            known[far.pid, far.fd] = known[far.near] = far
            link = inside.link(far.pid, far.fd)
            if link in self.addresses:
                local, remote, _ = self.addresses[link]
                known[remote, local] = far
        return known


def addresses():
    """({link of a socket: (local, remote, TCP state)}, {(local, remote): process}) of this network namespace."""
    by_link, holders = {}, {}
    for known in psutil.net_connections("inet"):
        local, remote = written(*known.laddr), written(*known.raddr)
        if known.pid is None:
            continue
        if remote:
            holders[local, remote] = known.pid
        link = inside.link(known.pid, known.fd)
        if link:
            by_link[link] = (local, remote, known.status)
    return by_link, holders


def by_number(records):
    found = {}
    for record in records:
        found.setdefault(record["FD"], []).append(record)
    return found


def candidates(records, numbers):
    """The records that may be the one of a socket which the process has under these numbers."""
    return [record for number in numbers for record in records.get(number, ())]


def pick(process, fd, records):
    """The record of a descriptor, or None.

    Compiled descriptions hold their record's address. Interpreted ones don't, and a number alone may be in several
    records of a family: then the last of the process's own is the best guess.
    """
    at = process.end_of(fd)
    if at:
        return process.record(at)
    own = [record for record in records if record["OWNER"] == process.pid]
    return (own or records or [None])[-1]


def serve(row, process, records, status):
    """Say who serves a descriptor, and in which state. Returns its record, if it has one."""
    ours, row.code = process.entry(row.fd)
    if row.code == inside.LISTENING:
        row.state, row.code = "listening", 0
    if row.code or row.state == "listening":
        return None
    tcp = row.protocol.startswith("tcp")
    if process.young(row.fd):
        row.state = "young" if row.remote else "unconnected"
        return None
    record = pick(process, row.fd, records) if tcp and ours is not False else None
    if ours is None:  # no word of the preload's can be read
        ours = record is not None or process.host and not process.table
        if not tcp and process.table:
            row.code = reasons.AUTO
            return None
    if not ours and process.host_state() == "off":
        row.code = process.kernel_reason()
    elif not ours:
        row.state = "inherited"
    elif not process.table:
        row.libos = row.state = "catnap"
    elif status == psutil.CONN_LISTEN:
        row.state = "listening"
    elif record is None:
        row.state = "young" if row.remote else "unconnected"
    else:
        judge(row, record, status)
    return record


def judge(row, record, status):
    """As serve, for a connection of Catloop's."""
    row.bytes_in, row.bytes_out = record["HEAD"], record["TAIL"]
    row.level_in, row.level_out = (min(record[name], layout.LEVELS - 1) for name in ("IN_LEVEL", "OUT_LEVEL"))
    row.spins, row.sleeps, row.fulls = record["SPINS"], record["SLEEPS"], record["FULLS"]
    if record["LEFT"]:
        row.code = reasons.LEFT
    elif not row.remote and not record["IN"]:  # one that is in use in another network namespace has no address here
        row.state = "unconnected"
    elif not record["IN"]:
        row.state = "meeting" if record["MEETING"] else "young"
    elif record["IN_STATE"] in MOVED or record["OUT_STATE"] in MOVED:
        beyond = record["MINT"] & 0xFFFFFFFF  # behind it is another word of 32 bits
        row.libos, row.state = "catmint" if beyond else "catloop", "upgraded"
    elif status != psutil.CONN_ESTABLISHED:
        row.state = "closing"
    elif record["OUT_STATE"] == layout.KERNEL:
        row.code = reasons.LEFT  # by the other end
    else:
        row.state = "moving"


def carried(row, far):
    """As serve, for a connection of Catnip's: its ends are those on the network."""
    row.libos = row.state = "catnip"
    row.code = row.peer = 0
    row.local, row.remote, row.tcp = far.local, far.remote, far.tcp
    row.cwnd, row.srtt, row.retransmissions = far.cwnd, far.srtt, far.retransmissions
