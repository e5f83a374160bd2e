"""Who shares the record of a connection, and who has gone without a word."""

import os
import signal
import time

from libos import layout, raw, records
from libos.catloop import Catloop


def child(libos, end, then):
    """A forked process that shares `end` and, once told, goes on with `then`; (its id, the descriptor that tells)."""
    wait, tell = os.pipe()
    raw.fetch_add(end + layout.USERS, 1)
    pid = os.fork()
    if not pid:
        try:
            os.close(tell)
            os.read(wait, 1)
            then()
        finally:
            os._exit(1)
    os.close(wait)
    raw.store(end + layout.PIDS + 8, pid)
    return pid, tell


def test_a_child_that_executed_another_program_shares_nothing():
    libos = Catloop()
    end = libos.records.claim()
    pid, tell = child(libos, end, lambda: os.execv("/bin/sleep", ["sleep", "60"]))
    try:
        assert not libos.records.alone(end)
        os.close(tell)
        limit = time.monotonic() + 20
        while os.readlink(f"/proc/{pid}/exe") == os.readlink("/proc/self/exe"):
            assert time.monotonic() < limit
        assert libos.records.alone(end) and not raw.ended(pid)
        assert records.gone(end, pid) and not records.gone(end, os.getpid())
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_a_child_that_lives_on_shares_it():
    libos = Catloop()
    end = libos.records.claim()
    pid, tell = child(libos, end, signal.pause)
    os.close(tell)
    try:
        assert not libos.records.alone(end) and not records.gone(end, pid)
    finally:
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert libos.records.alone(end)
