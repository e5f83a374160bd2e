"""Long runs: nginx is reloaded, redis restarted, clients are killed under load, on the kernel and under Catflap.

FLAP_MINUTES=60 makes it that long under each libOS (`make endurance`), with ten minutes of the kernel before it; by
default it is a few seconds.
"""

import contextlib
import os
import random
import re
import signal
import statistics
import threading
import time

import flap
import pytest
from redisserver import Redis
from reloading import failures, reload, workers, wrk
from roles import CATNIP, DEFAULT, KERNEL, until
from wires import wires

ROLES = DEFAULT | {"catnip": CATNIP["catnip-server"]}
LONG = flap.FULL or "FLAP_MINUTES" in os.environ
SECONDS = 60 * float(os.environ.get("FLAP_MINUTES", 1 if flap.FULL else 0.06))
KERNEL_SECONDS = min(SECONDS, 600)  # what it misses is all that a libOS may miss: a shorter run only allows less
LEAVES = 120 if flap.FULL else 20  # seconds that other tests beside this one may keep a name
SLICE = min(10, SECONDS / 2)
EVERY = 2 if SECONDS > 60 else 0.5
SLACK = 2_000_000  # bytes that a server may have grown by from the second quarter of the time to the last


def memory(pid):
    """(bytes that the process has written to, descriptors it has)."""
    with open(f"/proc/{pid}/smaps_rollup") as f:
        private = sum(int(size) for size in re.findall(r"^Private_\w+: +(\d+) kB", f.read(), re.M))
    return private * 1024, len(os.listdir(f"/proc/{pid}/fd"))


def litter():
    """Names of ours in the abstract Unix name space."""
    with open("/proc/net/unix") as f:
        return set(re.findall(r"@catflap\S*", f.read()))


def server(folder, pair):
    """A redis-server that lives as long as the test wants."""
    port = flap.free_port()
    argv = [flap.need("redis-server", "redis-server"), "--port", str(port), "--dir", str(folder), "--save", ""]
    program = flap.Program([*argv, "--bind", "127.0.0.1"], pair.server, timeout=SECONDS * 2 + 120)
    flap.wait_for_port(port, program)
    return Redis(program, port, pair)


def benchmark(redis, clients, requests):
    words = ["-p", str(redis.port), "-c", str(clients), "-n", str(requests), "-q", "-t", "set,incr,lpop,lpush"]
    return flap.Program([flap.need("redis-benchmark", "redis-tools"), *words], redis.pair.client, timeout=120)


class Life:
    """What goes on around the servers, in threads, until the time is over; what went wrong is kept."""

    def __init__(self, seconds):
        self.over = time.monotonic() + seconds
        self.wrong = []
        self.threads = []

    def begin(self, work, *arguments):
        def run():
            while time.monotonic() < self.over and not self.wrong:
                try:
                    work(*arguments)
                except BaseException as error:  # told by the test
                    self.wrong.append(f"{work.__name__}: {error!r}"[:2000])

        self.threads.append(threading.Thread(target=run))
        self.threads[-1].start()

    def end(self):
        for thread in self.threads:
            thread.join()
        assert not self.wrong, self.wrong


def under_load(nginx, pair, missed):
    with wrk(pair, "-t", 2, "-c", 16, "-d", max(1, int(SLICE)), f"{nginx.url}/1000") as client:
        result = client.wait(60)
    assert result.status == 0, str(result)
    for what, count in failures(result.stdout).items():
        missed[what] = missed.get(what, 0) + count


def reloaded(nginx):
    time.sleep(EVERY)
    reload(nginx)


def restarted(folder, pair):
    redis = server(folder, pair)
    with redis.program:
        with benchmark(redis, 20, 5000) as client:
            result = client.wait(60)
        assert result.status == 0 and b"rror" not in result.stdout + result.stderr, str(result)
        assert redis.ask("PING") == "PONG"


def killed(steady, dice):
    """A client that is killed in the middle, and one that counts: every count arrives."""
    with benchmark(steady, 10, 1_000_000) as client:
        time.sleep(0.05 + dice.random() / 2)
        os.kill(client.pid, signal.SIGKILL)
    before = int(steady.ask("INCR", "count"))
    assert int(steady.ask("INCRBY", "count", "7")) == before + 7


def life(folder, pair, seconds):
    """(what wrk missed, memory and descriptors of the steady server by time)."""
    missed, samples = {}, []
    steady = server(folder, pair)
    with workers(str(folder), pair, (1000,), SECONDS * 2 + 120) as nginx, steady.program:
        around = Life(seconds)
        around.begin(under_load, nginx, pair, missed)
        around.begin(reloaded, nginx)
        around.begin(restarted, folder, pair)
        around.begin(killed, steady, random.Random(5))
        while time.monotonic() < around.over:
            time.sleep(min(2, SECONDS / 20))
            samples.append(memory(steady.program.pid))
        around.end()
        until(lambda: int(steady.info("clients", "connected_clients")) == 1, "clients that are gone")
        samples.append(memory(steady.program.pid))
    return missed, samples


@pytest.mark.timeout(SECONDS * 2 + 300)
@pytest.mark.parametrize("libos", list(ROLES) if LONG else ["auto"])
def test_a_long_time_under_load(tmp_path, libos):
    before = litter()
    missed = {}
    for name, pair, seconds in (("kernel", KERNEL, KERNEL_SECONDS), (libos, ROLES[libos], SECONDS)):
        folder = tmp_path / name
        folder.mkdir()
        with wires(tmp_path) if "catnip" in pair else contextlib.nullcontext():
            missed[name], samples = life(folder, pair, seconds)
        print(name, "missed", missed[name], "memory and descriptors", samples[:: max(1, len(samples) // 20)])
        quarter = max(1, len(samples) // 4)
        early, late = samples[quarter : 2 * quarter], samples[-quarter:]
        grown = statistics.median(s[0] for s in late) - statistics.median(s[0] for s in early)
        assert grown < SLACK, samples
        assert samples[-1][1] <= max(s[1] for s in early), samples
    assert set(missed[libos]) <= set(missed["kernel"]), missed
    left = litter() - before  # some may be other tests', which end as well
    until(lambda: not left & litter(), "no name left over", LEAVES)
