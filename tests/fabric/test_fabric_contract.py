"""What every fabric does, whichever it is (libos/fabric/fabric.py)."""

import contextlib
import ctypes
import os
import socket
import struct
import time

import pytest

from libos.belled_fabric import BelledFabric
from libos.errors import Fail
from libos.fabric import structs
from libos.fabric.libfabric import SCRATCH, LibFabric
from libos.fabric.memory_fabric import MemoryFabric, Network
from libos.family import Family, write_names
from libos.memory_file import private
from libos.runtime.clock import FakeClock

ROOM = 1 << 18
PATIENCE = 5  # seconds


class End:
    """An endpoint with one region of memory. `turn` has both ends of a test go on."""

    def __init__(self, fabric, turn):
        self.fabric, self.turn = fabric, turn
        self.room = ctypes.create_string_buffer(ROOM + 64)
        self.at = (ctypes.addressof(self.room) + 63) & ~63
        self.region = fabric.register(self.at, ROOM)
        assert self.region >= 0
        self.array = ctypes.create_string_buffer(64 * structs.completion_size())
        self.pieces = ctypes.create_string_buffer(16 * structs.piece_size())
        self.taken = []
        self.context = 0

    def peer(self, other):
        address = ctypes.create_string_buffer(other.fabric.address, len(other.fabric.address))
        return self.fabric.peer(ctypes.addressof(address), len(other.fabric.address))

    def put(self, offset, data):
        ctypes.memmove(self.at + offset, data, len(data))

    def get(self, offset, length):
        return ctypes.string_at(self.at + offset, length)

    def laid(self, *pieces):
        """Pieces (offset, length) of our region, for a request."""
        for k, (offset, length) in enumerate(pieces):
            struct.pack_into("<QQQ", self.pieces, 24 * k, self.at + offset, length, self.region)
        return ctypes.addressof(self.pieces), len(pieces)

    def post(self, offset, length):
        """A receive: its context, or None where it was refused."""
        self.context += 1
        done = self.fabric.post_receive(self.at + offset, length, self.region, self.context)
        return self.context if done else None

    def taken_up(self, ask):
        """The context of a request, which is made again while there is no room for it."""
        self.context += 1
        end = time.monotonic() + PATIENCE
        while not ask(self.context):
            assert time.monotonic() < end, "never taken"
            self.turn()
        return self.context

    def send(self, peer, *pieces):
        return self.taken_up(lambda context: self.fabric.send(peer, *self.laid(*pieces), context))

    def write(self, peer, remote, key, *pieces):
        return self.taken_up(lambda context: self.fabric.write(peer, *self.laid(*pieces), remote, key, context))

    def read(self, peer, remote, key, *pieces):
        return self.taken_up(lambda context: self.fabric.read(peer, *self.laid(*pieces), remote, key, context))

    def window(self, peer, offset, length, access):
        """(number, base, key) of a window."""
        window = self.fabric.expose(self.region, self.at + offset, length, access, peer)
        assert window >= 0
        return window, self.fabric.base(window), self.fabric.key(window)

    def look(self, limit=64):
        """Take completions: how many."""
        n = self.fabric.poll(ctypes.addressof(self.array), limit)
        for k in range(n):
            d = structs.completion(ctypes.addressof(self.array) + k * structs.completion_size())
            self.taken.append((d.context, d.operation, d.status, d.length, d.peer))
        return n

    def wait(self, context):
        """The completion with that context."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            for done in self.taken:
                if done[0] == context:
                    self.taken.remove(done)
                    return done
            self.turn()
        raise AssertionError(f"no completion: {self.taken}")


@contextlib.contextmanager
def memory(**options):
    clock = FakeClock(1)
    network = Network(clock, 7, **options)
    ends = []

    def turn():
        clock.advance(1000)
        for end in ends:
            end.look()

    for name in (b"near", b"far"):
        ends.append(End(MemoryFabric(network, name), turn))
    yield ends
    for end in ends:
        end.fabric.close()


@contextlib.contextmanager
def libfabric(provider, node=""):
    """Both ends in this process, each with an endpoint of its own."""
    ends = []

    def turn():
        for end in ends:
            end.look()

    rooms = [ctypes.create_string_buffer(SCRATCH) for _ in range(2)]
    try:
        for room in rooms:
            ends.append(End(LibFabric(provider, ctypes.addressof(room), node), turn))
    except Fail as error:
        for end in ends:
            end.fabric.close()
        pytest.skip(str(error))
    yield ends
    for end in ends:
        end.fabric.close()


@contextlib.contextmanager
def belled():
    """The same by `shm`, a bell beside each."""
    family = Family()
    family.start_bells()
    with libfabric("shm") as ends:
        for end in ends:
            bell, number = family.new_bell()
            word = family.page + bell * 64
            end.fabric = BelledFabric(end.fabric, word, bell, family.socket.fileno())
            end.socket = socket.socket(fileno=number)
        for one, other in (ends, ends[::-1]):
            names = private(4096)
            write_names(names, family.key)
            one.fabric.acquaint(one.peer(other), other.fabric.word, names)
        yield ends
        for end in ends:
            end.socket.close()


def rung(end):
    """Whether its bell has been rung since this was last asked."""
    try:
        return bool(end.socket.recv(1))
    except BlockingIOError:
        return False


KINDS = {
    "memory": lambda: memory(),
    "memory-slow": lambda: memory(delay=30000, jitter=90000, source=False),
    "shm": lambda: libfabric("shm"),
    "shm-belled": belled,
    "tcp": lambda: libfabric("tcp;ofi_rxm", "127.0.0.1"),
}


@pytest.fixture(params=KINDS)
def ends(request):
    with KINDS[request.param]() as (near, far):
        yield near, far


def test_what_it_is(ends):
    near, far = ends
    for end in ends:
        fabric = end.fabric
        assert isinstance(fabric.address, bytes) and 0 < len(fabric.address) <= structs.ADDRESS
        assert fabric.receives >= 64 and fabric.requests >= 16 and fabric.segments >= 2 and fabric.peers >= 2
        assert fabric.capabilities & ~15 == 0 and fabric.bell() >= -1
    assert near.fabric.address != far.fabric.address


def test_a_peer_has_one_number(ends):
    near, far = ends
    number = near.peer(far)
    assert 0 <= number < near.fabric.peers and near.peer(far) == number
    assert near.peer(near) not in (number, -1)


def test_what_is_no_address(ends):
    near, far = ends
    room = ctypes.create_string_buffer(b"\xff" * 1000, 1000)
    for length in (0, structs.ADDRESS + 1, 1000):
        assert near.fabric.peer(ctypes.addressof(room), length) == -1
    number = near.fabric.peer(ctypes.addressof(room), structs.ADDRESS)  # bytes that mean nothing
    assert -1 <= number < near.fabric.peers


@pytest.mark.parametrize("size", [1, 64, 1000, 4096, 65536])
def test_messages_arrive_whole_once_and_in_order(ends, size):
    near, far = ends
    peer = near.peer(far)
    far.peer(near)
    room = ROOM // 4 // size * size
    count = min(room // size, 16)
    receives = [far.post(k * size, size) for k in range(count)]
    data = [os.urandom(size) for _ in range(count)]
    sends = []
    for k in range(count):
        near.put(k * size, data[k])
        sends.append(near.send(peer, (k * size, size)))
    for k in range(count):
        done = far.wait(receives[k])
        assert done[1:4] == (structs.RECEIVED, structs.OK, size) and far.get(k * size, size) == data[k]
        assert near.wait(sends[k])[1:3] == (structs.SENT, structs.OK)
    assert not near.taken and not far.taken


def test_a_message_of_several_pieces(ends):
    near, far = ends
    receive = far.post(0, 4096)
    near.put(0, b"head"), near.put(1000, b"body" * 100)
    near.send(near.peer(far), (0, 4), (1000, 400))
    assert far.wait(receive)[3] == 404 and far.get(0, 404) == b"head" + b"body" * 100


@pytest.mark.parametrize("size", [0, 1, 64, 200])
def test_a_short_message_is_away_at_once_and_nothing_is_completed(ends, size):
    near, far = ends
    if near.fabric.injects < size:
        pytest.skip("this fabric says that it takes none, or shorter ones")
    peer = near.peer(far)
    receives = [far.post(256 * k, 256) for k in range(4)]
    memory = ctypes.create_string_buffer(size + 1)  # it need not be registered
    data = [os.urandom(size) for _ in receives]
    for each in data:
        ctypes.memmove(memory, each, size)
        near.taken_up(lambda _: near.fabric.inject(peer, ctypes.addressof(memory), size))
        ctypes.memset(memory, 0xEE, size)
    for k, context in enumerate(receives):
        done = far.wait(context)
        assert done[1:4] == (structs.RECEIVED, structs.OK, size) and far.get(256 * k, size) == data[k]
    near.turn()
    assert not near.taken and not far.taken


def test_who_sent_it(ends):
    near, far = ends
    number = far.peer(near)
    receive = far.post(0, 64)
    near.send(near.peer(far), (0, 8))
    peer = far.wait(receive)[4]
    assert peer == (number if far.fabric.capabilities & structs.SOURCE else structs.NOBODY)


def test_a_message_waits_for_a_receive(ends):
    near, far = ends
    if not near.fabric.capabilities & structs.PATIENT:
        pytest.skip("this fabric says that it would not")
    peer = near.peer(far)
    near.put(0, b"patience")
    sends = [near.send(peer, (0, 8)) for _ in range(4)]
    for _ in range(20):
        near.turn()
    receives = [far.post(8 * k, 8) for k in range(4)]
    for k in range(4):
        assert far.wait(receives[k])[2:4] == (structs.OK, 8) and far.get(8 * k, 8) == b"patience"
    for context in sends:
        assert near.wait(context)[2] == structs.OK


def test_memory_of_a_peer_is_written_and_read(ends):
    near, far = ends
    peer, other = near.peer(far), far.peer(near)
    _, base, key = far.window(other, 4096, 8192, structs.MAY_READ | structs.MAY_WRITE)
    data = os.urandom(5000)
    near.put(0, data)
    done = near.wait(near.write(peer, base + 100, key, (0, 2000), (2000, 3000)))
    assert done[1:3] == (structs.WRITTEN, structs.OK)
    far.turn()
    assert far.get(4196, 5000) == data and far.get(4190, 6) == bytes(6) == far.get(9196, 6)
    done = near.wait(near.read(peer, base + 100, key, (50000, 5000)))
    assert done[1:3] == (structs.READ, structs.OK) and near.get(50000, 5000) == data
    assert not far.taken  # the other heard nothing of it


def test_words_are_written_whole(ends):
    near, far = ends
    peer = near.peer(far)
    _, base, key = far.window(far.peer(near), 0, 16, structs.MAY_WRITE)
    for k in range(1, 50):
        near.put(0, struct.pack("<QQ", k * 0x0101010101010101, k))
        assert near.wait(near.write(peer, base, key, (0, 16)))[2] == structs.OK
        assert struct.unpack("<QQ", far.get(0, 16)) == (k * 0x0101010101010101, k)


def refused(near, far, ask):
    """A request that may not be done: it fails where keys are enforced, and in any case nothing is touched."""
    if not far.fabric.capabilities & structs.ENFORCES:
        pytest.skip("this fabric enforces no keys, and says so")
    near.put(0, b"\xee" * 4096)
    before = far.get(0, ROOM)
    context = ask(near.peer(far))
    assert near.wait(context)[2] in (structs.DENIED, structs.GONE, structs.CANCELED)
    far.turn()
    assert far.get(0, ROOM) == before and near.get(0, 4096) == b"\xee" * 4096


@pytest.mark.parametrize("operation", ["read", "write"])
def test_a_wrong_key_is_refused(ends, operation):
    near, far = ends
    _, base, key = far.window(far.peer(near), 0, 4096, structs.MAY_READ | structs.MAY_WRITE)
    refused(near, far, lambda peer: getattr(near, operation)(peer, base, key ^ 0x5A5A, (0, 64)))


@pytest.mark.parametrize("operation", ["read", "write"])
def test_a_withdrawn_key_is_refused(ends, operation):
    near, far = ends
    window, base, key = far.window(far.peer(near), 0, 4096, structs.MAY_READ | structs.MAY_WRITE)
    far.fabric.withdraw(window)
    refused(near, far, lambda peer: getattr(near, operation)(peer, base, key, (0, 64)))


@pytest.mark.parametrize("start, length", [(-8, 8), (-8, 16), (4090, 16), (4096, 8), (1 << 40, 8)])
@pytest.mark.parametrize("operation", ["read", "write"])
def test_what_is_outside_of_a_window_is_refused(ends, operation, start, length):
    near, far = ends
    _, base, key = far.window(far.peer(near), 8192, 4096, structs.MAY_READ | structs.MAY_WRITE)
    remote = (base + start) & (2**64 - 1)
    refused(near, far, lambda peer: getattr(near, operation)(peer, remote, key, (0, length)))


@pytest.mark.parametrize("operation, access", [("read", structs.MAY_WRITE), ("write", structs.MAY_READ)])
def test_what_a_window_does_not_allow_is_refused(ends, operation, access):
    near, far = ends
    _, base, key = far.window(far.peer(near), 0, 4096, access)
    refused(near, far, lambda peer: getattr(near, operation)(peer, base, key, (0, 64)))


def test_a_window_is_for_one_peer(ends):
    near, far = ends
    if not far.fabric.capabilities & structs.SCOPED:
        pytest.skip("this fabric can't tell peers apart, and says so")
    _, base, key = far.window(far.peer(far), 0, 4096, structs.MAY_READ)
    refused(near, far, lambda peer: near.read(peer, base, key, (0, 64)))


def test_keys_are_not_used_again_at_once(ends):
    near, far = ends
    peer = far.peer(near)
    seen = set()
    for _ in range(100):
        window, _, key = far.window(peer, 0, 4096, structs.MAY_READ)
        assert key not in seen
        seen.add(key)
        far.fabric.withdraw(window)


def test_a_full_queue_says_so_and_takes_more_later(ends):
    near, far = ends
    posted = 0
    while posted <= far.fabric.receives and far.post(0, 64):
        posted += 1
    assert posted == far.fabric.receives and far.fabric.refused == 1
    peer = near.peer(far)
    out = [near.send(peer, (0, 8))]
    while len(out) <= near.fabric.requests and near.fabric.send(peer, *near.laid((0, 8)), near.context + 1):
        near.context += 1
        out.append(near.context)
    assert 0 < len(out) <= near.fabric.requests
    for context in out:
        assert near.wait(context)[2] == structs.OK
    far.post(0, 64)
    assert near.wait(near.send(peer, (0, 8)))[2] == structs.OK


def test_a_limit_of_completions_is_kept(ends):
    near, far = ends
    for k in range(10):
        far.post(64 * k, 64)
        near.send(near.peer(far), (0, 8))
    end = time.monotonic() + PATIENCE
    while len(far.taken) < 10 and time.monotonic() < end:
        near.look()
        before = len(far.taken)
        assert far.look(3) <= 3 and len(far.taken) - before <= 3
        if len(far.taken) == before:
            near.turn()
    assert [done[0] for done in far.taken] == list(range(1, 11))
    assert far.look(0) == 0


def test_nobody_there(ends):
    near, far = ends
    if near.fabric.address.startswith(b"fi_shm"):
        pytest.skip("libfabric's shm reaches for an endpoint that the same process has closed")
    peer = near.peer(far)
    far.fabric.close()
    for k in range(100):
        if near.fabric.send(peer, *near.laid((0, 8)), k):
            break
        near.turn()
    else:
        pytest.skip("this fabric goes on trying: patience is the caller's")
    near.fabric.forget(peer)
    near.fabric.forget(peer)
    assert near.wait(k)[2] in (structs.GONE, structs.CANCELED)


def test_no_sleep_while_something_is_there(ends):
    near, far = ends
    receive = far.post(0, 64)
    near.send(near.peer(far), (0, 8))
    end = time.monotonic() + PATIENCE
    while far.fabric.arm() and time.monotonic() < end:
        far.fabric.disarm()
        near.look()
        if hasattr(near.fabric, "network"):
            near.fabric.network.clock.advance(1000)
    far.fabric.disarm()
    assert far.wait(receive)[2] == structs.OK


def test_a_bell_is_rung_for_who_sleeps():
    with belled() as (near, far):
        peer = near.peer(far)
        for k in range(3):
            receive = far.post(64 * k, 64)
            near.send(peer, (0, 8))
            near.fabric.wake()
            assert not rung(far)
            assert far.wait(receive)[2] == structs.OK
        assert far.fabric.arm() and not rung(far)
        receive = far.post(0, 64)
        near.send(peer, (0, 8))
        assert not rung(far)
        near.fabric.wake()
        assert rung(far)
        near.fabric.wake()
        assert not rung(far)  # nothing was asked since
        far.fabric.disarm()
        assert far.wait(receive)[2] == structs.OK


def test_a_bell_is_rung_for_the_thread_that_listens():
    with belled() as (near, far):
        other = far.fabric.bell_of
        far.fabric.bell_of = near.fabric.bell_of  # any bell of the same family
        assert far.fabric.arm()
        far.post(0, 64)
        near.send(near.peer(far), (0, 8))
        near.fabric.wake()
        assert rung(near) and not rung(far) and other


def test_close_may_be_repeated(ends):
    near, far = ends
    near.fabric.close()
    near.fabric.close()
