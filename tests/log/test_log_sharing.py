"""Processes that share a volume: one owns it, and when it goes another does; nobody harms the others."""

import contextlib
import os
import signal
import socket
import sys

import pytest
import sharing
from sharer import AT_A_TIME

from libos import log_wire as wire
from libos.errors import Fail, Kind
from libos.factory import native
from libos.log_rendezvous import name_of, owner_of
from libos.log_wire import HEADER
from libos.pdpix import READABLE
from libos.sgarray import SGArray

SHARER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sharer.py")
SIZE = 8 << 20


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "shared.cattree")


class Sharer(sharing.Sharer):
    """sharer.py; `role`: what it is."""

    def __init__(self, path, name="x", count=0):
        super().__init__([sys.executable, SHARER, path, name, str(count)])
        self.role = self.said


@contextlib.contextmanager
def shared(path):
    store = native("cattree", path=path, size=SIZE, shared=True)
    try:
        yield store
    finally:
        store.shut()
        assert store.heap.live() == 0


def pushed(store, qd, data):
    result = store.wait(store.push(qd, SGArray.of(data)), 20)
    assert result.error is None, result
    return result.value


def taken(store, token):
    result = store.wait(token, 20)
    assert result.error is None, result
    with result.sga as sga:
        return bytes(sga)


def lines(store, name="log"):
    """{name of a pusher: [number, ...]} of a log, in its order."""
    qd, (head, end) = store.open(name), store.logs()[name]
    whole = b""
    while len(whole) < end - head:
        whole += taken(store, store.pread(qd, 1 << 20, head + len(whole)))
    store.close(qd)
    found = {}
    for line in whole.decode().splitlines():
        who, number = line.split()
        found.setdefault(who, []).append(int(number))
    return found


def failure(call, *arguments, **options):
    with pytest.raises(Fail) as caught:
        call(*arguments, **options)
    return caught.value.kind


def test_calls_of_owner_and_guest(path):
    """All calls, in the process of the owner and in another's place."""
    with shared(path) as owner, shared(path) as guest:
        assert owner.link.owner and not guest.link.owner
        qd = owner.creat("log")
        assert pushed(owner, qd, b"one") == 3
        other = guest.open("log")
        assert pushed(guest, other, b"three") == 5 and pushed(guest, other, b"L" * 500000) == 500000
        found = [taken(owner, owner.pop(qd, 1 << 20)) for _ in range(4)]
        assert found == [b"one", b"three", b"L" * 500000, b""]
        assert [taken(guest, guest.pop(other, 2)) for _ in range(3)] == [b"on", b"e", b"th"]
        assert guest.lseek(other, -4, os.SEEK_END) == 500004 and taken(guest, guest.pop(other)) == b"LLLL"
        assert taken(guest, guest.pread(other, 7, 1)) == b"nethree"
        guest.ftruncate(other, 5)
        guest.truncate(other, 1)
        assert owner.bounds(qd) == (1, 5) and owner.logs() == guest.logs() == {"log": (1, 5)}
        assert failure(owner.lseek, qd, 6) is Kind.INVALID
        guest.rename("log", "dir/log")
        owner.open("temp", create=True)
        assert guest.logs("dir") == {"dir/log": (1, 5)} and set(owner.logs()) == {"dir/log", "temp"}
        owner.unlink("dir/log")
        assert pushed(guest, other, b"still") == 5
        assert taken(guest, guest.pread(other, 99, 1)) == b"nethstill"
        assert failure(guest.open, "dir/log") is Kind.INVALID and failure(guest.unlink, "none") is Kind.INVALID
        result = guest.wait(guest.push(other, SGArray.of(bytes(600000))), 20)
        assert result.error.kind is Kind.INVALID
        guest.close(other)
        assert failure(guest.pop, other) is Kind.BAD_QUEUE


def test_a_watch_is_told_by_whoever_owns_the_volume(path):
    """Of what others push; it outlives an owner that dies, and one that leaves."""
    first = Sharer(path)
    with shared(path) as store:
        qd = store.open("log")
        watching = [store.watch(qd, READABLE), store.watch(qd, READABLE)]
        assert failure(store.wait_any, watching, 0.2) is Kind.TIMED_OUT
        first.kill()
        assert failure(store.wait_any, watching, 0.2) is Kind.TIMED_OUT
        other = Sharer(path, "b", 1)
        other.follow()
        assert [store.wait(token, 20).value for token in watching] == [READABLE] * 2
        assert taken(store, store.pop(qd)) == b"b 0\n"
        behind = store.watch(qd, READABLE)
        assert failure(store.wait, behind, 0.2) is Kind.TIMED_OUT
        assert store.cancel(behind) and store.wait(behind).error.kind is Kind.CANCELED
        other.end()


def test_a_watch_goes_over_to_the_next_owner(path):
    with contextlib.ExitStack() as leaving:
        leaving.enter_context(shared(path))  # the owner
        with shared(path) as store:
            qd = store.open("log", create=True)
            watching = store.watch(qd, READABLE)
            assert failure(store.wait, watching, 0.2) is Kind.TIMED_OUT
            leaving.close()
            assert failure(store.wait, watching, 0.2) is Kind.TIMED_OUT
            assert store.link.owner and pushed(store, qd, b"more") == 4
            assert store.wait(watching, 20).value == READABLE


def test_two_processes_push_to_one_log(path):
    first = Sharer(path, "a", 100)
    second = Sharer(path, "b", 100)
    assert (first.role, second.role) == ("owner", "guest")
    for one in (first, second):
        one.follow()
        assert one.done == list(range(100))
    second.end()
    first.end()
    with shared(path) as store:
        assert store.link.owner
        assert lines(store) == {"a": list(range(100)), "b": list(range(100))}


def test_the_owner_is_killed_in_the_midst_of_pushes(path):
    """What was acknowledged is there, once; what was lost is there once or not; what comes later goes to the next."""
    owner = Sharer(path, "a", 100000)
    with shared(path) as store:
        others = [Sharer(path, "b", 600), Sharer(path, "c", 600)]
        assert [one.role for one in others] == ["guest", "guest"]
        for one in (owner, *others):
            one.follow(50)
        owner.kill()
        for one in others:
            one.follow()
            assert sorted(one.done + one.lost) == list(range(600)) and len(one.lost) <= AT_A_TIME + 1
        found = lines(store)
        for name, one in zip("abc", (owner, *others), strict=True):
            assert found[name] == sorted(set(found[name])), name  # once each, in their order
            assert set(one.done) <= set(found[name])
            assert set(found[name]) <= set(one.done) | set(one.lost) or name == "a"
        assert found["a"][-1] <= len(owner.done) + 2 * AT_A_TIME
        for one in others:
            one.end()


def test_the_owner_takes_its_leave_in_the_midst_of_pushes(path):
    """Nothing is lost, and nothing twice."""
    with contextlib.ExitStack() as leaving:
        store = leaving.enter_context(shared(path))
        others = [Sharer(path, "b", 400), Sharer(path, "c", 400)]
        for one in others:
            one.follow(30)
    for one in others:
        one.follow()
        assert one.done == list(range(400)) and not one.lost
    with shared(path) as store:
        assert lines(store) == {"b": list(range(400)), "c": list(range(400))}
        for one in others:
            one.end()
        assert store.logs()


def test_what_waits_while_the_owner_dies(path):
    """Reads are asked again; a push that was sent may be lost and says so; the next call finds the next owner."""
    owner = Sharer(path)
    with shared(path) as store:
        qd = store.open("log")
        assert pushed(store, qd, b"first") == 5
        owner.process.send_signal(signal.SIGSTOP)
        os.waitpid(owner.process.pid, os.WUNTRACED)  # all its threads: nothing is answered any more
        reading, pushing = store.pop(qd), store.push(qd, SGArray.of(b"second"))
        assert failure(store.wait_any, [reading, pushing], 0.2) is Kind.TIMED_OUT
        owner.kill()
        assert taken(store, reading) == b"first"
        assert store.wait(pushing, 20).error.kind is Kind.RESET
        assert store.link.owner
        assert pushed(store, qd, b"third") == 5
        assert store.bounds(qd)[1] in (10, 16)


def test_a_guest_that_dies_harms_nobody(path):
    with shared(path) as store:
        guest = Sharer(path, "b", 100000)
        assert guest.role == "guest"
        guest.follow(30)
        qd = store.open("log")
        store.unlink("log")
        pushed(store, qd, b"x 0\n")
        guest.kill()
        store.close(qd)
        catalog = store.link.owner.store.volume.catalog
        log = store.creat("log")
        pushed(store, log, b"y 0\n")
        while len(catalog.logs) > 1:  # the log of its is gone when the owner has seen that it is
            pushed(store, log, b"y 0\n")
        assert set(lines(store)) == {"y"}


def introduced(path):
    """A connection that knows the secret."""
    port, secret = owner_of(path)
    sock = socket.create_connection(("127.0.0.1", port), 10)
    sock.sendall(HEADER.pack(wire.HELLO, 16, 1, 0, 0, 0) + secret)
    assert HEADER.unpack(sock.recv(HEADER.size, socket.MSG_WAITALL))[:3] == (wire.DONE, 0, 1)
    return sock


def ended(sock):
    """Whether the owner has put it out."""
    sock.settimeout(20)
    try:
        while sock.recv(65536):
            pass
    except ConnectionResetError:
        pass
    sock.close()
    return True


def test_hostile_guests_are_put_out(path):
    with shared(path) as store:
        qd = store.creat("log")
        port, secret = owner_of(path)
        for text in (b"GET / HTTP/1.1\r\n\r\n" * 10, HEADER.pack(wire.LIST, 0, 1, 0, 0, 0),
                     HEADER.pack(wire.HELLO, 16, 1, 0, 0, 0) + bytes(16)):  # fmt: skip
            sock = socket.create_connection(("127.0.0.1", port), 10)
            sock.sendall(text)
            assert ended(sock)
            pushed(store, qd, b"a")
        for message in (HEADER.pack(99, 0, 2, 0, 0, 0), HEADER.pack(wire.PUSH, 1 << 30, 2, 1, 0, 0),
                        HEADER.pack(wire.BYE, 0, 2, 0, 0, 0)):  # fmt: skip
            sock = introduced(path)
            sock.sendall(message)
            assert ended(sock)
            pushed(store, qd, b"b")
        assert store.bounds(qd) == (0, 6)


def test_nonsense_in_a_right_form_is_answered(path):
    huge = (1 << 64) - 1
    messages = [
        (wire.PUSH, 7, 0, 0, b"x"), (wire.CLOSE, huge, 0, 0, b""), (wire.POP, 1, huge, huge, b""),
        (wire.OPEN, 0, 1, 0, b""), (wire.OPEN, 0, 1, 0, b"n" * 256), (wire.REOPEN, huge, 0, 0, b""),
        (wire.RENAME, 0, huge, 0, b"a"), (wire.FTRUNCATE, 1, huge, 0, b""), (wire.TRUNCATE, 1, huge, 0, b""),
        (wire.PREAD, 1, 0, 0, b""), (wire.PUSH, 1, 0, 0, b""), (wire.UNLINK, 0, 0, 0, b"\xff\0"),
        (wire.WATCH, huge, 0, 0, b""),
    ]  # fmt: skip
    with shared(path) as store:
        store.creat("log")
        for kind, log, first, second, payload in messages:
            sock = introduced(path)
            sock.sendall(HEADER.pack(wire.OPEN, 3, 2, 0, 0, 0) + b"log")
            assert HEADER.unpack(sock.recv(HEADER.size, socket.MSG_WAITALL))[0] == wire.DONE
            sock.sendall(HEADER.pack(kind, len(payload), 3, log, first, second) + payload)
            answer = HEADER.unpack(sock.recv(HEADER.size, socket.MSG_WAITALL))
            assert answer[0] != wire.DONE and answer[2] == 3, (kind, log, first, second, payload)
            sock.close()
        assert store.logs() == {"log": (0, 0)}


def test_a_guest_that_does_not_listen_is_not_waited_for(path):
    """It asks for more than it ever takes: the owner stops to listen to it, and serves the others."""
    with shared(path) as store:
        qd = store.creat("log")
        pushed(store, qd, b"x" * 500000)
        sock = introduced(path)
        sock.sendall(HEADER.pack(wire.OPEN, 3, 2, 0, 0, 0) + b"log")
        number = HEADER.unpack(sock.recv(HEADER.size, socket.MSG_WAITALL))[3]
        sock.setblocking(False)
        asked = 0
        with contextlib.suppress(BlockingIOError):
            while asked < 100000:
                asked += sock.send(HEADER.pack(wire.PREAD, 0, 3, number, 0, 500000)) // HEADER.size
        for _ in range(20):
            assert taken(store, store.pread(qd, 10, 0)) == b"x" * 10
        assert sum(guest.bytes for guest in store.link.owner.guests.values()) < 64 << 20
        sock.close()


def test_the_door_opens_for_those_who_may_write(path, tmp_path):
    with shared(path), open(path, "rb") as reading, open(tmp_path / "other", "wb+") as other:
        address = name_of(os.stat(path))
        for file in (reading, other, None):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
                sock.connect(address)
                if file is None:
                    sock.sendall(b"\0")
                else:
                    socket.send_fds(sock, [b"\0"], [file.fileno()])
                assert sock.recv(18) == b""
        slow = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(70)]
        for sock in slow:
            sock.connect(address)
        assert owner_of(path)
        for sock in slow:
            sock.close()


def test_a_volume_that_somebody_takes_for_himself(path):
    """Calls fail after a while, and go on once he has let go of it."""
    owner = Sharer(path)
    with shared(path) as store:
        qd = store.open("log")
        owner.kill()
        alone = native("cattree", path=path, size=SIZE)
        assert failure(store.logs) is Kind.IN_USE
        alone.shut()
        assert store.logs() == {"log": (0, 0)}
        assert pushed(store, qd, b"again") == 5


def test_a_volume_that_is_not_shared(path):
    with open(path, "wb") as file:
        file.write(b"precious" + bytes(SIZE))
    assert failure(native, "cattree", path=path, shared=True) is Kind.INVALID
    os.unlink(path)
    store = native("cattree", path=path, size=SIZE)
    assert failure(native, "cattree", path=path, shared=True) is Kind.IN_USE
    store.shut()
