"""The relay: who is known by name gets what is sent to it, nobody else gets anything."""

import socket
import subprocess
from contextlib import contextmanager

import pytest
import twins
from hypothesis import given, settings
from hypothesis import strategies as st
from twins import PAIRINGS, TWINS, Server, run

from examples.common import relay
from examples.common.relay import LIFETIME, LONGEST_NAME, MOST_CLIENTS, Relay


def tell(table, data, address, now=0.0):
    found = table.receive(memoryview(data), address, now)
    return found and (b"".join(found[0]), found[1])


def test_registration_and_forwarding():
    table = Relay()
    assert tell(table, b"hello a", 1) == (b"welcome a", 1)
    assert tell(table, b"hello b", 2) == (b"welcome b", 2)
    assert tell(table, b"b\0pay\0load", 1) == (b"a\0pay\0load", 2)
    assert tell(table, b"a\0", 2) == (b"b\0", 1)
    assert tell(table, b"a\0me", 1) == (b"a\0me", 1)


def test_what_is_dropped():
    table = Relay()
    assert tell(table, b"hello a", 1)
    for data in (
        b"",
        b"a",
        b"hello",
        b"hello ",
        b"hello " + bytes(1),
        b"hello " + b"x" * 33,
        b"\0x",
        b"b\0x",
        b"x" * 99,
    ):
        assert tell(table, data, 1) is None, data
    assert tell(table, b"a\0x", 2) is None  # a stranger
    assert len(table.by_address) == 1


def test_a_name_belongs_to_who_has_it():
    table = Relay()
    assert tell(table, b"hello a", 1)
    assert tell(table, b"hello a", 2) == (b"refused a", 2)
    assert tell(table, b"hello b", 1) == (b"welcome b", 1)  # another name for the same client
    assert tell(table, b"hello a", 2) == (b"welcome a", 2)


def test_the_silent_are_forgotten():
    table = Relay()
    assert tell(table, b"hello a", 1, 0)
    assert tell(table, b"hello b", 2, LIFETIME - 1)
    assert tell(table, b"hello c", 3, LIFETIME) and set(table.by_name) == {b"b", b"c"}
    assert tell(table, b"c\0x", 2, LIFETIME * 1.5)
    assert tell(table, b"b\0x", 3, LIFETIME * 2.5 - 1) is None  # itself forgotten by now
    assert set(table.by_name) == {b"b"}


def test_the_table_is_bounded():
    table = Relay()
    for i in range(MOST_CLIENTS):
        assert tell(table, b"hello %d" % i, i)[0].startswith(b"welcome")
    assert tell(table, b"hello more", MOST_CLIENTS) == (b"refused more", MOST_CLIENTS)
    assert tell(table, b"hello other", 0) == (b"welcome other", 0)
    assert tell(table, b"hello more", MOST_CLIENTS, LIFETIME) == (b"welcome more", MOST_CLIENTS)


def test_what_would_become_too_large():
    table = Relay()
    assert tell(table, b"hello " + b"n" * LONGEST_NAME, 1) and tell(table, b"hello b", 2)
    room = relay.MAX_DATAGRAM - LONGEST_NAME - 1
    assert len(tell(table, b"b\0" + bytes(room), 1)[0]) == relay.MAX_DATAGRAM
    assert tell(table, b"b\0" + bytes(room + 1), 1) is None


NAMES = st.sampled_from([b"a", b"b", b"c"])
DATAGRAMS = st.one_of(NAMES.map(lambda n: b"hello " + n), NAMES.map(lambda n: n + b"\0x"), st.binary(max_size=50))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(DATAGRAMS, st.integers(1, 4), st.integers(0, 40)), max_size=40))
def test_both_tables_agree(steps):
    table, now = Relay(), 0
    for data, address, later in steps:
        now += later
        found = tell(table, data, address, now)
        assert sorted(c.name for c in table.by_address.values()) == sorted(table.by_name)
        assert all(c.address == address for address, c in table.by_address.items())
        assert [c.heard for c in table.by_address.values()] == sorted(c.heard for c in table.by_address.values())
        if found and found[1] != address:
            assert found[0].partition(b"\0")[0] == table.by_address[address].name


@contextmanager
def answering(twin, port, name):
    """A program that sends back what comes for a name."""
    process = subprocess.Popen(twins.command(twin, "udp_relay", "answer", port, name), stdout=subprocess.PIPE)
    try:
        assert twins.line_of(process) == f"{name} is registered"
        yield process
    finally:
        process.kill()
        process.communicate(timeout=twins.TIMEOUT)


@pytest.mark.parametrize("server, client", PAIRINGS)
@pytest.mark.parametrize("answerer", TWINS)
def test_programs(server, client, answerer):
    """The datagrams as large as they can be, and small ones."""
    with Server(server, "udp_relay", "server") as served, answering(answerer, served.port, "bob"):
        said = run(client, "udp_relay", "ask", served.port, "alice", "bob", "--count", 30)
        assert said == "30 messages of 64 bytes came back unchanged\n"
        run(client, "udp_relay", "ask", served.port, "eve", "bob", "--count", 3, "--size", 65503)


@pytest.mark.parametrize("server", TWINS)
def test_garbage_and_a_killed_client(server):
    """The relay goes on, byte for byte the same for both twins."""
    with Server(server, "udp_relay", "server") as served:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(("127.0.0.1", served.port))
            sock.settimeout(twins.TIMEOUT)
            for data in (b"", b"\0", b"x" * 65507, b"hello ", b"bob\0before registration"):
                sock.send(data)
            with answering(server, served.port, "bob") as killed:
                killed.kill()
                killed.wait(twins.TIMEOUT)
                sock.send(b"hello alice")
                assert sock.recv(100) == b"welcome alice"
                sock.send(b"bob\0to nobody")
                sock.send(b"alice\0to myself")
                assert sock.recv(100) == b"alice\0to myself"


@pytest.mark.parametrize("client", TWINS)
def test_a_name_too_long(client):
    assert "1 to 32 bytes" in run(client, "udp_relay", "answer", 9, "n" * 33, status=2)


@pytest.mark.parametrize("client", TWINS)
def test_a_name_that_is_taken(client):
    with Server("posix", "udp_relay", "server") as served, answering("posix", served.port, "bob"):
        assert "refused bob" in run(client, "udp_relay", "ask", served.port, "bob", "bob", status=1)
