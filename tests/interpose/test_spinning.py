"""Who has a core of its own, by how long the kernel says that it waited for one."""

import ctypes
import os
import subprocess
import sys
import time

from interpose import spinning
from libos import raw_ctypes as raw

MILLISECOND = 1_000_000
BUSY = "import os, time; os.sched_setaffinity(0, {%d}); print(flush=True)\nwhile time.monotonic() < %f: pass"


def share_a_core(seconds):
    """Be busy on the core on which another process is busy too."""
    cores = os.sched_getaffinity(0)
    core, end = min(cores), time.monotonic() + seconds + 1
    with subprocess.Popen([sys.executable, "-c", BUSY % (core, end)], stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        os.sched_setaffinity(0, {core})
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pass
        os.sched_setaffinity(0, cores)
        other.kill()


def test_a_thread_that_waits_for_its_core_is_asked_seldom():
    line = (ctypes.c_uint64 * 8)()
    at, now = ctypes.addressof(line), 10**12
    assert not spinning.alone(at, now)  # nothing is known at the first look
    counted = raw.waited() >= 0
    now += 100 * MILLISECOND
    assert spinning.alone(at, now) == counted
    if counted:
        share_a_core(0.5)
    now += 100 * MILLISECOND
    assert spinning.alone(at, now) is False
    now += 50 * MILLISECOND
    assert spinning.alone(at, now) is False  # not asked again yet
    now += 200 * MILLISECOND
    assert spinning.alone(at, now) == counted
