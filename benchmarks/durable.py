"""`python -m benchmarks durable`: appends that survive a power cut, by Cattree, from Python and from C, and by the
kernel, by turns.

Both write to files on the same file system: Cattree to a file that it fills once, the kernel to one that grows.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import libos.mode
from benchmarks import durable_echo, pdpix
from benchmarks.programs import compiled, on_one_core
from benchmarks.report import ROOT, percentile, row
from libos.blocks.memory import MemoryDevice
from libos.factory import native
from libos.log.volume import WRITE

SIZES = (64, 4096, 65536)
WRITERS = 16
FILE = 256 << 20


class Nothing(MemoryDevice):
    """Groups are finished at once and go nowhere: what is left is what an append costs by itself."""

    group = None  # of the volume, once that has begun

    def write(self, tag, offset, vector, count, durable):
        if tag != WRITE or self.group is None:
            return super().write(tag, offset, vector, count, durable)
        self.ready.append((tag, self.group.blocks * self.group.block))
        return True


def appended(store, log, size, count):
    """Microseconds of each durable append, one after the other."""
    times = []
    with store.sgaalloc(size) as sga:
        for _ in range(count):
            begun = time.perf_counter_ns()
            result = store.wait(store.push(log, sga))
            times.append((time.perf_counter_ns() - begun) / 1000)
            if result.error:
                raise result.error
    store.truncate(log, store.logs()["log"][1])
    return times


def by_kernel(folder, size, count, flags):
    """The same by write(2), and fdatasync(2) unless O_DSYNC is among the flags, to a file that grows."""
    fd = os.open(os.path.join(folder, "grows"), os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_APPEND | flags)
    data, times = bytes(size), []
    for _ in range(count):
        begun = time.perf_counter_ns()
        os.write(fd, data)
        if not flags:
            os.fdatasync(fd)
        times.append((time.perf_counter_ns() - begun) / 1000)
    os.close(fd)
    return times


def together(store, log, size, count):
    """Durable appends per second of WRITERS that each wait for their own."""
    waiting = store.wait_set()
    with store.sgaalloc(size) as sga:
        begun = time.perf_counter()
        for _ in range(WRITERS):
            waiting.add(store.push(log, sga))
        for i in range(count):
            if waiting.wait().error:
                raise SystemExit("catflap: an append has failed")
            if i < count - WRITERS:
                waiting.add(store.push(log, sga))
        taken = time.perf_counter() - begun
    store.truncate(log, store.logs()["log"][1])
    return count / taken


def threads(folder, size, count):
    """The same by as many threads with a file each."""

    def writer(n):
        fd = os.open(os.path.join(folder, f"grows-{n}"), os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_APPEND)
        data = bytes(size)
        for _ in range(count // WRITERS):
            os.write(fd, data)
            os.fdatasync(fd)
        os.close(fd)

    some = [threading.Thread(target=writer, args=(n,)) for n in range(WRITERS)]
    begun = time.perf_counter()
    for thread in some:
        thread.start()
    for thread in some:
        thread.join()
    return count // WRITERS * WRITERS / (time.perf_counter() - begun)


def run(quick, progress):
    """In a process of its own: the table's thread would keep a wait from being its only one."""
    progress("durable appends")
    argv = [sys.executable, "-m", "benchmarks.durable", *(["quick"] if quick else [])]
    done = subprocess.run(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=900, check=True)
    return json.loads(done.stdout)


def measured(quick):
    blocks, count = (2, 20) if quick else (9, 200)
    rows = []
    with tempfile.TemporaryDirectory(dir=os.path.join(ROOT, "build")) as folder:
        store = native("cattree", path=os.path.join(folder, "logs"), size=FILE)
        log = store.creat("log")
        for size in SIZES:
            ours, synced, direct = [], [], []
            for _ in range(blocks):
                ours.append(statistics.median(appended(store, log, size, count)))
                synced.append(statistics.median(by_kernel(folder, size, count, 0)))
                direct.append(statistics.median(by_kernel(folder, size, count, os.O_DSYNC)))
            bar = {}
            if size == 4096:
                ratio = statistics.median(ours) / statistics.median(synced)
                bar = {"bar": "≤ 0.7 x write + fdatasync", "met": ratio <= 0.7}
            note = f"median of O_DSYNC appends: {statistics.median(direct):.0f} µs"
            rows.append(row(f"durable append of {size} B, p50", "µs", ours, kernel=synced, note=note, **bar))
        ours = [together(store, log, 4096, count * 8) for _ in range(blocks)]
        kernel = [threads(folder, 4096, count * 4) for _ in range(blocks)]
        rows.append(row(f"durable appends of 4096 B, {WRITERS} at a time", "ops/s", ours, kernel=kernel))
        store.shut()
        rows += from_c(folder, blocks, count)
        rows += durable_echo.rows(folder, quick)
    with on_one_core():
        rows += costs(200 if quick else 20_000, blocks)
    return rows


def from_c(folder, blocks, count):
    """The same by programs in C, the kernel's too."""
    ours, kernels = pdpix.built("logs"), compiled("appended", "appended")
    volume, rows = f"--cattree={os.path.join(folder, 'from-c')}", []
    grows = os.path.join(folder, "grows")
    for size in SIZES:
        times, used, synced, device = [], [], [], []
        for _ in range(blocks):
            *each, cpu = pdpix.numbers(ours, "appends", size, count * 4, volume, core=None)
            times.append(percentile(each, 50) / 1000)
            used.append(cpu)
            *each, _ = pdpix.numbers(kernels, grows, size, count * 4, core=None)
            synced.append(percentile(each, 50) / 1000)
            *each, cpu = pdpix.numbers(kernels, grows, size, count * 4, "device", core=None)
            device.append(cpu / count / 4)
        ratio = statistics.median(times) / statistics.median(synced)
        bar = {"bar": "≤ 0.7 x write + fdatasync", "met": ratio <= 0.7} if size == 4096 else {}
        rows.append(row(f"durable append of {size} B from C, p50", "µs", times, kernel=synced, **bar))
        beside = [(ours - alone) / 1000 for ours, alone in zip(used, device, strict=True)]
        bar = {"bar": "≤ 3 µs", "met": statistics.median(beside) <= 3} if size == 4096 and not libos.mode.pure() else {}
        rows.append(row(f"durable append of {size} B from C, CPU beside the device's", "µs", beside, **bar))
    times = {name: [] for name in ("tasks", "threads", "kernel")}
    for _ in range(blocks):
        for name in times:
            place = grows if name == "kernel" else volume
            times[name] += pdpix.numbers(ours, name, WRITERS, 4096, count * 20, place, core=None)
    for name, what in (("tasks", "at a time in one thread"), ("threads", "threads")):
        ratio = statistics.median(times[name]) / statistics.median(times["kernel"])
        bar = {"bar": "≥ 3 x", "met": ratio >= 3} if name == "tasks" else {}
        label = f"durable appends of 4096 B from C, {WRITERS} {what}, against as many threads with a file each"
        rows.append(row(label, "ops/s", times[name], kernel=times["kernel"], **bar))
    return rows


def costs(count, blocks):
    """CPU of an append of 4 KiB on a device that does nothing: of the machine, and of PDPIX."""
    device = Nothing(FILE)
    store = native("cattree", device=device)
    log = store.creat("log")
    volume = store.volume
    device.group = volume.group
    inner, outer = [], []
    with store.sgaalloc(4096) as sga:
        at, mine = sga.addresses[0], volume.catalog.names[b"log"]
        for _ in range(blocks):
            begun = time.thread_time_ns()
            for _ in range(count):
                volume.append(mine, at, 4096)
                volume.work()
                volume.completed(device.completion(), device.result)
                volume.events.clear()
            inner.append((time.thread_time_ns() - begun) / count)
            store.truncate(log, mine.end)
            store.settle(lambda: volume.idle)
            begun = time.thread_time_ns()
            for _ in range(count):
                store.wait(store.push(log, sga))
            outer.append((time.thread_time_ns() - begun) / count)
            store.truncate(log, mine.end)
            store.settle(lambda: volume.idle)
    judged = {} if libos.mode.pure() else {"bar": "≤ 3000 ns", "met": statistics.median(inner) <= 3000}
    return [
        row("append of 4096 B without a device, CPU: the log", "ns", inner, **judged),
        row("append of 4096 B without a device, CPU: push and wait", "ns", outer),
    ]


if __name__ == "__main__":
    print(json.dumps(measured("quick" in sys.argv)))
