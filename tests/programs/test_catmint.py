"""Unmodified programs' sockets on Catmint (docs/catmint.md): by shared memory and by TCP, at both ends and at one."""

import os
import re
import signal
import subprocess
import time

import catmints
import flap
import psutil
import pytest
import pythons
from material import content, sha
from roles import Roles, until
from served import reasons, rows
from test_proof import PASSED
from test_redis import commands, large_values, redis, saving
from webserver import nginx

FABRICS = list(flap.FABRICS)
FEW = FABRICS if flap.FULL else FABRICS[:1]  # what takes long
ROLES = [
    *(pytest.param(Roles(kind, kind, False), id=kind) for kind in FABRICS),
    pytest.param(Roles("catmint-shm", "kernel", False), id="shm-server"),
    pytest.param(Roles("kernel", "catmint-shm", False), id="shm-client"),
    pytest.param(Roles("catmint-shm", "catmint-shm", True), id="shm-pure", marks=pytest.mark.pure_sample),
]
CARRIERS = "read,write,recvfrom,sendto,recvmsg,sendmsg,readv,writev,sendfile"
# one connection that is in use, told what to do by lines: a count of PINGs, or nothing more
TALKER = """
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
def ask(text):
    s.sendall(text)
    got = b""
    while not got.endswith(b"\\r\\n"):
        more = s.recv(65536)
        if not more:
            return "end"
        got += more
    return got.decode().strip()
try:
    for line in sys.stdin:
        for _ in range(int(line)):
            answer = ask(b"PING\\r\\n")
        print(answer, flush=True)
except OSError as error:
    print(type(error).__name__, flush=True)
"""


@pytest.fixture(autouse=True)
def there():
    catmints.need("catmint-shm")


def files():
    """Those of processes that are there no more (libos/fabric_files.py)."""
    gone = []
    for name in os.listdir("/dev/shm"):
        found = re.match(r"catmint-\d+-(\d+)-", name)
        if found and not psutil.pid_exists(int(found.group(1))):
            gone.append(name)
    return gone


class Talker:
    """A client of redis with one connection."""

    def __init__(self, port, kind):
        settings = flap.environment(kind, log=os.environ.get("FLAP_TALKER_LOG"))
        argv = [pythons.same(), "-c", TALKER, str(port)]
        self.process = subprocess.Popen(argv, env=settings, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def ask(self, count):
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


def fabric(port):
    """The descriptors with this port whose bytes go by Catmint."""
    return [row for row in rows(port) if row.libos == "catmint"]


def meet(port, *talkers):
    """Their connections are used until all their ends are on the fabric: each step is made when one is used."""
    until(
        lambda: all(talker.ask(20) == "+PONG" for talker in talkers) and len(fabric(port)) == 2 * len(talkers),
        "ends on the fabric",
    )


@pytest.mark.parametrize("roles", ROLES)
def test_redis_answers_as_on_the_kernel(agree, roles):
    agree(commands, roles)


@pytest.mark.parametrize("kind", FEW)
def test_large_values(agree, kind):
    agree(large_values, Roles(kind, kind, False))


def test_a_child_saves_while_connections_go_on(agree):
    """fork(2): what the child shares goes back to the kernel before; what is asked for after is by the fabric again."""
    agree(saving, Roles("catmint-shm", "catmint-shm", False))


@pytest.mark.parametrize("kind", FEW)
def test_nginx_and_curl(tmp_path, kind):
    """Files of up to 5 MB by keep-alive connections that have left the kernel on their way."""
    sizes = (1, 65537, 5_000_000)
    with nginx(tmp_path, Roles(kind, kind, False), sizes=sizes) as server:
        urls = [f"{server.url}/{size}" for size in sizes * 12]
        result = flap.run([flap.need("curl", "curl"), "-sS", *urls], kind, timeout=60)
        assert (result.status, result.stderr) == (0, b""), str(result)
        assert sha(result.stdout) == sha(b"".join(content(size) for size in sizes * 12))


@pytest.mark.parametrize("kind", FABRICS)
def test_bytes_go_by_the_fabric(tmp_path, kind):
    """As `catflap top` says it, and strace: no call that carries data is made for a thousand commands."""
    with redis(tmp_path, Roles(kind, "kernel", False)) as server, Talker(server.port, kind) as client:
        meet(server.port, client)
        tool = flap.need("strace", "strace")
        summary = tmp_path / "strace"
        with subprocess.Popen(
            [tool, "-f", "-e", f"trace={CARRIERS}", "-o", summary, "-p", str(client.process.pid)]
        ) as by:
            until(lambda: "TracerPid:\t0" not in open(f"/proc/{client.process.pid}/status").read(), "strace")
            assert client.ask(1000) == "+PONG"
            by.send_signal(signal.SIGINT)
        carried = [line for line in summary.read_text().splitlines() if "PONG" in line or "PING" in line]
        assert [line for line in carried if "write(1," not in line] == []  # what it says to us


def test_redis_stores_what_the_hook_made_of_it(tmp_path):
    """One bit changed in what was popped: redis stores another value than the client sent."""
    hook = tmp_path / "hook.py"
    hook.write_text(PASSED)
    port = flap.free_port()
    argv = [flap.need("redis-server", "redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    ask = [flap.need("redis-cli", "redis-tools"), "-p", str(port)]
    lines = ["PING"] * 60 + ["SET key flip-me", "GET key", "SHUTDOWN NOSAVE"]
    with flap.Program(argv, "catmint-shm", env={"CATFLAP_HOOK": str(hook)}, cwd=tmp_path) as server:
        flap.wait_for_port(port, server)
        result = flap.run(ask, "catmint-shm", stdin="".join(line + "\n" for line in lines).encode())
        assert b"glip-me" in result.stdout and b"flip-me" not in result.stdout, str(result)


@pytest.mark.parametrize(("server", "client"), [("catmint-shm", "catmint-tcp"), ("catmint-shm", "auto")])
def test_who_can_not_be_reached_by_the_fabric_is_by_the_kernel(tmp_path, server, client):
    with redis(tmp_path, Roles(server, "kernel", False)) as program, Talker(program.port, client) as talker:
        for _ in range(6):
            assert talker.ask(200) == "+PONG"
            time.sleep(0.2)
        assert not fabric(program.port)
        why = "CATFLAP_KERNEL_FABRIC" if client == "catmint-tcp" else "CATFLAP_KERNEL_PEER_PLAIN"
        until(lambda: talker.ask(500) and why in reasons(talker.process.pid), f"reason {why}")


@pytest.mark.parametrize("kind", FEW)
def test_an_end_that_is_killed_or_stopped(tmp_path, kind):
    """The other end hears of a kill as on the kernel, goes on after a stop, and whoever comes next is served."""
    with redis(tmp_path, Roles(kind, "kernel", False)) as server:
        with Talker(server.port, kind) as first, Talker(server.port, kind) as second:
            meet(server.port, first, second)
            first.process.kill()
            assert second.ask(500) == "+PONG"
            until(lambda: server.ask("CLIENT", "LIST", "TYPE", "normal").count("\n") <= 1, "end of the killed client")
            os.kill(server.program.pid, signal.SIGSTOP)
            second.process.stdin.write("300\n")
            second.process.stdin.flush()
            time.sleep(0.5)
            os.kill(server.program.pid, signal.SIGCONT)
            assert second.process.stdout.readline().strip() == "+PONG"
            os.kill(server.program.pid, signal.SIGKILL)
            assert second.ask(5) in ("end", "ConnectionResetError", "BrokenPipeError")
    with redis(tmp_path, Roles(kind, "kernel", False)) as server, Talker(server.port, kind) as client:
        meet(server.port, client)
    with redis(tmp_path, Roles(kind, "kernel", False)) as server, Talker(server.port, kind) as client:
        assert client.ask(300) == "+PONG"
        assert server.cli("SHUTDOWN", "NOSAVE") == (0, b"") and server.program.wait(20).status == 0
    if kind == "catmint-shm":
        assert len(files()) <= 2, files()  # of the two that were killed last; the next start removes them


def test_idle_ends_sleep(tmp_path):
    """`shm` has nothing to wait on: its peers ring, and nobody looks while nothing comes."""
    kind = "catmint-shm"
    with redis(tmp_path, Roles(kind, "kernel", False)) as server, Talker(server.port, kind) as client:
        meet(server.port, client)
        watched = [psutil.Process(pid) for pid in (server.program.pid, client.process.pid)]
        before = [process.cpu_times() for process in watched]
        time.sleep(3)
        for process, then in zip(watched, before, strict=True):
            now = process.cpu_times()
            assert now.user + now.system - then.user - then.system < 0.06, process
        assert client.ask(1) == "+PONG"
