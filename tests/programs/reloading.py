"""nginx with four workers that is reloaded, and wrk, which says what it missed."""

import contextlib
import os
import re
import signal

import flap
from roles import check_host, patience, until
from webserver import nginx

ERRORS = re.compile(rb"connect (?P<connect>\d+), read (?P<read>\d+), write (?P<write>\d+), timeout (?P<timeout>\d+)")


@contextlib.contextmanager
def workers(folder, pair, sizes, seconds=60):
    """nginx with four workers, each of them checked."""
    extra = "keepalive_requests 10000000;"
    with nginx(folder, pair, sizes=sizes, workers=4, extra=extra, seconds=seconds) as server:
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
