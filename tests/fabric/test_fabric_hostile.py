"""Peers that keep no rule: what they send harms nobody but themselves."""

import ctypes
import os
import random
import struct
from collections import deque

import pytest
from endpoints import world
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from libos.fabric import structs
from libos.fabric.memory_fabric import MemoryFabric

SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
HEADER = struct.Struct("<IBBBBIIQQQ")
GREETING = struct.Struct("<QQQQIIII")
LARGE = struct.Struct("<QQQ")
SLOT = 1024


class Evil:
    """An endpoint that sends any bytes, and has a window of its own for the one it attacks."""

    def __init__(self, w, target):
        self.w = w
        self.fabric = MemoryFabric(w.network, b"evil")
        self.room = ctypes.create_string_buffer(512 * SLOT)
        self.at = ctypes.addressof(self.room)
        self.piece = ctypes.create_string_buffer(24)
        self.region = self.fabric.register(self.at, len(self.room))
        name = ctypes.create_string_buffer(target.fabric.address)
        self.peer = self.fabric.peer(ctypes.addressof(name), len(target.fabric.address))
        self.window = self.fabric.expose(self.region, self.at, SLOT, 3, self.peer)
        self.place, self.key = self.fabric.base(self.window), self.fabric.key(self.window)
        self.free = deque(range(1, 256))
        for k in range(256, 512):
            self.fabric.post_receive(self.at + k * SLOT, SLOT, self.region, k)
        self.heard = []
        self.array = ctypes.create_string_buffer(64 * structs.completion_size())
        self.number = self.token = self.mailbox = self.mailbox_key = 0

    def look(self):
        n = self.fabric.poll(ctypes.addressof(self.array), 64)
        for k in range(n):
            d = structs.completion(ctypes.addressof(self.array) + 32 * k)
            if d.operation == structs.RECEIVED:
                self.heard.append(ctypes.string_at(self.at + d.context * SLOT, d.length))
                self.fabric.post_receive(self.at + d.context * SLOT, SLOT, self.region, d.context)
            else:
                self.free.append(d.context)

    def send(self, data):
        if not self.free:
            return
        k = self.free.popleft()
        ctypes.memmove(self.at + k * SLOT, data, len(data))
        struct.pack_into("<QQQ", self.piece, 0, self.at + k * SLOT, len(data), self.region)
        if not self.fabric.send(self.peer, ctypes.addressof(self.piece), 1, k):
            self.free.append(k)

    def touch(self, operation, remote, key, length):
        k = self.free.popleft()
        struct.pack_into("<QQQ", self.piece, 0, self.at + k * SLOT, length, self.region)
        getattr(self.fabric, operation)(self.peer, ctypes.addressof(self.piece), 1, remote % 2**64, key, k)

    def header(self, kind, payload=b"", flags=0, answers=0, zero=0, granted=0, done=0, mark=structs.MARK, **other):
        number, token = other.get("number", self.number), other.get("token", self.token)
        length = other.get("length", len(payload))
        return HEADER.pack(mark, kind, flags, answers, zero, number, length, token, granted, done) + payload

    def hello(self, granted=50, buffer=512, largest=1 << 20, service=1, address=b"evil"):
        greeting = GREETING.pack(0x1234, self.place, self.key, largest, 77, service, buffer, len(address)) + address
        return self.header(structs.HELLO, greeting, granted=granted, number=0, token=0)

    def connect(self):
        """A proper handshake."""
        self.send(self.hello())
        self.turns(3)
        data = next(data for data in self.heard if data[4] == structs.WELCOME)
        self.token, self.mailbox, self.mailbox_key, _, self.number, *_ = GREETING.unpack_from(data, 40)
        self.send(self.header(structs.REPLY, answers=1, granted=50))
        self.turns(3)

    def turns(self, n):
        for _ in range(n):
            self.w.step()
            self.look()


class Scene:
    """A server, an honest client with a connection to it, and the other one."""

    def __init__(self, w):
        self.w = w
        self.client, self.server = w.node(), w.node()
        self.listener = self.server.machine.listen(1, 1000)
        self.here = self.client.connect(self.server)
        w.settle()
        self.there = self.server.machine.accept(self.listener)
        self.evil = Evil(w, self.server)
        self.count = 0

    def honest(self):
        """The honest connection goes on, both ways, small and large."""
        for data in (b"%d" % self.count, os.urandom(3000)):
            assert self.client.push(self.here, data) == 0 == self.server.push(self.there, data)
            self.w.until(lambda: self.server.machine.ready(self.there) & structs.READABLE)
            self.w.until(lambda: self.client.machine.ready(self.here) & structs.READABLE)
            assert self.server.pop(self.there) == data == self.client.pop(self.here)
            self.w.step()
            self.client.finished(self.here), self.server.finished(self.there)
        self.count += 1

    def accepted(self):
        """The server's end of the other one's connection."""
        self.evil.connect()
        at = self.server.machine.accept(self.listener)
        assert at and self.server.state(at) == structs.OPEN
        return at


@pytest.fixture
def scene():
    with world() as w:
        yield Scene(w)


def test_a_proper_stranger_is_served(scene):
    there = scene.accepted()
    scene.evil.send(scene.evil.header(structs.DATA, b"hello", granted=50))
    scene.evil.turns(3)
    assert scene.server.pop(there) == b"hello"
    scene.server.push(there, b"back")
    scene.evil.turns(3)
    assert any(data[4] == structs.DATA and data[40:] == b"back" for data in scene.evil.heard)
    scene.honest()


@settings(SETTINGS)
@given(st.lists(st.binary(max_size=700), max_size=60), st.integers(0, 2**32))
def test_any_bytes(messages, seed):
    with world() as w:
        scene = Scene(w)
        for data in messages:
            scene.evil.send(data)
            scene.evil.turns(1)
        scene.evil.turns(3)
        scene.honest()
        assert scene.server.connections() == 2


MUTATIONS = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 255]),  # kind
        st.integers(0, 255) | st.sampled_from([0, 1, 2, 3]),  # flags
        st.sampled_from([0, 1, 2, 255]),  # answers
        st.sampled_from([0, 3, 50, 2**20, 2**20 + 60, 2**32, 2**63, 2**64 - 1]),  # granted
        st.sampled_from([0, 1, 2, 2**32, 2**64 - 1]),  # done
        st.sampled_from([0, 1, 8, 24, 48, 52, 512]),  # payload
        st.sampled_from([None, None, None, "length", "token", "number", "mark", "zero"]),
    ),
    min_size=1,
    max_size=60,
)


@settings(SETTINGS)
@given(MUTATIONS, st.integers(0, 2**32))
def test_any_headers_of_a_connected_peer(mutations, seed):
    """With the right token: it may be anything but right."""
    with world() as w:
        scene = Scene(w)
        there = scene.accepted()
        evil, chance = scene.evil, random.Random(seed)
        for kind, flags, answers, granted, done, size, wrong in mutations:
            payload = chance.randbytes(size)
            if kind == structs.LARGE and size == 24:
                payload = LARGE.pack(
                    evil.place + chance.choice([0, -8, 900, 5000]), evil.key, chance.choice([8, 2000, 2**63])
                )
            other = {wrong: chance.getrandbits(8 if wrong == "zero" else 32)} if wrong else {}
            evil.send(evil.header(kind, payload, flags, answers, granted=granted, done=done, **other))
            if chance.random() < 0.3:
                scene.server.push(there, os.urandom(chance.choice([10, 2000])))
            if chance.random() < 0.5:
                scene.server.everything(there)
            evil.turns(1)
        evil.turns(5)
        scene.honest()
        scene.server.everything(there)
        scene.server.machine.abort(there)
        while at := scene.server.machine.accept(scene.listener):
            scene.server.machine.abort(at)
        evil.turns(5)
        scene.server.finished(there)
        evil.fabric.close()
        w.settle(within=30 * scene.server.engine.patience)
        scene.honest()
        assert scene.server.connections() == 2


def breaks(scene, *messages):
    there = scene.accepted()
    for message in messages:
        scene.evil.send(message(scene.evil))
    scene.evil.turns(5)
    assert scene.server.state(there) == structs.BROKEN and scene.server.error(there) == structs.RESET
    assert any(data[4] == structs.ABORT for data in scene.evil.heard)
    scene.honest()


BAD = {
    "more credits than anybody needs": lambda e: e.header(structs.DATA, b"x", granted=2**21),
    "large messages that were never sent are read": lambda e: e.header(structs.DATA, b"x", granted=50, done=1),
    "an answer that was not asked for": lambda e: e.header(structs.REPLY, answers=1, granted=50),
    "an answer to nothing": lambda e: e.header(structs.REPLY, answers=0, granted=50),
    "an end that was not said is heard": lambda e: e.header(
        structs.REPLY, flags=structs.END_SEEN, answers=1, granted=50
    ),
    "an end with something in it": lambda e: e.header(structs.END, b"x", granted=50),
    "a large message of nothing": lambda e: e.header(structs.LARGE, LARGE.pack(e.place, e.key, 0), granted=50),
    "a message that is too large": lambda e: e.header(structs.LARGE, LARGE.pack(e.place, e.key, 2**40), granted=50),
    "a large message without its place": lambda e: e.header(structs.LARGE, b"x" * 23, granted=50),
    "a second greeting": lambda e: e.header(structs.WELCOME, bytes(48), granted=50),
    "a kind that there is not": lambda e: e.header(99, granted=50),
}


@pytest.mark.parametrize("what", BAD)
def test_what_breaks_a_connection(scene, what):
    breaks(scene, BAD[what])


def test_more_messages_than_credits(scene):
    breaks(scene, *[lambda e: e.header(structs.DATA, b"x", granted=50)] * 100)


def test_a_message_after_the_end(scene):
    breaks(scene, lambda e: e.header(structs.END, granted=50), lambda e: e.header(structs.DATA, b"x", granted=50))


@pytest.mark.parametrize("place, key", [(0, 1), (900, 0), (-8, 0), (1 << 62, 0)])
def test_a_large_message_that_is_not_where_it_is_said_to_be(scene, place, key):
    """The read is refused by the peer's memory. Nothing of it reaches the user."""
    there = scene.accepted()
    evil = scene.evil
    where = LARGE.pack((evil.place + place) & (2**64 - 1), evil.key ^ key, 500)
    evil.send(evil.header(structs.LARGE, where, granted=50))
    evil.turns(5)
    assert scene.server.state(there) == structs.BROKEN and scene.server.pop(there) == -structs.RESET
    scene.honest()


def test_nonsense_in_the_mailbox(scene):
    there = scene.accepted()
    evil = scene.evil
    evil.room[SLOT : 2 * SLOT] = b"\xff" * SLOT
    k = evil.free[0]
    ctypes.memset(evil.at + k * SLOT, 0xFF, 16)
    evil.touch("write", evil.mailbox, evil.mailbox_key, 16)
    evil.turns(3)
    for _ in range(60):
        scene.server.push(there, b"x")
    evil.turns(20)
    assert scene.server.state(there) == structs.BROKEN
    scene.honest()


@pytest.mark.parametrize("operation", ["read", "write"])
def test_what_lies_beside_the_mailbox_is_out_of_reach(scene, operation):
    """Beyond its 16 bytes, before them, of the connections beside: refused, and unchanged."""
    scene.accepted()
    evil, server = scene.evil, scene.server
    before = ctypes.string_at(server.engine.mailboxes, 64 * 64)
    for offset, length in ((0, 17), (0, 64), (16, 8), (-8, 8), (-64, 16), (64, 16)):
        evil.touch(operation, evil.mailbox + offset, evil.mailbox_key, length)
    evil.touch(operation, evil.mailbox, evil.mailbox_key ^ 1, 16)
    honest = structs.connection(scene.there)
    evil.touch(operation, server.fabric.base(honest.window), server.fabric.key(honest.window), 16)  # another's key
    evil.turns(5)
    assert evil.fabric.failed == 8 and ctypes.string_at(server.engine.mailboxes, 64 * 64) == before
    scene.honest()


def test_the_token_of_another_connection_does_not_help_where_the_source_is_known(scene):
    c = structs.connection(scene.there)
    evil = scene.evil
    evil.send(evil.header(structs.ABORT, number=c.number, token=c.token))
    evil.turns(3)
    assert scene.server.engine.strays == 1
    scene.honest()


def test_a_flood_of_greetings(scene):
    """The backlog and the table of connections fill up; who is there is served, and in the end they are empty again."""
    for k in range(300):
        scene.evil.send(scene.evil.hello(granted=k % 3, buffer=k % 2 * 512))
        scene.evil.turns(1)
    scene.honest()
    scene.w.settle(within=3 * scene.server.engine.patience)
    while at := scene.server.machine.accept(scene.listener):
        scene.server.machine.close(at)
    scene.w.settle(within=3 * scene.server.engine.patience)
    assert scene.server.connections() == 2


@pytest.mark.parametrize("address", [b"", b"\0", b"x" * 256, b"node 0", b"nobody"])
def test_greetings_in_the_name_of_others(scene, address):
    for _ in range(5):
        scene.evil.send(scene.evil.hello(address=address))
        scene.evil.turns(2)
    scene.honest()
    scene.w.settle(within=3 * scene.server.engine.patience)
    assert scene.server.connections() == 2 and scene.client.connections() == 1
