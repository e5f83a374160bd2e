"""Catnip's protocols without a device: what a segment costs, between two stacks that hand each other frames."""

import ctypes
import statistics
import time

import libos.mode
from benchmarks.programs import on_one_core
from benchmarks.report import row
from libos.net import neighbors, structs, udp_user
from libos.net.stack import Stack
from libos.net.tcp import user

BURST = 100  # frames timed at once: fewer than an outbox holds
SECOND = 10**9


def run(quick, progress):
    with on_one_core():
        return measured(quick, progress)


def measured(quick, progress):
    progress("stack")
    pure = libos.mode.pure()
    blocks = 5 if quick or pure else 60
    rows = []
    for size, limits in ((64, (120, 250)), (1448, (None, None))):
        received, echoed, acked = timed(size, blocks)
        for name, values, limit in (
            (f"TCP: {size:,} B in order to the receive queue", received, limits[0]),
            (f"TCP: {size:,} B in, read, answered, out", echoed, limits[1]),
            (f"TCP: {size:,} B in order that acknowledge as many", acked, None),
        ):
            bar = {} if pure or limit is None else {"bar": f"≤ {limit}", "met": statistics.median(values) <= limit}
            rows.append(row(name, "ns", values, **bar))
    for name, values in zip(("in, read", "out"), datagrams(64, blocks), strict=True):
        rows.append(row(f"UDP: 64 B {name}", "ns", values))
    return rows


class Side:
    """A stack with one connection."""

    def __init__(self, last, other):
        self.stack = Stack(last, 1500, bytes([last]) * 16, 1 << 27)
        self.tcp = self.stack.tcp
        self.stack.host.add_address(0, 0xFFFF0A000000 | last, 120)
        neighbors.add(self.stack.host, 0, 0xFFFF0A000000 | other, other)
        self.memory = ctypes.create_string_buffer(1 << 20)
        self.at = ctypes.addressof(self.memory)

    def receive(self, frames, now):
        for address, length in frames:
            self.stack.receive(address, length, now)

    def open_window(self):
        """So that it is the segment that is measured, not the network."""
        c = structs.Tcb.from_address(self.c)
        c.cwnd = c.ssthresh = 1 << 30
        user.set_option(self.tcp, self.c, structs.NODELAY, True)


def kept(frames):
    """Frames in memory of their own: the buffers, and (address, length) of each."""
    buffers = [ctypes.create_string_buffer(frame, len(frame)) for frame in frames]
    return buffers, [(ctypes.addressof(buffer), len(buffer)) for buffer in buffers]


def exchange(a, b, now):
    """Hand frames over until there are none left."""
    while True:
        for side in (a, b):
            side.stack.poll(now)
        frames = [kept(side.stack.host.out.contents()) for side in (a, b)]
        if not frames[0][1] and not frames[1][1]:
            return
        b.receive(frames[0][1], now)
        a.receive(frames[1][1], now)


def timed(size, blocks):
    """Nanoseconds a segment, a number for each block: received; echoed; received with an acknowledgment.

    What Python's own calls cost is measured with calls that do nothing, and taken off.
    """
    a, b, now = Side(1, 2), Side(2, 1), SECOND
    for side in (a, b):
        side.stack.host.now = now
    listener = user.open(b.tcp, 4)
    user.bind(b.tcp, listener, 0, 0, 80)
    user.listen(b.tcp, listener, 1)
    a.c = user.open(a.tcp, 4)
    user.connect(a.tcp, a.c, 0, 0xFFFF0A000002, 80)
    exchange(a, b, now)
    b.c = user.accept(b.tcp, listener)
    idle = user.open(b.tcp, 4)
    burst = min(BURST, 60_000 // size)
    received, echoed, acked = [], [], []
    for _ in range(blocks):
        for values, answers in ((received, False), (echoed, True)):
            now += SECOND // 1000
            for side in (a, b):
                side.stack.host.now = now
                side.open_window()
            for _ in range(burst):
                user.send(a.tcp, a.c, a.at, size, False)
            buffers, frames = kept(a.stack.host.out.contents())
            nothing = [(address, 10) for address, _ in frames]
            if answers:
                values.append((echo(b, b.c, frames, size, now) - echo(b, idle, nothing, 0, now)) / burst)
                buffers, frames = kept(b.stack.host.out.contents())
                acked.append((clocked(a, frames, now) - clocked(a, nothing, now)) / burst)
                user.receive_into(a.tcp, a.c, a.at, 1 << 20, False)
            else:
                values.append((clocked(b, frames, now) - clocked(b, nothing, now)) / burst)
                user.receive_into(b.tcp, b.c, b.at, 1 << 20, False)
            exchange(a, b, now)
    for side in (a, b):
        side.stack.host.close()
    return received, echoed, acked


def datagrams(size, blocks):
    """Nanoseconds a datagram, a number for each block: received and read; sent."""
    a, b, now = Side(1, 2), Side(2, 1), SECOND
    here, there = udp_user.open(a.stack.udp, 4), udp_user.open(b.stack.udp, 4)
    udp_user.bind(b.stack.udp, there, 0, 0, 9)
    udp_user.connect(a.stack.udp, here, 0, 0xFFFF0A000002, 9)
    read, sent = [], []
    for _ in range(blocks):
        took = [0, 0]
        for i, (length, count) in enumerate(((65508, BURST), (size, BURST))):  # the former is refused
            start = time.perf_counter_ns()
            for _ in range(count):
                udp_user.send(a.stack.udp, here, a.at, length, 0, 0, 0)
            took[i] = time.perf_counter_ns() - start
        sent.append((took[1] - took[0]) / BURST)
        buffers, frames = kept(a.stack.host.out.contents())
        for i, (list_of, limit) in enumerate(((frames, size), ([(at, 10) for at, _ in frames], 0))):
            start = time.perf_counter_ns()
            for address, length in list_of:
                b.stack.receive(address, length, now)
                udp_user.receive_into(b.stack.udp, there, b.at, limit)
            took[i] = time.perf_counter_ns() - start
        read.append((took[0] - took[1]) / BURST)
    for side in (a, b):
        side.stack.host.close()
    return read, sent


def clocked(side, frames, now):
    receive = side.stack.receive
    start = time.perf_counter_ns()
    for address, length in frames:
        receive(address, length, now)
    return time.perf_counter_ns() - start


def echo(side, c, frames, size, now):
    receive, read, send, tcp, at = side.stack.receive, user.receive_into, user.send, side.tcp, side.at
    start = time.perf_counter_ns()
    for address, length in frames:
        receive(address, length, now)
        read(tcp, c, at, size, False)
        send(tcp, c, at, size, False)
    return time.perf_counter_ns() - start
