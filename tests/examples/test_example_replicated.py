"""The replicated store as programs: the counters add up, whoever is killed."""

import subprocess
from contextlib import ExitStack, contextmanager

import pytest
import twins
from twins import PAIRINGS, TWINS, Server, received, run

from examples.common import replica as protocol
from examples.common.frames import frame


@contextmanager
def replicas(*kinds):
    """Three replicas; `kinds`: which twin each is."""
    with ExitStack() as stack:
        yield [stack.enter_context(Server(kind, "replicated", "replica")) for kind in kinds]


def ports(servers):
    return [server.port for server in servers]


@contextmanager
def loading(twin, servers, *arguments):
    """A load that goes on until it is killed, and has begun."""
    argv = twins.command(twin, "replicated", "load", *ports(servers), "--transactions", 10**9, "--shared", *arguments)
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            twins.until(lambda: process.poll() is not None or counted(servers, *arguments) > 0)
            assert process.poll() is None, process.stderr.read()
            yield process
        finally:
            process.kill()


def counted(servers, *arguments):
    keys = [a for a in arguments[:2] if arguments[:1] == ("--keys",)]
    said = run("posix", "replicated", "sum", *ports(servers), *keys)
    return int(said.rpartition(" ")[2])


def load(twin, servers, *arguments, transactions=200):
    said = run(twin, "replicated", "load", *ports(servers), "--transactions", transactions, *arguments)
    assert said.startswith(f"{transactions} committed, "), said
    return said


@pytest.mark.parametrize("server, client", PAIRINGS)
@pytest.mark.parametrize("choice", ["zipfian", "uniform"] if twins.flap.FULL else ["zipfian"])
def test_load(server, client, choice):
    with replicas(server, server, server) as servers:
        said = load(client, servers, "--choice", choice)
        assert "has grown by 200, as it has to" in said
        said = load(client, servers, "--keys", 20, "--size", 4, "--choice", choice)
        assert "has grown by 800, as it has to" in said
        assert counted(servers) == 1000


def test_both_twins_in_one_store():
    """Replicas of both kinds, and loads of both kinds at once."""
    with replicas("catnap", "posix", "catnap") as servers:
        argv = ["load", *ports(servers), "--transactions", 300, "--shared", "--keys", 50]
        loads = [
            subprocess.Popen(twins.command(twin, "replicated", *argv), stdout=subprocess.PIPE, text=True)
            for twin in TWINS
        ]
        try:
            for process in loads:
                assert process.communicate(timeout=twins.TIMEOUT)[0].startswith("300 committed")
        finally:
            for process in loads:
                process.kill()
        assert counted(servers, "--keys", "50") == 300 * len(TWINS)


@pytest.mark.parametrize("server, client", PAIRINGS)
def test_a_replica_is_killed(server, client):
    """The load goes on with the two others, and so does the next."""
    with replicas(server, server, server) as servers, loading(client, servers, "--keys", "100") as process:
        servers[1].kill()
        before = counted(servers, "--keys", "100")
        twins.until(lambda: counted(servers, "--keys", "100") > before)
        assert process.poll() is None
        process.kill()
        process.wait(twins.TIMEOUT)
        load(client, servers, "--keys", 100)


@pytest.mark.parametrize("client", TWINS)
def test_no_quorum(client):
    with replicas("posix", "posix", "posix") as servers, loading(client, servers) as process:
        servers[0].kill()
        servers[2].kill()
        assert process.wait(twins.TIMEOUT) == 1
        assert b"fewer than a majority" in (said := process.stderr.read()) or b"during a commit" in said
        assert "fewer than a majority" in run(client, "replicated", "sum", *ports(servers), status=1)


@pytest.mark.parametrize("server, client", PAIRINGS)
def test_clients_are_killed(server, client):
    """What they held is decided by those who come after them."""
    with replicas(server, server, server) as servers:
        for _ in range(3):
            with loading(client, servers, "--keys", "5", "--clients", "8") as process:
                process.kill()
            load(client, servers, "--keys", 5, transactions=50)


@pytest.mark.parametrize("server", TWINS)
def test_a_client_that_leaves_in_the_middle(server):
    """It has prepared and is gone: nobody voted against it, but nobody heard that it was committed either."""
    key = b"user%060d" % 0
    with replicas(server, server, server) as servers:
        for i, served in enumerate(servers):
            with served.connect() as sock:
                sock.sendall(frame(protocol.HELLO, 7) + frame(protocol.PREPARE, 1, 1, key, 0, key, 1, b"x" * 700))
                answers = frame(protocol.DONE, 0) + frame(protocol.VOTE, 1, protocol.YES, 0, 0)
                assert received(sock, len(answers)) == answers, i
        assert "has grown by 20," in load("posix", servers, "--keys", 1, transactions=20)


@pytest.mark.parametrize("server", TWINS)
def test_malformed(server):
    """A connection with nonsense on it is ended, and the others aren't."""
    hello = frame(protocol.HELLO, 1)
    with replicas(server, server, server) as servers:
        for data in (b"\0\0\0\0", b"\xff" * 100, frame(protocol.READ, b"k"), hello + hello, hello + frame(99)):
            with servers[0].connect() as sock:
                sock.sendall(data)
                received(sock, 10**6)
        with servers[0].connect() as sock:  # nothing but the beginning of a frame
            sock.sendall(b"\0")
            load("posix", servers)


@pytest.mark.parametrize("client", TWINS)
def test_a_replica_that_never_answers(client):
    """After five seconds of silence it counts as lost."""
    with replicas("posix", "posix", "posix") as servers:
        servers[2].process.send_signal(19)
        load(client, servers, "--clients", 1, "--shared", "--keys", 10, transactions=50)
