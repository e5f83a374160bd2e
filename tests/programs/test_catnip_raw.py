"""Unmodified programs on Catnip over interfaces of the kernel's: its own stack is at the other end of the wire."""

import os
import sys
import time

import flap
import pytest
import pythons
from material import content, sha
from roles import listens, until

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "devices"))
from namespace import ip, wire  # noqa: E402

OURS, THEIRS = "10.9.0.2", "10.9.0.1"
OURS6, THEIRS6 = "fd09::2", "fd09::1"
DEVICES = ["af_packet", "af_xdp"]
pytestmark = pytest.mark.skipif(bool(flap.no_tap()), reason="no network namespace can be made here")


class Ends:
    """Programs on Catnip over interface "ours", and on the kernel, which has the other end."""

    def __init__(self, device, pure=False):
        self.settings = {"CATFLAP_DEVICE": f"{device}:ours", "CATFLAP_ADDRESSES": f"{OURS}/24,{OURS6}/64"}
        self.pure = pure
        self.patience = 4 if pure else 1
        ip("link set lo up")
        with open("/proc/sys/net/ipv6/conf/theirs/disable_ipv6", "w") as file:
            file.write("0")
        ip(f"address add {THEIRS}/24 dev theirs")
        ip(f"address add {THEIRS6}/64 dev theirs nodad")

    def options(self, ours):
        return {"env": dict(self.settings), "pure": self.pure} if ours else {}

    def server(self, argv, port, ours):
        program = flap.Program(argv, "catnip" if ours else "kernel", timeout=100, **self.options(ours))
        until(lambda: listens(port), "listener", 20 * self.patience, program=program)
        return program

    def run(self, argv, ours, **options):
        return flap.run(
            argv, "catnip" if ours else "kernel", timeout=60 * self.patience, **options, **self.options(ours)
        )


@pytest.fixture(params=DEVICES)
def ends(request):
    with wire():
        yield Ends(request.param)


def fetched(ends, ours, url, *words):
    result = ends.run([flap.need("curl", "curl"), "-g", "-sS", *words, url], ours)
    assert (result.status, result.stderr) == (0, b""), str(result)
    return sha(result.stdout)


def web(folder, *sizes):
    for size in sizes:
        (folder / str(size)).write_bytes(content(size))


def through_the_web(ends, tmp_path, ours, sizes):
    """Files by curl from Python's server, of which one end is ours; one of the kernel's own clients besides."""
    port = flap.free_port()
    web(tmp_path, *sizes)
    argv = [pythons.same(), "-m", "http.server", "-b", "::", "-d", str(tmp_path), str(port)]
    with ends.server(argv, port, ours == "server"):
        for host in (OURS, f"[{OURS6}]") if ours == "server" else (THEIRS, f"[{THEIRS6}]"):
            for size in sizes:
                got = fetched(ends, ours == "client", f"http://{host}:{port}/{size}")
                assert got == sha(content(size)), (host, size)
        assert fetched(ends, False, f"http://127.0.0.1:{port}/{sizes[0]}") == sha(content(sizes[0]))


@pytest.mark.parametrize("ours", ["server", "client"])
def test_curl_and_python(ends, tmp_path, ours):
    through_the_web(ends, tmp_path, ours, (1, 1448, 65537, 4_000_001))


@pytest.mark.pure_sample
@pytest.mark.parametrize("ours", ["server", "client"])
@pytest.mark.parametrize("device", DEVICES)
def test_curl_and_python_interpreted(device, tmp_path, ours):
    with wire():
        through_the_web(Ends(device, pure=True), tmp_path, ours, (1, 100_001))


@pytest.mark.parametrize("ours", ["server", "client"])
def test_what_goes_the_other_way(ends, tmp_path, ours):
    """A file that the client sends."""
    port = flap.free_port()
    code = (
        "import socket, sys, hashlib\n"
        "listener = socket.create_server(('', int(sys.argv[1])))\n"
        "sock, _ = listener.accept()\n"
        "found = hashlib.sha256()\n"
        "while part := sock.recv(1 << 16): found.update(part)\n"
        "sock.sendall(found.hexdigest().encode())\n"
    )
    send = (
        "import socket, sys\n"
        "sock = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
        "sock.sendall(open(sys.argv[3], 'rb').read())\n"
        "sock.shutdown(socket.SHUT_WR)\n"
        "print(sock.recv(100).decode(), end='')\n"
    )
    web(tmp_path, 5_000_001)
    with ends.server([pythons.same(), "-c", code, str(port)], port, ours == "server"):
        host = OURS if ours == "server" else THEIRS
        argv = [pythons.same(), "-c", send, host, str(port), str(tmp_path / "5000001")]
        result = ends.run(argv, ours == "client")
    assert result.status == 0 and result.stdout.decode() == sha(content(5_000_001)), str(result)


@pytest.mark.parametrize("ours", ["server", "client"])
def test_redis(ends, tmp_path, ours):
    port = flap.free_port()
    argv = [flap.need("redis-server", "redis-server"), "--port", str(port), "--dir", str(tmp_path), "--save", ""]
    host = OURS if ours == "server" else THEIRS
    with ends.server([*argv, "--protected-mode", "no"], port, ours == "server"):
        client = [flap.need("redis-cli", "redis-tools"), "-h", host, "-p", str(port)]
        value = content(100_000).hex().encode()
        assert ends.run([*client, "-x", "SET", "key"], ours == "client", stdin=value).stdout == b"OK\n"
        assert ends.run([*client, "--raw", "GET", "key"], ours == "client").stdout == value + b"\n"
        load = [flap.need("redis-benchmark", "redis-tools"), "-h", host, "-p", str(port)]
        result = ends.run([*load, "-c", "50", "-n", "20000", "-t", "incr,lpush", "-q"], ours == "client")
        assert result.status == 0 and b"rror" not in result.stdout + result.stderr, str(result)
        assert ends.run([*client, "GET", "counter:__rand_int__"], ours == "client").stdout == b"20000\n"


@pytest.mark.parametrize("ours", ["server", "client"])
def test_datagrams(ends, ours):
    """Datagrams of all sizes there and back, also such as go in fragments."""
    port = flap.free_port()
    echo = (
        "import socket, sys\n"
        "sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "sock.bind(('', int(sys.argv[1])))\n"
        "ready = socket.create_server(('', int(sys.argv[1])))\n"
        "while True: sock.sendto(*sock.recvfrom(70000))\n"
    )
    ask = (
        "import os, socket, sys\n"
        "sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "sock.settimeout(10)\n"
        "sock.connect((sys.argv[1], int(sys.argv[2])))\n"
        "for size in (0, 1, 2, 3, 1472, 1473, 9000, 30001):\n"
        "    data = os.urandom(size)\n"
        "    sock.send(data)\n"
        "    assert sock.recv(70000) == data, size\n"
    )
    with ends.server([pythons.same(), "-c", echo, str(port)], port, ours == "server"):
        host = OURS if ours == "server" else THEIRS
        result = ends.run([pythons.same(), "-c", ask, host, str(port)], ours == "client")
    assert result.status == 0, str(result)


def test_who_is_not_there_is_refused(ends):
    """At a port of ours where nobody listens, and at one of theirs; each says so itself, once."""
    ask = (
        "import socket, sys\n"
        "with socket.socket() as sock:\n"
        "    sock.settimeout(10)\n"
        "    print(sock.connect_ex((sys.argv[1], 7)))\n"
    )
    assert ends.run([pythons.same(), "-c", ask, THEIRS], True).stdout == b"111\n"
    port = flap.free_port()
    with ends.server([pythons.same(), "-m", "http.server", str(port)], port, True):
        assert ends.run([pythons.same(), "-c", ask, OURS], False).stdout == b"111\n"


def test_an_idle_server_sleeps(ends, tmp_path):
    """Once it has served: no more than 5 % of a core."""
    port = flap.free_port()
    web(tmp_path, 1000)
    with ends.server([pythons.same(), "-m", "http.server", "-d", str(tmp_path), str(port)], port, True) as server:
        assert fetched(ends, False, f"http://{OURS}:{port}/1000") == sha(content(1000))
        time.sleep(0.5)
        before = used(server.pid)
        time.sleep(2)
        assert used(server.pid) - before < 0.1


def used(pid):
    """Seconds of processor time of a process."""
    with open(f"/proc/{pid}/stat") as file:
        words = file.read().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def test_both_ends_are_ours(ends, tmp_path):
    """One is Catnip's on "theirs"."""
    port = flap.free_port()
    web(tmp_path, 1_000_001)
    ip(f"address del {THEIRS}/24 dev theirs")
    far = {"CATFLAP_DEVICE": "af_packet:theirs", "CATFLAP_ADDRESSES": f"{THEIRS}/24"}
    with ends.server([pythons.same(), "-m", "http.server", "-d", str(tmp_path), str(port)], port, True):
        result = flap.run([flap.need("curl", "curl"), "-sS", f"http://{OURS}:{port}/1000001"], "catnip", env=far)
    assert (result.status, sha(result.stdout)) == (0, sha(content(1_000_001))), str(result)


def test_a_device_that_is_not_there_leaves_the_program_on_the_kernel(ends, tmp_path):
    """Why is in the log, in a line."""
    for name, why in (("absent", "there is no interface"), ("lo", "is not an Ethernet interface")):
        port = flap.free_port()
        kind = ends.settings["CATFLAP_DEVICE"].partition(":")[0]
        env = ends.settings | {"CATFLAP_DEVICE": f"{kind}:{name}"}
        argv = [pythons.same(), "-m", "http.server", "-d", str(tmp_path), str(port)]
        with flap.Program(argv, "catnip", env=env, strict=False) as server:
            flap.wait_for_port(port, server)
            until(lambda server=server, why=why: why in server.log(), "word of it in the log", program=server)
