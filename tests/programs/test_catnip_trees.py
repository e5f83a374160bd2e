"""Process trees on Catnip: one host with one address, whichever process does what (docs/catnip.md)."""

import os
import re
import signal
import tempfile
import time

import flap
import pytest
import pythons
from material import content, sha
from networks import CLIENT, CLIENT6, MODES, SERVER, SERVER6, Network, spoken
from postgres import USER, cluster, drop, forget, readable, tool
from reloading import failures
from roles import listens, until
from webserver import CONFIGURATION, publish
from wires import wires

PREFORK = """
import hashlib, os, socket, sys
listener = socket.create_server(("", int(sys.argv[1])))
for n in range(3):
    if os.fork() == 0:
        while True:
            sock, peer = listener.accept()
            digest, size = hashlib.sha256(), 0
            while part := sock.recv(65536):
                digest.update(part)
                size += len(part)
            names = peer[0], sock.getpeername() == peer, *sock.getsockname()
            sock.sendall(repr((os.getpid(), *names, size, digest.hexdigest())).encode())
            sock.close()
os.wait()
"""
ASKS = """
import os, socket, sys
for n in range(12):
    with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as sock:
        data = os.urandom(1) * (100000 * n)
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        while part := sock.recv(4096):
            sys.stdout.buffer.write(part)
    import hashlib
    print("", hashlib.sha256(data).hexdigest())
"""


def steward():
    """Process ids of the stewards that there are."""
    found = []
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm") as f:
                found += [int(pid)] if f.read() == "catnip steward\n" else []
        except OSError:
            continue
    return found


@pytest.mark.parametrize("pure", MODES)
def test_every_call_answers_in_children_as_on_the_kernel(pure):
    """abroad.py (test_catnip.py), both ends in forked processes whose parents have the network."""
    network = Network(pure)

    def plain(argv, port, says):
        program = flap.Program(argv, "kernel", timeout=60)
        until(lambda: listens(port), "listener", program=program)
        return program

    wanted = spoken("abroad.py", flap.run, plain, "127.0.0.1", "127.0.0.1", flap.free_port())
    times = ["1"] if pure else []
    found = spoken("forked.py abroad.py", network.client, network.server, CLIENT, SERVER, flap.free_port(), *times)
    assert found == wanted


@pytest.mark.parametrize("pure", MODES)
@pytest.mark.parametrize("address", [SERVER, SERVER6])
def test_forked_servers(address, pure):
    """Three processes wait for one listener: names and bytes of what each has accepted."""
    network, port = Network(pure), flap.free_port()
    both = "family=socket.AF_INET6, dualstack_ipv6=True"
    serve = PREFORK.replace('("", int(sys.argv[1]))', f'("::", int(sys.argv[1])), {both}')
    with network.server([pythons.same(), "-c", serve, str(port)], port):
        result = network.client([pythons.same(), "-c", ASKS, address, str(port)])
    assert result.status == 0, str(result)
    told, wanted = zip(*(line.rsplit(b" ", 1) for line in result.stdout.splitlines()), strict=True)
    for n, (line, digest) in enumerate(zip(told, wanted, strict=True)):
        pid, peer, same, own, own_port, *_, size, found = eval(line)
        client, mapped = (CLIENT6, "") if ":" in address else (CLIENT, "::ffff:")
        assert (peer, same, own, own_port) == (mapped + client, True, mapped + address, port)
        assert (size, found) == (100000 * n, digest.decode())
    assert len({eval(line)[0] for line in told}) > 1, told


DAEMON = """
import ctypes, os, socket, sys
listener = socket.create_server(("", int(sys.argv[1])))
early, _ = listener.accept()
early.sendall(early.recv(100))
heard, said = os.pipe()
if sys.argv[2] == "daemon":
    assert ctypes.CDLL(None).daemon(1, 1) == 0
elif os.fork():
    os.read(heard, 1)
    sys.exit() if sys.argv[2] == "exit" else os._exit(0)
else:
    os.setsid()
late, _ = listener.accept()
for _ in range(50):
    late.sendall(late.recv(100))
os.write(said, b"x")
for sock in (late, early):
    while part := sock.recv(65536):
        sock.sendall(part)
    sock.close()
with socket.create_connection((sys.argv[3], int(sys.argv[1]) + 1)) as sock:
    sock.sendall(b"from the child")
"""
STAYS = """
import os, socket, sys, threading
port = int(sys.argv[2])
with socket.create_server(("", port + 1)) as back:
    early = socket.create_connection((sys.argv[1], port))
    early.sendall(b"early")
    print(early.recv(10))
    late = socket.create_connection((sys.argv[1], port))
    for n in range(50):
        late.sendall(b"late")
        assert late.recv(10) == b"late"
    print("owner ends", flush=True)
    sys.stdin.read(1)
    for sock in (late, early):
        data = os.urandom(2000000)
        def say():
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
        thread = threading.Thread(target=say)
        thread.start()
        got = b""
        while part := sock.recv(65536):
            got += part
        thread.join()
        print(got == data)
    sock, peer = back.accept()
    print(sock.recv(100), peer[0])
"""


def goes_on(how, port, server, client, ends):
    """The owner of the server's network ends `how`; `server` and `client` start programs, at the addresses `ends`."""
    before = steward()
    rest = f"{pythons.same()} -c '{DAEMON}' {port} {how} {ends[1]}; echo ended; sleep 1000"
    with server(["sh", "-c", rest]) as program:
        feed, hand = os.pipe()
        with client([pythons.same(), "-c", STAYS, ends[0], str(port)], stdin=feed, timeout=100) as other:
            until(lambda: b"owner ends" in other.read("out"), "connections", 60, program=other)
            until(lambda: b"ended" in program.read("out"), "end of the owner", program=other)
            os.write(hand, b"x")
            result = other.wait(60)
        os.close(feed)
        os.close(hand)
        wanted = b"b'early'\nowner ends\nTrue\nTrue\nb'from the child' " + ends[0].encode() + b"\n"
        assert (result.status, result.stdout) == (0, wanted), f"{result}\n{program.read('err')}\n{program.log()}"
        until(lambda: steward() == before, "end of the steward")


@pytest.mark.parametrize("pure", MODES)
@pytest.mark.parametrize("how", ["exit", "_exit", "daemon"])
def test_connections_go_on_when_their_owner_ends(how, pure):
    """One from before the fork, one that the child has accepted, one that it asks for; the steward ends with it."""
    network, port = Network(pure), flap.free_port()

    def client(argv, **options):
        return flap.Program(argv, "catnip", pure=pure, env=network.host(CLIENT), **options)

    goes_on(how, port, lambda argv: network.server(argv, port), client, (SERVER, CLIENT))


@pytest.mark.skipif(bool(flap.no_tap()), reason="no network namespace can be made here")
@pytest.mark.parametrize("device", ["af_packet", "af_xdp", "tap"] if flap.FULL else ["af_xdp"])
def test_connections_go_on_over_interfaces(tmp_path, device):
    """The same, the client on the kernel."""
    port, home = flap.free_port(), "127.0.0.1"

    def server(argv):
        program = flap.Program(argv, "catnip", timeout=100)
        until(lambda: listens(port), "listener", program=program)
        return program

    with wires(tmp_path, device):
        goes_on("exit", port, server, lambda argv, **options: flap.Program(argv, **options), (home, home))


EXECUTES = """
import os, subprocess, sys
port, there = int(sys.argv[1]), sys.argv[2]
import socket
listener = socket.create_server(("", port))
sock, _ = listener.accept()
first = subprocess.Popen([sys.executable, "-c", sys.argv[3], str(port + 1), there])
if sys.argv[4] == "ends":
    sock.sendall(sock.recv(5))
    os._exit(0)
second = subprocess.run([sys.executable, "-c", sys.argv[3], str(port + 2), there], check=True)
first.wait()
sock.sendall(sock.recv(5))
"""
EXECUTED = """
import os, socket, sys
port, there = int(sys.argv[1]), sys.argv[2]
listener = socket.create_server(("", port))
if os.fork():
    os.wait()
    sys.exit()
with socket.create_connection((there, port + 10)) as sock:
    sock.sendall(repr(sock.getsockname()[0]).encode())
    sock.shutdown(socket.SHUT_WR)
    assert sock.recv(10) == b"go on"
sock, peer = listener.accept()
while part := sock.recv(65536):
    sock.sendall(part)
sock.sendall(repr((peer[0], sock.getsockname())).encode())
"""
TALKS = """
import os, socket, sys, threading, time
there, port = sys.argv[1], int(sys.argv[2])
backs = [socket.create_server(("", port + 10 + n)) for n in (1, 2)]
main = socket.create_connection((there, port))
if sys.argv[3] == "ends":
    main.sendall(b"hello")
    assert main.recv(5) == b"hello"
for n, back in enumerate(backs[:1 if sys.argv[3] == "ends" else 2], 1):
    sock, peer = back.accept()
    print(peer[0], sock.recv(100).decode())
    sock.sendall(b"go on")
    sock.close()
    sock = socket.create_connection((there, port + n))
    data = os.urandom(1000000)
    threading.Thread(target=lambda: (sock.sendall(data), sock.shutdown(socket.SHUT_WR))).start()
    got = b""
    while part := sock.recv(65536):
        got += part
    print(got[:len(data)] == data, got[len(data):].decode(), flush=True)
    end = time.monotonic() + 20
    while sys.argv[3] != "ends":
        with socket.socket() as again:
            if again.connect_ex((there, port + n)) == 111:
                break
        assert time.monotonic() < end
        time.sleep(0.01)
if sys.argv[3] != "ends":
    main.sendall(b"hello")
    assert main.recv(5) == b"hello"
"""


@pytest.mark.parametrize("pure", MODES)
@pytest.mark.parametrize("parent", ["stays", "ends"])
def test_programs_that_are_executed_are_the_same_host(parent, pure):
    """They listen, accept and connect by the network of who has executed them; so do their children."""
    network, port, before = Network(pure), flap.free_port(), steward()
    argv = [pythons.same(), "-c", EXECUTES, str(port), CLIENT, EXECUTED, parent]
    with network.server(["sh", "-c", '"$@"; sleep 1000', "sh", *argv], port):
        result = network.client([pythons.same(), "-c", TALKS, SERVER, str(port), parent])
        count = 1 if parent == "ends" else 2
        wanted = [f"{SERVER} {SERVER!r}", *(f"True {(CLIENT, (SERVER, port + n))!r}" for n in range(1, count + 1))]
        wanted = [line for n in range(1, count + 1) for line in (wanted[0], wanted[n])]
        assert (result.status, result.stdout.decode().splitlines()) == (0, wanted), str(result)
        until(lambda: steward() == before, "end of the steward")


def test_another_user_is_not_let_in():
    """A program of that host's configuration has the kernel's network then, and the log says why."""
    network, port = Network(), flap.free_port()
    listen = "import socket; socket.create_server(('', 0)); print('listens')"
    user = [flap.need("setpriv", "util-linux"), "--reuid", "65534", "--clear-groups"]
    with network.server([pythons.same(), "-m", "http.server", str(port)], port), tempfile.NamedTemporaryFile() as log:
        os.chmod(log.name, 0o666)
        argv = [*user, pythons.same(), "-c", listen]
        result = flap.run(argv, "catnip", env=network.host(SERVER, SERVER6), log=log.name)
    assert (result.status, result.stdout) == (0, b"listens\n"), str(result)
    assert "the network is not there: another user's process has it" in result.log, str(result)


KILLED = """
import os, signal, socket, sys
listener = socket.create_server(("", int(sys.argv[1])))
if os.fork() == 0:
    sock, _ = listener.accept()
    while sock.recv(5) == b"hello":
        sock.sendall(b"hello")
    os.kill(os.getppid(), signal.SIGKILL)
    def failed(call, *arguments):
        try:
            return call(*arguments)
        except OSError as error:
            return os.strerror(error.errno)
    print(failed(sock.recv, 1))
    with socket.socket() as other:
        print(failed(other.connect, (sys.argv[2], 9)))
    with socket.socket() as other:
        print(failed(other.bind, (sys.argv[3], 0)), flush=True)
os.wait()
"""


@pytest.mark.parametrize("pure", MODES)
def test_the_network_ends_with_an_owner_that_is_killed(pure):
    """Its members get errors, and do not wait for ever (docs/differences.md)."""
    network, port = Network(pure), flap.free_port()
    words = f"{pythons.same()} -c '{KILLED}' {port} {CLIENT} {SERVER}; sleep 1000"
    ask = (
        "import socket, sys\n"
        "sock = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
        "for _ in range(40):\n"
        "    sock.sendall(b'hello')\n"
        "    assert sock.recv(5) == b'hello'\n"
        "sock.sendall(b'enough')\n"
    )
    with network.server(["sh", "-c", words], port) as program:
        assert network.client([pythons.same(), "-c", ask, SERVER, str(port)]).status == 0
        said = until(lambda: program.read("out").count(b"\n") == 3 and program.read("out"), "errors", program=program)
    assert said.splitlines()[1:] == [b"Network is down"] * 2, said


@pytest.mark.parametrize("pure", MODES)
def test_a_listener_ends_with_the_last_process_that_has_it(pure):
    """The parent closes it, a child that is killed has it still: then its port refuses, and is free for another."""
    network, port = Network(pure), flap.free_port()
    serve = (
        "import os, signal, socket, sys, time\n"
        "def again(): return socket.create_server(('', int(sys.argv[1])))\n"
        "listener = again()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    while True:\n"
        "        sock, _ = listener.accept()\n"
        "        sock.sendall(b'child')\n"
        "        sock.close()\n"
        "listener.close()\n"
        "print('closed', flush=True)\n"
        "sys.stdin.read(1)\n"
        "os.kill(child, signal.SIGKILL)\n"
        "os.waitpid(child, 0)\n"
        "listener = again()\n"
        "print('again', flush=True)\n"
        "sock, _ = listener.accept()\n"
        "sock.sendall(b'parent')\n"
    )
    ask = "import socket, sys; print(socket.create_connection((sys.argv[1], int(sys.argv[2]))).recv(10))"
    feed, hand = os.pipe()
    with network.server([pythons.same(), "-c", serve, str(port)], port, says=b"closed", stdin=feed) as program:
        asked = [pythons.same(), "-c", ask, SERVER, str(port)]
        assert network.client(asked).stdout == b"b'child'\n"
        os.write(hand, b"x")
        until(lambda: b"again" in program.read("out"), "listener", program=program)
        assert network.client(asked).stdout == b"b'parent'\n"
    os.close(feed)
    os.close(hand)


def web_server(folder, sizes, port, daemon=False):
    """The command line of an nginx with four workers that listens on all addresses."""
    for size in sizes:
        publish(folder, size)
    text = CONFIGURATION.replace("127.0.0.1:", "").replace("[::1]:", "[::]:")
    text = text.replace("access_log off;", f"access_log {folder}/access.log;")
    if daemon:
        text = text.replace("daemon off;", "")
    path = os.path.join(folder, "nginx.conf")
    extra = "keepalive_requests 10000000;"
    with open(path, "w") as f:
        f.write(text.format(folder=folder, port=port, user="root", extra=extra, workers=4, sendfile="on"))
    return [flap.need("nginx", "nginx-light"), "-c", path, "-e", os.path.join(folder, "error.log")]


def serving(folder):
    """The processes that were logged in an nginx's error log as its workers' beginnings and ends."""
    with open(os.path.join(folder, "error.log")) as f:
        return len(re.findall("start worker process [0-9]", f.read()))


@pytest.mark.parametrize("pure", MODES)
def test_nginx_with_workers(tmp_path, pure):
    network, port, sizes = Network(pure), flap.free_port(), (0, 1, 65537, 4_000_000)
    with network.server(web_server(tmp_path, sizes, port), port):
        urls = [f"http://{host}:{port}/{size}" for size in sizes for host in (SERVER, f"[{SERVER6}]")]
        words = [word for n, url in enumerate(urls * 3) for word in ("-o", str(tmp_path / f"got{n}"), url)]
        result = network.client([flap.need("curl", "curl"), "-g", "-sS", "--no-progress-meter", "-Z", "--fail", *words])
        assert (result.status, result.stderr) == (0, b""), str(result)
    for n, url in enumerate(urls * 3):
        assert sha((tmp_path / f"got{n}").read_bytes()) == sha(content(int(url.rpartition("/")[2])))
    clients = {line.split()[0] for line in (tmp_path / "access.log").read_text().splitlines()}
    assert clients == {CLIENT, CLIENT6}


SECONDS, EVERY = (9, 2) if flap.FULL else (3, 0.7)
if "FLAP_MINUTES" in os.environ:
    SECONDS, EVERY = int(60 * float(os.environ["FLAP_MINUTES"])), 2


@pytest.mark.timeout(2 * SECONDS + 200)
@pytest.mark.parametrize("header", [(), ("-H", "Connection: close")], ids=["keep", "close"])
@pytest.mark.parametrize("daemon", [False, True], ids=["foreground", "daemon"])
def test_nginx_is_reloaded_under_wrk(tmp_path, daemon, header):
    """No request fails, whoever has the stack: the master, or the steward of who started it. FLAP_MINUTES: how long."""
    network, port, before = Network(), flap.free_port(), steward()
    argv = web_server(tmp_path, (1000,), port, daemon)
    if daemon:
        argv = ["sh", "-c", '"$@"; echo daemon; sleep 100000', "sh", *argv]
    with network.server(argv, port, seconds=2 * SECONDS + 60) as server:
        until(lambda: (tmp_path / "nginx.pid").exists() and serving(tmp_path) == 4, "workers", program=server)
        master = int((tmp_path / "nginx.pid").read_text())
        words = ["-t", "2", "-c", "16", "-d", str(SECONDS), *header, f"http://{SERVER}:{port}/1000"]
        wrk = flap.Program(
            [flap.need("wrk", "wrk"), *words], "catnip", env=network.host(CLIENT), timeout=2 * SECONDS + 60
        )
        with wrk as client:
            end, started = time.monotonic() + SECONDS - 0.5, 4
            while time.monotonic() + EVERY < end:
                time.sleep(EVERY)
                os.kill(master, signal.SIGHUP)
                started += 4
                until(lambda started=started: serving(tmp_path) == started, "new workers", program=server)
            result = client.wait(60)
        assert result.status == 0 and int(re.search(rb"(\d+) requests in", result.stdout).group(1)) > 50, str(result)
        wrong = failures(result.stdout)
        assert started >= 12 and (wrong == {} or (not header and {*wrong} == {"read"})), str(result)
        assert len(steward()) - len(before) == daemon
        os.kill(master, signal.SIGQUIT)
        until(lambda: steward() == before, "end of the steward")


def test_redis_in_the_background(tmp_path):
    """It copies its data in a child, and says goodbye to what is connected when it ends."""
    network, port = Network(), flap.free_port()
    argv = [flap.need("redis-server", "redis-server"), "--port", str(port), "--dir", str(tmp_path), "--save", ""]
    argv = ["sh", "-c", '"$@"; sleep 1000', "sh", *argv, "--daemonize", "yes", "--protected-mode", "no"]
    with network.server(argv, port) as server:
        client = [flap.need("redis-cli", "redis-tools"), "-h", SERVER, "-p", str(port)]
        load = [flap.need("redis-benchmark", "redis-tools"), "-h", SERVER, "-p", str(port)]

        def copied():
            return b"rdb_bgsave_in_progress:0" in network.client([*client, "INFO", "persistence"]).stdout

        for _ in range(2):
            result = network.client([*load, "-c", "20", "-n", "5000", "-t", "incr", "-q"])
            assert result.status == 0 and b"rror" not in result.stdout + result.stderr, str(result)
            assert b"started" in network.client([*client, "BGSAVE"]).stdout
            until(copied, "copy", program=server)
        assert network.client([*client, "GET", "counter:__rand_int__"]).stdout == b"10000\n"
        network.client([*client, "SHUTDOWN", "NOSAVE"])
        until(lambda: not listens(port), "end of the server")


@pytest.fixture
def data():
    readable()
    with cluster() as folder:
        yield folder
    forget()


def test_postgres(data):
    """A process is forked for each connection: psql, COPY, and pgbench with a connection for each transaction."""
    network, port = Network(), flap.free_port()
    with open(os.path.join(data, "pg_hba.conf"), "a") as f:
        f.write("host all all 10.77.0.0/16 trust\n")
    argv = [*drop(), tool("postgres"), "-D", data, "-p", str(port), "-c", "listen_addresses=*"]
    with network.server(argv, port, cwd=data):

        def run(name, *words, **options):
            command = [*drop(), flap.need(name, "postgresql"), "-h", SERVER, "-p", str(port), "-U", USER]
            result = network.client([*command, *words], cwd=data, **options)
            assert result.status == 0, str(result)
            return result.stdout

        lines = b"".join(b"%d\t%s\n" % (n, content(20).hex().encode()) for n in range(20000))
        script = b"CREATE TABLE t (n int, x text);\nCOPY t FROM STDIN;\n" + lines + b"\\.\nSELECT 1;\n"
        assert run("psql", "-XAt", stdin=script) == b"CREATE TABLE\nCOPY 20000\n1\n"
        assert run("psql", "-XAt", "-c", "COPY (SELECT * FROM t ORDER BY n) TO STDOUT") == lines
        who = "SELECT client_addr FROM pg_stat_activity WHERE pid = pg_backend_pid()"
        assert run("psql", "-XAt", "-c", who) == CLIENT.encode() + b"\n"
        run("pgbench", "-i", "-q", "-I", "dtgp", "postgres")
        for words, count in ((["-t", "50"], 400), (["-C", "-S", "-t", "10"], 80)):
            said = run("pgbench", "-n", "-c", "8", "-j", "2", *words, "postgres")
            assert b"actually processed: %d/%d\n" % (count, count) in said, said
