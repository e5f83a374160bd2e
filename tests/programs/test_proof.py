"""Proof from outside that the bytes of unmodified servers go through our Python."""

import os
import re
import signal

import flap
import pytest
import pythons
from material import content, sha
from roles import KERNEL, Roles
from webserver import asked, connected, drain, nginx, slow_client

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
