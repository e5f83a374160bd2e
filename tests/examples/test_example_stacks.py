"""The examples on the libOSes that are in the programs at both ends: Catnip, where every program is a host of an
Ethernet segment, and Catmint, where each has an endpoint of RDMA.
"""

import subprocess
from contextlib import ExitStack, contextmanager

import catmints
import pytest
import twins
from twins import SEGMENT, Server, line_of, run

from examples.serving import connected
from libos.factory import native
from libos.sgarray import SGArray


@pytest.fixture(params=["catnip", *catmints.KINDS])
def twin(request):
    if request.param in catmints.KINDS:
        catmints.made(request.param).shut()  # skipped here where there is none
    return request.param


@contextmanager
def running(twin, *arguments):
    """A program that is killed at the end."""
    process = subprocess.Popen(twins.command(twin, *arguments), stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=twins.TIMEOUT)


@pytest.fixture
def host(twin):
    """Another host, in this process."""
    libos = catmints.made(twin) if twin in catmints.KINDS else native("catnip", segment=SEGMENT)
    yield libos
    libos.shut()
    assert libos.heap.live() == 0


def parsed(address):
    host, _, port = address.rpartition(":")
    return host, int(port)


def answered(libos, qd, question, size):
    """The `size` bytes that come back."""
    assert libos.wait(libos.push(qd, SGArray.of(question)), twins.TIMEOUT).error is None
    answer = b""
    while len(answer) < size:
        result = libos.wait(libos.pop(qd), twins.TIMEOUT)
        with result.sga as sga:
            assert len(sga), answer
            answer += bytes(sga)
    return answer


def test_echo(twin):
    with Server(twin, "echo", "server") as served:
        said = run(twin, "echo", "client", served.address, "--count", 5, "--size", 50_000)
        assert said == "5 messages of 50000 bytes came back unchanged\n"
        host, port = parsed(served.address)
        said = run(twin, "echo", "client", f"{host}:{port % 65535 + 1}", status=1)
    assert "refused" in said and "Traceback" not in said


def test_echo_of_datagrams():
    with Server("catnip", "echo", "server", "--udp") as served:
        run("catnip", "echo", "client", served.address, "--udp", "--count", 20, "--size", 1400)


def test_udp_relay():
    with Server("catnip", "udp_relay", "server") as served:
        with running("catnip", "udp_relay", "answer", served.address, "bob") as answering:
            assert line_of(answering) == "bob is registered"
            said = run("catnip", "udp_relay", "ask", served.address, "alice", "bob", "--count", 20)
    assert said == "20 messages of 64 bytes came back unchanged\n"


def test_kv(twin, host):
    with Server(twin, "kv", "server") as served:
        qd = connected(host, parsed(served.address))
        answer = b"+OK\r\n$5\r\nvalue\r\n"
        assert answered(host, qd, b"SET name value\r\nGET name\r\n", len(answer)) == answer
        host.close(qd)


def test_replicated(twin):
    with ExitStack() as stack:
        replicas = [stack.enter_context(Server(twin, "replicated", "replica")) for _ in range(3)]
        addresses = [replica.address for replica in replicas]
        assert len(set(addresses)) == 3
        said = run(twin, "replicated", "load", *addresses, "--transactions", 50, "--keys", 20)
        assert "has grown by 50, as it has to" in said
        assert run(twin, "replicated", "sum", *addresses, "--keys", 20).endswith(" 50\n")


def test_first_come(twin, host):
    with running(twin, "first_come", 0, 0) as serving:
        lines = [serving.stdout.readline().decode().strip() for _ in range(2)]
        qds = [connected(host, parsed(line.removeprefix("listening on "))) for line in lines]
        for i in range(3):
            for qd in qds:
                assert answered(host, qd, b"ask %d" % i, 11) == b"answer to %d" % i
        for qd in qds:
            host.close(qd)
        assert serving.wait(twins.TIMEOUT) == 0
