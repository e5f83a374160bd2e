"""Unmodified programs on Catnip over DPDK: over a memif with another such process, and over a wire to the kernel's own
stack.
"""

import contextlib
import os
import subprocess
import sys
import time

import flap
import pytest
import pythons
from material import content, sha
from roles import listens, until

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "devices"))
from namespace import ip, wire  # noqa: E402

SERVER, CLIENT = "10.77.1.1", "10.77.1.2"
SERVER6, CLIENT6 = "fd00:77::1", "fd00:77::2"
LIBRARY = os.path.join(flap.INSTALLED, "libos", "devices", "libcatflap_dpdk.so")
pytestmark = pytest.mark.skipif(not os.path.exists(LIBRARY), reason="Catflap was built without DPDK (no libdpdk-dev)")


class Memif:
    """A wire between two hosts: whoever serves has its other end too, one client after the other."""

    def __init__(self, pure=False):
        self.socket = f"/flap-{os.getpid()}-{os.urandom(4).hex()}"
        self.pure = pure
        self.patience = 4 if pure else 1

    def settings(self, role, *addresses):
        own = ",".join(f"{address}/{64 if ':' in address else 16}" for address in addresses)
        return {"CATFLAP_DEVICE": f"dpdk:net_memif,role={role},socket={self.socket}", "CATFLAP_ADDRESSES": own}

    def server(self, argv, port, **options):
        env = self.settings("server", SERVER, SERVER6)
        program = flap.Program(argv, "catnip", pure=self.pure, timeout=60 * self.patience, env=env, **options)
        until(lambda: listens(port), "listener", 20 * self.patience, program=program)
        return program

    def client(self, argv, **options):
        env = self.settings("client", CLIENT, CLIENT6)
        return flap.run(argv, "catnip", pure=self.pure, timeout=40 * self.patience, env=env, **options)


def web(folder, *sizes):
    for size in sizes:
        (folder / str(size)).write_bytes(content(size))


def fetched(run, url):
    result = run([flap.need("curl", "curl"), "-g", "-sS", url])
    assert (result.status, result.stderr) == (0, b""), str(result)
    return sha(result.stdout)


@pytest.mark.parametrize("pure", [False, pytest.param(True, id="pure", marks=pytest.mark.pure_sample)])
def test_curl_and_python(tmp_path, pure):
    """Each curl is another process, which finds the server's end as the last one has left it."""
    network, port = Memif(pure), flap.free_port()
    sizes = (1, 100_001) if pure else (1, 1448, 65537, 4_000_001)
    web(tmp_path, *sizes)
    argv = [pythons.same(), "-m", "http.server", "-b", "::", "-d", str(tmp_path), str(port)]
    with network.server(argv, port) as server:
        for host in (SERVER, f"[{SERVER6}]"):
            for size in sizes:
                assert fetched(network.client, f"http://{host}:{port}/{size}") == sha(content(size)), (host, size)
        plain = subprocess.run(["curl", "-sS", f"http://127.0.0.1:{port}/1"], capture_output=True, timeout=20)
        assert sha(plain.stdout) == sha(content(1)), plain
        fds = [int(fd) for fd in os.listdir(f"/proc/{server.pid}/fd")]
        assert not [fd for fd in fds if 16 <= fd < 900], fds


def test_redis(tmp_path):
    network, port = Memif(), flap.free_port()
    argv = [flap.need("redis-server", "redis-server"), "--port", str(port), "--dir", str(tmp_path), "--save", ""]
    with network.server([*argv, "--protected-mode", "no"], port):
        client = [flap.need("redis-cli", "redis-tools"), "-h", SERVER, "-p", str(port)]
        value = content(100_000).hex().encode()
        assert network.client([*client, "-x", "SET", "key"], stdin=value).stdout == b"OK\n"
        assert network.client([*client, "--raw", "GET", "key"]).stdout == value + b"\n"
        load = [flap.need("redis-benchmark", "redis-tools"), "-h", SERVER, "-p", str(port)]
        result = network.client([*load, "-c", "50", "-n", "20000", "-t", "incr,lpush", "-q"])
        assert result.status == 0 and b"rror" not in result.stdout + result.stderr, str(result)
        assert network.client([*client, "GET", "counter:__rand_int__"]).stdout == b"20000\n"


def test_a_forked_child_leaves_the_connection_to_its_parent():
    """Which goes on when the child has ended."""
    network, port = Memif(), flap.free_port()
    echo = (
        "import socket, sys\n"
        "sock, _ = socket.create_server(('', int(sys.argv[1]))).accept()\n"
        "while part := sock.recv(1 << 16): sock.sendall(part)\n"
    )
    ask = (
        "import os, socket, sys\n"
        "sock = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
        "def say(text):\n"
        "    sock.sendall(text)\n"
        "    assert sock.recv(len(text), socket.MSG_WAITALL) == text\n"
        "say(b'before')\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os.closerange(4, 2000)\n"
        "    os._exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "say(b'after')\n"
    )
    with network.server([pythons.same(), "-c", echo, str(port)], port):
        result = network.client([pythons.same(), "-c", ask, SERVER, str(port)])
    assert (result.status, result.stderr) == (0, b""), str(result)


def test_a_client_that_is_killed_leaves_the_server_to_the_next(tmp_path):
    network, port = Memif(), flap.free_port()
    web(tmp_path, 100_000)
    hold = (
        "import socket, sys, time\n"
        "sock = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
        "print('there', flush=True)\n"
        "time.sleep(60)\n"
    )
    with network.server([pythons.same(), "-m", "http.server", "-d", str(tmp_path), str(port)], port) as server:
        for _ in range(3):
            argv = [pythons.same(), "-c", hold, SERVER, str(port)]
            with flap.Program(argv, "catnip", env=network.settings("client", CLIENT)) as client:
                until(lambda client=client: client.read("out") == b"there\n", "connection", program=client)
                os.kill(client.pid, 9)
            assert fetched(network.client, f"http://{SERVER}:{port}/100000") == sha(content(100_000))
        assert server.process.poll() is None


def test_an_idle_server_sleeps(tmp_path):
    """Once it has served: no more than 5 % of a core."""
    network, port = Memif(), flap.free_port()
    web(tmp_path, 1000)
    with network.server([pythons.same(), "-m", "http.server", "-d", str(tmp_path), str(port)], port) as server:
        assert fetched(network.client, f"http://{SERVER}:{port}/1000") == sha(content(1000))
        time.sleep(0.5)
        before = used(server.pid)
        time.sleep(2)
        assert used(server.pid) - before < 0.1


def used(pid):
    """Seconds of processor time of a process."""
    with open(f"/proc/{pid}/stat") as file:
        words = file.read().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def kernel():
    """The kernel's own stack at the other end of a wire, which cuts what it sends by itself."""
    if reason := flap.no_tap():
        pytest.skip(f"no network namespace can be made here: {reason}")
    with wire():
        ip("link set lo up")
        ip(f"address add {CLIENT}/16 dev theirs")
        words = "tso off gso off gro off tx off".split()
        subprocess.run([flap.need("ethtool", "ethtool"), "-K", "theirs", *words], check=True, stdout=subprocess.DEVNULL)
        yield {"CATFLAP_DEVICE": "dpdk:net_af_packet0,iface=ours", "CATFLAP_ADDRESSES": f"{SERVER}/16"}


@pytest.mark.parametrize("ours", ["server", "client"])
def test_with_the_kernel_at_the_other_end(tmp_path, ours):
    port, sizes = flap.free_port(), (1, 1448, 1_000_001)
    web(tmp_path, *sizes)
    argv = [pythons.same(), "-m", "http.server", "-d", str(tmp_path), str(port)]
    with kernel() as env:

        def run(argv):
            mine = {"libos": "catnip", "env": env} if ours == "client" else {"libos": "kernel"}
            return flap.run(argv, timeout=40, **mine)

        mine = {"libos": "catnip", "env": env} if ours == "server" else {"libos": "kernel"}
        with flap.Program(argv, timeout=60, **mine) as server:
            until(lambda: listens(port), "listener", program=server)
            for size in sizes:
                url = f"http://{SERVER if ours == 'server' else CLIENT}:{port}/{size}"
                assert fetched(run, url) == sha(content(size)), size


def test_a_port_that_is_not_there_leaves_the_program_on_the_kernel(tmp_path):
    """Why is in the log, in a line, and nothing on the program's stderr but its own."""
    port = flap.free_port()
    env = {"CATFLAP_DEVICE": "dpdk:net_virtio_user0,path=/absent/socket", "CATFLAP_ADDRESSES": f"{SERVER}/16"}
    argv = [pythons.same(), "-m", "http.server", "-d", str(tmp_path), str(port)]
    with flap.Program(argv, "catnip", env=env, strict=False) as server:
        until(lambda: listens(port), "listener", program=server)
        until(lambda: "the network is not there: dpdk:" in server.log(), "word of it in the log", program=server)
        assert b"EAL" not in server.read("err") and b"absent" not in server.read("err")
