"""Unmodified programs on Catnip: against each other over a shared-memory segment, against the kernel over TAP."""

import json
import os
import re
import signal
import subprocess

import flap
import pytest
import pythons
from material import content, sha
from networks import CLIENT, CLIENT6, MODES, SERVER, SERVER6, Network, spoken
from roles import listens, until
from webserver import CONFIGURATION, publish


def web_server(folder, sizes, port, **values):
    """The command line of an nginx without workers that listens on all addresses."""
    for size in sizes:
        publish(folder, size)
    text = (
        CONFIGURATION.replace("127.0.0.1:", "")
        .replace("[::1]:", "[::]:")
        .replace("daemon off;", "daemon off; master_process off;")
    )
    path = os.path.join(folder, "nginx.conf")
    with open(path, "w") as f:
        f.write(text.format(folder=folder, port=port, user="root", extra="", workers=1, **{"sendfile": "on", **values}))
    return [flap.need("nginx", "nginx-light"), "-c", path, "-e", os.path.join(folder, "error.log")]


def fetched(network, url):
    result = network.client([flap.need("curl", "curl"), "-g", "-sS", url])
    assert (result.status, result.stderr) == (0, b""), str(result)
    return sha(result.stdout)


@pytest.mark.parametrize("sendfile", ["on", "off"])
def test_nginx_and_curl(tmp_path, sendfile):
    network, port, sizes = Network(), flap.free_port(), (0, 1, 65537, 4_000_000)
    with network.server(web_server(tmp_path, sizes, port, sendfile=sendfile), port):
        for size in sizes:
            for host in (SERVER, f"[{SERVER6}]"):
                assert fetched(network, f"http://{host}:{port}/{size}") == sha(content(size))
        # one that listens on all addresses listens on the kernel's too
        plain = subprocess.run(["curl", "-sS", f"http://127.0.0.1:{port}/65537"], capture_output=True, timeout=20)
        assert sha(plain.stdout) == sha(content(65537)), plain


def test_redis(tmp_path):
    network, port = Network(), flap.free_port()
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


@pytest.mark.parametrize("words", [[], ["-R"], ["-P", "4", "--bidir"]], ids=["out", "in", "both"])
def test_iperf3(words):
    network, port = Network(), flap.free_port()
    tool = flap.need("iperf3", "iperf3")
    with network.server([tool, "-s", "-p", str(port)], port):
        result = network.client([tool, "-c", SERVER, "-p", str(port), "-t", "1", "-J", *words])
        found = json.loads(result.stdout)
        assert result.status == 0 and "error" not in found, str(result)
        sums = [found["end"][name]["bytes"] for name in found["end"] if name.startswith("sum_")]
        assert len(sums) >= 2 and all(moved > 1_000_000 for moved in sums), sums


def test_python_server_and_client(tmp_path):
    network, port = Network(), flap.free_port()
    (tmp_path / "file").write_bytes(content(300_000))
    server = [pythons.same(), "-m", "http.server", "-d", str(tmp_path), str(port)]
    fetch = "import sys, urllib.request; sys.stdout.buffer.write(urllib.request.urlopen(sys.argv[1]).read())"
    with network.server(server, port):
        result = network.client([pythons.same(), "-c", fetch, f"http://{SERVER}:{port}/file"])
    assert (result.status, sha(result.stdout)) == (0, sha(content(300_000))), str(result)


@pytest.mark.parametrize("pure", MODES)
@pytest.mark.parametrize("family", [4, 6])
def test_every_call_answers_as_on_the_kernel(family, pure):
    """Names, half-closes, resets, refusals, time-outs, events, bytes of a process that has ended."""
    network = Network(pure)

    def plain(argv, port, says):
        program = flap.Program(argv, "kernel", timeout=60)
        until(lambda: listens(port), "listener", program=program)
        return program

    loopback = "127.0.0.1" if family == 4 else "::1"
    wanted = spoken("abroad.py", flap.run, plain, loopback, loopback, flap.free_port())
    ends = (SERVER, CLIENT) if family == 4 else (SERVER6, CLIENT6)
    times = ["1"] if pure else []
    found = spoken("abroad.py", network.client, network.server, ends[1], ends[0], flap.free_port(), *times)
    assert found == wanted


FLIP = """
def install(instrument):
    def flip(qd, view):
        at = bytes(view).find(b"/65536")
        if at >= 0:
            view[at + 5] ^= 1

    instrument.install("pop", flip)
"""


def test_a_byte_changed_in_python_reaches_the_program(tmp_path):
    """One bit changed in the request that was popped: nginx reads /65537 where curl wrote /65536."""
    hook = tmp_path / "hook.py"
    hook.write_text(FLIP)
    network, port = Network(), flap.free_port()
    argv = web_server(tmp_path, (65536, 65537), port)
    with network.server(argv, port, env={"CATFLAP_HOOK": str(hook)}):
        assert fetched(network, f"http://{SERVER}:{port}/65536") == sha(content(65537))


SEVENTH = """
import runpy

Seventh = runpy.run_path({example!r})["DropSeventh"]


class Counted(Seventh):
    def transmit(self, address, length):
        if self.transmitted % 7 == 6:
            with open({report!r}, "a") as f:
                f.write("x")
        return super().transmit(address, length)


def install(instrument):
    instrument.install("device", Counted)
"""


def test_every_seventh_frame_of_nginx_is_lost(tmp_path):
    """examples/drop_seventh.py under a live nginx: the file arrives."""
    hook, report = tmp_path / "hook.py", tmp_path / "report"
    example = os.path.join(flap.ROOT, "examples", "drop_seventh.py")
    hook.write_text(SEVENTH.format(example=example, report=str(report)))
    network, port = Network(), flap.free_port()
    argv = web_server(tmp_path, (300_000,), port)
    with network.server(argv, port, env={"CATFLAP_HOOK": str(hook)}):
        assert fetched(network, f"http://{SERVER}:{port}/300000") == sha(content(300_000))
        assert len(report.read_text()) > 20


PING = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as sock:
    for _ in range(2000):
        sock.sendall(b"p" * 100)
        left = 100
        while left:
            left -= len(sock.recv(left))
"""
PONG = """
import socket, sys
with socket.create_server(("", int(sys.argv[1]))) as listener:
    sock, _ = listener.accept()
    while part := sock.recv(100):
        sock.sendall(part)
"""


def test_no_system_call_carries_data(tmp_path):
    """2,000 exchanges: what data calls there are, bells apart, are far fewer."""
    network, port, summary = Network(), flap.free_port(), tmp_path / "strace"
    with network.server([pythons.same(), "-c", PONG, str(port)], port):
        settings = flap.environment("catnip", extra=network.host(CLIENT))
        settings = [f"{name}={value}" for name, value in settings.items() if flap.OURS.match(name)]
        wrap = [flap.need("strace", "strace"), "-f", "-o", str(summary), "-e", "trace=network,read,write"]
        result = flap.run([*wrap, "/usr/bin/env", *settings, pythons.same(), "-c", PING, SERVER, str(port)])
        assert result.status == 0, str(result)
    sent = re.findall(r"sendto\(\d+, .{0,40}ppppp", summary.read_text())
    assert len(sent) < 20, sent[:5]


TAP = """
set -e
ip link set lo up
ip tuntap add tap0 mode tap
ip addr add 10.9.0.1/24 dev tap0
ip link set tap0 up
"$@"
"""


@pytest.mark.skipif(bool(flap.no_tap()), reason="no TAP interface can be made here")
@pytest.mark.parametrize("ours", ["server", "client"])
def test_against_the_kernel_over_tap(tmp_path, ours):
    """In a network namespace: one end is Catnip at 10.9.0.2, the other the kernel at 10.9.0.1."""
    port = flap.free_port()
    serve = web_server(tmp_path, (1_000_001,), port)
    host = "10.9.0.2" if ours == "server" else "10.9.0.1"
    ask = [flap.need("curl", "curl"), "-sS", "--retry", "20", "--retry-connrefused", "--retry-delay", "1"]
    ask += ["-o", str(tmp_path / "got"), f"http://{host}:{port}/1000001"]
    mine = flap.environment("catnip", extra={"CATFLAP_DEVICE": "tap:tap0", "CATFLAP_ADDRESSES": "10.9.0.2/24"})
    mine = ["/usr/bin/env", *[f"{name}={value}" for name, value in mine.items() if flap.OURS.match(name)]]
    both = [[*(mine if ours == "server" else []), *serve], [*(mine if ours == "client" else []), *ask]]
    text = (
        "import subprocess, sys, json, signal\n"
        "serve, ask = json.loads(sys.argv[1])\n"
        "server = subprocess.Popen(serve)\n"
        "status = subprocess.run(ask, timeout=60).returncode\n"
        "server.send_signal(signal.SIGQUIT); server.wait(20); sys.exit(status)"
    )
    argv = ["unshare", "-n", "sh", "-c", TAP, "sh", pythons.same(), "-c", text, json.dumps(both)]
    result = flap.run(argv, timeout=90)
    assert result.status == 0, str(result)
    assert sha((tmp_path / "got").read_bytes()) == sha(content(1_000_001))


def test_the_network_goes_on_while_the_program_computes(tmp_path):
    """A server that computes for two seconds still takes what a client sends, whose own calls end long before."""
    network, port = Network(), flap.free_port()
    serve = (
        "import socket, sys, time\n"
        "listener = socket.create_server(('', int(sys.argv[1])))\n"
        "sock, _ = listener.accept()\n"
        "sock.recv(1)\n"
        "end = time.monotonic() + 2\n"
        "while time.monotonic() < end: pass\n"
        "left = 30000\n"
        "while left: left -= len(sock.recv(left))\n"
        "sock.sendall(b'done')\n"
    )
    ask = (
        "import socket, sys, time\n"
        "sock = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
        "sock.sendall(b'x' + bytes(30000))\n"
        "sock.shutdown(socket.SHUT_WR)\n"
        "print(sock.recv(10))\n"
    )
    with network.server([pythons.same(), "-c", serve, str(port)], port) as server:
        result = network.client([pythons.same(), "-c", ask, SERVER, str(port)])
        assert result.stdout == b"b'done'\n", str(result)
        assert server.wait(20).status == 0


def test_every_connection_is_heard_of():
    """The network may have made, or refused, a connection before the program's socket has its rings."""
    network, port = Network(), flap.free_port()
    serve = (
        "import socket, sys\n"
        "listener = socket.create_server(('', int(sys.argv[1])))\n"
        "while True:\n"
        "    sock, _ = listener.accept()\n"
        "    sock.sendall(b'x')\n"
    )
    ask = (
        "import socket, sys\n"
        "for _ in range(50):\n"
        "    with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as sock:\n"
        "        assert sock.recv(1) == b'x'\n"
        "    with socket.socket() as sock:\n"
        "        print(sock.connect_ex((sys.argv[1], 1)))\n"
    )
    with network.server([pythons.same(), "-c", serve, str(port)], port) as server:
        result = network.client([pythons.same(), "-c", ask, SERVER, str(port)])
        # the keeper has closed the far ends of those that are over
        until(lambda: len(os.listdir(f"/proc/{server.pid}/fd")) < 30, "far ends closed", program=server)
    assert (result.status, result.stdout) == (0, b"111\n" * 50), str(result)


def test_a_socket_closed_late_leaves_the_next_connection_alone():
    """One whose connection is over in both directions is closed when there is another one already."""
    network, port = Network(), flap.free_port()
    serve = (
        "import socket, sys\n"
        "listener = socket.create_server(('', int(sys.argv[1])))\n"
        "while True:\n"
        "    sock, _ = listener.accept()\n"
        "    while sock.recv(100): pass\n"
        "    sock.sendall(b'answer')\n"
        "    sock.close()\n"
    )
    ask = (
        "import socket, sys\n"
        "last = None\n"
        "for _ in range(5):\n"
        "    sock = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
        "    last = None\n"  # closed now
        "    sock.sendall(bytes(300000))\n"
        "    sock.shutdown(socket.SHUT_WR)\n"
        "    print(sock.recv(10), sock.recv(10))\n"
        "    last = sock\n"
    )
    with network.server([pythons.same(), "-c", serve, str(port)], port):
        result = network.client([pythons.same(), "-c", ask, SERVER, str(port)])
    assert (result.status, result.stdout) == (0, b"b'answer' b''\n" * 5), str(result)


THREADS = """
import socket, sys, threading
lost = []
def run():
    for _ in range(25):
        try:
            with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as sock:
                sock.sendall(b"x")
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(100):
                    pass
        except OSError as error:
            lost.append(error)
threads = [threading.Thread(target=run) for _ in range(6)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(lost)
"""


@pytest.mark.parametrize("pure", MODES)
def test_threads_connect_at_once(pure):
    """Each gets its own far end, and closes nothing of the others'."""
    network, port = Network(pure), flap.free_port()
    serve = (
        "import socket, sys\n"
        "listener = socket.create_server(('', int(sys.argv[1])))\n"
        "while True:\n"
        "    sock, _ = listener.accept()\n"
        "    while sock.recv(100): pass\n"
        "    sock.sendall(b'answer')\n"
        "    sock.close()\n"
    )
    with network.server([pythons.same(), "-c", serve, str(port)], port):
        result = network.client([pythons.same(), "-c", THREADS, SERVER, str(port)])
    assert (result.status, result.stdout) == (0, b"[]\n"), str(result)


SILENT = """
import os, select, signal, socket, sys
listener = socket.create_server(("", int(sys.argv[1])))
sock, _ = listener.accept()
print(sock.recv(5, socket.MSG_WAITALL), flush=True)
print("silent" if not select.select([sock], [], [], 1)[0] else "told", flush=True)
"""
KILLED = """
import os, signal, socket, sys
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])))
sock.sendall(b"first", socket.MSG_OOB if len(sys.argv) > 3 else 0)
if len(sys.argv) == 3:
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_differs_from_the_kernel():
    """A killed host says nothing; urgent data comes in the stream; an ended one says goodbye (docs/differences.md)."""
    for urgent, wanted in ((False, b"b'first'\nsilent\n"), (True, b"b'first'\ntold\n")):
        network, port = Network(), flap.free_port()
        with network.server([pythons.same(), "-c", SILENT, str(port)], port) as server:
            argv = [pythons.same(), "-c", KILLED, SERVER, str(port), *(["urgent"] if urgent else [])]
            result = network.client(argv, strict=False)
            assert result.status == (0 if urgent else 137), str(result)
            assert server.wait(20).stdout == wanted
    # nor is the network's interface where only the kernel is asked
    lists = [pythons.same(), "-c", "print([line[:8] for line in open('/proc/net/dev')])"]
    assert network.client(lists).stdout == flap.run(lists).stdout


def test_an_unknown_device_leaves_the_program_on_the_kernel(tmp_path):
    """What, why and what to do is in the log; the program listens on the kernel."""
    port = flap.free_port()
    argv = [pythons.same(), "-m", "http.server", "-d", str(tmp_path), str(port)]
    env = {"CATFLAP_DEVICE": "tap:nonsense0", "CATFLAP_ADDRESSES": ""}
    with flap.Program(argv, "catnip", env=env, strict=False) as server:
        flap.wait_for_port(port, server)
        until(lambda: "needs addresses" in server.log(), "word of it in the log", program=server)
        os.kill(server.pid, signal.SIGTERM)


def test_without_its_device_every_address_is_the_kernels():
    """What can't be opened is not the program's fault: bind(2) answers as the kernel does."""
    code = (
        "import errno, socket\n"
        "try: socket.socket().bind(('10.99.99.99', 0))\n"
        "except OSError as error: print(errno.errorcode[error.errno])\n"
    )
    env = {"CATFLAP_DEVICE": "tap:nonsense0", "CATFLAP_ADDRESSES": ""}
    argv = [pythons.same(), "-c", code]
    assert flap.run(argv, "catnip", env=env, strict=False).stdout == flap.run(argv).stdout
