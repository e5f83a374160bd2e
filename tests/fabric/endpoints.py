"""Machines on a fabric in memory, or on any other, driven until nothing is left to do."""

import contextlib
import ctypes
import mmap
import struct

from libos.fabric import structs
from libos.fabric.buffers import PythonBuffers
from libos.fabric.engine import Engine, room
from libos.fabric.machine import Machine
from libos.fabric.memory_fabric import MemoryFabric, Network
from libos.runtime.clock import FakeClock
from libos.runtime.memory import Heap

HEAP = Heap(4096)  # of all machines of a test run
SEED = bytes(range(16))
LIMITS = {"connections": 64, "eager": 512, "sends": 64, "items": 2048}


class HeapBuffers(PythonBuffers):
    """Buffers of the heap, counted. `limit`: how many may be out."""

    def __init__(self, limit=1 << 30):
        super().__init__(HEAP.base, HEAP.superblocks << 20)
        self.live = set()
        self.limit = limit

    def alloc(self, size):
        if len(self.live) >= self.limit:
            return 0
        address = HEAP.alloc(size)
        if address:
            self.live.add(address)
        return address

    def free(self, address):
        self.live.remove(address)
        assert HEAP.free(address) == 0


class Node:
    """A machine, its fabric and its user."""

    def __init__(self, fabric, clock, buffers=None, **limits):
        limits = {**LIMITS, **limits}
        self.fabric, self.clock = fabric, clock
        self.buffers = buffers or HeapBuffers()
        size = room(fabric, self.buffers, limits["connections"], limits["eager"], limits["sends"], limits["items"])
        self.map = mmap.mmap(-1, size)
        self.memory = ctypes.addressof(ctypes.c_char.from_buffer(self.map))
        self.size = size
        self.engine = Engine(fabric, self.buffers, self.memory, size, SEED, **limits)
        self.machine = Machine(self.engine)
        self.completions = ctypes.create_string_buffer(64 * structs.completion_size())
        self.at = ctypes.addressof(self.completions)
        self.result = ctypes.create_string_buffer(24)
        self.result_at = ctypes.addressof(self.result)
        self.tokens = 0
        self.kept = {}  # memory of pushes that are out, by token

    def turn(self):
        """One look at the fabric; whether something was completed."""
        n = self.fabric.poll(self.at, 64)
        self.machine.receive(self.at, n, self.clock.now())
        self.machine.poll(self.clock.now())
        return n > 0

    def connect(self, other, service=1):
        address = ctypes.create_string_buffer(other.fabric.address, len(other.fabric.address))
        return self.machine.connect(ctypes.addressof(address), len(address), service, self.clock.now())

    def push(self, at, data):
        """Push bytes: 0, or what is wrong."""
        self.tokens += 1
        large = len(data) > min(self.engine.eager, structs.COPIED)
        if large:
            memory = self.buffers.alloc(len(data))
            assert memory
            ctypes.memmove(memory, data, len(data))
        else:
            room = ctypes.create_string_buffer(data, max(len(data), 1))
            memory, self.kept[self.tokens] = ctypes.addressof(room), (room, None)
        if large:
            self.kept[self.tokens] = None, memory
        result = self.machine.push(at, memory, len(data), self.tokens)
        if result != 0:
            self.let_go(self.tokens)
        return result

    def push_at_once(self, at, data):
        """Push bytes that have nothing to wait for; false where they would have."""
        room = ctypes.create_string_buffer(data, max(len(data), 1))
        done = self.machine.push_at_once(at, ctypes.addressof(room), len(data))
        ctypes.memset(room, 0xDD, len(room))
        return done == 1

    def let_go(self, token):
        """The memory of a push is ours again: it changes at once."""
        room, memory = self.kept.pop(token)
        if memory:
            ctypes.memset(memory, 0xDD, 64)
            self.buffers.free(memory)
        else:
            ctypes.memset(room, 0xDD, len(room))

    def finished(self, at):
        """[(token, what was wrong)] of the pushes that are finished."""
        found = []
        while self.machine.finished(at, self.result_at):
            token, status = struct.unpack("<QQ", self.result[:16])
            self.let_go(token)
            found.append((token, status))
        return found

    def pop(self, at):
        """The bytes of the next message, or what there is instead: 0 at the end, negative what is wrong."""
        result = self.machine.pop(at, self.result_at)
        if result != 1:
            return result
        buffer, address, length = struct.unpack("<QQQ", self.result.raw)
        data = ctypes.string_at(address, length)
        self.buffers.free(buffer)
        return data

    def everything(self, at):
        """All messages that are there."""
        found = []
        while isinstance(data := self.pop(at), bytes):
            found.append(data)
        return found

    def state(self, at):
        return structs.connection(at).state

    def error(self, at):
        return structs.connection(at).error

    def connections(self):
        return self.engine.connections.used


class World:
    """A network in memory and its machines."""

    def __init__(self, seed=0, **options):
        self.clock = FakeClock(1000)
        self.network = Network(self.clock, seed, **options)
        self.nodes = []

    def node(self, name=None, buffers=None, receives=1024, requests=1024, **limits):
        name = name or b"node %d" % len(self.nodes)
        fabric = MemoryFabric(self.network, name, receives, requests)
        node = Node(fabric, self.clock, buffers, **limits)
        self.nodes.append(node)
        return node

    def pair(self, **limits):
        """(client, server, connection there, connection here), open."""
        client, server = self.node(**limits), self.node(**limits)
        listener = server.machine.listen(1, 1 << 16)
        here = client.connect(server)
        self.settle()
        there = server.machine.accept(listener)
        assert here > 0 and there and client.state(here) == structs.OPEN == server.state(there)
        return client, server, here, there

    def step(self, end=None):
        """A turn of each machine, or time goes on to when there is something to do. False: nothing before `end`."""
        busy = [node.turn() for node in self.nodes if not node.fabric.dead]
        if any(busy):
            return True
        times = []
        for node in self.nodes:
            if not node.fabric.dead:
                times += [node.fabric.deadline(self.clock.now()), node.machine.next_deadline()]
        times = [time for time in times if time >= 0]
        if not times or (end is not None and min(times) > end):
            return False
        self.clock.advance(max(min(times) - self.clock.now(), 0))
        return True

    def settle(self, within=10**9, turns=100000):
        """Until nothing happens within that time."""
        end = self.clock.now() + within
        for _ in range(turns):
            if not self.step(end):
                return
        raise AssertionError("no rest")

    def until(self, there, turns=100000):
        for _ in range(turns):
            if there():
                return
            assert self.step(), "nothing more will happen"
        raise AssertionError("it does not come")

    @staticmethod
    def told(t, k):
        """A connection's record, for who reads a failure."""
        c = structs.connection(t.connections.slot(k))
        return {
            name: getattr(c, name) for name, _ in c._fields_ if isinstance(getattr(c, name), int) and getattr(c, name)
        }

    def at_rest(self):
        """Nothing is left of any connection: no record, no promise, no buffer but the receives that are posted."""
        for node in self.nodes:
            if node.fabric.dead:
                continue
            t = node.engine
            left = t.connections.used, t.receives.promised, t.sends.used
            assert left == (0, 0, 0), [self.told(t, k) for k in range(min(t.connections.touched, 50))]
            assert t.items.used == t.receives.posted == len(node.buffers.live)
            assert not node.kept and not node.fabric.windows and not node.fabric.numbers


@contextlib.contextmanager
def world(**options):
    made = World(**options)
    yield made
    for node in made.nodes:
        node.fabric.close()
        for address in list(node.buffers.live):
            node.buffers.free(address)
