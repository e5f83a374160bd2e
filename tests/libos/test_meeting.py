"""The rendezvous of two ends: who is let in, who is refused and with which reason, and what is left behind."""

import os
import socket

import loops
import pytest

from libos import diagnostics, layout, meeting, memory_file, raw
from libos.pair import SIZE


def steps(left, right, count=12):
    """Both sides take their steps; the first refusal is raised."""
    for _ in range(count):
        left.attend()
        right.attend()


@pytest.fixture
def sides():
    with loops.pair(upgraded=False) as both:
        yield both


def test_the_peer_is_found_by_its_cookie(sides):
    left, right = sides
    for one, other in ((left, right), (right, left)):
        peer = diagnostics.peer_of(one.sock)
        assert peer.cookie == diagnostics.cookie(other.sock)
        assert peer.uid == os.getuid()


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_an_address_inside_ipv6_is_ipv4(family):
    listener = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    host = "127.0.0.1" if family == socket.AF_INET else "::1"
    with listener, socket.create_connection((host, listener.getsockname()[1])) as a, listener.accept()[0] as b:
        assert diagnostics.peer_of(a).cookie == diagnostics.cookie(b)
        assert diagnostics.peer_of(b).cookie == diagnostics.cookie(a)


def test_an_ended_peer_is_unknown():
    a, b = loops.tcp_pair()
    b.close()
    assert diagnostics.peer_of(a) is None
    a.close()


def test_unknown_peer(sides, monkeypatch):
    monkeypatch.setattr(diagnostics, "peer_of", lambda sock: None)
    with pytest.raises(meeting.Refused, match="PEER_UNKNOWN"):
        sides[0].attend()


def test_peer_of_another_user(sides, monkeypatch):
    monkeypatch.setattr(diagnostics, "peer_of", lambda sock: diagnostics.Peer(1, os.geteuid() + 1))
    with pytest.raises(meeting.Refused, match="PEER_UID"):
        sides[0].attend()


@pytest.mark.parametrize("uid_map", ["0 1000 1", "0 0 65535", None])
def test_a_user_that_may_be_anybody(sides, monkeypatch, tmp_path, uid_map):
    """Outside of the first user namespace 65534 stands for all who are not mapped (user_namespaces(7))."""
    path = tmp_path / "uid_map"
    if uid_map:
        path.write_text(uid_map)
    monkeypatch.setattr(meeting, "UID_MAP", str(path))
    monkeypatch.setattr(meeting, "UNMAPPED", os.geteuid())
    with pytest.raises(meeting.Refused, match="PEER_UID"):
        sides[0].attend()
    path.write_text("         0          0 4294967295\n")
    assert meeting.same_user(os.geteuid())


@pytest.mark.parametrize("number", meeting.FORBIDDEN)
def test_a_filter_forbids_to_ask_for_the_peer(sides, monkeypatch, number):
    def refuse(sock):
        raise OSError(number, "forbidden")

    monkeypatch.setattr(diagnostics, "peer_of", refuse)
    with pytest.raises(meeting.Refused, match="SECCOMP"):
        sides[0].attend()


@pytest.mark.parametrize("number", meeting.FORBIDDEN)
def test_a_filter_forbids_to_meet(sides, monkeypatch, number):
    def refuse(meet):
        raise OSError(number, "forbidden")

    monkeypatch.setattr(meeting.Meeting, "unix", refuse)
    for side in sides:
        with pytest.raises(meeting.Refused, match="SECCOMP"):
            side.attend()


def test_whoever_connects_in_the_peers_place_is_checked(sides, monkeypatch):
    """The uid that owns the TCP socket and the one that comes to the meeting must be the same."""
    left, right = sides
    right.attend()
    right.queue.meeting.peer.uid += 1
    with pytest.raises(meeting.Refused, match="PEER_UID"):
        steps(left, right)


def test_peer_that_never_comes(monkeypatch, sides):
    with pytest.raises(meeting.Refused, match="PEER_PLAIN"):
        monkeypatch.setattr(meeting, "PATIENCE", 0)
        for _ in range(meeting.TRIES + 2):
            sides[0].attend()


def hello(side, **changes):
    values = {"magic": meeting.MAGIC, "version": meeting.VERSION, "slot": 0, "size": SIZE} | changes
    family = side.catloop.family
    return lambda slot=0: meeting.HELLO.pack(*values.values(), family.key, family.identity)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"version": meeting.VERSION + 1}, "OTHER_VERSION"),
        ({"size": SIZE + 4096}, "OTHER_VERSION"),
        ({"magic": b"catflop\0"}, "OTHER_VERSION"),
        ({"slot": layout.SLOTS}, "PEER_UNKNOWN"),
    ],
)
@pytest.mark.parametrize("liar", [0, 1])
def test_what_is_said_is_checked(sides, changes, reason, liar):
    left, right = sides
    left.attend()
    right.attend()
    sides[liar].queue.meeting.hello = hello(sides[liar], **changes)
    with pytest.raises(meeting.Refused, match=reason):
        steps(left, right)


def test_a_short_hello(sides):
    left, right = sides
    left.attend()
    right.attend()
    left.queue.meeting.hello = lambda slot=0: b"catflap"
    with pytest.raises(meeting.Refused, match="PEER_UNKNOWN"):
        steps(left, right)


def test_too_many_descriptors(sides, monkeypatch):
    left, right = sides
    before = set(os.listdir("/proc/self/fd"))
    plain = meeting.send
    monkeypatch.setattr(meeting, "send", lambda sock, text, *fds: plain(sock, text, *fds, 0))
    with pytest.raises(meeting.Refused, match="PEER_UNKNOWN"):
        steps(left, right)
    for side in sides:
        side.queue.meeting.close()
    left_over = set(os.listdir("/proc/self/fd")) - before
    assert len(left_over) <= 6  # bells and pages, which stay for the next connection


@pytest.mark.parametrize("size", [0, 4096, SIZE - 4096])
def test_segments_are_checked(size):
    fd = memory_file.sealed("catflap-test", size)
    with pytest.raises(OSError):
        memory_file.mapped(fd, SIZE, 4096, 0, True)
    os.close(fd)
    fd = os.memfd_create("catflap-test")
    os.ftruncate(fd, SIZE)  # but not sealed: it could shrink under its reader
    with pytest.raises(OSError):
        memory_file.mapped(fd, SIZE, 4096, 0, True)
    os.close(fd)


def test_connections_of_two_processes_share_their_memory():
    with loops.pair() as (left, right):
        first = raw.load(left.end + layout.BASE) - raw.load(left.end + layout.SLOT) * layout.SLOT_SIZE
        a, b = loops.tcp_pair()
        slots = {raw.load(left.end + layout.SLOT)}
        end, other = left.catloop.adopt(a.fileno(), 1), right.catloop.adopt(b.fileno(), 1)
        other.accepting = True
        for _ in range(8):
            for catloop, queue in ((left.catloop, end), (right.catloop, other)):
                queue.uses += 1000
                catloop.attend(queue, True)
        second = raw.load(end.end + layout.BASE) - raw.load(end.end + layout.SLOT) * layout.SLOT_SIZE
        assert raw.load(end.end + layout.IN) and first == second
        slots.add(raw.load(end.end + layout.SLOT))
        assert len(slots) == 2
        for catloop, queue, sock in ((left.catloop, end, a), (right.catloop, other, b)):
            catloop.release(queue)
            queue.owner = None
            catloop.freed(queue)
            sock.close()


def test_slots_are_used_again():
    with loops.pair() as (left, right):
        seen = set()
        for _ in range(6):
            a, b = loops.tcp_pair()
            end, other = left.catloop.adopt(a.fileno(), 1), right.catloop.adopt(b.fileno(), 1)
            other.accepting = True
            for _ in range(8):
                for catloop, queue in ((left.catloop, end), (right.catloop, other)):
                    queue.uses += 1000
                    catloop.attend(queue, True)
            seen.add(raw.load(end.end + layout.SLOT))
            for catloop, queue, sock in ((left.catloop, end, a), (right.catloop, other, b)):
                catloop.release(queue)
                queue.owner = None
                catloop.freed(queue)
                sock.close()
        assert len(seen) == 1
