"""What starting costs: a program without sockets, a program's first socket, the launcher, an idle server."""

import os
import statistics
import subprocess
import sys
import tempfile
import time

import psutil

from benchmarks import redis
from benchmarks.programs import compiled, environment, free_port, served
from benchmarks.report import row


def milliseconds(argv, env):
    start = time.perf_counter()
    subprocess.run(argv, env=env, check=True)
    return (time.perf_counter() - start) * 1e3


def pairs(one, other, count):
    """`count` interleaved pairs of times of two (argv, environment): ([one...], [other...])."""
    ours, kernel = [], []
    for turn in range(count):
        for argv, env, found in ((*one, ours), (*other, kernel))[:: 1 if turn % 2 else -1]:
            found.append(milliseconds(argv, env))
    return ours, kernel


def private(path, sockets, env):
    """Private memory of the program in MB."""
    done = subprocess.run([path, str(sockets), "memory"], env=env, stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout) / 1024


def added(name, unit, ours, kernel, limit, strict=False, note=None):
    """A row for what ours costs over the kernel's, pair by pair."""
    over = [a - b for a, b in zip(ours, kernel, strict=True)]
    median = statistics.median(over)
    met = median < limit if strict else median <= limit
    return row(name, unit, over, bar=f"{'<' if strict else '≤'} {limit}", met=met, note=note)


def drop_page_cache():
    """True when it could be done (root only): files are read from the disk again."""
    try:
        os.sync()
        with open("/proc/sys/vm/drop_caches", "w") as f:
            f.write("3")
        return True
    except OSError:
        return False


def run(quick, progress):
    with served("catnap") as catnap:
        return measured(quick, progress, environment("kernel"), catnap)


def measured(quick, progress, kernel, catnap):
    path = compiled("start", "start")
    count = 5 if quick else 200
    progress("start-up without a socket")
    rows = [added("start-up, no socket, added", "ms", *pairs(([path], catnap), ([path], kernel), count), 1.5, True)]
    few = 3 if quick else 20
    memory = [
        [private(path, n, env) for _ in range(few)] for n, env in ((0, catnap), (0, kernel), (1, catnap), (1, kernel))
    ]
    rows.append(added("private memory, no socket, added", "MB", memory[0], memory[1], 1, True))
    progress("the first socket")
    one = [path, "1"]
    rows.append(added("first socket, warm, added", "ms", *pairs((one, catnap), (one, kernel), count // 2 or 3), 15))
    rows.append(added("private memory, first socket, added", "MB", memory[2], memory[3], 10))
    rows.append(cold(one, catnap, kernel, 1 if quick else 7))
    auto = catnap | {"CATFLAP_LIBOS": "auto"}  # nothing starts before a socket has earned it
    rows.append(added("first socket under auto, added", "ms", *pairs((one, auto), (one, kernel), count), 15))
    progress("the launcher")
    launcher = [os.path.join(os.path.dirname(sys.executable), "catflap"), "run", "true"]
    ours, bare = pairs((launcher, kernel), (["true"], kernel), few * 2)
    rows.append(added("catflap run true, over true", "ms", ours, bare, 50))
    progress("an idle server")
    rows.append(idle(1 if quick else 10))
    return rows


def cold(argv, catnap, kernel, count):
    ours, bare = [], []
    dropped = True
    for _ in range(count):
        for env, found in ((catnap, ours), (kernel, bare)):
            dropped = drop_page_cache() and dropped
            found.append(milliseconds(argv, env))
    note = None if dropped else "the page cache could not be dropped here: warm"
    return row("first socket, cold, added", "ms", [a - b for a, b in zip(ours, bare, strict=True)], note=note)


def idle(seconds):
    """CPU of a redis-server under Catnap to which nobody speaks."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for libos in ("kernel", "catnap"):
            with redis.server(libos, port, folder) as server:
                process = psutil.Process(server.process.pid)
                before = sum(process.cpu_times()[:2])
                time.sleep(seconds)
                found[libos] = (sum(process.cpu_times()[:2]) - before) / seconds * 100
    return row("idle redis-server", "% CPU", [found["catnap"]], kernel=None, bar="< 1", met=found["catnap"] < 1,
               note=f"on the kernel {found['kernel']:.2f}")  # fmt: skip
