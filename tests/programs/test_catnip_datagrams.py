"""Datagram sockets of unmodified programs on Catnip: against each other over a segment, against the kernel over TAP."""

import json
import os
import re
import signal

import flap
import pytest
import pythons
from networks import CLIENT, CLIENT6, MODES, SERVER, SERVER6, Network, spoken
from roles import SCRIPTS, bound, until

HEARS = """
import socket, sys
with socket.socket(type=socket.SOCK_DGRAM) as sock:
    sock.bind(("", int(sys.argv[1])))
    sock.settimeout(10)
    print("listens", flush=True)
    print(sock.recv(100))
"""


def python(code, *words):
    return [pythons.same(), "-c", code, *map(str, words)]


@pytest.mark.parametrize("pure", MODES)
@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("script", ["abroad_datagrams.py", "abroad_messages.py"])
def test_every_call_answers_as_on_the_kernel(script, family, pure):
    """Names, headers, refusals, time-outs, events, threads, bounds, ends of datagram sockets; control messages,
    recvmmsg(2), groups.
    """
    network = Network(pure)

    def plain(argv, port, says):
        program = flap.Program(argv, "kernel", timeout=90)
        until(lambda: says in program.read("out"), "server", program=program)
        return program

    loopback = "127.0.0.1" if family == 4 else "::1"
    wanted = spoken(script, flap.run, plain, loopback, loopback, flap.free_port())
    ends = (SERVER, CLIENT) if family == 4 else (SERVER6, CLIENT6)
    assert spoken(script, network.client, network.server, ends[1], ends[0], flap.free_port()) == wanted


@pytest.mark.parametrize("host", [SERVER, SERVER6])
def test_asyncio(host):
    network, port, script = Network(), flap.free_port(), [pythons.same(), os.path.join(SCRIPTS, "datagrams.py")]
    with network.server([*script, host, str(port)], port, says=b"ready") as server:
        result = network.client([*script, host, str(port), "200"])
        assert (result.status, result.stdout[:4]) == (0, b"200 "), str(result)
        os.kill(server.pid, signal.SIGTERM)
        assert server.wait(20).stdout == b"ready\n200\n"


@pytest.mark.parametrize("words", [[], ["-R"]], ids=["out", "in"])
def test_iperf3(words):
    network, port = Network(), flap.free_port()
    tool = flap.need("iperf3", "iperf3")
    with network.server([tool, "-s", "-p", str(port)], port):
        ask = [tool, "-c", SERVER, "-p", str(port), "-u", "-b", "20M", "-l", "1400", "-t", "2", "-J", *words]
        result = network.client(ask)
        found = json.loads(result.stdout)
        assert result.status == 0 and "error" not in found, str(result)
        end = found["end"]["sum"]
        # a receiver that has no core for a while loses what does not go into its buffer, as on the kernel
        assert end["packets"] > 2000 and end["lost_percent"] < 10, end


@pytest.mark.parametrize("host", [SERVER, SERVER6])
@pytest.mark.parametrize("pure", MODES)
def test_dig_and_dnsmasq(host, pure):
    """By IPv6 it answers only what has come with the interface's number."""
    network, port = Network(pure), flap.free_port()
    argv = [flap.need("dnsmasq", "dnsmasq-base"), "--keep-in-foreground", "--log-facility=-", "--conf-file=/dev/null"]
    argv += ["--pid-file", "--no-resolv", "--no-hosts", "--user=root", "--bind-interfaces", f"--port={port}"]
    argv += [f"--listen-address={SERVER},{SERVER6}", "--address=/x.test/10.1.2.3", "--txt-record=t.test," + "t" * 200]
    with network.server(argv, port, says=b"started, version") as server:
        dig = [flap.need("dig", "bind9-dnsutils"), f"@{host}", "-p", str(port), "+short", "+tries=2"]
        for _ in range(1 if pure else 3):
            assert network.client([*dig, "x.test"]).stdout == b"10.1.2.3\n", server.read("err")
        assert network.client([*dig, "t.test", "TXT"]).stdout == b'"' + b"t" * 200 + b'"\n'
        assert network.client([*dig, "+tcp", "x.test"]).stdout == b"10.1.2.3\n"


@pytest.mark.parametrize("pure", MODES)
def test_the_last_datagram_of_a_program_that_ends(pure):
    """It is sent though the server's address is not known yet, when the program says it, and exits."""
    network, port = Network(pure), flap.free_port()
    with network.server(python(HEARS, port), port, says=b"listens") as server:
        tool = flap.need("ncat", "ncat")
        result = network.client([tool, "-u", "--send-only", SERVER, str(port)], stdin=b"the last one")
        assert result.status == 0, str(result)
        assert server.wait(30).stdout == b"listens\nb'the last one'\n", str(result)


@pytest.mark.parametrize("tool", ["socat", "ncat"])
def test_socat_and_ncat(tool):
    network, port = Network(), flap.free_port()
    if tool == "socat":
        serve = [flap.need("socat", "socat"), f"UDP4-LISTEN:{port}", "PIPE"]
        ask = ["socat", "-t", "2", "-", f"UDP4:{SERVER}:{port}"]
    else:
        serve = [flap.need("ncat", "ncat"), "-u", "-l", "-i", "2", str(port)]
        ask = ["ncat", "-u", "-i", "2", SERVER, str(port)]
    with network.server(serve, port, there=bound) as server:
        result = network.client(ask, stdin=b"a datagram\n")
        said = result.stdout if tool == "socat" else server.read("out")
        assert said == b"a datagram\n", f"{result}\n{server.read('err')}"


BOTH = """
import select, socket, sys
sock = socket.socket(socket.AF_INET6 if sys.argv[2] == "6" else socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("", int(sys.argv[1])))
print("listens", flush=True)
epoll = select.epoll()
epoll.register(sock, select.EPOLLIN)
for turn in range(4):
    if turn % 2:
        assert epoll.poll(20)
    data, peer = sock.recvfrom(100)
    sock.sendto(data + peer[0].encode(), peer)
"""
ASK = """
import socket, sys
with socket.socket(type=socket.SOCK_DGRAM) as sock:
    sock.settimeout(20)
    sock.sendto(b"from ", (sys.argv[1], int(sys.argv[2])))
    print(sock.recvfrom(100)[0])
"""


@pytest.mark.parametrize("family", ["4", "6"])
def test_a_socket_of_all_addresses_is_on_both_networks(family):
    """Under one port; addresses of IPv4 as IPv6 has them where the socket is of that family."""
    network, port = Network(), flap.free_port()
    mapped = b"::ffff:" if family == "6" else b""
    with network.server(python(BOTH, port, family), port, says=b"listens") as server:
        for _ in range(2):
            plain = flap.run(python(ASK, "127.0.0.1", port))
            assert plain.stdout == b"b'from " + mapped + b"127.0.0.1'\n", f"{plain}\n{server.read('err')}"
            result = network.client(python(ASK, SERVER, port))
            assert result.stdout == b"b'from " + mapped + CLIENT.encode() + b"'\n", str(result)


GROUP = """
import socket, struct, sys
with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
    index = socket.if_nametoindex("catnip0")
    group = socket.inet_pton(socket.AF_INET6, "ff15::7") + struct.pack("i", index)
    sock.bind(("", int(sys.argv[2]) if sys.argv[1] == "answer" else 0))
    sock.setsockopt(41, socket.IPV6_JOIN_GROUP, group)
    sock.setsockopt(41, socket.IPV6_MULTICAST_IF, index)
    sock.setsockopt(41, socket.IPV6_MULTICAST_HOPS, 3)
    sock.setsockopt(41, socket.IPV6_RECVPKTINFO, 1)
    sock.setsockopt(41, socket.IPV6_RECVHOPLIMIT, 1)
    if sys.argv[1] == "ask":
        sock.setsockopt(41, socket.IPV6_MULTICAST_LOOP, 0)
        sock.sendto(b"not to myself", ("ff15::7", sock.getsockname()[1]))
        sock.sendto(b"who is there?", ("ff15::7", int(sys.argv[2])))
    print("listens", flush=True)
    data, control, flags, peer = sock.recvmsg(100, 100)
    (_, _, where), (_, _, hops) = control
    known = struct.unpack("i", where[16:])[0] == index
    print(data, socket.inet_ntop(socket.AF_INET6, where[:16]), known, hops[0], peer[0])
    if sys.argv[1] == "answer":
        sock.setsockopt(41, socket.IPV6_LEAVE_GROUP, group)
        sock.sendto(b"I am", peer)
"""


@pytest.mark.parametrize("pure", MODES)
def test_a_group_of_ipv6(pure):
    """By the interface's number; who does not want to hear itself does not."""
    network, port = Network(pure), flap.free_port()
    with network.server(python(GROUP, "answer", port), port, says=b"listens") as server:
        result = network.client(python(GROUP, "ask", port))
        assert result.stdout == f"listens\nb'I am' {CLIENT6} True 64 {SERVER6}\n".encode(), str(result)
        heard = f"listens\nb'who is there?' ff15::7 True 3 {CLIENT6}\n".encode()
        assert server.wait(20).stdout == heard


FLIP = """
def install(instrument):
    def flip(qd, view):
        if bytes(view) == b"ping 1":
            view[5] ^= 3

    instrument.install("pop", flip)
"""
ECHO = """
import socket, sys
sock = socket.socket(type=socket.SOCK_DGRAM)
sock.bind(("", int(sys.argv[1])))
print("listens", flush=True)
while True:
    sock.sendto(*sock.recvfrom(65536))
"""
PING = """
import socket, sys
with socket.socket(type=socket.SOCK_DGRAM) as sock:
    sock.settimeout(20)
    sock.connect((sys.argv[1], int(sys.argv[2])))
    for _ in range(int(sys.argv[3])):
        sock.send(sys.argv[4].encode())
        answer = sock.recv(100)
    print(answer)
"""


def test_a_byte_changed_in_python_reaches_the_program(tmp_path):
    hook = tmp_path / "hook.py"
    hook.write_text(FLIP)
    network, port = Network(), flap.free_port()
    with network.server(python(ECHO, port), port, says=b"listens", env={"CATFLAP_HOOK": str(hook)}):
        assert network.client(python(PING, SERVER, port, 1, "ping 1")).stdout == b"b'ping 2'\n"
        assert network.client(python(PING, SERVER, port, 1, "ping 3")).stdout == b"b'ping 3'\n"


def test_no_system_call_carries_data(tmp_path):
    """2,000 exchanges: no datagram is seen in a system call."""
    network, port, summary = Network(), flap.free_port(), tmp_path / "strace"
    with network.server(python(ECHO, port), port, says=b"listens"):
        settings = flap.environment("catnip", extra=network.host(CLIENT))
        settings = [f"{name}={value}" for name, value in settings.items() if flap.OURS.match(name)]
        wrap = [flap.need("strace", "strace"), "-f", "-o", str(summary), "-e", "trace=network,read,write"]
        result = flap.run([*wrap, "/usr/bin/env", *settings, *python(PING, SERVER, port, 2000, "p" * 50)], timeout=120)
        assert result.stdout == b"b'" + b"p" * 50 + b"'\n", str(result)
    assert not re.findall(r"(?:send|recv).*ppppp", summary.read_text())


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
def test_against_the_kernel_over_tap(ours):
    """In a network namespace: one end is Catnip at 10.9.0.2, the other the kernel at 10.9.0.1."""
    port = flap.free_port()
    host = "10.9.0.2" if ours == "server" else "10.9.0.1"
    mine = flap.environment("catnip", extra={"CATFLAP_DEVICE": "tap:tap0", "CATFLAP_ADDRESSES": "10.9.0.2/24"})
    mine = ["/usr/bin/env", *[f"{name}={value}" for name, value in mine.items() if flap.OURS.match(name)]]
    serve, ask = python(ECHO, port), python(PING, host, port, 300, "over the wire " * 3)
    both = [[*(mine if ours == "server" else []), *serve], [*(mine if ours == "client" else []), *ask]]
    text = (
        "import subprocess, sys, json\n"
        "serve, ask = json.loads(sys.argv[1])\n"
        "server = subprocess.Popen(serve, stdout=subprocess.PIPE)\n"
        "server.stdout.readline()\n"
        "status = subprocess.run(ask, timeout=60).returncode\n"
        "server.kill(); server.wait(20); sys.exit(status)"
    )
    argv = ["unshare", "-n", "sh", "-c", TAP, "sh", *python(text, json.dumps(both))]
    result = flap.run(argv, timeout=90)
    assert (result.status, result.stdout) == (0, f"{(b'over the wire ' * 3)}\n".encode()), str(result)


CHILD = """
import errno, os, socket, sys
sock = socket.socket(type=socket.SOCK_DGRAM)
sock.settimeout(20)
sock.connect((sys.argv[1], int(sys.argv[2])))
sock.send(b"parent")
if os.fork() == 0:
    for call in (lambda: sock.send(b"child"), lambda: sock.recv(10)):
        try:
            call()
        except OSError as error:
            print(errno.errorcode[error.errno], flush=True)
    os._exit(0)
os.wait()
print(sock.recv(10))
"""


def test_a_forked_child_has_no_datagrams():
    """The network is the parent's; the child's calls say so (docs/differences.md)."""
    network, port = Network(), flap.free_port()
    with network.server(python(ECHO, port), port, says=b"listens"):
        assert network.client(python(CHILD, SERVER, port)).stdout == b"ENETDOWN\nENETDOWN\nb'parent'\n"
