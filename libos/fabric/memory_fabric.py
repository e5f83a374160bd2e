"""A fabric in memory: endpoints of one process, and a network between them that can be slow, unfair and broken.

Everything follows from the seed and the clock. What requests name is read and written when they arrive, not when they
are made, so that whoever uses memory again too early is found out.
"""

import heapq
import random
import struct
from collections import deque
from ctypes import memmove, string_at

from libos.fabric import structs
from libos.fabric.fabric import PythonFabric

DEPTH = 1024
INJECTS = 256


class Request:
    """A send, write or read on its way. `lane`: what it may not overtake; `data`: of a send that nobody hears of."""

    def __init__(self, lane, operation, pieces, context, remote=0, key=0, data=None):
        self.lane = lane
        self.operation = operation
        self.pieces = pieces
        self.context = context
        self.remote = remote
        self.key = key
        self.data = data
        self.length = sum(length for _, length in pieces) if data is None else len(data)


class Lane:
    """The messages, or else the reads and writes, of one endpoint to another."""

    def __init__(self, source, target):
        self.source = source
        self.target = target  # None: nobody has that address
        self.latest = -1
        self.arrived = deque()  # messages that wait for a receive
        self.out = {}  # requests that are not completed, in their order
        self.broken = False


class Network:
    """`delay` and `jitter` (at most, more) of each request in nanoseconds; `refuse`: the probability that one is
    refused as if the queue were full; `patient`: see PATIENT; `source`: see SOURCE. `waited`: messages that found no
    receive.
    """

    def __init__(self, clock, seed=0, delay=0, jitter=0, refuse=0.0, patient=True, source=True):
        self.clock = clock
        self.chance = random.Random(seed)
        self.delay, self.jitter, self.refuse = delay, jitter, refuse
        self.patient, self.source = patient, source
        self.endpoints = {}
        self.events = []  # heap of (due, lot, number, request)
        self.number = 0
        self.waited = 0

    def key(self):
        return self.chance.getrandbits(63)

    def put(self, request):
        """A request sets out."""
        lane = request.lane
        due = self.clock.now() + self.delay + round(self.chance.random() * self.jitter)
        lane.latest = due = max(due, lane.latest + 1 if self.jitter else lane.latest)
        self.number += 1
        # among those that arrive at the same time chance decides, but within a lane
        lot = self.chance.random() if self.jitter else 0
        lane.out[self.number] = request
        request.number = self.number
        heapq.heappush(self.events, (due, lot, self.number, request))

    def move(self):
        """Everything that is due arrives."""
        now = self.clock.now()
        while self.events and self.events[0][0] <= now:
            request = heapq.heappop(self.events)[3]
            if request.number in request.lane.out:
                self.arrive(request)

    def arrive(self, request):
        lane = request.lane
        target = lane.target
        fault = lane.source.fault
        status = fault(request.operation, request.length) if fault else None
        if lane.broken or target is None or (target.dead and not target.silent):
            status = structs.GONE
        if status is not None:
            self.complete(request, status)
            if status == structs.GONE or request.operation == structs.SENT:
                self.cut(lane.source, target)
        elif target.dead:
            return
        elif request.operation == structs.SENT:
            lane.arrived.append(request)
            if not target.posted:
                self.waited += 1
                if not self.patient:
                    self.complete(request, structs.GONE)
                    self.cut(lane.source, target)
            target.accept(lane)
        else:
            self.complete(request, target.touched(request))

    def cut(self, one, other):
        """Nothing goes on between two endpoints until each of them forgets the other."""
        for a, b in ((one, other), (other, one)):
            for lane in a.lanes_to(b) if a is not None and b is not None else ():
                lane.broken = True
                lane.arrived.clear()
                self.flush(lane, structs.GONE)

    def flush(self, lane, status):
        for request in list(lane.out.values()):
            self.complete(request, status)

    def complete(self, request, status):
        if request.lane.out.pop(request.number, None) is not None:
            request.lane.source.completed(request, status)

    def due(self):
        return self.events[0][0] if self.events else -1


class MemoryFabric(PythonFabric):
    """The endpoint `name` of a network. `fault(operation, length)`, when it is set, is asked when a request of this
    endpoint arrives, and may return the status that it fails with; GONE, and a failed send, end all between the two.
    """

    def __init__(self, network, name, receives=DEPTH, requests=DEPTH, segments=4, peers=1024):
        capabilities = structs.ENFORCES | structs.SCOPED
        capabilities |= structs.PATIENT * network.patient | structs.SOURCE * network.source
        super().__init__(name, capabilities, receives, requests, segments, peers)
        self.injects = INJECTS
        self.network = network
        self.fault = None
        self.dead = self.silent = False
        self.posted = deque()
        self.done = deque()
        self.waiting = deque()  # lanes with messages that have arrived
        self.numbers = {}  # of peers, by address
        self.lanes = {}  # by number: (messages, reads and writes)
        self.regions, self.windows = {}, {}
        self.keys = {}  # number of a window, by its key
        self.given = 0  # numbers of regions and windows
        self.next_peer = 0
        self.out = 0
        if name in network.endpoints and not network.endpoints[name].dead:
            raise ValueError(f"there is an endpoint {name!r} already")
        network.endpoints[name] = self

    # --- peers ---

    def peer(self, address, length):
        if not 0 < length <= structs.ADDRESS:
            return -1
        name = string_at(address, length)
        if name not in self.numbers:
            if len(self.numbers) == self.peers:
                return -1
            while self.next_peer in self.lanes:
                self.next_peer = (self.next_peer + 1) % self.peers
            self.numbers[name] = number = self.next_peer
            self.next_peer = (number + 1) % self.peers
            target = self.network.endpoints.get(name)
            self.lanes[number] = Lane(self, target), Lane(self, target)
        return self.numbers[name]

    def forget(self, peer):
        for lane in self.lanes.pop(peer, ()):
            lane.arrived.clear()
            self.network.flush(lane, structs.CANCELED)
        self.numbers = {name: number for name, number in self.numbers.items() if number != peer}

    def lanes_to(self, target):
        return [lane for lanes in self.lanes.values() for lane in lanes if lane.target is target]

    # --- memory ---

    def register(self, address, length):
        self.given += 1
        self.regions[self.given] = address, length
        return self.given

    def deregister(self, region):
        del self.regions[region]

    def expose(self, region, address, length, access, peer):
        start, size = self.regions[region]
        assert start <= address and address + length <= start + size
        self.given += 1
        key = self.network.key()
        self.windows[self.given] = key, address, length, access, peer
        self.keys[key] = self.given
        return self.given

    def key(self, window):
        return self.windows[window][0]

    def base(self, window):
        return self.windows[window][1]

    def withdraw(self, window):
        del self.keys[self.windows.pop(window)[0]]

    def touched(self, request):
        """A peer reads or writes our memory: the status."""
        wanted = structs.MAY_READ if request.operation == structs.READ else structs.MAY_WRITE
        if request.key not in self.keys:
            return structs.DENIED
        _, address, length, access, peer = self.windows[self.keys[request.key]]
        inside = address <= request.remote and request.remote + request.length <= address + length
        if not inside or not access & wanted or self.numbers.get(request.lane.source.address) != peer:
            return structs.DENIED
        at = request.remote
        for place, size in request.pieces:
            if wanted == structs.MAY_READ:
                memmove(place, at, size)
            else:
                memmove(at, place, size)
            at += size
        return structs.OK

    def named(self, pieces, count):
        """[(address, length)] of an array of pieces."""
        assert 0 <= count <= self.segments
        return [self.inside(*piece) for piece in struct.iter_unpack("<QQQ", string_at(pieces, 24 * count))]

    def inside(self, address, length, region):
        start, size = self.regions[region]
        assert start <= address and address + length <= start + size, "memory outside of its region"
        return address, length

    # --- requests ---

    def post_receive(self, address, length, region, context):
        if len(self.posted) == self.receives:
            self.refused += 1
            return False
        self.posted.append((*self.inside(address, length, region), context))
        if self.waiting:
            self.accept(self.waiting.popleft())
        return True

    def ask(self, peer, request):
        chance = self.network.chance
        if self.out == self.requests or (self.network.refuse and chance.random() < self.network.refuse):
            self.refused += 1
            return False
        self.out += 1
        self.network.put(request)
        return True

    def send(self, peer, pieces, count, context):
        return self.ask(peer, Request(self.lanes[peer][0], structs.SENT, self.named(pieces, count), context))

    def inject(self, peer, address, length):
        assert 0 <= length <= self.injects
        return self.ask(peer, Request(self.lanes[peer][0], structs.SENT, (), 0, data=string_at(address, length)))

    def write(self, peer, pieces, count, remote, key, context):
        lane = self.lanes[peer][1]
        return self.ask(peer, Request(lane, structs.WRITTEN, self.named(pieces, count), context, remote, key))

    def read(self, peer, pieces, count, remote, key, context):
        lane = self.lanes[peer][1]
        return self.ask(peer, Request(lane, structs.READ, self.named(pieces, count), context, remote, key))

    # --- completions ---

    def accept(self, lane):
        """Messages that have arrived go into receives; of several lanes each has its turn."""
        while lane.arrived and self.posted:
            request = lane.arrived.popleft()
            address, room, context = self.posted.popleft()
            data = request.data
            if data is None:
                data = b"".join(string_at(*piece) for piece in request.pieces)
            status = structs.OK if len(data) <= room else structs.TOO_LONG
            memmove(address, data, min(room, len(data)))
            peer = self.numbers.get(lane.source.address, structs.NOBODY) if self.network.source else structs.NOBODY
            self.done.append((context, len(data), structs.RECEIVED, status, peer))
            self.network.complete(request, status)
            if status != structs.OK:
                self.network.cut(lane.source, self)
        if lane.arrived and lane not in self.waiting:
            self.waiting.append(lane)

    def completed(self, request, status):
        self.out -= 1
        if request.data is not None:
            return
        self.done.append((request.context, 0, request.operation, status, structs.NOBODY))

    def poll(self, completions, limit):
        if self.dead:
            return 0
        self.network.move()
        n = 0
        while n < limit and self.done:
            done = self.done.popleft()
            if done[3] != structs.OK:
                self.failed += 1
            memmove(completions + 32 * n, struct.pack("<QQIII4x", *done), 32)
            n += 1
        return n

    def deadline(self, now):
        return now if self.done else self.network.due()

    def arm(self):
        self.network.move()
        return not self.done

    def disarm(self):
        pass

    def kill(self, silent=False):
        """The process has ended. `silent`: nobody is told, what is asked of it is never completed."""
        self.dead, self.silent = True, silent
        self.posted.clear()
        self.windows.clear()
        self.keys.clear()
        for lanes in self.lanes.values():
            for lane in lanes:
                lane.out.clear()
                lane.arrived.clear()
        if not silent:
            for other in self.network.endpoints.values():
                for lane in other.lanes_to(self):
                    lane.arrived.clear()
                    self.network.flush(lane, structs.GONE)

    def close(self):
        if not self.dead:
            self.kill()
        self.done.clear()
        self.regions.clear()
