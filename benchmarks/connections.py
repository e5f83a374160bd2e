"""`python -m benchmarks.connections`: many connections, short ones, silent ones, and several at once."""

import contextlib
import functools
import os
import resource
import subprocess
import time

import psutil

from benchmarks import memory
from benchmarks.command import command
from benchmarks.conversation import conversation, lines
from benchmarks.pairs import PAIRS, compared, gathered, interleaved, limited, percentiles, quotient
from benchmarks.programs import CLIENT_CORE, Server, compiled, free_port, pinned, served
from benchmarks.report import row
from shim.connections import Snapshot

SIDES = {"Catloop": "catloop", "kernel": "kernel"}
OURS, KERNEL = SIDES
TRIPS = 128  # uses of a connection after which it is worth a segment


def room_for(descriptors):
    """Raise the limit of open files; whoever may not, is told."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= descriptors:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, max(hard, descriptors)))
    except (ValueError, OSError):
        raise SystemExit(f"catflap: {descriptors} open files are not allowed here: ulimit -n")


def cpu_seconds(pids):
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids)


def share(pids, seconds):
    """Per cent of a core that the processes take together."""
    time.sleep(1)  # whoever spins a little before it sleeps does so now
    before, start = cpu_seconds(pids), time.monotonic()
    time.sleep(seconds)
    return (cpu_seconds(pids) - before) / (time.monotonic() - start) * 100


def upgraded(pid, libos):
    """How many of a process's connections are in shared memory."""
    if libos != "catloop":
        return 0
    return sum(c.state == "upgraded" for c in Snapshot(pid).connections)


@contextlib.contextmanager
def client_of(program, libos, *words, settings=None):
    """A client that stays until it is left, its input and output pipes. `settings`: more of its environment."""
    argv = pinned(CLIENT_CORE, [program, "client", *(str(w) for w in words)])
    with served(libos) as env:
        client = subprocess.Popen(
            argv, env=env | (settings or {}), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            yield client
        finally:
            client.kill()
            client.communicate()


def heard(client, what=None):
    line = client.stdout.readline().strip()
    if not line or what not in (None, line):
        raise SystemExit(f"catflap: a client said {line!r} and ended")
    return line


def short(quick, progress, pairs):
    """Connections that are opened, asked a few times and closed."""
    rows = []
    for each, bar in ((1, 0.95), (10, 1.0), (100, 1.5)):
        progress(f"connections of {each} requests")

        def rate(libos, each=each):
            connections, _, ns, _ = conversation("rate", libos, each, 0.1 if quick else 1)
            return connections / ns * 1e9

        found = interleaved({side: functools.partial(rate, libos) for side, libos in SIDES.items()}, pairs)
        title = f"connect, {each} request{'s'[: each - 1]} of 64 B, close"
        rows.append(compared(title, "connections/s", found[OURS], found[KERNEL], bar))
    return rows


def ready(quick, progress, pairs):
    """epoll_wait with one of many connections ready."""
    program = compiled("ready", "ready")
    few, many = 10, 200 if quick else 10_000
    room_for(many + 1000)
    progress(f"epoll_wait over {many:,} connections")

    def wait(libos, n, among):
        trips = TRIPS if libos == "catloop" else 1
        argv = pinned(CLIENT_CORE, [program, *map(str, (n, among, 200 if quick else 20_000, trips))])
        return percentiles(lines(argv, libos, timeout=300))["p50"]

    # of all of many, the ready one has left the caches long ago; always among the same few, only the set is larger
    shapes = {f"of {few}": (few, few), f"of {many:,}": (many, many), f"of {many:,}, always among {few}": (many, few)}
    measures = {
        (side, name): functools.partial(wait, libos, *shape)
        for side, libos in SIDES.items()
        for name, shape in shapes.items()
    }
    found = interleaved(measures, min(pairs, 3))
    title = "epoll_wait, one ready {}, p50".format
    rows = [compared(title(name), "ns", found[OURS, name], found[KERNEL, name]) for name in shapes]
    base, *larger = shapes
    for name in larger:
        against = f"{title(name)}, against {few}"
        rows.append(limited(against, "ns", found[OURS, name], found[OURS, base], 1.5, f"{few} connections"))
        ratio = quotient(found[KERNEL, name], found[KERNEL, base])
        rows.append(row(f"{against}, kernel", "ns", found[KERNEL, name], ratio=ratio))
    return rows


def idle(quick, progress, pairs):
    """Memory and processor time of connections that nobody uses, both ends together."""
    program = compiled("idle", "idle")
    n = 100 if quick else 10_000
    room_for(n + 1000)
    progress(f"{n:,} idle connections")

    def measure(libos):
        port = free_port()
        trips = TRIPS if libos == "catloop" else 1
        with (
            Server([program, "server", str(port)], libos, port) as server,
            client_of(program, libos, port, n, trips) as client,
        ):
            heard(client, "one")
            pids = [server.process.pid, client.pid]
            before = memory.taken(pids)
            client.stdin.write("\n")
            client.stdin.flush()
            heard(client, "all")
            time.sleep(0.5)
            parts = {name: (kib - before[name]) / n for name, kib in memory.taken(pids).items()}
            return parts, upgraded(server.process.pid, libos), share(pids, 0.5 if quick else 5)

    found = interleaved({side: functools.partial(measure, libos) for side, libos in SIDES.items()}, min(pairs, 3))
    each = {side: [sum(parts.values()) for parts, _, _ in runs] for side, runs in found.items()}
    added = [ours - kernel for ours, kernel in zip(each[OURS], each[KERNEL], strict=True)]
    parts, moved, _ = found[OURS][-1]
    note = ", ".join(f"{name} {kib:.1f}" for name, kib in parts.items()) + f"; {moved:,} of {n + 1:,} upgraded"
    made = row(f"{n:,} idle connections, added memory of each, both ends", "KiB", added, bar="≤ 12 KiB", note=note)
    cpu = {side: [percent for _, _, percent in runs] for side, runs in found.items()}
    return [
        made | {"met": made["median"] <= 12 and moved > n},
        row(f"{n:,} idle connections, all memory of each", "KiB", each[OURS], kernel=each[KERNEL], note=note),
        quiet(f"{n:,} idle connections, both ends", cpu),
    ]


def quiet(title, cpu):
    """The row of processor time that nothing should need."""
    made = row(title, "% CPU", cpu[OURS], bar="< 1 %") | {"kernel_median": max(cpu[KERNEL])}
    return made | {"met": made["median"] < 1}


def silent(quick, progress, pairs):
    """Two processes, one connection, both waiting in read."""
    program = compiled("rate", "rate")
    progress("a silent connection")

    def measure(libos):
        port = free_port()
        with (
            Server([program, "server", str(port)], libos, port) as server,
            client_of(program, libos, port, 0, 0.2, "stay") as client,
        ):
            heard(client)
            return share([server.process.pid, client.pid], 0.5 if quick else 5)

    found = interleaved({side: functools.partial(measure, libos) for side, libos in SIDES.items()}, min(pairs, 3))
    return [quiet("a silent connection, both ends", found)]


def plain(quick, progress, pairs):
    """One end under Catloop, the other not: nothing is gained, and hardly anything may be lost."""
    progress("one end plain")

    def rate(libos, client):
        _, trips, ns, _ = conversation("rate", libos, 0, 0.1 if quick else 1, client=client)
        return trips / ns * 1e9

    ends = {"server": ("catloop", "kernel"), "client": ("kernel", "catloop"), None: ("kernel", "kernel")}
    found = interleaved({end: functools.partial(rate, *liboses) for end, liboses in ends.items()}, pairs)
    title = "echo 64 B, only the {} under Catloop".format
    return [compared(title(end), "round trips/s", found[end], found[None], 0.97) for end in ("server", "client")]


def crowd(quick, progress, pairs):
    """Four echo pairs on two cores: eight processes that must not spin at each other's cost."""
    program = compiled("rate", "rate")
    cores = f"0-{min(1, os.cpu_count() - 1)}"
    progress("4 echo pairs on 2 cores")

    def measure(libos):
        with contextlib.ExitStack() as stack:
            ports = [free_port() for _ in range(4)]
            pids = [
                stack.enter_context(Server([program, "server", str(p)], libos, p, cores)).process.pid for p in ports
            ]
            env = stack.enter_context(served(libos))
            before = cpu_seconds(pids)
            clients = []
            for port in ports:
                argv = pinned(cores, [program, "client", str(port), "0", "0.3" if quick else "2"])
                clients.append(subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True))
            figures = [[float(w) for w in client.communicate(timeout=60)[0].split()] for client in clients]
            if not all(len(f) == 4 for f in figures):
                raise SystemExit(f"catflap: one of 4 clients on {libos} failed")
            servers_took = cpu_seconds(pids) - before
        seconds = max(ns for _, _, ns, _ in figures) / 1e9
        rate = sum(trips / ns * 1e9 for _, trips, ns, _ in figures)
        return rate, (servers_took + sum(cpu for *_, cpu in figures) / 1e9) / seconds * 100

    found = interleaved({side: functools.partial(measure, libos) for side, libos in SIDES.items()}, pairs)
    f = {side: list(zip(*runs, strict=True)) for side, runs in found.items()}
    title = "4 echo pairs on 2 cores"
    cpu = limited(f"{title}, processor time", "% CPU", f[OURS][1], f[KERNEL][1], 1.1, "kernel")
    return [compared(f"{title}, all together", "round trips/s", f[OURS][0], f[KERNEL][0], 0.9), cpu]


def threads(quick, progress, pairs):
    """Threads with connections of their own."""
    program = compiled("threads", "threads")
    progress("threads")

    def rate(libos, n):
        (figure,) = lines([program, str(n), "0.1" if quick else "1"], libos)
        return figure

    counts = (1, 2, 12)
    found = interleaved(
        {(side, n): functools.partial(rate, libos, n) for side, libos in SIDES.items() for n in counts}, pairs
    )
    rows = [compared("64 B sent and received, 1 thread", "operations/s", found[OURS, 1], found[KERNEL, 1])]
    for side in SIDES:
        for n, base, bar in ((2, 1, 1.5), (12, 2, 0.9)):
            rows.append(scaled(f"64 B sent and received, {n} threads, {side}", found[side, n], found[side, base], base,
                               bar if side == OURS else None))  # fmt: skip
    return rows


def scaled(title, values, fewer, base, bar):
    """A row whose ratio is to the rate of fewer threads."""
    ratio = quotient(values, fewer)
    verdict = {} if bar is None else {"bar": f"≥ {bar} × {base} thread{'s'[: base - 1]}", "met": ratio >= bar}
    return row(title, "operations/s", values, ratio=ratio, **verdict)


RUNS = {
    "short": short,
    "ready": ready,
    "idle": idle,
    "silent": silent,
    "plain": plain,
    "crowd": crowd,
    "threads": threads,
}
PARTS = tuple(RUNS)


def run(quick, progress, pairs=PAIRS, parts=PARTS):
    pairs = min(pairs, 2) if quick else pairs
    return gathered({part: functools.partial(RUNS[part], quick, progress, pairs) for part in parts})


main = command(run, "Connections under Catloop", PARTS)

if __name__ == "__main__":
    main()
