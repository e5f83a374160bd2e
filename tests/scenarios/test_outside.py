"""Proof from outside that an unmodified program's bytes go through our Python: a hook changes one; strace counts."""

import re
import socket
import threading

import flap
import pytest

FLIP = """
def install(instrument):
    def flip(qd, view):
        view[0] ^= 1

    instrument.install("{}", flip)
"""
MODES = [False, pytest.param(True, marks=pytest.mark.pure_sample)]
CARRIERS = {
    "read",
    "write",
    "readv",
    "writev",
    "recvfrom",
    "sendto",
    "recvmsg",
    "sendmsg",
    "recvmmsg",
    "sendmmsg",
    "sendfile",
    "splice",
}


class Echo:
    """An echo server in this process, on the kernel: `seen` is what it received."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.seen = b""
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        connection, _ = self.listener.accept()
        with connection:
            while data := connection.recv(4096):
                self.seen += data
                connection.sendall(data)

    def __enter__(self):
        return self

    def __exit__(self, *rest):
        self.listener.close()
        self.thread.join(10)


@pytest.mark.parametrize("pure", MODES)
def test_hook_changes_a_byte(preload, tmp_path, pure):
    """What the program receives is what the hook made of it; what the server saw is what the program sent."""
    hook = tmp_path / "hook.py"
    hook.write_text(FLIP.format("pop"))
    program = flap.compiled("client.c")
    with Echo() as server:
        result = flap.run([program, str(server.port), "hello"], "catnap", pure=pure, env={"CATFLAP_HOOK": str(hook)})
        server.thread.join(10)
        assert result.stdout == b"iello\n", str(result)
        assert server.seen == b"hello"
    with Echo() as server:
        assert flap.run([program, str(server.port), "hello"], "catnap", pure=pure).stdout == b"hello\n"


def hooked(server, hook, pure):
    """Result of the client with a hook of which Catflap may complain in its log."""
    argv = [flap.compiled("client.c"), str(server.port), "hello"]
    return flap.run(argv, "catnap", pure=pure, strict=False, env={"CATFLAP_HOOK": str(hook)})


@pytest.mark.parametrize("pure", MODES)
def test_push_hook_sees_and_cannot_change(preload, tmp_path, pure):
    """The bytes of a push are the program's own, perhaps a constant: a hook that writes is refused and logged."""
    seen = tmp_path / "seen"
    hook = tmp_path / "hook.py"
    hook.write_text(
        "def install(instrument):\n"
        "    def look(qd, view):\n"
        f"        open({str(seen)!r}, 'ab').write(bytes(view))\n"
        "        view[0] ^= 1\n\n"
        "    instrument.install('push', look)\n"
    )
    with Echo() as server:
        result = hooked(server, hook, pure)
        server.thread.join(10)
        assert (result.stdout, server.seen, seen.read_bytes()) == (b"hello\n", b"hello", b"hello"), str(result)
    assert "cannot modify read-only memory" in result.log, str(result)


@pytest.mark.parametrize("pure", MODES)
def test_hook_that_raises_later(preload, tmp_path, pure):
    """An exception on the data path goes to the log; the bytes go to the program."""
    hook = tmp_path / "hook.py"
    hook.write_text("def install(instrument):\n    instrument.install('pop', lambda qd, view: 1 / 0)\n")
    with Echo() as server:
        result = hooked(server, hook, pure)
    assert (result.stdout, result.stderr, result.status) == (b"hello\n", b"", 0), str(result)
    assert "ZeroDivisionError" in result.log, str(result)


def test_hook_changes_an_answer_of_redis(preload, tmp_path):
    """redis-cli, unmodified, names the byte that it got: ';' is ':' with its lowest bit flipped."""
    server, client = flap.need("redis-server", "redis-server"), flap.need("redis-cli", "redis-tools")
    hook = tmp_path / "hook.py"
    hook.write_text(FLIP.format("pop"))
    port = flap.free_port()
    argv = [server, "--port", str(port), "--save", "", "--bind", "127.0.0.1", "--dir", str(tmp_path)]
    with flap.Program(argv, "kernel", timeout=60) as running:
        flap.wait_for_port(port, running)
        ask = [client, "-p", str(port), "INCR", "n"]
        assert flap.run(ask, "catnap").stdout == b"1\n"
        changed = flap.run(ask, "catnap", env={"CATFLAP_HOOK": str(hook)})
        assert b'got ";" as reply type byte' in changed.stdout + changed.stderr, str(changed)
        assert flap.run(ask, "catnap").stdout == b"3\n"


def counted(argv, libos, tmp_path, **options):
    """({system call: calls}, Result) of a program under strace -f -c."""
    strace = flap.need("strace", "strace")
    report = tmp_path / f"strace-{libos}"
    inner = ["/usr/bin/env"]
    # strace itself is not preloaded: the program's settings are put in by env
    settings = flap.environment(libos, log=str(tmp_path / "log"), **options)
    inner += [f"{k}={v}" for k, v in settings.items() if flap.OURS.match(k)]
    result = flap.run([strace, "-f", "-c", "-o", str(report), *inner, *argv], "kernel", timeout=60)
    calls = {}
    for line in report.read_text().splitlines():
        row = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", line)
        if row and row.group(2) != "total":
            calls[row.group(2)] = int(row.group(1))
    assert calls, f"{report.read_text()}\n{result}"
    return calls, result


def test_which_system_calls_carry_data(oracle, preload, tmp_path):
    """500 datagrams there and back: as many sends as on the kernel, at most twice the receives, no other carrier."""
    argv = [flap.compiled("datagram.c"), "ping_pong_500"]
    expected = oracle("datagram.c", "ping_pong_500", 20, False)
    plain, first = counted(argv, "kernel", tmp_path)
    ours, second = counted(argv, "catnap", tmp_path)
    assert first.stdout == second.stdout == expected.stdout

    def carried(calls):
        return {name: n for name, n in calls.items() if name in CARRIERS}

    print("kernel", carried(plain), "catnap", carried(ours))
    sends = ("sendto", "sendmsg", "sendmmsg")
    receives = ("recvfrom", "recvmsg", "recvmmsg")
    assert sum(ours.get(n, 0) for n in sends) == sum(plain.get(n, 0) for n in sends) == 1000
    assert 1000 <= sum(ours.get(n, 0) for n in receives) <= 2000 + 10
    # files read while the host starts are a fixed cost, not one per message
    assert ours.get("read", 0) - plain.get("read", 0) < 200, ours
    assert ours.get("write", 0) - plain.get("write", 0) < 20, ours
    assert ours.get("futex", 0) < 600, ours
