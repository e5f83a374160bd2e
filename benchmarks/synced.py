"""`python -m benchmarks synced`: fsync of unmodified programs, on the kernel alone and with a volume of Cattree, by
turns: a loop of appends, and redis with `appendfsync always` beside one that keeps nothing.
"""

import contextlib
import csv
import os
import statistics
import subprocess
import tempfile

from benchmarks.programs import CLIENT_CORE, FOLDER, Server, compiled, free_port, need, pinned, served
from benchmarks.report import percentile, row

REDIS = "--bind 127.0.0.1 --daemonize no --auto-aof-rewrite-percentage 0".split()
ALWAYS = "--appendonly yes --appendfsync always".split()
CLIENTS = 50
# (libOS of both ends, whether each SET is durable)
SIDES = {
    "in memory, kernel": ("kernel", False),
    "in memory, Catloop": ("catloop", False),
    "durable, kernel": ("kernel", True),
    "durable, Catloop with storage": ("catloop", True),
}
OURS = "durable, Catloop with storage"
BARS = {"in memory, kernel": 0.9, "in memory, Catloop": 0.6, "durable, kernel": None}
BESIDE, FASTER = 3, 0.7  # µs of CPU beside the device's own; of the kernel's median


def storage(folder):
    """What the environment of a program has whose files below `folder`/data a volume beside them serves."""
    os.makedirs(os.path.join(folder, "data"), exist_ok=True)
    return {"CATFLAP_STORAGE": f"cattree:{folder}/volume", "CATFLAP_MOUNT": os.path.join(folder, "data")}


# --- a loop of appends ---


def appended(program, side, size, times):
    """([microseconds of each], microseconds of CPU after each write) of a file of its own."""
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder, served("auto" if side == "cattree" else "kernel") as env:
        env = env | (storage(folder) if side == "cattree" else {"CATFLAP_MOUNT": ""})
        os.makedirs(os.path.join(folder, "data"), exist_ok=True)
        argv = [program, os.path.join(folder, "data", "log"), str(size), str(times)]
        argv = pinned(CLIENT_CORE, argv + ["device"] * (side == "device"))
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=300, check=True)
        if os.path.exists(os.path.join(folder, "volume")) != (side == "cattree"):
            raise SystemExit(f"catflap: these figures are not of {side}")
    *each, used = (int(line) / 1000 for line in done.stdout.split())
    return each, used / times


def loops(quick, progress):
    program, rows = compiled("appended", "appended"), []
    for size in (100, 4096):
        progress(f"append and fdatasync of {size} B")
        found = {"kernel": [], "cattree": [], "device": []}
        for block in range(2 if quick else 9):
            for side in list(found)[:: 1 if block % 2 else -1]:
                each, used = appended(program, side, size, 200 if quick else 4000)
                found[side].append((percentile(each, 50), percentile(each, 99), used))
        p50, p99, used = ({side: [one[i] for one in found[side]] for side in found} for i in range(3))
        ratio = statistics.median(p50["cattree"]) / statistics.median(p50["kernel"])
        bar = {} if quick or size < 4096 else {"bar": f"at most {FASTER} of the kernel's", "met": ratio <= FASTER}
        label = f"append and fdatasync of {size} B"
        note = f"the device alone: {statistics.median(p50['device']):.1f} µs"
        rows.append(row(f"{label}, p50", "µs", p50["cattree"], kernel=p50["kernel"], note=note, **bar))
        rows.append(row(f"{label}, p99", "µs", p99["cattree"], kernel=p99["kernel"]))
        note = f"of the device alone: {statistics.median(used['device']):.1f} µs"
        rows.append(row(f"{label}, CPU of fdatasync", "µs", used["cattree"], kernel=used["kernel"], note=note))
        beside = [ours - device for ours, device in zip(used["cattree"], used["device"], strict=True)]
        bar = {} if quick else {"bar": f"at most {BESIDE} µs", "met": statistics.median(beside) <= BESIDE}
        rows.append(row(f"{label}, CPU beside the device's", "µs", beside, **bar))
    return rows


# --- redis ---


@contextlib.contextmanager
def redis(side):
    """The port of a redis-server."""
    libos, durable = SIDES[side]
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        settings, port = storage(folder) if side == OURS else {}, free_port()
        argv = [need("redis-server", "redis-server"), *REDIS, *(ALWAYS if durable else ()), "--save", ""]
        argv += ["--port", str(port), "--dir", os.path.join(folder, "data" if side == OURS else "")]
        with Server(argv, libos, port, settings=settings):
            yield port
        if os.path.exists(os.path.join(folder, "volume")) != (side == OURS):
            raise SystemExit(f"catflap: these figures are not of redis {side}")


def asked(port, libos, requests):
    """(requests per second, 50th and 99th percentile in µs) of one run of redis-benchmark."""
    argv = [need("redis-benchmark", "redis-tools"), "-h", "127.0.0.1", "-p", str(port), "-t", "set", "-d", "100"]
    argv = pinned(CLIENT_CORE, [*argv, "-n", str(requests), "-c", str(CLIENTS), "-r", "10000", "--csv"])
    with served(libos) as env:
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=300, check=True)
    heads, figures = csv.reader(done.stdout.splitlines())
    found = dict(zip(heads, figures, strict=True))
    return float(found["rps"]), float(found["p50_latency_ms"]) * 1000, float(found["p99_latency_ms"]) * 1000


def sets(quick, progress):
    progress(f"redis, {CLIENTS} clients, in memory and durable")
    found = {side: [] for side in SIDES}
    for block in range(2 if quick else 9):
        for side in list(SIDES)[:: 1 if block % 2 else -1]:
            with redis(side) as port:
                asked(port, SIDES[side][0], 1000)
                found[side].append(asked(port, SIDES[side][0], 2000 if quick else 50_000))
    rows = []
    rates = {side: [one[0] for one in found[side]] for side in SIDES}
    for side, least in BARS.items():
        ratio = statistics.median(rates[OURS]) / statistics.median(rates[side])
        bar = {} if quick or least is None else {"bar": f"at least {least}", "met": ratio >= least}
        name = f"redis SET, {CLIENTS} clients, {OURS}, beside {side}"
        rows.append(row(name, "requests/s", rates[OURS], kernel=rates[side], ratio=ratio, **bar))
    for side in SIDES:
        for i, name in enumerate(("p50", "p99"), 1):
            rows.append(row(f"redis SET, {CLIENTS} clients, {side}, {name}", "µs", [one[i] for one in found[side]]))
    return rows


def run(quick, progress):
    os.makedirs(FOLDER, exist_ok=True)
    return loops(quick, progress) + sets(quick, progress)
