"""nginx with one worker: files, ranges, slow readers and reloads as on the kernel."""

import contextlib
import os
import signal
import socket
import tempfile
import threading
import time

import flap
import pytest
from material import content, sha
from roles import every, until
from webserver import SIZES, asked, connected, drain, nginx, slow_client

BIG = SIZES[-1]
LARGE = 12_000_000  # more than the kernel takes from nginx for a client that does not read
SENDFILE = pytest.mark.parametrize("sendfile", [True, False], ids=["sendfile", "write"])
RANGES = ("0-0", "0-99", "65000-70000", "-1", "1000000-", "999999-2000000", "5-1,8-9", "1-2,100-70000", "2000000-")


def files(folder, pair, sendfile):
    """Every file whole, by HEAD and in ranges, on one connection each for IPv4 and IPv6."""
    answers = []
    with nginx(folder, pair, sendfile=sendfile) as server:
        for host in ("127.0.0.1", "::1"):
            with connected(server.port, host) as connection:
                for size in SIZES:
                    status, headers, digest, length = asked(connection, "GET", f"/{size}")
                    assert (status, digest, length) == (200, sha(content(size)), size)
                    answers.append((headers, asked(connection, "HEAD", f"/{size}")))
                    etag = dict(headers)["ETag"]
                    answers.append(asked(connection, "GET", f"/{size}", {"If-None-Match": etag}))
                for wanted in RANGES:
                    status, headers, digest, length = asked(connection, "GET", "/1000001", {"Range": f"bytes={wanted}"})
                    # the boundary of several parts is a number that nginx counts up from a random one
                    several = "multipart" in dict(headers).get("Content-Type", "")
                    answers.append((status, length) if several else (status, headers, digest, length))
                answers.append(asked(connection, "GET", "/absent"))
        return answers


@SENDFILE
@every(sample=True, mixed=False)
def test_files(agree, roles, sendfile):
    answers = agree(files, roles, sendfile)
    assert {answer[0] for answer in answers[-len(RANGES) - 1 :]} >= {206, 416, 404}


def pipelined(folder, pair):
    """Twelve requests in one segment and a request in single bytes: the raw bytes of the answers, dates removed."""
    with nginx(folder, pair, sizes=(1, 4095, 65537)) as server:
        head = "GET /{} HTTP/1.1\r\nHost: localhost\r\n{}\r\n"
        text = "".join(head.format(size, "") for size in (1, 4095, 65537) * 4) + head.format(1, "Connection: close\r\n")
        received = []
        for step in (len(text), 7):
            with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for at in range(0, len(text), step):
                    client.sendall(text[at : at + step].encode())
                lines = drain(client).split(b"\r\n")
                received.append(sha(b"\r\n".join(line for line in lines if not line.startswith(b"Date: "))))
        return received


@every(mixed=False)
def test_pipelined(agree, roles):
    first, second = agree(pipelined, roles)
    assert first == second


@SENDFILE
@every(sample=True, mixed=False)
def test_slow_readers(tmp_path, roles, sendfile):
    """Four clients with small buffers read 1 MB with pauses, while another gets a large file at full speed."""
    body = content(1_000_001)
    with nginx(tmp_path, roles, sendfile=sendfile) as server:
        clients = [slow_client(server.port, "/1000001") for _ in range(4)]
        with connected(server.port) as connection:
            assert asked(connection, "GET", f"/{BIG}")[2] == sha(content(BIG))
        answers = [None] * len(clients)

        def read(n):
            answers[n] = drain(clients[n], pause=lambda: time.sleep(0.004))

        threads = [threading.Thread(target=read, args=(n,)) for n in range(len(clients))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        for answer in answers:
            head, _, received = answer.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK") and received == body


@every(sample=True, mixed=False)
def test_clients_that_go_away(tmp_path, roles):
    """Clients that reset or half-close in the middle of an answer cost the others nothing and leave nothing open."""
    with nginx(tmp_path, roles, sizes=(1, 1_000_001, BIG)) as server:
        (worker,) = server.workers()
        with connected(server.port) as connection:
            asked(connection, "GET", "/1")
            time.sleep(0.3)  # until it sleeps: its bell is made then
            before = len(os.listdir(f"/proc/{worker}/fd"))
            for n in range(12):
                client = slow_client(server.port, f"/{BIG}")
                assert client.recv(100)
                if n % 3 == 0:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                elif n % 3 == 1:
                    client.shutdown(socket.SHUT_WR)
                client.close()
            assert asked(connection, "GET", "/1000001")[2] == sha(content(1_000_001))
            until(lambda: len(os.listdir(f"/proc/{worker}/fd")) <= before, "end of the lost connections")
            assert server.workers() == [worker]


def reload(server):
    """SIGHUP, then wait until the one worker is a new one; returns its process id."""
    old = server.workers()
    os.kill(server.program.pid, signal.SIGHUP)
    return until(lambda: [pid for pid in server.workers() if pid not in old], "new worker", program=server.program)[0]


@every(sample=True, mixed=False)
def test_reload_under_requests(tmp_path, roles):
    """Five reloads: no request on a new connection fails, and answers begun by old workers arrive whole."""
    wrong, done = [], threading.Event()
    served = [0, 0]

    def ask(n, port):
        while not done.is_set():
            try:
                with connected(port) as connection:
                    answer = asked(connection, "GET", "/65537")
                    assert answer[2] == sha(content(65537)), answer
                    served[n] += 1
            except Exception as error:
                wrong.append(repr(error))

    with nginx(tmp_path, roles, sizes=(65537, 1_000_001, LARGE)) as server:
        threads = [threading.Thread(target=ask, args=(n, server.port)) for n in range(2)]
        for thread in threads:
            thread.start()
        try:
            slow = []
            for _ in range(5):
                slow.append(slow_client(server.port, f"/{LARGE}"))
                assert slow[-1].recv(15) == b"HTTP/1.1 200 OK"
                before = sum(served)
                new = reload(server)
                until(lambda before=before: sum(served) > before + 5, "answers after a reload", program=server.program)
            assert len(server.workers()) > 1, "the old workers left their slow clients"
            for client in slow:
                assert sha(drain(client).partition(b"\r\n\r\n")[2]) == sha(content(LARGE))
            until(lambda: server.workers() == [new], "end of the old workers", program=server.program)
        finally:
            done.set()
            for thread in threads:
                thread.join(30)
    assert not wrong and min(served) > 10, (wrong[:3], served)


@every(mixed=False)
def test_worker_without_privileges(roles):
    """The worker gives root away after the host has started in its master: it serves all the same."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="flap-"))
        os.chmod(folder, 0o755)
        server = stack.enter_context(nginx(folder, roles, sizes=(65537,), user="www-data"))
        with connected(server.port) as connection:
            assert asked(connection, "GET", "/65537")[2] == sha(content(65537))
        (worker,) = server.workers()
        assert os.stat(f"/proc/{worker}").st_uid != 0


def ending(folder, pair):
    """How nginx ends by SIGQUIT, SIGTERM and a wrong configuration."""
    statuses = []
    for number in (signal.SIGQUIT, signal.SIGTERM):
        with nginx(folder, pair, sizes=(1,)) as server, connected(server.port) as connection:
            asked(connection, "GET", "/1")
            os.kill(server.program.pid, number)
            statuses.append((server.program.wait(20).status, server.program.wait().orphans))
    (folder / "wrong.conf").write_text("events {} nonsense;")
    result = flap.run([flap.need("nginx", "nginx-light"), "-t", "-c", f"{folder}/wrong.conf"], pair.server)
    return statuses, result.status


@every(mixed=False)
def test_ways_to_end(agree, roles):
    assert agree(ending, roles) == ([(0, 0), (0, 0)], 1)
