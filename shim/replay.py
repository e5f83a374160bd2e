"""`catflap replay`: run the stack of a tape once more, and say whether it does what it did."""

import bdb
import os
import pdb
from datetime import datetime
from ipaddress import IPv6Address

from libos import raw
from libos.devices.capture_file import INBOUND, OUTBOUND, PcapngWriter
from libos.memory_file import MAP_SHARED, READ, SYS_mmap
from libos.net import structs
from libos.net.replay import SECOND, Difference, Replay, Unreadable
from shim import run

SHOWN = 20  # connections


def mapped(path):
    """(address, size) of the octets of a file. Raises OSError."""
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        address = raw.syscall(SYS_mmap, 0, size, READ, MAP_SHARED, file.fileno(), 0) if size else 0
    if address < 0:
        raise OSError(-address, os.strerror(-address))
    return address, size


def main(path, stop, capture):
    """An exit status: 0 where all is the same, 1 where something is not, 2 where the tape can't be run.

    `stop`: in pdb, at the record of that number, or at that time where it is a float, of seconds; None: not.
    """
    try:
        replay = Replay(*mapped(path))
        writer = PcapngWriter(capture) if capture else None
    except OSError as error:
        return run.complain(f"replay {error.filename or path}", error.strerror)
    except (Unreadable, ValueError) as error:
        return run.complain(f"replay {path}", str(error), "give a file of 'catflap run --record'")
    try:
        difference = play(replay, replay.stack, Stops(stop) if stop is not None else None, writer)
    except bdb.BdbQuit:
        print(f"left at record {replay.done + 1}")
        return 1
    print("\n".join(summary(replay)))
    print(difference or "the same, state for state")
    replay.stack.host.close()
    return 1 if difference else 0


class Stops:
    """The debugger, and the record that it waits for."""

    def __init__(self, at):
        self.debugger = pdb.Pdb()
        self.at = at
        self.over = False

    def due(self, record):
        """Whether it is to stop here, once."""
        there = record.time >= self.at * SECOND if isinstance(self.at, float) else record.number >= self.at
        due = there and not self.over
        self.over = self.over or due
        return due


def play(replay, stack, stops, writer):
    """Make all calls of a tape: None, or the first Difference. pdb stops in here."""
    wall = replay.head["wall"]
    if writer:
        replay.sent = lambda record, frame: writer.write(wall + record.time, frame, OUTBOUND)
    try:
        for record in replay.records():
            frame = record.frame
            if writer and record.kind == structs.CALL_RECEIVE:
                writer.write(wall + record.time, frame, INBOUND)
            if stops and stops.due(record):
                stops.debugger.set_trace()
            replay.perform(record)  # of `stack`, with `frame`
    except Difference as difference:
        if stops:
            print(difference)
            stops.debugger.set_trace()
        return difference
    return None


def summary(replay):
    """Lines."""
    began = datetime.fromtimestamp(replay.head["wall"] / SECOND).isoformat(" ", "seconds")
    yield f"{replay.head.get('program', '?')} ({replay.head.get('pid', '?')}), {began}, {replay.time / SECOND:.6f} s"
    yield f"frames      {replay.frames_in} in, {replay.frames_out} out, in {replay.done} records"
    for _, local, remote, ours in replay.connections[:SHOWN]:
        yield f"connection  {name(local)} {'→' if ours else '←'} {name(remote)}"
    if len(replay.connections) > SHOWN:
        yield f"            and {len(replay.connections) - SHOWN} more"
    yield f"sent again  {replay.stack.tcp.retransmitted} segments"
    if replay.ending:
        yield f"the tape ends {replay.ending}"


def name(end):
    high, low, port = end
    address = IPv6Address(high << 64 | low)
    return f"{address.ipv4_mapped}:{port}" if address.ipv4_mapped else f"[{address}]:{port}"
