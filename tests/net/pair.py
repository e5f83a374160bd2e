"""Two stacks joined by a wire in memory that loses, delays, repeats and reorders frames, under one fake clock."""

import ctypes
import heapq
import itertools
import random

from frames import words

from libos.devices.impair import Lane
from libos.net import neighbors, structs
from libos.net.stack import Stack
from libos.net.tcp import user

SECOND, MS = 10**9, 10**6
ADDRESSES = {4: ("10.0.0.1", "10.0.0.2"), 6: ("fd00::1", "fd00::2")}


class Wire:
    """`delay` nanoseconds each way; `loss`, `twice`, `jitter` are chances; `gap` nanoseconds a frame occupies
    the wire.
    """

    def __init__(self, seed, delay=1 * MS, loss=0.0, twice=0.0, jitter=0.0, gap=0, queue=10**9):
        self.random = random.Random(seed)
        self.delay, self.loss, self.twice, self.jitter, self.gap, self.queue = delay, loss, twice, jitter, gap, queue
        self.busy = [0, 0]
        self.flying = []
        self.order = itertools.count()
        self.carried = self.dropped = 0

    def send(self, to, frame, now):
        if self.random.random() < self.loss or self.busy[to] - now > self.queue * max(self.gap, 1):
            self.dropped += 1
            return
        self.busy[to] = max(self.busy[to], now) + self.gap
        for _ in range(1 + (self.random.random() < self.twice)):
            at = self.busy[to] + self.delay
            if self.random.random() < self.jitter:
                at += self.random.randrange(3 * self.delay)
            heapq.heappush(self.flying, (at, next(self.order), to, frame))
            self.carried += 1

    def due(self):
        """When the next frame arrives, -1 for never."""
        return self.flying[0][0] if self.flying else -1

    def take(self, now):
        """(to whom, frame) of the next that has arrived, or None."""
        return heapq.heappop(self.flying)[2:] if 0 <= self.due() <= now else None


class Lanes:
    """A wire of the lanes of libos/devices/impair.py: the same harm each way."""

    def __init__(self, seed, harm):
        self.lanes = [Lane(harm, f"{seed} {way}") for way in ("back", "there")]

    def send(self, to, frame, now):
        self.lanes[to].put(frame, now)

    def due(self):
        return min((lane.due() for lane in self.lanes if lane.frames), default=-1)

    def take(self, now):
        for to, lane in enumerate(self.lanes):
            if (frame := lane.take(now)) is not None:
                return to, frame
        return None


class Pair:
    """Stacks a (0) and b (1) on one wire."""

    def __init__(
        self,
        wire,
        family=4,
        mtu=1500,
        start=1000 * SECOND,
        seeds=(b"a" * 16, b"b" * 16),
        room=1 << 27,
        known=True,
        cut=0,
    ):
        self.wire, self.family, self.now = wire, family, start
        self.stacks = [Stack(0x020000000001 + i, mtu, seeds[i], room, 256, 0, cut) for i in (0, 1)]
        for stack, names in zip(self.stacks, zip(*ADDRESSES.values(), strict=True), strict=True):
            for name in names:
                stack.host.add_address(*words(name), 120 if "." in name else 64)
            stack.host.now = start
        if known:  # else each has to ask for the other's Ethernet address, which a lossy wire may not let through
            for i, stack in enumerate(self.stacks):
                for names in ADDRESSES.values():
                    neighbors.add(stack.host, *words(names[1 - i]), 0x020000000001 + 1 - i)

    def close(self):
        for stack in self.stacks:
            stack.host.close()

    def flush(self):
        for i, stack in enumerate(self.stacks):
            stack.poll(self.now)
            for frame in stack.host.out.contents():
                self.wire.send(1 - i, frame, self.now)

    def step(self, until):
        """Go on to the next thing that happens, at `until` at the latest; false when there is nothing more."""
        self.flush()
        times = [max(time, self.now) for time in (stack.next_deadline() for stack in self.stacks) if time]
        if self.wire.due() >= 0:
            times.append(max(self.wire.due(), self.now))
        if not times or min(times) > until:
            self.now = until
            for stack in self.stacks:
                stack.host.now = until
            return False
        self.now = min(times)
        for stack in self.stacks:
            stack.host.now = self.now
        while arrived := self.wire.take(self.now):
            to, frame = arrived
            buffer = ctypes.create_string_buffer(frame, len(frame))
            self.stacks[to].receive(ctypes.addressof(buffer), len(frame), self.now)
        self.flush()
        return True

    def run(self, seconds, until=lambda: False):
        """Go on for so long or until something is so: whether it is."""
        end = self.now + int(seconds * SECOND)
        while not until():
            if not self.step(end):
                return until()
        return True

    def address(self, i):
        return words(ADDRESSES[self.family][i])

    def listen(self, i=1, port=80, backlog=8):
        tcp = self.stacks[i].tcp
        listener = user.open(tcp, self.family)
        assert user.bind(tcp, listener, 0, 0, port) == 0
        assert user.listen(tcp, listener, backlog) == 0
        return End(self, i, listener)

    def connect(self, i=0, port=80):
        tcp = self.stacks[i].tcp
        c = user.open(tcp, self.family)
        assert user.connect(tcp, c, *self.address(1 - i), port) == -structs.IN_PROGRESS
        return End(self, i, c)

    def connected(self):
        """A client of a and a server of b that are connected."""
        listener = self.listen()
        client = self.connect()
        assert self.run(60, lambda: client.state >= structs.ESTABLISHED and listener.ready)
        return client, listener.accept()


class End:
    """One record, by its user's calls."""

    buffer = ctypes.create_string_buffer(1 << 20)
    at = ctypes.addressof(buffer)

    def __init__(self, pair, i, address):
        self.pair, self.tcp, self.i, self.address = pair, pair.stacks[i].tcp, i, address

    @property
    def record(self):
        return structs.Tcb.from_address(self.address)

    @property
    def state(self):
        return self.record.state

    @property
    def ready(self):
        return user.ready(self.tcp, self.address)

    def accept(self):
        address = user.accept(self.tcp, self.address)
        assert address > 0
        return End(self.pair, self.i, address)

    def send(self, data, more=False):
        ctypes.memmove(self.at, data, len(data))
        return user.send(self.tcp, self.address, self.at, len(data), more)

    def receive(self, size=1 << 20):
        """Octets; b"" at the end of the stream; None where nothing is there. Raises ConnectionError."""
        n = user.receive_into(self.tcp, self.address, self.at, size, False)
        if n == -structs.WOULD_BLOCK:
            return None
        if n < 0:
            raise ConnectionError(-n)
        return self.buffer[:n]

    def shutdown(self):
        return user.shutdown(self.tcp, self.address, False, True)

    def option(self, option, on=True):
        return user.set_option(self.tcp, self.address, option, on)

    def close(self):
        user.close(self.tcp, self.address)
