"""Counters read inside a live, unmodified nginx: its waits are qtokens of the waker blocks, its buffers the heap's."""

import json
import os

import pytest
from material import content, sha
from roles import SCRIPTS, Roles, until
from webserver import drain, nginx, slow_client

MODES = [pytest.param(False, id="catnap"), pytest.param(True, id="catnap-pure", marks=pytest.mark.pure_sample)]
HOOK = os.path.join(SCRIPTS, "counters_hook.py")
SIZE = 20_000_000
CLIENTS = 6


def report(server, path):
    """The counters at the pop of one small request, sent now."""
    path.unlink(missing_ok=True)
    assert drain(slow_client(server.port, "/1")).endswith(b"\r\n\r\n" + content(1))
    found = json.loads(path.read_text())
    print(found)
    assert [found["pid"]] == server.workers() and found["bytes"] > 0
    return found


def check_settled(found):
    """At the pop of a request nginx waits for nothing and nothing holds a buffer."""
    assert found["live"] == found["claimed"] == found["ready"] == found["held"] == found["dropped"] == 0, found
    assert found["blocked"] == found["completed"], found


@pytest.mark.parametrize("pure", MODES)
def test_waits_and_buffers_of_slow_clients(tmp_path, pure):
    """Six clients that don't read fill the kernel's buffers; then they read, and the counters grow with the traffic."""
    path = tmp_path / "report.json"
    env = {"CATFLAP_HOOK": HOOK, "FLAP_REPORT": str(path)}
    with nginx(tmp_path, Roles("catnap", "kernel", pure), sizes=(1, SIZE), env=env, seconds=90) as server:
        first = report(server, path)
        again = report(server, path)
        # one small request: accept and wait, and 1 byte of a file through one buffer
        assert again["allocs"] == first["allocs"] + 1
        assert 0 < again["blocked"] - first["blocked"] <= 8
        clients = [slow_client(server.port, f"/{SIZE}") for _ in range(CLIENTS)]
        for client in clients:
            assert client.recv(15) == b"HTTP/1.1 200 OK"
        stopped = report(server, path)
        assert stopped["allocs"] >= again["allocs"] + CLIENTS
        # answers that wait for their clients hold neither buffers nor qtokens of their own
        check_settled(stopped)
        for client in clients:
            assert sha(drain(client).partition(b"\r\n\r\n")[2]) == sha(content(SIZE))
        served = report(server, path)
        # each client's file needed rounds of wait, wake and write, of which one may be for several clients
        assert served["completed"] - stopped["completed"] >= CLIENTS
        assert served["allocs"] - stopped["allocs"] >= 3 * CLIENTS
        for found in (first, again, served):
            check_settled(found)
        # 120 MB passed through the heap, and its buffers were used again and again: one superblock each of two sizes
        assert served["superblocks"] <= 2


@pytest.mark.parametrize("pure", MODES)
def test_idle_wait_is_one_live_qtoken(tmp_path, pure):
    """Seen from another thread: a worker that sleeps in epoll_wait holds one qtoken, whose bit nobody has set."""
    path = tmp_path / "watch.json"
    env = {"CATFLAP_HOOK": HOOK, "FLAP_WATCH": str(path)}
    with nginx(tmp_path, Roles("catnap", "kernel", pure), sizes=(1,), env=env) as server:
        assert drain(slow_client(server.port, "/1")).endswith(content(1))
        until(path.exists, "report from the thread", program=server.program)

        def asleep():
            found = json.loads(path.read_text())
            return found["live"] == 1 and found

        found = until(asleep, "wait in epoll_wait", program=server.program)
        assert found["claimed"] == 1 and found["ready"] == 0 and found["held"] == 0, found
        assert found["blocked"] == found["completed"] + 1, found
