"""nginx with four workers: reloads under wrk, large files by sendfile to several clients at once."""

import contextlib
import math
import os
import re
import signal
import time

import flap
import pytest
import served
from material import content, sha
from roles import check_host, every, patience, until
from webclients import Client, curl
from webserver import asked, connected, nginx

BIG = 50_000_000
ERRORS = re.compile(rb"connect (?P<connect>\d+), read (?P<read>\d+), write (?P<write>\d+), timeout (?P<timeout>\d+)")
SECONDS, EVERY = (9, 2) if flap.FULL else (2, 0.4)
HEADERS = {(): "keep", ("-H", "Connection: close"): "close"}


@contextlib.contextmanager
def workers(folder, pair, sizes):
    """nginx with four workers, each of them checked."""
    with nginx(folder, pair, sizes=sizes, workers=4, extra="keepalive_requests 10000000;") as server:
        known = until(lambda: len(server.workers()) == 4 and server.workers(), "four workers", program=server.program)
        for pid in known:
            check_host(pid, pair.server, pair.pure)
        yield server


def wrk(pair, *words):
    """A running wrk."""
    argv = [flap.need("wrk", "wrk"), *map(str, words)]
    return flap.Program(argv, pair.client, pure=pair.pure, timeout=patience(pair, 40))


def failures(output):
    """{what went wrong: how often} of wrk's report; nothing of what did not."""
    found = ERRORS.search(output)
    wrong = {name: int(found.group(name)) for name in found.re.groupindex} if found else {}
    other = re.search(rb"Non-2xx or 3xx responses: (\d+)", output)
    wrong["status"] = int(other.group(1)) if other else 0
    return {name: count for name, count in wrong.items() if count}


def reload(server):
    """SIGHUP, then wait until four new workers are there."""
    old = server.workers()
    os.kill(server.program.pid, signal.SIGHUP)
    until(lambda: len({*server.workers()} - {*old}) == 4, "new workers", program=server.program)


def reloads(folder, pair, header):
    """What goes wrong for wrk while nginx is reloaded again and again, and workers that stay behind."""
    with workers(folder, pair, (1000,)) as server:
        words = ["-t", 2, "-c", 16, "-d", math.ceil(SECONDS), *header, f"{server.url}/1000"]
        with wrk(pair, *words) as client:
            end = time.monotonic() + SECONDS - 0.5
            count = 0
            while time.monotonic() + EVERY < end:
                time.sleep(EVERY)
                reload(server)
                count += 1
            result = client.wait(patience(pair, 40))
        assert count >= 2 and result.status == 0 and int(re.search(rb"(\d+) requests in", result.stdout).group(1)) > 500
        until(lambda: len(server.workers()) == 4, "end of the old workers", program=server.program)
        return failures(result.stdout)


# a kept connection may be closed by an old worker in the very moment in which it is asked again: on the kernel, too
@pytest.mark.parametrize("header", [(), ("-H", "Connection: close")] if flap.FULL else [()], ids=HEADERS.get)
@every()
def test_reloads_under_wrk(tmp_path, roles, header):
    wrong = reloads(tmp_path, roles, header)
    assert wrong == {} or (not header and {*wrong} == {"read"}), wrong


def large(folder, pair):
    """50 MB by sendfile to several curls at once, and a part of it, whoever serves."""
    with workers(folder, pair, (BIG, 65537)) as server:
        client = Client(folder, pair, server.port)
        files = [word for n in range(4) for word in ("-o", str(n), f"{server.url}/{BIG if n < 2 else 65537}")]
        answers = [curl(client, "-Z", *files), client.files()]
        answers.append((curl(client, "-r", "49000000-", "-o", "part", f"{server.url}/{BIG}"), client.files()))
        return answers


@every()
def test_large_files(agree, roles):
    (status, *_), found, (_, part) = agree(large, roles)
    assert status == 0 and found == {
        str(n): (size, sha(content(size))) for n, size in enumerate((BIG, BIG, 65537, 65537))
    }
    assert part == {"part": (1_000_000, sha(content(BIG)[49_000_000:]))}


def test_wrk_is_upgraded(tmp_path):
    pair = served.BOTH
    with workers(tmp_path, pair, (1000,)) as server:
        with wrk(pair, "-t", 1, "-c", 4, "-d", 2, f"{server.url}/1000") as client:
            served.upgraded(pair, server.port, 8)
            result = client.wait(20)
        assert failures(result.stdout) == {}
        with connected(server.port) as connection:
            assert asked(connection, "GET", "/1000")[2] == sha(content(1000))
