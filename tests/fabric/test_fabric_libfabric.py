"""Catmint's machine over libfabric, by the providers that need no device: in this process, and with another."""

import contextlib
import ctypes
import os
import select
import subprocess
import sys
import time

import pytest
from endpoints import Node

import libos.mode
from libos.errors import Fail
from libos.fabric import libfabric, structs
from libos.fabric.libfabric import SCRATCH, LibFabric
from libos.runtime.clock import Clock

PROVIDERS = {"shm": ("shm", ""), "tcp": ("tcp;ofi_rxm", "127.0.0.1")}
PATIENCE = 20  # seconds


class Pair:
    """Two nodes, driven in turn."""

    def __init__(self, kind, **limits):
        self.nodes = []
        for _ in range(2):
            room = ctypes.create_string_buffer(SCRATCH)
            provider, node = PROVIDERS[kind]
            fabric = LibFabric(provider, ctypes.addressof(room), node)
            self.nodes.append(Node(fabric, Clock(), **limits))
            self.nodes[-1].room = room

    def until(self, there, seconds=PATIENCE):
        end = time.monotonic() + seconds
        while not there():
            assert time.monotonic() < end, "it does not come"
            for node in self.nodes:
                node.turn()

    def connected(self, service=1):
        client, server = self.nodes
        listener = server.machine.listen(service, 1000)
        here = client.connect(server, service)
        self.until(lambda: server.machine.ready(listener) & structs.READABLE)
        return listener, here, server.machine.accept(listener)


@pytest.fixture(params=PROVIDERS)
def pair(request):
    try:
        made = Pair(request.param)
    except Fail as error:
        pytest.skip(str(error))
    yield made
    for node in made.nodes:
        node.fabric.close()
        for address in list(node.buffers.live):
            node.buffers.free(address)


def test_messages_of_all_sizes_both_ways(pair):
    client, server = pair.nodes
    listener, here, there = pair.connected()
    sent = [os.urandom(size) for size in (0, 1, 512, 513, 5000, 70000, 1 << 20) for _ in range(5)]
    got, back = [], []
    rest, other = list(sent), list(sent)

    def done():
        while rest and client.push(here, rest[0]) == 0:
            rest.pop(0)
        while other and server.push(there, other[0]) == 0:
            other.pop(0)
        got.extend(server.everything(there)), back.extend(client.everything(here))
        client.finished(here), server.finished(there)
        return len(got) == len(back) == len(sent) and not client.kept and not server.kept

    pair.until(done)
    assert got == back == sent
    client.machine.close(here), server.machine.close(there), server.machine.close(listener)
    pair.until(lambda: client.connections() == server.connections() == 0)
    assert client.engine.receives.promised == server.engine.receives.promised == 0


def test_many_messages_and_credits(pair):
    client, server = pair.nodes
    _, here, there = pair.connected()
    got, count = [], 0

    def done():
        nonlocal count
        while count < 3000 and client.push(here, b"%d" % count) == 0:
            count += 1
        got.extend(server.everything(there))
        client.finished(here)
        return len(got) == 3000

    pair.until(done)
    assert got == [b"%d" % k for k in range(3000)]
    assert server.engine.reported > 0  # credits came by one-sided writes


def test_many_connections(pair):
    client, server = pair.nodes
    listener = server.machine.listen(1, 1000)
    calls = [client.connect(server) for _ in range(50)]
    pair.until(lambda: all(client.state(at) == structs.OPEN for at in calls))
    for k, at in enumerate(calls):
        assert client.push(at, b"%d" % k) == 0
    ends = []
    pair.until(lambda: ends.extend(iter(lambda: server.machine.accept(listener), 0)) or len(ends) == 50)
    pair.until(lambda: all(server.machine.ready(at) & structs.READABLE for at in ends))
    assert sorted(server.pop(at) for at in ends) == sorted(b"%d" % k for k in range(50))


def test_ten_thousand_connections_over_one_endpoint():
    """More than there are receives: each has one credit, each says its name and hears it again."""
    count = 10_000 if libos.mode.compiled(libfabric) else 200
    try:
        pair = Pair("shm", connections=count + 1, items=4096)
    except Fail as error:
        pytest.skip(str(error))
    client, server = pair.nodes
    listener = server.machine.listen(1, count)
    calls = {client.connect(server): b"%d" % k for k in range(count)}
    ends, heard, said = [], {}, set()

    def done():
        while at := server.machine.accept(listener):
            ends.append(at)
        while at := server.machine.next_event():
            for data in server.everything(at) if at != listener else ():
                assert server.push(at, data) == 0
            server.finished(at)
        while at := client.machine.next_event():
            if at not in said and client.state(at) == structs.OPEN:
                said.add(at)
                assert client.push(at, calls[at]) == 0
            for data in client.everything(at):
                heard[at] = data
            client.finished(at)
        return len(heard) == count

    pair.until(done, 200)
    assert heard == calls and len(ends) == client.connections() == count
    assert server.fabric.receives < count or not libos.mode.compiled(libfabric)
    for node in pair.nodes:
        node.fabric.close()
        for address in list(node.buffers.live):
            node.buffers.free(address)


def test_who_sleeps_is_woken(pair):
    client, server = pair.nodes
    _, here, there = pair.connected()
    bell = server.fabric.bell()
    if bell < 0:
        assert server.fabric.arm() and 0 < server.fabric.deadline(5) - 5 < 10**7
        pytest.skip("this provider has nothing to wait on: it is looked at now and then")
    end = time.monotonic() + 1
    while time.monotonic() < end and (not server.fabric.arm() or select.select([bell], [], [], 0)[0]):
        server.fabric.disarm()
        server.turn(), client.turn()
    client.push(here, b"wake up")
    client.turn()
    assert select.select([bell], [], [], PATIENCE)[0]
    server.fabric.disarm()
    pair.until(lambda: server.machine.ready(there) & structs.READABLE)
    assert server.pop(there) == b"wake up"


ECHO = """
import sys
sys.path[:0] = [{root!r}, {here!r}]
import libos.mode
libos.mode.install()
from test_fabric_libfabric import Pair, structs
pair = Pair({kind!r})
pair.nodes[0].fabric.close()
server = pair.nodes[1]
listener = server.machine.listen(1, 10)
print(server.fabric.address.hex(), flush=True)
ends = []
while True:
    server.turn()
    at = server.machine.accept(listener)
    if at:
        ends.append(at)
    for at in ends:
        for data in server.everything(at):
            server.push(at, data)
        server.finished(at)
"""


class Named:
    """The other process' endpoint, as `connect` wants it."""

    def __init__(self, address):
        self.fabric = self
        self.address = address


@pytest.mark.parametrize("kind", PROVIDERS)
def test_another_process_that_is_killed_is_noticed(kind):
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    try:
        pair = Pair(kind)
    except Fail as error:
        pytest.skip(str(error))
    client = pair.nodes[0]
    code = ECHO.format(root=root, here=os.path.dirname(os.path.abspath(__file__)), kind=kind)
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    with contextlib.closing(pair.nodes[1].fabric), contextlib.closing(client.fabric), other:
        try:
            here = client.connect(Named(bytes.fromhex(other.stdout.readline())))
            pair.until(lambda: client.state(here) != structs.CALLING)
            data = [b"small", os.urandom(20000)]
            for each in data:
                assert client.push(here, each) == 0
            got = []
            pair.until(lambda: got.extend(client.everything(here)) or len(got) == 2)
            assert got == data
        finally:
            other.kill()
        other.wait()
        client.engine.patience = 10**9 // 4  # with that from the first on, a slow process were as good as dead
        client.engine.beats_at = 1
        pair.until(lambda: client.state(here) == structs.BROKEN)
        assert client.error(here) in (structs.TIMED_OUT, structs.RESET)
        client.finished(here)
        for name in os.listdir("/dev/shm"):  # what a killed process of libfabric's shm leaves behind
            if name.startswith(f"{other.pid}:") or name == str(other.pid):
                os.unlink(f"/dev/shm/{name}")
