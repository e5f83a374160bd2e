"""nginx with four workers: reloads under wrk, large files by sendfile to several clients at once."""

import math
import os
import re
import signal
import time

import flap
import pytest
import served
from material import content, sha
from reloading import failures, reload, workers, wrk
from roles import every, patience, until
from webclients import Client, curl
from webserver import asked, connected

BIG = 50_000_000
SECONDS, EVERY = (9, 2) if flap.FULL else (2, 0.4)
HEADERS = {(): "keep", ("-H", "Connection: close"): "close"}


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
        with wrk(pair, "-t", 1, "-c", 4, "-d", 15, f"{server.url}/1000") as client:
            served.upgraded(pair, server.port, 8)
            os.kill(client.pid, signal.SIGINT)  # it ends as if its time were up
            result = client.wait(20)
        assert failures(result.stdout) == {}
        with connected(server.port) as connection:
            assert asked(connection, "GET", "/1000")[2] == sha(content(1000))
