"""Catmint's machine: what its users see of messages, credits, ends and failures."""

import ctypes
import os
import struct

import pytest
from endpoints import HeapBuffers, world

from libos.fabric import structs


@pytest.fixture
def quiet():
    with world() as made:
        yield made


def ended(w, *ends):
    """Close both ends, and see that nothing is left."""
    for node, at in ends:
        node.machine.close(at)
    w.settle()
    for node, at in ends:
        node.finished(at)
    w.settle()
    for node in w.nodes:
        t = node.engine
        for k in range(t.connections.touched):
            c = structs.connection(t.connections.slot(k))
            if c.state == structs.LISTENING:
                node.machine.close(structs.self_of(c))
    w.at_rest()


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 4096, 100000, 1 << 20])
def test_a_message_arrives_whole(quiet, size):
    client, server, here, there = quiet.pair()
    data = os.urandom(size)
    assert client.push(here, data) == 0
    quiet.settle()
    assert server.pop(there) == data and server.pop(there) == -structs.WOULD_BLOCK
    assert client.finished(here) == [(1, 0)]
    ended(quiet, (client, here), (server, there))


@pytest.mark.parametrize("size", [0, 1, 64, 200])
def test_a_message_goes_at_once_while_there_are_credits(quiet, size):
    client, server, here, there = quiet.pair()
    sent = []
    while client.push_at_once(here, data := os.urandom(size)):
        sent.append(data)
    c = structs.connection(here)
    assert len(sent) == c.sent == c.granted - 1  # the last credit is for who asks for more
    assert client.push(here, b"the last") == 0
    quiet.settle()
    assert server.everything(there) == [*sent, b"the last"]
    assert client.finished(here) == [(1, 0)] and server.fabric.failed == client.fabric.failed == 0
    ended(quiet, (client, here), (server, there))


def test_what_does_not_go_at_once(quiet):
    client, server, here, there = quiet.pair()
    assert not client.push_at_once(here, bytes(client.engine.at_once + 1))
    for k in range(100):
        assert client.push(here, b"%d" % k) == 0
    assert not client.push_at_once(here, b"before the others")
    quiet.settle()
    got = []
    while len(got) < 100:
        got += server.everything(there)
        server.machine.poll(quiet.clock.now())
        quiet.settle()
    assert got == [b"%d" % k for k in range(100)]
    client.finished(here)
    client.machine.shutdown(here)
    assert not client.push_at_once(here, b"after the end")
    server.fabric.kill()
    client.push(here, b"x")
    quiet.settle()
    client.machine.close(here)
    assert not client.push_at_once(here, b"to nobody")


def test_an_answer_says_what_may_be_sent(quiet):
    """Ping-pong needs neither reports nor replies: each message says how many the other may send."""
    client, server, here, there = quiet.pair()
    before = server.engine.sent + client.engine.sent
    for k in range(200):
        assert client.push_at_once(here, b"ping %d" % k)
        quiet.settle()
        assert server.pop(there) == b"ping %d" % k and server.push_at_once(there, b"pong")
        quiet.settle()
        assert client.pop(here) == b"pong"
    assert server.engine.reported == client.engine.reported == 0
    assert server.engine.sent + client.engine.sent - before == 400
    ended(quiet, (client, here), (server, there))


def test_what_can_not_be_sent(quiet):
    client, server, here, there = quiet.pair(largest=5000)
    assert client.push(here, bytes(5001)) == -structs.MESSAGE_TOO_LONG
    room = ctypes.create_string_buffer(4000)
    outside = client.machine.push(here, ctypes.addressof(room), 4000, 77)
    assert outside == -structs.INVALID  # a large message that is not in the heap
    ended(quiet, (client, here), (server, there))


def test_a_large_message_does_not_let_later_ones_pass(quiet):
    client, server, here, there = quiet.pair()
    sent = [b"a", os.urandom(70000), b"b", os.urandom(3000), b"c"]
    for data in sent:
        assert client.push(here, data) == 0
    quiet.settle()
    assert server.everything(there) == sent
    assert sorted(client.finished(here)) == [(token, 0) for token in range(1, 6)]
    ended(quiet, (client, here), (server, there))


def test_the_key_of_a_large_message_ends_with_it(quiet):
    client, server, here, there = quiet.pair()
    before = len(client.fabric.windows)
    client.push(here, bytes(9000))
    quiet.until(lambda: len(client.fabric.windows) > before)
    quiet.settle()
    assert len(client.fabric.windows) == before
    server.everything(there)
    ended(quiet, (client, here), (server, there))


def test_a_sender_stops_where_its_credits_end_and_is_woken(quiet):
    """The receiver's user takes nothing: as many messages as it has allowed are out, and not one more."""
    client, server, here, there = quiet.pair()
    for k in range(100):
        assert client.push(here, b"%d" % k) == 0
    quiet.settle()
    c = structs.connection(here)
    assert c.sent == c.granted and c.pushes.count == 100 - c.sent
    assert structs.connection(there).messages.count == c.sent == client.engine.window
    assert client.machine.next_deadline() > quiet.clock.now() + 10**9  # it sleeps
    got = []
    while len(got) < 100:
        more = server.everything(there)
        assert more, "the sender was not woken"
        got += more
        server.machine.poll(quiet.clock.now())
        quiet.settle()
    assert got == [b"%d" % k for k in range(100)]
    assert server.engine.reported + server.engine.sent > 2
    client.finished(here)
    ended(quiet, (client, here), (server, there))


def test_credits_come_by_one_sided_writes_while_there_are_some_left(quiet):
    client, server, here, there = quiet.pair()
    c = structs.connection(here)
    for _ in range(200):
        while c.pushes.count < 2:
            assert client.push(here, b"x") == 0
        quiet.step()
        server.everything(there)
        client.finished(here)
    quiet.settle()
    server.everything(there)
    client.finished(here)
    assert server.engine.reported > 10
    ended(quiet, (client, here), (server, there))


def test_half_close(quiet):
    client, server, here, there = quiet.pair()
    client.push(here, b"last")
    client.machine.shutdown(here)
    assert client.push(here, b"more") == -structs.BROKEN_PIPE
    quiet.settle()
    assert server.pop(there) == b"last" and server.pop(there) == 0
    assert server.machine.ready(there) & structs.PEER_CLOSED
    for k in range(50):
        assert server.push(there, b"%d" % k) == 0
    got = []
    while len(got) < 50:
        quiet.settle()
        got += client.everything(here)
        client.machine.poll(quiet.clock.now())
    assert got == [b"%d" % k for k in range(50)]
    client.finished(here), server.finished(there)
    ended(quiet, (client, here), (server, there))


def test_the_end_waits_for_a_credit(quiet):
    client, server, here, there = quiet.pair()
    for _ in range(100):
        client.push(here, b"x")
    client.machine.close(here)
    quiet.settle()
    got = 0
    while (data := server.pop(there)) != 0:
        got += data == b"x"
        server.machine.poll(quiet.clock.now())
        quiet.settle()
    assert got == 100 and len(client.finished(here)) == 100
    ended(quiet, (server, there))


def test_who_closes_with_something_unread_breaks_the_connection(quiet):
    client, server, here, there = quiet.pair()
    client.push(here, b"unread")
    quiet.settle()
    server.machine.close(there)
    quiet.settle()
    assert client.state(here) == structs.BROKEN and client.push(here, b"x") == -structs.RESET
    assert client.finished(here) == [(1, 0)]
    ended(quiet, (client, here))


def test_what_is_sent_to_who_has_closed_breaks_the_connection(quiet):
    client, server, here, there = quiet.pair()
    server.machine.close(there)
    quiet.settle()
    assert client.pop(here) == 0
    client.push(here, b"nobody reads this")
    quiet.settle()
    assert client.pop(here) == -structs.RESET
    client.finished(here)
    ended(quiet, (client, here))


def test_abort(quiet):
    client, server, here, there = quiet.pair()
    client.push(here, bytes(50000))
    client.machine.abort(here)
    assert client.finished(here) == [(1, structs.RESET)]
    quiet.settle()
    assert server.pop(there) == -structs.RESET and server.error(there) == structs.RESET
    ended(quiet, (server, there))


def test_nobody_listens(quiet):
    client, server = quiet.node(), quiet.node()
    here = client.connect(server, 9)
    quiet.settle()
    assert client.state(here) == structs.BROKEN and client.error(here) == structs.CONNECTION_REFUSED
    ended(quiet, (client, here))


def test_nobody_is_there(quiet):
    client, server = quiet.node(), quiet.node()
    server.fabric.kill()
    here = client.connect(server)
    quiet.settle()
    assert client.error(here) == structs.CONNECTION_REFUSED
    ended(quiet, (client, here))


def test_a_backlog_is_kept(quiet):
    client, server = quiet.node(), quiet.node()
    listener = server.machine.listen(1, 3)
    calls = [client.connect(server) for _ in range(5)]
    quiet.settle()
    assert [client.state(at) for at in calls] == [structs.OPEN] * 3 + [structs.BROKEN] * 2
    accepted = [server.machine.accept(listener) for _ in range(4)]
    assert accepted[3] == 0
    ended(quiet, *((client, at) for at in calls), *((server, at) for at in accepted[:3]))


def test_one_listener_for_a_service(quiet):
    node = quiet.node()
    first, other = node.machine.listen(1, 1), node.machine.listen(257, 1)
    assert node.machine.listen(1, 1) == -structs.IN_USE
    node.machine.close(first)
    again = node.machine.listen(1, 1)
    assert again > 0
    node.machine.close(other), node.machine.close(again)
    quiet.at_rest()


def test_who_waits_to_be_accepted_is_turned_away_when_the_listener_closes(quiet):
    client, server = quiet.node(), quiet.node()
    listener = server.machine.listen(1, 10)
    calls = [client.connect(server) for _ in range(3)]
    quiet.settle()
    server.machine.close(listener)
    quiet.settle()
    assert [client.pop(at) for at in calls] == [-structs.RESET] * 3
    ended(quiet, *((client, at) for at in calls))


def test_too_many_connections(quiet):
    client, server = quiet.node(connections=10), quiet.node(connections=4)
    listener = server.machine.listen(1, 10)
    calls = [client.connect(server) for _ in range(5)]
    quiet.settle()
    assert [client.error(at) for at in calls] == [0] * 3 + [structs.CONNECTION_REFUSED] * 2
    assert client.connect(server) > 0 and len([client.connect(server) for _ in range(5)]) == 5
    assert client.connect(server) == -structs.NO_MEMORY
    server.machine.close(listener)


def test_a_killed_peer_is_noticed_by_the_next_message(quiet):
    client, server, here, there = quiet.pair()
    server.fabric.kill()
    client.push(here, b"x")
    quiet.settle()
    assert client.pop(here) == -structs.RESET
    client.finished(here)
    ended(quiet, (client, here))


def test_a_peer_that_dies_in_silence_is_noticed_by_who_waits(quiet):
    client, server, here, there = quiet.pair()
    client.push(here, bytes(5000))
    quiet.settle()
    server.fabric.kill(silent=True)
    began = quiet.clock.now()
    quiet.until(lambda: client.state(here) == structs.BROKEN)
    assert client.error(here) == structs.TIMED_OUT
    assert quiet.clock.now() - began <= 3 * client.engine.patience
    client.finished(here)
    ended(quiet, (client, here))


def test_a_peer_that_lives_is_not_held_for_dead(quiet):
    client, server, here, there = quiet.pair()
    quiet.settle(within=100 * client.engine.patience)
    assert client.state(here) == structs.OPEN == server.state(there)
    ended(quiet, (client, here), (server, there))


def test_a_call_to_who_is_silent_times_out(quiet):
    client, server = quiet.node(), quiet.node()
    server.fabric.kill(silent=True)
    here = client.connect(server)
    quiet.until(lambda: client.state(here) == structs.BROKEN)
    assert client.error(here) == structs.TIMED_OUT
    client.machine.close(here)
    quiet.settle(within=10 * client.engine.patience)
    quiet.at_rest()


def test_a_peer_that_starts_again_is_another(quiet):
    client, server, here, there = quiet.pair()
    server.fabric.kill()
    client.push(here, b"x")
    quiet.settle()
    client.finished(here)
    client.machine.close(here)
    reborn = quiet.node(b"node 1")
    reborn.machine.listen(1, 1)
    here = client.connect(reborn)
    quiet.settle()
    assert client.state(here) == structs.OPEN


@pytest.mark.parametrize("status", [structs.GONE, structs.DENIED, structs.CANCELED])
@pytest.mark.parametrize("operation", [structs.SENT, structs.WRITTEN, structs.READ])
def test_a_failed_completion_ends_the_connection_and_nothing_is_lost(quiet, operation, status):
    client, server, here, there = quiet.pair()
    mine = server if operation != structs.SENT else client
    mine.fabric.fault = lambda kind, length: status if kind == operation else None
    for _ in range(20):
        assert client.push(here, os.urandom(700 if operation == structs.READ else 5)) == 0
    for _ in range(40):
        quiet.settle()
        server.everything(there)
        client.finished(here)
    assert structs.BROKEN in (client.state(here), server.state(there))
    mine.fabric.fault = None
    client.machine.close(here), server.machine.close(there)
    quiet.settle(within=20 * client.engine.patience)
    client.finished(here)
    quiet.settle()
    assert client.tokens == 20 and not client.kept
    assert client.connections() == 0 and server.connections() == 1
    listener = structs.self_of(structs.connection(server.engine.connections.slot(0)))
    server.machine.close(listener)
    quiet.at_rest()


def test_no_memory_for_a_large_message_is_waited_for(quiet):
    buffers = HeapBuffers()
    client, server = quiet.node(), quiet.node(buffers=buffers)
    listener = server.machine.listen(1, 1)
    here = client.connect(server)
    quiet.settle()
    there = server.machine.accept(listener)
    buffers.limit = len(buffers.live)
    data = os.urandom(30000)
    client.push(here, data)
    quiet.settle(within=20_000_000)
    assert server.pop(there) == -structs.WOULD_BLOCK
    buffers.limit = 1 << 30
    quiet.settle()
    assert server.pop(there) == data
    client.finished(here)
    ended(quiet, (client, here), (server, there))


def test_where_there_is_no_memory_for_receives_no_credits_are_given(quiet):
    buffers = HeapBuffers()
    client, server = quiet.node(), quiet.node(buffers=buffers)
    listener = server.machine.listen(1, 1)
    here = client.connect(server)
    quiet.settle()
    there = server.machine.accept(listener)
    buffers.limit = 0
    got, k = [], 0
    for _ in range(300):
        if client.push(here, b"%d" % k) == 0:
            k += 1
        quiet.settle(within=2_000_000)
        data = server.pop(there)
        got += [data] if isinstance(data, bytes) else []
        client.finished(here)
    assert got and quiet.network.waited == 0
    buffers.limit = 1 << 30
    while len(got) < k:
        quiet.settle()
        got += server.everything(there)
    assert got == [b"%d" % i for i in range(k)]
    client.finished(here)
    ended(quiet, (client, here), (server, there))


def test_receives_are_posted_in_bursts_and_never_too_few(quiet):
    client, server, here, there = quiet.pair()
    receives = server.engine.receives
    for _ in range(300):
        client.push(here, b"x")
        quiet.settle()
        server.everything(there)
        client.finished(here)
        assert receives.posted - receives.promised >= structs.RESERVE // 2
        assert receives.posted <= receives.promised + 3 * structs.RESERVE
    ended(quiet, (client, here), (server, there))


def test_events_name_whom_they_concern(quiet):
    client, server, here, there = quiet.pair()
    while client.machine.next_event() or server.machine.next_event():
        pass
    client.push(here, b"x")
    quiet.settle()
    assert server.machine.next_event() == there and server.machine.next_event() == 0
    assert client.machine.next_event() == here and client.finished(here) == [(1, 0)]
    assert server.machine.ready(there) == structs.READABLE | structs.WRITABLE
    assert client.machine.ready(here) == structs.WRITABLE
    server.pop(there)
    assert server.machine.ready(there) == structs.WRITABLE
    ended(quiet, (client, here), (server, there))


def test_memory_is_registered_once(quiet):
    client, server, here, there = quiet.pair()
    for _ in range(3):
        for _ in range(5):
            client.push(here, bytes(20000))
        quiet.settle()
        assert len(server.everything(there)) > 0
        client.finished(here)
    quiet.settle()
    server.everything(there), client.finished(here)
    before = client.engine.regions.registered
    client.push(here, bytes(20000))
    quiet.settle()
    server.everything(there), client.finished(here)
    assert client.engine.regions.registered == before
    assert len(client.fabric.regions) == before + 1
    ended(quiet, (client, here), (server, there))


def test_a_refused_request_is_made_again():
    with world(seed=3, refuse=0.7) as w:
        client, server, here, there = w.pair()
        sent = [os.urandom(n) for n in (1, 600, 3, 50000, 20)]
        for data in sent:
            assert client.push(here, data) == 0
        got = []
        while len(got) < 5:
            w.step()
            got += server.everything(there)
        assert got == sent
        w.settle()
        assert client.fabric.refused > 0
        client.finished(here)
        ended(w, (client, here), (server, there))


def test_the_same_seed_is_the_same_run():
    def run(seed):
        with world(seed=seed, delay=5000, jitter=20000, refuse=0.2) as w:
            client, server, here, there = w.pair()
            seen = []
            for k in range(40):
                client.push(here, struct.pack("<Q", k) * (1 + k * 20))
                w.step()
                seen.append((w.clock.now(), [data[:2] for data in server.everything(there)]))
                client.finished(here)
            return seen

    assert run(1) == run(1) != run(2)
