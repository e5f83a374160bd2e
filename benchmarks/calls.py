"""What one call costs: trap, crossing into compiled Python, POSIX layer, PDPIX queue, kernel; and on threads."""

import collections
import os
import shutil
import subprocess

import libos.mode
from benchmarks.native import loops
from benchmarks.programs import CLIENT_CORE, FOLDER, compiled, environment, on_one_core, pinned
from benchmarks.report import PRELOAD, ROOT, row
from interpose.traps import emit
from setup import PRELOAD_CFLAGS, PRELOAD_SOURCES


def harness():
    """Path of the C program; our packages are linked into place where the preload's sources look for them."""
    place = os.path.join(FOLDER, "interpose")
    shutil.rmtree(place, ignore_errors=True)
    os.makedirs(place)
    for name in os.listdir(os.path.join(ROOT, "interpose")):
        os.symlink(os.path.join(ROOT, "interpose", name), os.path.join(place, name))
    package = os.path.join(FOLDER, "libos")
    if not os.path.islink(package):
        os.symlink(os.path.join(ROOT, "libos"), package)
    csrc = os.path.join(ROOT, "csrc")
    emit(os.path.join(FOLDER, "traps.def"))
    sources = [os.path.join(csrc, name) for name in PRELOAD_SOURCES]
    include = f"-I{csrc}", f"-I{FOLDER}"
    return compiled("calls", "interpose/calls", *PRELOAD_CFLAGS, *include, "-pthread", *sources)


def figures_of(argv, env):
    """{figure: [one number per block]} of a C program."""
    done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=900,
                          check=True)  # fmt: skip
    figures = collections.defaultdict(list)
    for line in done.stdout.splitlines():
        name, value = line.split()
        figures[name].append(float(value))
    return figures


def run(quick, progress):
    if libos.mode.pure():
        raise SystemExit("catflap: calls are measured in compiled mode; unset CATFLAP_PURE")
    progress("calls: traps")
    rows = traps(quick)
    progress("calls: crossings")
    program, fast = harness(), ["--quick"] if quick else []
    env = environment("kernel") | {"CATFLAP_LIBOS": "catnap"}
    f = figures_of(pinned(CLIENT_CORE, [program, "one", *fast]), env)
    rows.append(row("getppid", "ns", f["getppid"]))
    rows.append(crossing("empty operation, nogil", f["nogil"], f["getppid"], 30, 0.2))
    rows.append(crossing("empty operation, GIL", f["gil"], f["getppid"], 100, 0.55))
    progress("calls: layers")
    with on_one_core():
        data, nothing = loops.layers(2 if quick else 20, 4 if quick else 24)
    rows += split("recv of 64 B", f["recv_data"], f["entry_data"], f["kernel_data"], data)
    rows += split("recv of nothing", f["recv_eagain"], f["entry_eagain"], f["kernel_eagain"], nothing)
    rows.append(row("64 B sent and received", "ns", f["send_recv"], kernel=f["kernel_send_recv"]))
    progress("calls: threads")
    return rows + scaling(figures_of([program, "threads", *fast], env))


def traps(quick):
    """Calls on a descriptor that is not ours, over a next library that makes no system call."""
    stub = compiled("stub", "stub.so", "-shared", "-fPIC")
    program = compiled("trap", "trap")
    env = environment("catnap") | {"LD_PRELOAD": f"{PRELOAD}:{stub}"}
    f = figures_of(pinned(CLIENT_CORE, [program, "100000" if quick else "8000000", stub]), env)
    return [
        row(f"trap of {call}, not ours", "ns", f[f"trap_{call}"], bar="≤ 5", met=min(f[f"trap_{call}"]) <= 5,
            note=f"of these the stub itself {min(f[f'stub_{call}']):.2f}")
        for call in ("read", "recv")
    ]  # fmt: skip


def crossing(name, values, getppid, ns, share):
    """Trap, compiled Python and back: in nanoseconds, or as a share of a system call of the same run."""
    ratio = min(values) / min(getppid)
    return row(name, "ns", values, ratio=ratio, bar=f"≤ {ns} or ≤ {share} of getppid",
               met=min(values) <= ns or ratio <= share)  # fmt: skip


def split(name, whole, entry, kernel, inner):
    """The layers' shares: differences between loops that leave one more layer out, fastest block with fastest block,
    of the faster half, which neighbours on the machine have disturbed least."""

    def less(outer, without):
        differences = [a - b for a, b in zip(sorted(outer), sorted(without), strict=True)]
        return differences[: (len(differences) + 1) // 2]

    return [
        row(f"{name}: all", "ns", whole, kernel=kernel),
        row(f"{name}: trap, enter, leave", "ns", less(whole, entry)),
        row(f"{name}: POSIX layer", "ns", less(inner["posix"], inner["queue"])),
        row(f"{name}: PDPIX queue", "ns", less(inner["queue"], inner["kernel"])),
    ]


def scaling(f):
    """Operations per second on descriptors of the threads' own; ratios of the best blocks."""
    rows = []
    for name, title, judged in (("probes", "empty operation", True), ("receives", "recv of nothing", True),
                                ("kernel_receives", "recv of nothing, kernel", False)):  # fmt: skip
        best = {n: max(f[f"{name}_{n}"]) for n in (1, 2, 12)}
        rows.append(row(f"{title}, 1 thread", "operations/s", f[f"{name}_1"]))
        for n, base, bar in ((2, 1, 1.5), (12, 2, 0.9)):
            ratio = best[n] / best[base]
            verdict = {"bar": f"≥ {bar} × {base} thread{'s'[: base - 1]}", "met": ratio >= bar} if judged else {}
            rows.append(row(f"{title}, {n} threads", "operations/s", f[f"{name}_{n}"], ratio=ratio, **verdict))
    return rows
