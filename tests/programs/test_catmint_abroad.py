"""Unmodified programs on Catmint on two machines: how their connections meet, and whom they do not meet."""

import contextlib
import os
import signal
import socket
import subprocess
import time

import abroad
import catmints
import flap
import pytest
import pythons
from material import content, sha
from roles import until
from served import reasons, rows

from libos.rendezvous import LONGEST

PROVIDER = "tcp;ofi_rxm"
# answers lines by lines; a line that says how many bytes is answered by so many
SERVER = """
import socket, sys
with socket.create_server((sys.argv[1], int(sys.argv[2]))) as listener:
    print("listens", flush=True)
    while True:
        s = listener.accept()[0]
        lines = s.makefile("rb")
        try:
            while line := lines.readline():
                s.sendall(b"x" * int(line) + b"\\n")
        except OSError:
            print("reset", flush=True)
        s.close()
"""
CLIENT = """
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
answers = s.makefile("rb")
try:
    for line in sys.stdin:
        count, size = map(int, line.split())
        for _ in range(count):
            s.sendall(b"%d\\n" % size)
            answer = answers.readline()
            if answer != b"x" * size + b"\\n":
                print("end" if not answer else f"{len(answer)} bytes", flush=True)
                sys.exit()
        print("right", flush=True)
except OSError as error:
    print(type(error).__name__, flush=True)
"""
PORT, DOOR = 7000, 4794


@pytest.fixture(autouse=True)
def there():
    catmints.need("catmint-tcp")


@pytest.fixture
def machines():
    with abroad.machines() as made:
        yield made


@pytest.fixture
def secret(tmp_path):
    return write(tmp_path / "secret", os.urandom(32))


def write(path, data, mode=0o600):
    path.write_bytes(data)
    path.chmod(mode)
    return str(path)


def settings(address, secret, **more):
    given = {"CATFLAP_PROVIDER": PROVIDER, "CATFLAP_NODE": address, **more}
    return given | ({"CATFLAP_SECRET": secret} if secret else {})


class Client:
    """Of the server on machine 0, on machine 1."""

    def __init__(self, machines, env, libos="catmint"):
        with machines.at(1):
            argv = [pythons.same(), "-c", CLIENT, abroad.ADDRESSES[0], str(PORT)]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            self.process = subprocess.Popen(argv, env=flap.environment(libos, extra=env), **pipes)

    def ask(self, count, size=10):
        self.process.stdin.write(f"{count} {size}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


@contextlib.contextmanager
def server(machines, env, argv=None):
    with machines.at(0) as address:
        argv = argv or [pythons.same(), "-c", SERVER, address, str(PORT)]
        program = flap.Program(argv, "catmint", env=env, timeout=200)
    with program:
        until(lambda: b"listens" in program.read("out"), "server", program=program)
        yield program


def by_fabric(machines):
    """Ends of the connection whose bytes go by Catmint, on both machines."""
    found = []
    for k in range(2):
        with machines.at(k):
            found += [row for row in rows(PORT) if row.libos == "catmint"]
    return found


def reason(machines, client, name):
    with machines.at(1):
        return name in reasons(client.process.pid)


def meet(machines, *clients):
    until(
        lambda: all(client.ask(50) == "right" for client in clients) and len(by_fabric(machines)) == 2 * len(clients),
        "ends on the fabric",
        30,
    )


def sent(machines, k):
    """Bytes that the connection of the kernel has carried from machine k, the program's own TCP connection."""
    with machines.at(k):
        tool = flap.need("ss", "iproute2")
        text = subprocess.run(
            [tool, "-tinH", f"( sport = :{PORT} or dport = :{PORT} )"], capture_output=True, text=True
        )
    return [int(word.partition(":")[2]) for word in text.stdout.split() if word.startswith("bytes_sent:")]


def test_two_machines_meet(machines, secret):
    """Their bytes go by the fabric, and none by the connection of the kernel."""
    with server(machines, settings(abroad.ADDRESSES[0], secret)):
        with Client(machines, settings(abroad.ADDRESSES[1], secret)) as first:
            meet(machines, first)
            before = sent(machines, 0), sent(machines, 1)
            assert first.ask(300) == "right" and first.ask(3, 1_000_000) == "right"
            assert (sent(machines, 0), sent(machines, 1)) == before and len(before[0]) == len(before[1]) == 1
        with Client(machines, settings(abroad.ADDRESSES[1], secret)) as second:
            meet(machines, second)


@pytest.mark.parametrize("how", ["another", "none"])
def test_who_has_not_the_secret_is_by_the_kernel(machines, secret, tmp_path, how):
    other = write(tmp_path / "other", os.urandom(32)) if how == "another" else ""
    with server(machines, settings(abroad.ADDRESSES[0], secret)):
        with Client(machines, settings(abroad.ADDRESSES[1], other)) as client:
            why = "CATFLAP_KERNEL_PEER_UNKNOWN" if how == "none" else "CATFLAP_KERNEL_PEER_PLAIN"
            until(lambda: client.ask(2000) and reason(machines, client, why), f"reason {why}", 60)
            assert client.ask(10, 100_000) == "right" and not by_fabric(machines)


def test_who_has_no_catmint_is_by_the_kernel(machines, secret):
    with server(machines, settings(abroad.ADDRESSES[0], secret)):
        with Client(machines, {}, "kernel") as client:
            assert client.ask(20_000) == "right" and not by_fabric(machines)


def test_a_door_that_is_somebody_else_s(machines, secret):
    """Who listens at that port is none of ours and says nothing: connections stay on the kernel."""
    with machines.at(0):
        stranger = socket.create_server(("", DOOR))
    with stranger, server(machines, settings(abroad.ADDRESSES[0], secret)):
        with Client(machines, settings(abroad.ADDRESSES[1], secret)) as client:
            for _ in range(20):
                assert client.ask(50) == "right"
            assert not by_fabric(machines)


@pytest.mark.parametrize("said", [b"\n", b"x" * 5000, b"catmint\0" + bytes(100), b"61 62 " * 30 + b"\n", b""])
def test_whatever_is_said_at_the_door(machines, secret, said):
    with server(machines, settings(abroad.ADDRESSES[0], secret)) as program:
        with Client(machines, settings(abroad.ADDRESSES[1], secret)) as client:
            meet(machines, client)
            with machines.at(1):
                with socket.create_connection((abroad.ADDRESSES[0], DOOR), timeout=10) as sock:
                    sock.sendall(said)
                    if said.endswith(b"\n") or len(said) >= LONGEST:
                        with contextlib.suppress(ConnectionResetError):
                            assert sock.recv(100) == b""
            assert client.ask(100) == "right"
        assert program.process.poll() is None


@pytest.mark.parametrize("killed", ["server", "client"])
def test_an_end_that_is_killed(machines, secret, killed):
    """The other end hears of it, by a reset, and whoever comes next is served."""
    with server(machines, settings(abroad.ADDRESSES[0], secret)) as program:
        with Client(machines, settings(abroad.ADDRESSES[1], secret)) as client:
            meet(machines, client)
            if killed == "server":
                os.kill(program.pid, signal.SIGKILL)
                began = time.monotonic()
                assert client.ask(1) in ("end", "ConnectionResetError", "BrokenPipeError")
                assert time.monotonic() - began < 15
                return
            client.process.kill()
        with Client(machines, settings(abroad.ADDRESSES[1], secret)) as client:
            meet(machines, client)


def test_nginx_and_curl(machines, secret, tmp_path):
    sizes = (1, 65537, 3_000_000)
    (tmp_path / "root").mkdir()
    for size in sizes:
        (tmp_path / "root" / str(size)).write_bytes(content(size))
    (tmp_path / "conf").write_text(
        f"daemon off; worker_processes 1; user root; pid {tmp_path}/pid; error_log {tmp_path}/error;"
        "events {} http { access_log off; keepalive_requests 100000; server { "
        f"listen {abroad.ADDRESSES[0]}:{PORT}; root {tmp_path}/root; }} }}"
    )
    argv = ["sh", "-c", f"echo listens; exec {flap.need('nginx', 'nginx-light')} -c {tmp_path}/conf"]
    with server(machines, settings(abroad.ADDRESSES[0], secret), argv):
        urls = [f"http://{abroad.ADDRESSES[0]}:{PORT}/{size}" for size in sizes * 12]
        argv = [flap.need("curl", "curl"), "-sS", "--retry", "5", "--retry-connrefused", *urls]
        with machines.at(1):
            result = flap.run(argv, "catmint", env=settings(abroad.ADDRESSES[1], secret), timeout=60)
    assert (result.status, result.stderr) == (0, b""), str(result)
    assert sha(result.stdout) == sha(b"".join(content(size) for size in sizes * 12))
