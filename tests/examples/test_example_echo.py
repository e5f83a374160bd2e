"""Echo: every byte comes back, whoever serves and whoever asks."""

import random
import socket
import struct
import subprocess

import flap
import pytest
import twins
from twins import PAIRINGS, TWINS, Server, received, run

from examples.common.echoes import late, message


@pytest.mark.parametrize("server, client", PAIRINGS)
@pytest.mark.parametrize("count, size", [(50, 64), (50, 1), (4, 3_000_000)])
def test_stream(server, client, count, size):
    """The large ones fill every buffer on the way: both directions have to go on at once."""
    with Server(server, "echo", "server") as served:
        said = run(client, "echo", "client", served.port, "--count", count, "--size", size)
    assert said == f"{count} messages of {size} bytes came back unchanged\n"


@pytest.mark.parametrize("server, client", PAIRINGS)
@pytest.mark.parametrize("size", [1, 1400, 65507])
def test_datagrams(server, client, size):
    with Server(server, "echo", "server", "--udp") as served:
        run(client, "echo", "client", served.port, "--udp", "--count", 20, "--size", size)


@pytest.mark.parametrize("server", TWINS)
def test_many_clients_by_turns(server):
    rng = random.Random(1)
    with Server(server, "echo", "server") as served:
        clients = [served.connect() for _ in range(30)]
        for _ in range(5):
            sent = [rng.randbytes(rng.randrange(1, 2000)) for _ in clients]
            for sock, data in zip(clients, sent, strict=True):
                sock.sendall(data)
            for sock, data in zip(clients, sent, strict=True):
                assert received(sock, len(data)) == data
        for sock in clients:
            sock.close()


@pytest.mark.parametrize("server", TWINS)
def test_a_client_that_does_not_read_holds_up_nobody(server):
    with Server(server, "echo", "server") as served, served.connect() as greedy:
        greedy.setblocking(False)
        with pytest.raises(BlockingIOError):
            while True:
                greedy.send(bytes(65536))
        run("posix", "echo", "client", served.port, "--count", 10)


@pytest.mark.parametrize("server", TWINS)
@pytest.mark.parametrize("name, question, answer", [("echo", b"x\n", b"x\n"), ("kv", b"PING\n", b"+PONG\r\n")])
def test_more_clients_than_there_is_room_for(server, name, question, answer):
    """Two of five wait in the backlog until others leave."""
    with Server(server, name, "server", before="serving.MOST = program.MOST = 3") as served:
        clients = [served.connect() for _ in range(5)]
        for sock in clients:
            sock.sendall(question)
        for sock in clients[:3]:
            assert received(sock, len(answer)) == answer
        for sock in clients[3:]:
            sock.setblocking(False)
            with pytest.raises(BlockingIOError):
                sock.recv(1)
            sock.settimeout(twins.TIMEOUT)
        for leaving, sock in zip(clients, clients[3:], strict=False):
            leaving.close()
            assert received(sock, len(answer)) == answer
        for sock in clients:
            sock.close()


@pytest.mark.parametrize("server", TWINS)
def test_a_client_that_resets(server):
    with Server(server, "echo", "server") as served:
        for _ in range(5):
            with served.connect() as sock:
                sock.sendall(bytes(100_000))
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        run("posix", "echo", "client", served.port, "--count", 10)


@pytest.mark.parametrize("server, client", PAIRINGS)
def test_a_killed_client(server, client):
    with Server(server, "echo", "server") as served, served.connect() as sock:
        sock.sendall(b"x")
        assert received(sock, 1) == b"x"
        argv = twins.command(client, "echo", "client", served.port, "--count", 10**9, "--size", 100_000)
        before = served.connections()
        with subprocess.Popen(argv) as killed:
            twins.until(lambda: served.connections() > before)
            killed.kill()
        twins.until(lambda: served.connections() == before)
        run(client, "echo", "client", served.port, "--count", 10)


@pytest.mark.parametrize("client", TWINS)
def test_nobody_there(client):
    port = flap.free_port()
    said = run(client, "echo", "client", port, "--size", 10**6, status=1)
    assert "Connection refused" in said and "Traceback" not in said
    assert run(client, "echo", "client", port, "--udp", "--count", 1, status=1) == "no answer to message 0\n"


@pytest.mark.parametrize("client", TWINS)
def test_an_answer_that_differs_is_found(client):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        argv = twins.command(client, "echo", "client", listener.getsockname()[1])
        with subprocess.Popen(argv, stderr=subprocess.PIPE) as asking:
            try:
                listener.settimeout(twins.TIMEOUT)
                with listener.accept()[0] as sock:
                    data = bytearray(received(sock, 64))
                    data[63] ^= 1
                    sock.sendall(data)
                    assert asking.wait(twins.TIMEOUT) == 1
                    assert asking.stderr.read() == b"message 0 came back different\n"
            finally:
                asking.kill()


@pytest.mark.parametrize("client", TWINS)
def test_a_lost_and_a_late_datagram(client):
    """The first try of each message is lost; the answer to the second comes twice."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(twins.TIMEOUT)
        argv = twins.command(client, "echo", "client", sock.getsockname()[1], "--udp", "--count", 2)
        with subprocess.Popen(argv) as asking:
            try:
                for i in range(2):
                    lost = sock.recv(100)
                    data, address = sock.recvfrom(100)
                    assert lost == data == message(i, 64)
                    sock.sendto(data, address)
                    sock.sendto(data, address)
                assert asking.wait(twins.TIMEOUT) == 0
            finally:
                asking.kill()


@pytest.mark.parametrize("server", TWINS)
def test_an_empty_datagram_is_dropped(server):
    with Server(server, "echo", "server", "--udp") as served:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(twins.TIMEOUT)
            sock.sendto(b"", ("127.0.0.1", served.port))
            sock.sendto(b"x", ("127.0.0.1", served.port))
            assert sock.recv(100) == b"x"


@pytest.mark.parametrize("client", TWINS)
def test_a_datagram_too_large_is_refused(client):
    assert "no datagram" in run(client, "echo", "client", 9, "--udp", "--size", 65508, status=2)


def test_late():
    assert late(message(3, 64), 5, 64) and not late(message(5, 64), 5, 64)
