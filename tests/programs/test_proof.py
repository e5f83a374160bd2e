"""Proof from outside that the bytes of unmodified servers go through our Python."""

import os
import re
import signal
import subprocess

import flap
import pytest
import pythons
from material import content, sha
from roles import KERNEL, Roles, listens, until
from webserver import asked, connected, drain, nginx, slow_client

from shim import connections

MODES = [pytest.param(False, id="catnap"), pytest.param(True, id="catnap-pure", marks=pytest.mark.pure_sample)]
CARRIERS = ("recvfrom", "sendto", "recvmsg", "sendmsg", "read", "write", "readv", "writev", "pread64", "sendfile")
FLIP = """
def install(instrument):
    def flip(qd, view):
        at = bytes(view).find(b"/65536")
        if at >= 0:
            view[at + 5] ^= 1

    instrument.install("pop", flip)
"""


@pytest.mark.parametrize("pure", MODES)
def test_nginx_serves_the_file_of_the_changed_name(tmp_path, pure):
    """One bit changed in the request that was popped: nginx reads /65537 where the client wrote /65536."""
    hook = tmp_path / "hook.py"
    hook.write_text(FLIP)
    pair = Roles("catnap", "kernel", pure)
    for env, size in (({"CATFLAP_HOOK": str(hook)}, 65537), ({}, 65536)):
        with nginx(tmp_path, pair, sizes=(65536, 65537), env=env) as server:
            assert drain(slow_client(server.port, "/65536")).partition(b"\r\n\r\n")[2] == content(size)


COUNT = """
import os

def install(instrument):
    def count(qd, view):
        with open(os.environ["FLAP_REPORT"], "a") as f:
            f.write(f"{len(view)}\\n")

    instrument.install("pop", count)
"""
FETCH = "import sys, urllib.request; sys.stdout.buffer.write(urllib.request.urlopen(sys.argv[1]).read())"
CLIENTS = {"curl": ["-sS"], "wget": ["-q", "-O", "-"], "python": ["-c", FETCH]}


@pytest.mark.parametrize("pure", MODES)
@pytest.mark.parametrize("client", CLIENTS)
def test_clients_pop_every_byte(tmp_path, client, pure):
    """What a hook saw popped in a client that fetched a file: all of it, once, and a head."""
    hook, report = tmp_path / "hook.py", tmp_path / "report"
    hook.write_text(COUNT)
    tool = pythons.same() if client == "python" else flap.need(client, client)
    env = {"CATFLAP_HOOK": str(hook), "FLAP_REPORT": str(report)}
    with nginx(tmp_path, KERNEL, sizes=(1_000_001,)) as server:
        result = flap.run([tool, *CLIENTS[client], f"{server.url}/1000001"], "catnap", pure=pure, env=env)
    assert (result.status, result.stderr, sha(result.stdout)) == (0, b"", sha(content(1_000_001))), str(result)
    head = sum(map(int, report.read_text().split())) - 1_000_001
    # wget peeks at the head, perhaps more than once, before it takes it
    assert 100 < head < (2000 if client == "wget" else 500), head


def traced(folder, libos):
    """{system call: how often} of nginx that has served a 4,000,000-byte file and ten small ones, master included."""
    os.makedirs(folder)
    summary = os.path.join(folder, "strace")
    # strace itself is not preloaded: env puts the program's settings in
    settings = flap.environment(libos, log=os.path.join(folder, "log"))
    settings = [f"{name}={value}" for name, value in settings.items() if flap.OURS.match(name)]
    wrap = [flap.need("strace", "strace"), "-f", "-c", "-o", summary, "/usr/bin/env", *settings]
    with nginx(folder, KERNEL, sizes=(1, 4_000_000), wrap=wrap) as server:
        with connected(server.port) as connection:
            assert asked(connection, "GET", "/4000000")[2] == sha(content(4_000_000))
            for _ in range(10):
                assert asked(connection, "GET", "/1")[2] == sha(content(1))
        with open(os.path.join(folder, "nginx.pid")) as f:
            os.kill(int(f.read()), signal.SIGQUIT)
        server.program.wait(30)
    with open(summary) as f:
        rows = re.findall(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", f.read(), re.M)
    calls = {name: int(count) for count, name in rows}
    print(libos, {name: calls[name] for name in CARRIERS if name in calls})
    return calls


def test_which_system_calls_carry_data(tmp_path):
    """On the kernel the file goes by sendfile; under Catnap by pushes of 64 KiB from the heap, and by nothing else."""
    plain = traced(str(tmp_path / "kernel"), "kernel")
    ours = traced(str(tmp_path / "catnap"), "catnap")
    pieces = 4_000_000 / 65536
    assert plain.get("sendfile", 0) > 0 and "sendfile" not in ours
    assert ours["sendto"] >= pieces + 10 and plain.get("sendto", 0) < 10
    assert ours["pread64"] - plain.get("pread64", 0) >= pieces
    # heads: nginx writes them with writev, Catnap pushes a struct msghdr
    assert plain["writev"] >= 11 and ours["sendmsg"] >= 11
    # eleven requests; each receive that finds nothing is asked once more at most
    assert 11 <= ours["recvfrom"] <= 2 * plain["recvfrom"] + 10


# --- Catloop ---
PASSED = """
from interpose import description
from libos import layout, raw

def install(instrument):
    def flip(qd, view):
        at = bytes(view).find(b"flip-me")
        end = next(d.end for d in description.ALIVE.values() if d.queue.qd == qd)
        if at >= 0 and raw.load(end + layout.IN_STATE) == layout.RING:
            view[at] ^= 1

    instrument.install("pop", flip)
"""
# so many commands on one connection that its bytes have left the kernel, then the one that is changed
COMMANDS = ["PING"] * 60 + ["SET key flip-me", "GET key", "SHUTDOWN NOSAVE"]
COPY = """
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
for line in sys.stdin:
    s.sendall(line.encode().strip() + b"\\r\\n")
    sys.stdout.write(s.recv(4096).decode())
"""


@pytest.mark.parametrize("client", ["redis-cli", "python"])
def test_redis_stores_what_the_hook_made_of_it(tmp_path, client):
    """One bit changed in what was popped from a ring: redis stores another value than the client sent."""
    hook = tmp_path / "hook.py"
    hook.write_text(PASSED)
    port = flap.free_port()
    argv = [flap.need("redis-server", "redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    ask = [flap.need("redis-cli", "redis-tools"), "-p", str(port)]
    if client == "python":
        ask = [pythons.same(), "-c", COPY, str(port)]
    with flap.Program(argv, "catloop", env={"CATFLAP_HOOK": str(hook)}, cwd=tmp_path) as server:
        flap.wait_for_port(port, server)
        result = flap.run(ask, "catloop", stdin="".join(line + "\n" for line in COMMANDS).encode())
        assert b"glip-me" in result.stdout and b"flip-me" not in result.stdout, str(result)


class Traffic:
    """Both ends of benchmarks/c/`name`.c under Catloop; `words` are the client's."""

    def __init__(self, name, *words):
        self.port = flap.free_port()
        program = flap.compiled(f"../../../benchmarks/c/{name}.c", out=name)
        self.server = flap.Program([program, "server", str(self.port)], "catloop", timeout=60)
        until(lambda: listens(self.port), "listener", program=self.server)
        self.client = flap.Program([program, "client", str(self.port), *words], "catloop", timeout=60)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.client.__exit__(kind, error, trace)
        self.server.__exit__(kind, error, trace)

    def carried(self):
        """Bytes that the rings have brought to both ends, as a third process sees it."""
        rows = [row for row in connections.Snapshot().connections if row.state == "upgraded"]
        return sum(row.bytes_in for row in rows if f":{self.port}" in row.local + row.remote)

    def spine(self):
        """What the kernel has carried over their connections, both ends, by TCP_INFO (ss(8))."""
        words = [flap.need("ss", "iproute2"), "-tinmH", f"sport = :{self.port} or dport = :{self.port}"]
        text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        return sorted(re.findall(r"bytes_(?:sent|received):\d+", text))


def by_perf(seconds, *pids):
    """How many system calls the kernel counts for these processes meanwhile; None where it doesn't, or not for us."""
    words = [
        flap.need("perf", "linux-perf"),
        "stat",
        "-x,",
        "-e",
        "raw_syscalls:sys_enter",
        "-p",
        ",".join(map(str, pids)),
    ]
    text = subprocess.run([*words, "sleep", str(seconds)], capture_output=True, text=True).stderr
    found = re.search(r"^(\d+),,raw_syscalls:sys_enter,", text, re.M)
    return int(found.group(1)) if found else None


def by_strace(seconds, *pids):
    """How many system calls these processes make meanwhile: strace comes and goes."""
    words = ["timeout", "-s", "INT", str(seconds), flap.need("strace", "strace"), "-f", "-c"]
    text = subprocess.run([*words, *(f"-p{pid}" for pid in pids)], capture_output=True, text=True).stderr
    found = re.search(r"^100\.00\s+\S+\s+\S+\s+(\d+)\s+(?:\d+\s+)?total$", text, re.M)
    assert found or text.count("attached") >= len(pids), text
    return int(found.group(1)) if found else 0


def share(count, *what):
    """System calls that both ends make for a message of 64 bytes; None where they can't be counted this way."""
    with Traffic(*what) as pair:
        before = until(pair.carried, "upgraded connection")
        calls = count(1, pair.server.pid, pair.client.pid)
        messages = (pair.carried() - before) // 64
    if calls is None:
        return None
    print(f"{calls} calls, {messages} messages: {calls / messages:.6f}")
    return calls / messages


def crowd():
    """Threads of the machine that run or want to (proc(5), /proc/loadavg)."""
    with open("/proc/loadavg") as f:
        return int(f.read().split()[3].split("/")[0])


# the sender is ahead of its reader; each waits for the other
@pytest.mark.parametrize("what", [("stream", "64", "6000000000", "1"), ("rate", "0", "3")], ids=lambda what: what[0])
@pytest.mark.parametrize("count", [by_perf, by_strace])
def test_system_calls_of_an_upgraded_connection(count, what):
    """Next to none, while there is a core for each end to spin on."""
    busy = 0
    for _ in range(5):
        busy += max(crowd() for _ in range(5)) > 1
        found = share(count, *what)
        if found is None:
            pytest.skip("perf counts no system calls here")
        if found < 0.01:
            return
    # where strace is the third thread on two cores, the ends have reason to sleep
    if busy or (count is by_strace and os.cpu_count() < 3):
        pytest.skip("others use the cores, strace among them")
    pytest.fail("too many system calls")


def test_the_spine_stands_still_while_megabytes_flow():
    with Traffic("rate", "0", "4") as pair:
        until(pair.carried, "upgraded connection")
        kernel, rings = pair.spine(), pair.carried()
        assert len(kernel) >= 2
        until(lambda: pair.carried() > rings + 5_000_000, "five megabytes")
        assert pair.spine() == kernel


def test_a_debugger_comes_and_goes():
    """Streams whose every byte is known, while gdb holds one end for a second, then the other."""
    program, gdb = flap.compiled("stress.c"), flap.need("gdb", "gdb")
    words = ["3", "plain", "3000000000", "1000000", "20"]
    with flap.Program([program, "1", *words], "catloop", timeout=120) as one:
        ports = until(lambda: re.search(rb"^ports (\d+) (\d+)$", one.read("out"), re.M), "ports").groups()
        with flap.Program([program, "0", *words, *map(bytes.decode, ports)], "catloop", timeout=120) as other:
            for end in (one, other):
                script = ["-ex", "set confirm off", "-ex", "shell sleep 1", "-ex", "detach"]
                held = subprocess.run([gdb, "-q", "-nx", "-batch", "-p", str(end.pid), *script], capture_output=True)
                assert b"detached" in held.stdout, held
                assert end.process.poll() is None, "it had ended before"
            results = [one.wait(100), other.wait(100)]
    for result in results:
        assert result.status == 0 and b"BROKEN" not in result.stdout and b"STALLED" not in result.stdout, str(result)
