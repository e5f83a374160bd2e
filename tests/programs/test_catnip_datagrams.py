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
    assert answers(script, family, pure) == answers(script, family)


def answers(script, family, pure=None, *words):
    """What both ends say on Catnip, or on the kernel where `pure` is None."""
    if pure is None:
        host = "127.0.0.1" if family == 4 else "::1"
        return spoken(script, flap.run, plain, host, host, flap.free_port(), *words)
    network, ends = Network(pure), (SERVER, CLIENT) if family == 4 else (SERVER6, CLIENT6)
    return spoken(script, network.client, network.server, ends[1], ends[0], flap.free_port(), *words)


def plain(argv, port, says):
    program = flap.Program(argv, "kernel", timeout=90)
    until(lambda: says in program.read("out"), "server", program=program)
    return program


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


@pytest.mark.parametrize("pure", MODES)
@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("script", ["abroad_datagrams.py", "abroad_messages.py"])
def test_every_call_answers_in_children_as_on_the_kernel(script, family, pure):
    """Both ends in forked processes whose parents have the network (docs/differences.md)."""
    wanted = re.sub(
        r"(?m)^((?:ep|p)olled .*)$", lambda m: m[1].replace("'error'", "'in'"), answers(script, family, None, LARGEST)
    )
    assert answers(f"forked.py {script}", family, pure, LARGEST) == wanted


LARGEST = "65427"  # octets of a datagram there
SHARED = """
import os, select, socket, sys
where = sys.argv[1], int(sys.argv[2])
def said(sock, text):
    sock.sendto(text, where)
    return sock.recvfrom(100)
sock, joined, early = (socket.socket(type=socket.SOCK_DGRAM) for _ in range(3))
for one in (sock, joined, early):
    one.settimeout(20)
print(said(sock, b"parent") == (b"parent", where))
joined.connect(where)
early.connect(where)
early.send(b"early")
select.select([early], [], [], 20)
if os.fork() == 0:
    print("child", early.recv(100), said(sock, b"child") == (b"child", where), flush=True)
    joined.send(b"joined")
    print(joined.recv(100), joined.getsockname()[0], joined.getpeername() == where, flush=True)
    with socket.socket(type=socket.SOCK_DGRAM) as own:
        own.settimeout(20)
        print(said(own, b"own") == (b"own", where), flush=True)
    with socket.socket(type=socket.SOCK_DGRAM) as own:
        own.settimeout(20)
        own.bind((sys.argv[3], 0))
        print(own.getsockname()[0], said(own, b"bound") == (b"bound", where), flush=True)
    os._exit(0)
print(os.wait()[1])
print(said(sock, b"again") == (b"again", where))
"""


@pytest.mark.parametrize("pure", MODES)
def test_what_a_child_shares_with_its_parent(pure):
    """Sockets that the parent had, what had come to them, and the child's own."""
    network, port = Network(pure), flap.free_port()
    with network.server(python(ECHO, port), port, says=b"listens"):
        result = network.client(python(SHARED, SERVER, port, CLIENT))
    wanted = ["True", "child b'early' True", f"b'joined' {CLIENT} True", "True", f"{CLIENT} True", "0", "True"]
    assert result.stdout.decode().splitlines() == wanted, str(result)


GOES_ON = """
import os, socket, sys
sock = socket.socket(type=socket.SOCK_DGRAM)
sock.bind(("", int(sys.argv[1])))
heard, said = os.pipe()
for _ in range(2):
    sock.sendto(*sock.recvfrom(100))
if os.fork():
    os.read(heard, 1)
    os._exit(0)
os.setsid()
for _ in range(2):
    sock.sendto(*sock.recvfrom(100))
os.write(said, b"x")
while True:
    data, peer = sock.recvfrom(100)
    with socket.socket(type=socket.SOCK_DGRAM) as other:
        other.sendto(data, peer)
"""
STAYS = """
import socket, sys
with socket.socket(type=socket.SOCK_DGRAM) as sock:
    sock.settimeout(20)
    ports = []
    for n in range(7):
        sock.sendto(b"%d" % n, (sys.argv[1], int(sys.argv[2])))
        data, peer = sock.recvfrom(100)
        ports.append((data, peer[0], peer[1] == int(sys.argv[2])))
    print(ports)
"""


@pytest.mark.parametrize("pure", MODES)
def test_datagrams_go_on_when_their_owner_ends(pure):
    """A server's child has its socket, and others of its own, when the process that has the stack has ended."""
    network, port = Network(pure), flap.free_port()
    serve = ["sh", "-c", f'{pythons.same()} -c "$1" $2; sleep 1000', "sh", GOES_ON, str(port)]
    with network.server(serve, port, there=bound):
        result = network.client(python(STAYS, SERVER, port))
    assert result.stdout.decode() == f"{[(b'%d' % n, SERVER, n < 4) for n in range(7)]}\n", str(result)


KILLED = """
import os, signal, socket, sys
def bound():
    sock = socket.socket(type=socket.SOCK_DGRAM)
    sock.bind((sys.argv[1], int(sys.argv[2])))
    return sock
socket.if_nameindex()
if os.fork() == 0:
    bound()
    os.kill(os.getpid(), signal.SIGKILL)
print(os.waitstatus_to_exitcode(os.wait()[1]))
first = bound()
try:
    bound()
except OSError as error:
    print(error.errno)
if os.fork() == 0:
    first.close()
    os._exit(0)
print(os.waitstatus_to_exitcode(os.wait()[1]))
first.close()
print(bound().getsockname() == (sys.argv[1], int(sys.argv[2])))
"""


@pytest.mark.parametrize("pure", MODES)
def test_ports_are_free_when_nobody_has_them(pure):
    """That of a process that was killed, and that of a socket which was shared; not while it is open."""
    result = Network(pure).client(python(KILLED, CLIENT, flap.free_port()))
    assert (result.status, result.stdout) == (0, b"-9\n98\n0\nTrue\n"), str(result)


def test_two_programs_of_one_host():
    """Which is the second one is told by nothing that it does: it answers, and asks the first."""
    network, first, second = Network(), flap.free_port(), flap.free_port()
    serve = ["sh", "-c", f'{pythons.same()} -c "$1" $2 & {pythons.same()} -c "$1" $3; wait', "sh", ECHO]
    with network.server([*serve, str(first), str(second)], first, there=lambda port: bound(port) and bound(second)):
        for port in (first, second):
            result = network.client(python(PING, SERVER, port, 20, "to both"))
            assert (result.status, result.stdout) == (0, b"b'to both'\n"), str(result)
