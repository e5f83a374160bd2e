"""Catmint from plain Python: two programs, each with an endpoint of a provider that needs no device."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import catmints
import pytest

from libos import fabric_files
from libos.errors import Fail, Kind
from libos.factory import native
from libos.pdpix import FAILED, READABLE
from libos.rendezvous import LONGEST, Card
from libos.sgarray import SGArray

SERVER = os.path.join(os.path.dirname(__file__), "catmint_server.py")
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PATIENCE = 20  # seconds


@pytest.fixture(params=catmints.KINDS)
def kind(request):
    return request.param


@pytest.fixture
def libos(kind):
    libos = catmints.made(kind)
    yield libos
    libos.shut()
    assert libos.heap.live() == 0


@pytest.fixture(autouse=True)
def nothing_is_left():
    yield
    assert not [name for name in os.listdir("/dev/shm") if f"-{os.getpid()}-" in name]


class Server:
    """Another program. `port`: where it listens."""

    def __init__(self, kind, count=1):
        environ = {**os.environ, "PYTHONPATH": ROOT}
        command = [sys.executable, SERVER, kind, str(count)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ)
        self.port = int(self.process.stdout.readline())

    def files(self):
        """What it has in /dev/shm."""
        return [name for name in os.listdir("/dev/shm") if f"-{self.process.pid}-" in name]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        fabric_files.clean()


def joined(libos, port):
    qd = libos.socket(socket.AF_INET, socket.SOCK_STREAM)
    result = libos.wait(libos.connect(qd, ("127.0.0.1", port)), PATIENCE)
    if result.error:
        libos.close(qd)
        raise result.error
    return qd


def listening(libos):
    """(qd, port)"""
    qd = libos.socket(socket.AF_INET, socket.SOCK_STREAM)
    libos.bind(qd, ("127.0.0.1", 0))
    libos.listen(qd)
    return qd, libos.getsockname(qd)[1]


def pair(libos):
    """The qds of a connection's two ends."""
    listener, port = listening(libos)
    accepted = libos.accept(listener)
    there = joined(libos, port)
    here = libos.wait(accepted, PATIENCE).value
    libos.close(listener)
    return there, here


def popped(libos, qd, seconds=PATIENCE):
    """The bytes of the next element."""
    result = libos.wait(libos.pop(qd), seconds)
    if result.error:
        raise result.error
    with result.sga as sga:
        return bytes(sga)


def pushed(libos, qd, *segments):
    result = libos.wait(libos.push(qd, SGArray.of(*segments)), PATIENCE)
    if result.error:
        raise result.error


def failure(call, *arguments):
    with pytest.raises(Fail) as caught:
        call(*arguments)
    return caught.value


def test_two_programs_exchange_messages_which_stay_whole(kind):
    with Server(kind) as server:
        libos = catmints.made(kind)
        qd = joined(libos, server.port)
        assert libos.getpeername(qd) == ("127.0.0.1", server.port)
        for size in (1, 64, 4096, 4097, 300_000, 1 << 20):
            data = os.urandom(size)
            pushed(libos, qd, data[: size // 2], data[size // 2 :])
            assert popped(libos, qd) == data
        libos.shutdown(qd, socket.SHUT_WR)
        assert popped(libos, qd) == b""
        libos.close(qd)
        assert server.process.wait(PATIENCE) == 0
        assert not server.files()
        libos.shut()
        assert libos.heap.live() == 0


def test_the_end_that_has_come_before_it_is_asked_for(libos):
    """Nothing comes after it that would wake who waits."""
    there, here = pair(libos)
    libos.shutdown(there, socket.SHUT_WR)
    assert libos.wait(libos.watch(here, READABLE), PATIENCE).value == READABLE
    for _ in range(2):
        assert popped(libos, here) == b""
    libos.close(here)
    libos.close(there)


def test_an_array_that_is_too_long_for_a_message_comes_as_several(libos):
    there, here = pair(libos)
    data = os.urandom((5 << 20) + 7)
    token = libos.push(there, SGArray.of(data[:1000], data[1000:]))
    got = [popped(libos, here) for _ in range(6)]
    assert b"".join(got) == data and [len(part) for part in got] == [1 << 20] * 5 + [7]
    assert libos.wait(token, PATIENCE).value == len(data)
    libos.close(there), libos.close(here)


def test_what_lies_in_the_heap_is_not_copied_before_it_is_sent(libos):
    """A large message goes from its own place, into an object of the heap; freeing it early is safe."""
    there, here = pair(libos)
    before = libos.heap.count(1)
    sga = libos.sgaalloc(200_000)
    data = os.urandom(200_000)
    sga.segments[0][:] = data
    token = libos.push(there, sga)
    libos.sgafree(sga)
    result = libos.wait(libos.pop(here), PATIENCE)
    assert bytes(result.sga) == data and libos.heap.holds(result.sga.addresses[0], 200_000)
    assert libos.wait(token, PATIENCE).error is None
    libos.sgafree(result.sga)
    large = libos.heap.count(1) - before
    assert large < 70  # the array and the message; no more but receive buffers
    libos.close(there), libos.close(here)


def test_elements_and_bytes_of_them(libos):
    there, here = pair(libos)
    pushed(libos, there, b"hello ", b"world")
    pushed(libos, there, b"again")
    watched = libos.watch(here, 1)
    assert libos.wait(watched, PATIENCE).value == 1
    while libos.pending(here) < 16:
        libos.device.poll(10**6)
    assert libos.peek(here, 5) == b"hello" and libos.pending(here) == 16
    buffer = bytearray(6)
    assert libos.pop_into(here, buffer) == 6 and buffer == b"hello "
    assert popped(libos, here) == b"world"
    assert libos.pop_into(here, buffer) == 5 and buffer[:5] == b"again"
    assert failure(libos.pop_into, here, buffer).kind is Kind.WOULD_BLOCK
    libos.close(there), libos.close(here)


def test_pops_that_wait_in_line(libos):
    """The first needs no coroutine in compiled code; what is behind it has its turn all the same."""
    there, here = pair(libos)
    first, watched, second = libos.pop(here), libos.watch(here, 1), libos.pop(here)
    pushed(libos, there, b"one"), pushed(libos, there, b"two")
    results = libos.wait_all([second, first], PATIENCE)
    assert [bytes(result.sga) for result in results] == [b"two", b"one"]
    assert libos.wait(watched, PATIENCE).value == 1
    for result in results:
        libos.sgafree(result.sga)
    token = libos.pop(here)
    watched = libos.watch(here, 1)
    assert libos.cancel(token) and libos.wait(token, PATIENCE).error.kind is Kind.CANCELED
    assert libos.within(libos.pop(here), 0.01) is None
    pushed(libos, there, b"three")
    assert libos.wait(watched, PATIENCE).value == 1 and popped(libos, here) == b"three"
    counted = libos.counters
    tokens = [libos.pop(here) for _ in range(3)]
    assert libos.counters["blocked"] == counted["blocked"] + 3
    libos.close(here)
    assert [libos.wait(token, PATIENCE).error.kind for token in tokens] == [Kind.CANCELED] * 3
    token = libos.pop(there)
    assert libos.wait(token, PATIENCE).error is None  # the end
    libos.close(there)
    settled(libos)


def test_many_short_messages_there_and_back(libos):
    there, here = pair(libos)
    for k in range(300):
        pushed(libos, there, b"%d" % k)
        pushed(libos, there, b"again")
        assert popped(libos, here) == b"%d" % k and popped(libos, here) == b"again"
        pushed(libos, here, b"heard")
        assert popped(libos, there) == b"heard"
    counted = libos.counters
    assert counted["failed"] == 0 and counted["completed"] >= 1800
    libos.close(there), libos.close(here)
    settled(libos)


def test_half_a_connection_is_closed(libos):
    there, here = pair(libos)
    pushed(libos, there, b"last words")
    libos.shutdown(there, socket.SHUT_WR)
    assert failure(pushed, libos, there, b"more").kind is Kind.RESET
    assert popped(libos, here) == b"last words" and popped(libos, here) == b"" == popped(libos, here)
    pushed(libos, here, b"heard")
    assert popped(libos, there) == b"heard"
    libos.close(here)
    assert popped(libos, there) == b""
    libos.close(there)
    settled(libos)


def settled(libos):
    """All that was closed is said, and its TCP connection gone."""
    end = time.monotonic() + PATIENCE
    while libos.device.leaving:
        assert time.monotonic() < end, "it does not come to its end"
        libos.device.poll(10**6)
    assert libos.catmint.engine.connections.used == 0 and not libos.kept and not libos.device.by_fd
    assert catmints.held(libos) == 0


def test_who_closes_with_something_unread_resets(libos):
    there, here = pair(libos)
    pushed(libos, there, b"unread")
    assert libos.wait(libos.watch(here, 1), PATIENCE).error is None
    libos.close(here)
    assert failure(popped, libos, there).kind is Kind.RESET
    libos.close(there)
    settled(libos)


def test_a_program_that_is_killed_is_missed_at_once(kind):
    """By the end of its TCP connection: not only when it has been silent for long."""
    with Server(kind) as server:
        libos = catmints.made(kind)
        qd, other = joined(libos, server.port), joined(libos, server.port)
        pushed(libos, qd, b"alive")
        assert popped(libos, qd) == b"alive"
        token, waiting = libos.pop(qd), libos.pop(other)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        start = time.monotonic()
        assert [r.error.kind for r in libos.wait_all([token, waiting], PATIENCE)] == [Kind.RESET] * 2
        assert time.monotonic() - start < 4  # libos.catmint.engine.patience is 5 s
        assert failure(pushed, libos, qd, b"nobody").kind is Kind.RESET
        libos.close(qd), libos.close(other)
        assert failure(joined, libos, server.port).kind is Kind.REFUSED
        libos.shut()
        assert libos.heap.live() == 0


def test_what_was_said_before_the_end_of_a_program_arrives(kind):
    """A program pushes, closes and ends at once."""
    libos = catmints.made(kind)
    listener, port = listening(libos)
    code = f"""
import sys; sys.path.insert(0, {os.path.join(ROOT, "tests")!r})
import catmints
from libos.sgarray import SGArray
import socket
libos = catmints.made({kind!r})
qd = libos.socket(socket.AF_INET, socket.SOCK_STREAM)
assert libos.wait(libos.connect(qd, ("127.0.0.1", {port})), 10).error is None
libos.wait(libos.push(qd, SGArray.of(b"x" * 500_000)), 10)
libos.push(qd, SGArray.of(b"bye"))
libos.close(qd)
"""
    other = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": ROOT})
    qd = libos.wait(libos.accept(listener), PATIENCE).value
    assert [len(popped(libos, qd)) for _ in range(3)] == [500_000, 3, 0]
    assert other.wait(PATIENCE) == 0
    libos.close(qd), libos.close(listener)
    settled(libos)
    libos.shut()


def test_a_thousand_connections(libos):
    listener, port = listening(libos)
    accepted, calls = [], []
    for _ in range(1000):
        qd = libos.socket(socket.AF_INET, socket.SOCK_STREAM)
        calls.append((qd, libos.connect(qd, ("127.0.0.1", port)), libos.accept(listener)))
        if len(calls) % 100 == 0:
            for _, connecting, accepting in calls[-100:]:
                assert libos.wait(connecting, PATIENCE).error is None
                accepted.append(libos.wait(accepting, PATIENCE).value)
    libos.close(listener)
    ends = {}
    for k, (qd, _, _) in enumerate(calls):
        pushed(libos, qd, b"%d" % k)
    for qd in accepted:
        data = popped(libos, qd)
        assert data not in ends
        ends[data] = qd
        pushed(libos, qd, data)
    for k, (qd, _, _) in enumerate(calls):
        assert popped(libos, qd) == b"%d" % k
        libos.close(qd)
    for qd in accepted:
        libos.close(qd)
    settled(libos)


def test_programs_come_and_go(kind):
    """Endpoints that a listener has never heard of, several at a time; and one that calls several in any order."""
    with Server(kind, 9) as one, Server(kind, 9) as other:
        for _ in range(2):
            callers = [catmints.made(kind) for _ in range(3)]
            qds = [joined(libos, one.port) for libos in callers]
            for libos, qd in zip(callers, qds, strict=True):
                pushed(libos, qd, b"from one of many")
                assert popped(libos, qd) == b"from one of many"
                libos.close(qd)
                libos.shut()
        libos = catmints.made(kind)
        for server in (one, other, other, one, other, one):
            qd = joined(libos, server.port)
            pushed(libos, qd, bytes(5000))
            assert popped(libos, qd) == bytes(5000)
            libos.close(qd)
            settled(libos)
        libos.shut()


def test_nobody_listens(libos):
    with socket.create_server(("127.0.0.1", 0)) as placeholder:
        port = placeholder.getsockname()[1]
    assert failure(joined, libos, port).kind is Kind.REFUSED
    settled(libos)


def test_who_listens_is_something_else(libos):
    """What it says is not a card, or it hangs up, or it is of another provider."""
    for words in (b"SSH-2.0-Something\r\n", b"", b"catmint/1 00\n", b"catmint/1" + b" 00" * LONGEST):
        with socket.create_server(("127.0.0.1", 0)) as server:
            qd = libos.socket(socket.AF_INET, socket.SOCK_STREAM)
            token = libos.connect(qd, server.getsockname())
            sock, _ = server.accept()
            with sock:
                sock.sendall(words)
            result = libos.wait(token, PATIENCE)
            assert result.opcode == FAILED and result.error.kind is Kind.REFUSED, words
            assert "not Catmint" in str(result.error)
            libos.close(qd)
    settled(libos)


def test_a_listener_of_another_provider():
    shm, tcp = (catmints.made(kind) for kind in catmints.KINDS)
    _, port = listening(shm)
    fail = failure(joined, tcp, port)
    assert fail.kind is Kind.REFUSED and "'shm'" in str(fail) and "'tcp;ofi_rxm'" in str(fail)
    shm.shut(), tcp.shut()


def test_callers_who_are_something_else(libos):
    """They are hung up on, and others are served meanwhile."""
    listener, port = listening(libos)
    card = libos.card
    wrong = Card(card.provider, card.place, b"\xff" * 16)
    with contextlib.ExitStack() as stack:
        silent = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        others = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(3)]
        words = b"GET / HTTP/1.1\r\n\r\n", b"catmint/1 zz - - - 1\n", card.line() + b"more\n"
        for sock, said in zip(others, words, strict=True):
            sock.sendall(said)
        accepted = libos.accept(listener)
        there = joined(libos, port)
        here = libos.wait(accepted, PATIENCE).value
        for sock in others:
            sock.settimeout(PATIENCE)
            with contextlib.suppress(ConnectionResetError):
                assert sock.recv(100) == b""
        # one that is told where the endpoint is, and never comes there
        silent.sendall(wrong.line())
        silent.settimeout(PATIENCE)
        told = Card.of(silent.recv(LONGEST))
        assert told.service and told.address == card.address
        silent.close()
        pushed(libos, there, b"served")
        assert popped(libos, here) == b"served"
    libos.close(listener), libos.close(there), libos.close(here)
    settled(libos)


def test_a_sleeper_is_woken(libos):
    there, here = pair(libos)
    for _ in range(5):
        threading.Timer(0.05, lambda: libos.wait(libos.push(there, SGArray.of(b"wake up")), PATIENCE)).start()
        assert popped(libos, here) == b"wake up"
    libos.close(there), libos.close(here)


def test_beside_another_libos(kind):
    catloop = native("catloop", worth=1)
    libos = catmints.made(kind, beside=catloop)
    there, here = pair(libos)
    memory = catloop.queue()
    tokens = {here: catloop.pop(here), memory: libos.pop(memory)}
    tellers = {memory: lambda: catloop.push(memory, SGArray.of(b"m")), here: lambda: pushed(libos, there, b"n")}
    for qd, tell in tellers.items():
        threading.Timer(0.05, tell).start()
        _, result = catloop.wait_any([*tokens.values()], PATIENCE)
        assert result.qd == qd
        catloop.sgafree(result.sga)
        tokens[qd] = catloop.pop(qd)
    for qd in (there, here, memory):
        catloop.close(qd)
    libos.shut()
    assert libos.heap.live() == catloop.heap.live() == 0


def test_a_program_s_signal_handlers_stay_its_own():
    """Providers, and libraries below them, set some of theirs."""
    catmints.made("catmint-shm").shut()  # skipped here where there is none
    code = """
import signal
from libos.factory import native
heard = []
signal.signal(signal.SIGTERM, lambda *_: heard.append("TERM"))
def caught():
    text = next(line for line in open("/proc/self/status") if line.startswith("SigCgt"))
    return int(text.split()[1], 16) & (1 << 31) - 1  # the others are the C library's own
before = caught()
libos = native("catmint")
assert caught() == before, (before, caught())
signal.raise_signal(signal.SIGTERM)
assert heard == ["TERM"]
libos.shut()
"""
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": ROOT}, check=True)


def test_files_of_the_dead_are_cleaned_up():
    libos = catmints.made("catmint-shm")
    with Server("catmint-shm") as living:
        with Server("catmint-shm") as killed:
            assert len(killed.files()) == 1
            killed.process.kill()
            killed.process.wait()
            assert len(killed.files()) == 1  # nobody was there to do it
            assert len(living.files()) == 1
            catmints.made("catmint-shm").shut()
            assert not killed.files()
        assert len(living.files()) == 1
        qd = joined(libos, living.port)
        libos.close(qd)
        assert living.process.wait(PATIENCE) == 0
    libos.shut()


def test_what_can_t_be_had_is_said(kind):
    libos = catmints.made(kind)
    fail = failure(libos.socket, socket.AF_INET, socket.SOCK_DGRAM)
    assert fail.kind is Kind.UNSUPPORTED and "SOCK_STREAM" in str(fail)
    qd = libos.socket(socket.AF_INET, socket.SOCK_STREAM)
    assert failure(libos.getpeername, qd).kind is Kind.NOT_CONNECTED
    assert failure(libos.shutdown, qd, socket.SHUT_WR).kind is Kind.NOT_CONNECTED
    assert libos.wait(libos.push(qd, SGArray.of(b"x")), 1).error.kind is Kind.NOT_CONNECTED
    assert failure(libos.accept, qd).kind is Kind.INVALID
    libos.shut()
    with pytest.raises(Fail) as caught:
        native("catmint", provider="no such provider")
    assert caught.value.kind is Kind.DEVICE and "no such provider" in str(caught.value)


def test_shm_does_not_lead_to_another_user(monkeypatch):
    """Whose keys it does not look at."""
    here = Card("shm", fabric_files.place(), b"address")
    assert not here.differs(Card("shm", fabric_files.place(), b"another"))
    uid = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
    assert "user's" in here.differs(Card("shm", fabric_files.place(), b"address"))
