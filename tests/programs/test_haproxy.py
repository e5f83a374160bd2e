"""HAProxy before nginx and an echo: bodies in HTTP and as plain streams, and reloads, every byte as on the kernel."""

import contextlib
import os
import re
import signal
import threading

import flap
import pytest
from material import content, sha
from roles import check_host, every, listens, patience, until
from talkers import Talker, conversation, ended
from upgrades import check_carried, warm
from webclients import Client, curl, described, receipt, uploads
from webserver import asked, connected, drain, nginx, slow_client

SIZES = (1000, 65536, 1_000_001, 8_000_000)
LARGE = 12_000_000  # more than the kernel takes for a client that does not read
STOPPED = b"Proxy front stopped"
FACTS = "%{http_code} %{size_download} %{num_connects}\\n"
CONFIGURATION = """
global
    nbthread 2
    stats socket {folder}/admin level admin expose-fd listeners
defaults
    mode {mode}
    http-reuse {reuse}
    timeout connect 20s
    timeout client 60s
    timeout server 60s
    timeout client-fin 60s
frontend front
    bind 127.0.0.1:{port}
    {posts}
    default_backend back
backend back
    server one 127.0.0.1:{backend}
backend uploads
    server two 127.0.0.1:{uploads}
"""


class Proxy:
    """A running HAProxy: its Program, port and folder."""

    def __init__(self, program, port, folder):
        self.program = program
        self.port = port
        self.folder = folder


def started(folder, pair, *words):
    argv = [flap.need("haproxy", "haproxy"), "-f", f"{folder}/haproxy.cfg", *map(str, words)]
    return flap.Program(argv, pair.server, pure=pair.pure, timeout=patience(pair, 60))


@contextlib.contextmanager
def haproxy(folder, pair, mode, backend, *words, uploads=None, reuse="always"):
    """A Proxy in front of port `backend`; in front of port `uploads` where something is posted or put."""
    port = flap.free_port()
    posts = "use_backend uploads if { method POST PUT }" if uploads else ""
    values = {
        "folder": folder,
        "mode": mode,
        "reuse": reuse,
        "port": port,
        "posts": posts,
        "backend": backend,
        "uploads": uploads or 1,
    }
    with open(f"{folder}/haproxy.cfg", "w") as f:
        f.write(CONFIGURATION.format(**values))
    with started(folder, pair, *words) as program:
        until(lambda: listens(port), "listener", program=program)
        if not words:
            check_host(program.pid, pair.server, pair.pure)
        yield Proxy(program, port, folder)


def fetched(folder, pair, mode):
    """Pages on one connection, heads and a part, and what an upload server says of bodies."""
    with nginx(folder, pair, sizes=SIZES) as web, uploads(pair) as other:
        with haproxy(folder, pair, mode, web.port, uploads=other if mode == "http" else None) as proxy:
            client = Client(folder, pair, proxy.port)
            base = "http://127.0.0.1:PORT"
            if mode == "http":  # the first connection starts Catflap in both, when the kernel has carried a part of it
                warm(pair, lambda: curl(client, f"{base}/1000"), proxy.program, web.program)
            words = [word for size in SIZES for word in ("-o", size, f"{base}/{size}")]
            seen = [(curl(client, "-w", FACTS, *words, *words), client.files())]
            seen.append((curl(client, "-Z", *words), client.files()))
            heads = curl(client, "-I", f"{base}/65536", f"{base}/absent", "-r", "5-20")
            seen.append(re.sub(rb"(?i)date: .*", b"", heads[1]))
            seen.append((curl(client, "-r", "1000000-", "-o", "part", f"{base}/8000000"), client.files()))
            if mode == "http":
                if pair.server == pair.client:  # connections to nginx are kept, and used again
                    check_carried(pair, proxy.program, web.program, least=sum(SIZES))
                for size in SIZES:
                    client.put("body", content(size))
                    seen.append(curl(client, "--data-binary", "@body", f"{base}/post"))
                    seen.append(curl(client, "-T", "-", f"{base}/put", stdin=content(size)))
    return seen


@pytest.mark.parametrize("mode", ["http", "tcp"])
@every(sample=True)
def test_pages(agree, roles, mode):
    (first, files), (_, parallel), _, (_, part), *posted = agree(fetched, roles, mode)
    assert files == parallel == described(*SIZES)
    assert part == {"part": (7_000_000, sha(content(8_000_000)[1_000_000:]))}
    answers = [b"200 %d %d" % (size, n == 0) for n, size in enumerate(SIZES + SIZES)]
    assert (first[0], first[1].splitlines(), first[2]) == (0, answers, b""), "one connection for all"
    bodies = [(0, receipt(method, f"/{method.lower()}", content(size)), b"") for size in SIZES for method in
              ("POST", "PUT")]  # fmt: skip
    assert posted == (bodies if mode == "http" else [])


def echoed(folder, pair):
    """What an echo gives back through a proxy that only carries bytes, to two clients at once."""
    port, seen = flap.free_port(), []
    argv = [flap.need("socat", "socat"), "-t", "20", f"TCP4-LISTEN:{port},bind=127.0.0.1,fork", "PIPE"]
    with flap.Program(argv, pair.server, pure=pair.pure, timeout=patience(pair, 60)) as echo:
        until(lambda: listens(port), "listener", program=echo)
        with haproxy(folder, pair, "tcp", port) as proxy, contextlib.ExitStack() as stack:
            argv = [flap.need("ncat", "ncat"), "127.0.0.1", str(proxy.port)]
            clients = [stack.enter_context(Talker(argv, pair.client, pair)) for _ in range(2)]
            # proxy and echo reach each other also where the client reaches none by rings
            through = [proxy.program, echo] if pair.server == pair.client else []
            for client in clients:
                seen.append(conversation(pair, client, content(3_000_000), *through))
            for client in clients:
                client.hang_up()
                assert ended(client) == client.sent
    return seen


@every()
def test_echo(agree, roles):
    agree(echoed, roles)


class Asking:
    """Two threads that ask for a page on one new connection after the other, until the end; none may fail."""

    def __init__(self, port):
        self.port = port
        self.served = [0, 0]
        self.wrong = []
        self.done = threading.Event()
        self.threads = [threading.Thread(target=self.ask, args=(n,)) for n in range(2)]

    def ask(self, n):
        while not self.done.is_set():
            try:
                with connected(self.port) as connection:
                    answer = asked(connection, "GET", "/65536")
                    assert answer[2] == sha(content(65536)), answer
                    self.served[n] += 1
            except Exception as error:
                self.wrong.append(repr(error))

    def more(self, program):
        before = sum(self.served)
        until(lambda: sum(self.served) > before + 5, "answers after a reload", program=program)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, kind, error, trace):
        self.done.set()
        for thread in self.threads:
            thread.join(30)
        assert kind or (not self.wrong and min(self.served) > 5), (self.wrong[:3], self.served)


def begun(proxy):
    """A client that has asked for a large page and read its first bytes."""
    client = slow_client(proxy.port, f"/{LARGE}")
    assert client.recv(15) == b"HTTP/1.1 200 OK"
    return client


def whole(client):
    return sha(drain(client).partition(b"\r\n\r\n")[2]) == sha(content(LARGE))


@pytest.mark.parametrize("mode", ["http", "tcp"] if flap.FULL else ["http"])
@every(mixed=False, catnip=False)  # a listening socket for another program: docs/differences.md
def test_seamless_reloads(tmp_path, roles, mode):
    """Each new HAProxy gets its listeners from the one before, which ends when its last client has been served."""
    with nginx(tmp_path, roles, sizes=(65536, LARGE)) as web, contextlib.ExitStack() as stack:
        proxy = stack.enter_context(haproxy(tmp_path, roles, mode, web.port, reuse="never"))
        with Asking(proxy.port) as asking:
            asking.more(proxy.program)
            programs, slow = [proxy.program], []
            for _ in range(3):
                slow.append(begun(proxy))
                words = "-x", f"{tmp_path}/admin", "-sf", programs[-1].pid
                programs.append(stack.enter_context(started(tmp_path, roles, *words)))
                until(lambda old=programs[-2]: STOPPED in old.read("err"), "end of the listener", program=programs[-1])
                asking.more(programs[-1])
            assert all(program.process.poll() is None for program in programs)
            assert all(map(whole, slow))
        *old, last = programs
        for program in old:
            result = program.wait(30)
            assert (result.status, result.orphans) == (0, 0), str(result)
        check_host(last.pid, roles.server, roles.pure)
        with connected(proxy.port) as connection:
            assert asked(connection, "GET", f"/{LARGE}")[2] == sha(content(LARGE))


def workers(proxy):
    """Process ids of the workers that a master has."""
    return proxy.program.family()[1:]


def hears(proxy, times):
    """Whether its master has said so many times that it has a worker, and takes signals: it ignores them before."""
    with open(f"/proc/{proxy.program.pid}/status") as f:
        caught = int(re.search(r"^SigCgt:\t(\w+)", f.read(), re.M).group(1), 16)
    success = proxy.program.read("err").count(b"Loading success")
    return success == times and caught >> (signal.SIGUSR2 - 1) & 1


@every(mixed=False, catnip=False)  # a listening socket for another program: docs/differences.md
def test_master_and_workers(tmp_path, roles):
    """SIGUSR2 lets the master execute itself again and start a new worker: no request fails, nothing is left."""
    with nginx(tmp_path, roles, sizes=(65536, LARGE)) as web:
        with haproxy(tmp_path, roles, "http", web.port, "-W", reuse="never") as proxy:
            with Asking(proxy.port) as asking:
                asking.more(proxy.program)
                slow = []
                for _ in range(3):
                    slow.append(begun(proxy))
                    until(lambda: hears(proxy, len(slow)), "success", program=proxy.program)
                    old = workers(proxy)
                    os.kill(proxy.program.pid, signal.SIGUSR2)
                    new = until(lambda old=old: {*workers(proxy)} - {*old}, "new worker", program=proxy.program)
                    asking.more(proxy.program)
                assert len(workers(proxy)) > 1
                assert all(map(whole, slow))
                until(lambda: {*workers(proxy)} == new, "end of the old workers", program=proxy.program)
            with connected(proxy.port) as connection:
                assert asked(connection, "GET", f"/{LARGE}")[2] == sha(content(LARGE))
            os.kill(proxy.program.pid, signal.SIGTERM)
            result = proxy.program.wait(30)
        assert (result.status, result.orphans) == (0, 0), str(result)
