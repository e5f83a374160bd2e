"""`catflap top` and `catflap why` of programs on a network of Catnip's, and what they make of memory that lies."""

import json
import os
import signal
import struct
import time
from contextlib import contextmanager

import pytest
from puppets import Puppet, connect, only, talk, why

from libos.net import structs
from shim import far_ends, inside
from shim.connections import Snapshot

SERVER, CLIENT = "10.78.1.1", "10.78.1.2"
SERVER6, CLIENT6 = "fd00:78::1", "fd00:78::2"
PATIENCE = 20  # seconds


@contextmanager
def hosts(catflap):
    """A server and a client on a segment of their own."""
    device = f"segment:w{os.getpid()}-{os.urandom(4).hex()}"

    def flags(four, six):
        return ["--device", device, "--addresses", f"{four}/16,{six}/64"]

    with Puppet(catflap, "catnip", flags=flags(SERVER, SERVER6)) as server:
        with Puppet(catflap, "catnip", flags=flags(CLIENT, CLIENT6)) as client:
            yield server, client


@pytest.fixture
def network(catflap):
    """(server, client, their descriptors) of a connection over which 1,000 bytes went both ways."""
    with hosts(catflap) as (server, client):
        here, there = connect(server, client, SERVER)
        talk(server, client, 10)
        yield server, client, here, there


def seen(*puppets):
    """{(process, descriptor): Connection} of these, every one of their TCP and UDP descriptors."""
    pids = [puppet.pid for puppet in puppets]
    return {(row.pid, row.fd): row for row in Snapshot().connections if row.pid in pids}


def until(fd, client, reached):
    """The client's connection once `reached` holds of it."""
    end = time.monotonic() + PATIENCE
    while not reached(row := seen(client)[client.pid, fd]):
        assert time.monotonic() < end, row
        time.sleep(0.05)
    return row


def test_a_connection_has_a_line_at_each_end_and_no_more(catflap, network):
    server, client, here, there = network
    done = catflap("top", "--json")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    pids = (server.pid, client.pid)
    rows = {(row["pid"], row["fd"]): row for row in json.loads(done.stdout)["connections"] if row["pid"] in pids}
    assert set(rows) == {(server.pid, here), (client.pid, there)}
    ours, theirs = rows[server.pid, here], rows[client.pid, there]
    for row in (ours, theirs):
        assert (row["libos"], row["state"], row["tcp"], row["code"]) == ("catnip", "catnip", "ESTABLISHED", 0)
        assert row["cwnd"] >= 1000 and 0 < row["srtt"] < 10**9 * PATIENCE
        assert row["retransmissions"] >= 0 and row["protocol"] == "tcp"
        assert 0 < row["bytes_in"] <= 1000 and 0 < row["bytes_out"] <= 1000
    assert (ours["local"], ours["remote"]) == (theirs["remote"], theirs["local"])
    assert ours["local"].startswith(f"{SERVER}:") and ours["remote"].startswith(f"{CLIENT}:")


def test_tables_for_people(catflap, network):
    server, client, here, there = network
    lines = [line.split() for line in catflap("top").stdout.splitlines()]
    head = next(line for line in lines if "program" in line)
    (line,) = [line for line in lines if line[:1] == [str(client.pid)]]
    assert {"catnip", "ESTABLISHED"} <= set(line)
    assert head[-3:] == ["cwnd", "srtt", "retrans"]
    assert line[-3].endswith("kB") and line[-2].endswith("ms") and line[-1].isdigit()
    assert "it goes through Catnip" in catflap("why", f"{client.pid}:{there}").stdout


def test_why_tells_of_the_programs_descriptors_only(catflap, refused, network):
    server, client, here, there = network
    (row,) = why(catflap, client.pid)["descriptors"]
    assert (row["fd"], row["libos"]) == (there, "catnip") and "ESTABLISHED" in row["meaning"]
    listening, _ = sorted(why(catflap, server.pid)["descriptors"], key=lambda row: row["state"] != "listening")
    assert listening["state"] == "listening"
    own = [
        fd for fd in map(int, os.listdir(f"/proc/{client.pid}/fd")) if fd != there and inside.protocol(client.pid, fd)
    ]
    assert len(own) >= 2  # a far end, and where the program's sockets are connected to
    for fd in own:
        refused(catflap("why", f"{client.pid}:{fd}"), 2, "one of Catflap's own")


def test_without_the_preloads_words_far_ends_are_known_by_their_records(monkeypatch, network):
    """A stripped or replaced libcatflap.so."""
    monkeypatch.setattr(inside, "symbols", lambda path, inode: {})
    server, client, here, there = network
    rows = {key: row for key, row in seen(server, client).items() if row.remote}
    assert {key: row.libos for key, row in rows.items()} == {
        (server.pid, here): "catnip",
        (client.pid, there): "catnip",
    }


def test_ipv6(catflap):
    with hosts(catflap) as (server, client):
        here, there = connect(server, client, SERVER6)
        talk(server, client, 10)
        row = only(catflap, f"{client.pid}:{there}")
        assert row["local"].startswith(f"[{CLIENT6}]:") and row["remote"].startswith(f"[{SERVER6}]:")


def test_states_as_the_connection_comes_and_goes(catflap, network):
    server, client, here, there = network
    client.do("sock.shutdown(socket.SHUT_WR)")
    server.do("answer = peer.recv(1)")
    assert until(there, client, lambda row: row.tcp == "FIN-WAIT-2").libos == "catnip"
    assert seen(server)[server.pid, here].tcp == "CLOSE-WAIT"
    silent = client.do("""
nobody = socket.socket()
nobody.setblocking(False)
nobody.connect_ex(("10.78.1.9", 9))
answer = nobody.fileno()
""")
    row = seen(client)[client.pid, silent]
    assert (row.libos, row.tcp, row.remote, row.srtt) == ("catnip", "SYN-SENT", "10.78.1.9:9", 0)


def test_segments_sent_again_are_counted(network):
    """Their receiver is stopped for a while."""
    server, client, here, there = network
    before = seen(client)[client.pid, there].retransmissions
    os.kill(server.pid, signal.SIGSTOP)
    try:
        client.tell("sock.sendall(b'x' * 100); answer = sock.recv(100)")
        until(there, client, lambda row: row.retransmissions > before)
    finally:
        os.kill(server.pid, signal.SIGCONT)
    server.do("peer.sendall(peer.recv(1))")
    assert client.hear() == b"x"


def test_a_child_shares_it(network):
    """The stack stays with the parent: the child's descriptor goes through it too."""
    server, client, here, there = network
    child = client.do("""
child = os.fork()
if not child:
    import signal
    signal.pause()
answer = child
""")
    try:
        rows = {row.pid: row for row in Snapshot().connections if row.pid in (client.pid, child) and row.fd == there}
        assert {row.libos for row in rows.values()} == {"catnip"} and len(rows) == 2
        assert rows[child].local == rows[client.pid].local
    finally:
        os.kill(child, signal.SIGKILL)


class Memory:
    """A process that has nothing but what a test puts into its memory: {address: bytes}."""

    pid = 7

    def __init__(self, blocks):
        self.blocks = blocks

    def read(self, address, size):
        if address not in self.blocks:
            raise inside.Unreadable("it changes at this moment", "ask again")
        return self.blocks[address].ljust(size, b"\0")[:size]


RECORD, RELAY, TCB = 0x1000, 0x2000, 0x3000


def remembered(*, far=RECORD, user=RELAY, state=structs.ESTABLISHED, **fields):
    """What far_ends finds in a memory in which one thing or another is not as it should be."""
    c = structs.Tcb(user=user, state=state, remote_high=0, remote_low=0xFFFF_0A4E_0101, remote_port=80, **fields)
    blocks = {RELAY: struct.pack("<3Q", TCB, far, 0), TCB: bytes(c)}
    record = {"AT": RECORD, "OWNER": 7, "RELAY": RELAY, "FD": 900}
    return list(far_ends.find([record], {7: Memory(blocks)}))


def test_what_points_back_is_believed():
    (far,) = remembered(cwnd=14600, srtt=2000, retransmissions=3)
    assert (far.pid, far.fd, far.remote, far.local) == (7, 900, "10.78.1.1:80", "[::]:0")
    assert (far.tcp, far.cwnd, far.srtt, far.retransmissions) == ("ESTABLISHED", 14600, 2000, 3)
    (far,) = remembered(cwnd=-1, srtt=-(1 << 63))
    assert (far.cwnd, far.srtt) == (0, 0)


@pytest.mark.parametrize("lie", [{"far": RECORD + 8}, {"user": 0}, {"state": 11}, {"state": 0xFFFFFFFF}])
def test_what_does_not_is_not(lie):
    assert remembered(**lie) == []


@pytest.mark.parametrize("word", [1, 8, 4096, 1 << 47, (1 << 63) - 8, 1 << 63, (1 << 64) - 1])
def test_words_that_are_no_addresses(word):
    """In the memory of a real process, as records of other kinds have anything there."""
    process = inside.Process(os.getpid())
    try:
        with pytest.raises(inside.Unreadable):
            process.read(word, 8)
        record = {"AT": RECORD, "OWNER": process.pid, "RELAY": word, "FD": 900}
        assert list(far_ends.find([record], {process.pid: process})) == []
    finally:
        process.close()
