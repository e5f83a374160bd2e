"""Servers that have served and now have nothing to do, with clients still connected, use no processor time."""

import contextlib
import socket
import time

import psutil
import pytest
from roles import Roles
from test_redis import redis
from webserver import asked, connected, nginx

MODES = [pytest.param(False, id="catnap"), pytest.param(True, id="catnap-pure", marks=pytest.mark.pure_sample)]
WATCHED = 3.0  # seconds


def used(process):
    """(seconds of processor time, times it went to sleep) so far."""
    times = process.cpu_times()
    return times.user + times.system, process.num_ctx_switches().voluntary


@pytest.mark.parametrize("pure", MODES)
def test_idle_servers(tmp_path, pure):
    pair = Roles("catnap", "kernel", pure)
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(redis(tmp_path, pair))
        web = stack.enter_context(nginx(tmp_path, pair, sizes=(1, 65537)))
        browser = stack.enter_context(connected(web.port))
        client = stack.enter_context(socket.create_connection(("127.0.0.1", database.port), timeout=10))
        for _ in range(50):
            assert asked(browser, "GET", "/65537")[0] == 200
            client.sendall(b"PING\r\n")
            assert client.recv(64) == b"+PONG\r\n"
        watched = {"redis": database.program.pid, "master": web.program.pid, "worker": web.workers()[0]}
        watched = {name: psutil.Process(pid) for name, pid in watched.items()}
        before = {name: used(process) for name, process in watched.items()}
        time.sleep(WATCHED)
        after = {name: used(process) for name, process in watched.items()}
        spent = {name: (after[name][0] - before[name][0], after[name][1] - before[name][1]) for name in watched}
        print(spent)
        for name, (seconds, _) in spent.items():
            assert seconds < 0.01 * WATCHED, (name, spent)
        # redis looks after itself ten times a second; nginx has no timer that ends meanwhile
        assert spent["redis"][1] <= 15 * WATCHED and spent["worker"][1] <= 3 and spent["master"][1] <= 3, spent
        # and they are awake at once
        client.sendall(b"PING\r\n")
        assert client.recv(64) == b"+PONG\r\n" and asked(browser, "GET", "/1")[0] == 200
