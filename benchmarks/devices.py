"""`python -m benchmarks.devices`: a device and what is over it, layer by layer: DPDK alone, its port as our frame
device, Catnip by PDPIX, unmodified C programs; the kernel over a veth pair for comparison.

All of it is in network namespaces that end with the run. Needs libdpdk-dev, and root for the kernel's wires.
"""

import contextlib
import functools
import itertools
import os
import re
import subprocess
import sys
import tempfile

from benchmarks import plots
from benchmarks.command import command
from benchmarks.conversation import lines
from benchmarks.pairs import compared, gathered, interleaved, limited, percentiles, quotient
from benchmarks.programs import CLIENT_CORE, SERVER_CORE, Server, compiled, free_port, need, pinned, served
from benchmarks.report import ROOT, row
from benchmarks.wires import Far, apart
from libos.devices.dpdk_library import PATH

PAIRS = 3
RAW, DEVICE, PDPIX, OURS = "DPDK alone", "device", "PDPIX", "Catnip"
SPINNING, FOUND = "kernel, spinning", "kernel, blocking"
SERVER, CLIENT = "10.77.1.1", "10.77.1.2"
SIZES = tuple(64 * 4**n for n in range(8))  # 64 B to 1 MiB
FRAME, LONG = 1514, 9014
# what a memif has no word for, so that both ends are told: long frames, and no checksums
OFFLOADS = {"CATFLAP_MTU": "9000", "CATFLAP_CHECKSUMS": "none"}
BUFFERS = ",bsize=9024,rsize=8"  # such frames in one buffer each, as our device lays them out
NUMBER = itertools.count()


class Lab:
    """This process in a namespace of its own, with a wire of the kernel's to another one and memifs within."""

    def __enter__(self):
        if not os.path.exists(PATH):
            raise SystemExit("catflap: Catflap was built without DPDK: apt-get install libdpdk-dev, and build again")
        need("nsenter", "util-linux")
        with contextlib.ExitStack() as stack:
            stack.enter_context(apart())
            self.far = stack.enter_context(Far())
            self.near_address, self.address = self.far.wire(0)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *error):
        return self.stack.__exit__(*error)

    def raw(self, kind, there, here, *words, more=""):
        """The numbers that one of two ends prints, which talk over a memif: of DPDK alone, or of devices_end.py. `more`
        of the port's text.
        """
        argv = [raw_program()] if kind == RAW else [sys.executable, "-m", "benchmarks.devices_end", kind.lower()]
        socket = f"socket=/bench-{os.getpid()}-{next(NUMBER)}"
        ends = []
        try:
            for role, side, core in ((there, "server", SERVER_CORE), (here, "client", CLIENT_CORE)):
                port = f"net_memif0,role={side},{socket}"
                end = [role, port] if kind != RAW else [port, role]
                full = pinned(core, [*argv, *end, *map(str, words)])
                ends.append(
                    subprocess.Popen(full, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
                )
                if side == "server" and ends[0].stdout.readline() != "up\n":
                    raise SystemExit(f"catflap: {kind}: no port of DPDK's")
            printed = [end.communicate(timeout=120)[0] for end in ends[::-1]]
        finally:
            for end in ends:
                if end.poll() is None:
                    end.kill()
                    end.wait()
        if any(end.returncode for end in ends):
            raise SystemExit(f"catflap: {kind}: frames were lost, or an end has gone")
        return [float(number) for text in printed for number in text.split()]

    def settings(self):
        """Of two hosts of Catnip on a memif: the server's and the client's environment."""
        socket = f"socket=/bench-{os.getpid()}-{next(NUMBER)}"
        return [
            {"CATFLAP_DEVICE": f"dpdk:net_memif,role={side},{socket}", "CATFLAP_ADDRESSES": f"{address}/16"}
            for side, address in (("server", SERVER), ("client", CLIENT))
        ]

    def over_memif(self, name, *words, settings=None):
        """The numbers that the client of benchmarks/c/`name`.c prints, both ends unmodified, on Catnip."""
        program, port = compiled(name, name), free_port()
        server, client = self.settings()
        with Server([program, "server", f"0.0.0.0:{port}"], "catnip", port, settings=server | (settings or {})):
            argv = [program, "client", f"{SERVER}:{port}", *map(str, words)]
            return lines(pinned(CLIENT_CORE, argv), "catnip", settings=client | (settings or {}))

    def over_veth(self, name, *words, libos="kernel", network=0, settings=None):
        """The same of a server on the kernel, there, and a client here."""
        program, port = compiled(name, name), free_port()
        there = self.address.replace(".0.", f".{network}.")
        argv = [*self.far.words, program, "server", f"0.0.0.0:{port}"]
        with Server(argv, "kernel", (there, port)):
            argv = [program, "client", f"{there}:{port}", *map(str, words)]
            return lines(pinned(CLIENT_CORE, argv), libos, settings=settings)


@functools.cache
def raw_program():
    """Built of benchmarks/c/dpdk.c."""
    flags = subprocess.run(["pkg-config", "--cflags", "libdpdk"], capture_output=True, text=True, check=True).stdout
    libraries = [f"-lrte_{name}" for name in ("ethdev", "mbuf", "mempool", "eal")]
    return compiled("dpdk", "dpdk", *flags.split(), "-Wl,--no-as-needed", *libraries)


def measured(measures, pairs, of=percentiles):
    """{side: {percentile: a value for each round}}."""
    found = interleaved({side: lambda m=measure: of(m()) for side, measure in measures.items()}, pairs)
    return {side: {name: [p[name] for p in runs] for name in runs[0]} for side, runs in found.items()}


def echo(lab, quick, progress, pairs):
    """64 B there and back, layer by layer."""
    progress("echo of 64 B over memif")
    few, many = (300, 1_000) if quick else (20_000, 200_000)
    f = measured(
        {
            RAW: lambda: lab.raw(RAW, "pong", "ping", 64, many),
            DEVICE: lambda: lab.raw(DEVICE, "pong", "ping", 64, many),
            PDPIX: lambda: lab.raw(PDPIX, "pong", "ping", 64, few),
            OURS: lambda: lab.over_memif("echo", 64, few, "block"),
            SPINNING: lambda: lab.over_veth("echo", 64, few, "spin"),
            FOUND: lambda: lab.over_veth("echo", 64, few, "block"),
        },
        pairs,
    )
    rows = [
        row(f"echo 64 B, {where(side)}, {name}", "ns", f[side][name], ratio=quotient(f[side]["p50"], f[RAW]["p50"]))
        if name == "p50"
        else row(f"echo 64 B, {where(side)}, {name}", "ns", f[side][name])
        for side in f
        for name in ("p50", "p99")
    ]
    ours = f[OURS]["p50"]
    rows.append(limited("echo 64 B, unmodified over memif, against DPDK alone", "ns", ours, f[RAW]["p50"], 4, RAW))
    for side, bar in ((SPINNING, 3), (FOUND, 20)):
        name = f"echo 64 B, unmodified over memif, against {where(side)}"
        rows.append(compared(name, "ns", ours, f[side]["p50"], bar))
    return rows


def where(side):
    """What a row says of a side."""
    names = {RAW: "DPDK alone over memif", DEVICE: "our device over memif", PDPIX: "PDPIX over memif"}
    return names.get(side) or ("unmodified over memif" if side == OURS else f"{side}, over veth")


def sizes(lab, quick, progress, pairs):
    """Messages of several sizes there and back: what a byte has of the wire, as NetPIPE counts it."""
    rows = []
    for size in SIZES[::7] if quick else SIZES:
        progress(f"messages of {size:,} B there and back over memif")
        count = 50 if quick else max(200, min(20_000, (64 << 20) // size))
        sides = {
            RAW: lambda s=size, n=count: lab.raw(RAW, "pong", "ping", s, n),
            DEVICE: lambda s=size, n=count: lab.raw(DEVICE, "pong", "ping", s, n),
            PDPIX: lambda s=size, n=count: lab.raw(PDPIX, "pong", "ping", s, max(50, n // 8)),
            OURS: lambda s=size, n=count: lab.over_memif("echo", s, n, "block"),
            SPINNING: lambda s=size, n=count: lab.over_veth("echo", s, n, "spin"),
        }
        found = measured(sides, 1 if quick else min(pairs, 2))
        for side, times in found.items():
            for chart, unit, values in (
                ("devices, p50", "ns", times["p50"]),
                ("devices, by size", "B/s", [2 * size / t * 1e9 for t in times["p50"]]),
            ):
                name = f"messages of {size:,} B, {where(side)}"
                rows.append(row(name, unit, values) | {"chart": chart, "series": where(side), "x": size})
    return rows


def packets(lab, quick, progress, pairs):
    """Frames of one sender to one receiver."""
    rows = []
    for size in (64, FRAME):
        progress(f"frames of {size} B over memif")
        count = 20_000 if quick else 3_000_000 if size == 64 else 1_500_000
        sides = {side: lambda k=side, s=size, n=count: n / lab.raw(k, "sink", "source", s, n)[0] * 1e9
                 for side in (RAW, DEVICE)}  # fmt: skip
        found = interleaved(sides, pairs)
        for side, rates in found.items():
            rows.append(row(f"frames of {size} B, {where(side)}", "frames/s", rates, ratio=quotient(rates, found[RAW])))
    return rows


def bulk(lab, quick, progress, pairs):
    """One stream of writes of 64 KiB, a core each, against the frames of an Ethernet that DPDK alone carries."""
    progress("a stream over memif")
    octets = 16 << 20 if quick else 1 << 30
    count, long = octets // FRAME, octets // LONG

    def stream(settings=None):
        return octets * 8 / lab.over_memif("stream", 65536, octets, 1, settings=settings)[0]

    def frames(kind, size, n, *words, **more):
        return size * n * 8 / lab.raw(kind, "sink", "source", size, n, *words, **more)[0]

    sides = {
        where(RAW): lambda: frames(RAW, FRAME, count),
        where(DEVICE): lambda: frames(DEVICE, FRAME, count),
        f"{where(RAW)}, frames of {LONG:,} B": lambda: frames(RAW, LONG, long, LONG, more=BUFFERS),
        where(OURS): stream,
        f"{where(OURS)}, frames of {LONG:,} B without checksums": lambda: stream(OFFLOADS),
        where(FOUND): lambda: octets * 8 / lab.over_veth("stream", 65536, octets, 1)[0],
    }
    found = interleaved(sides, pairs)
    base = found[where(RAW)]
    rows = [row(f"bulk, {side}", "Gbit/s", rates, ratio=quotient(rates, base)) for side, rates in found.items()]
    offloaded = rows[list(sides).index(f"{where(OURS)}, frames of {LONG:,} B without checksums")]
    offloaded |= {"bar": f"≥ 0.7 × {RAW}", "met": offloaded["ratio"] >= 0.7}
    return rows


def xdp(lab, quick, progress, pairs):
    """An unmodified client on an interface's queue, its server on the kernel at the other end of the wire."""
    progress("echo of 64 B on AF_XDP")
    count = 300 if quick else 20_000
    lab.far.wire(1)
    settings = {"CATFLAP_DEVICE": "af_xdp:here1", "CATFLAP_ADDRESSES": "10.9.1.3/24"}
    f = measured(
        {
            OURS: lambda: lab.over_veth("echo", 64, count, "mixed", libos="catnip", network=1, settings=settings),
            SPINNING: lambda: lab.over_veth("echo", 64, count, "spin"),
        },
        pairs,
    )
    ours, kernel = f[OURS]["p50"], f[SPINNING]["p50"]
    return [
        row("echo 64 B, Catnip on AF_XDP and a kernel, over veth, p50", "ns", ours),
        row("echo 64 B, two kernels spinning, over veth, p50", "ns", kernel),
        limited("echo 64 B, Catnip on AF_XDP, of two kernels' time", "ns", ours, kernel, 0.9, "kernel to kernel"),
    ]


def redis(lab, quick, progress, pairs):
    """redis-benchmark with 50 clients, both ends on Catnip over memif, and both on the kernel over veth."""
    progress("redis over memif and veth")
    requests = 2_000 if quick else 100_000

    def ask(address, port, libos, settings=None):
        argv = [
            need("redis-benchmark", "redis-tools"),
            *f"-h {address} -p {port} -t set,get -q -c 50 -n {requests}".split(),
        ]
        with served(libos) as env:
            done = subprocess.run(pinned(CLIENT_CORE, argv), env=env | (settings or {}), capture_output=True, text=True,
                                  timeout=120, check=True)  # fmt: skip
        return {name: float(rate) for name, rate in re.findall(r"(SET|GET): ([\d.]+) requests per second", done.stdout)}

    def side(over_memif):
        port = free_port()
        with tempfile.TemporaryDirectory() as folder:
            words = ["--port", str(port), "--bind", "0.0.0.0", "--protected-mode", "no", "--dir", folder, "--save", ""]
            argv = [need("redis-server", "redis-server"), *words]
            if over_memif:
                server, client = lab.settings()
                with Server(argv, "catnip", port, settings=server):
                    return ask(SERVER, port, "catnip", client)
            with Server([*lab.far.words, *argv], "kernel", (lab.address, port)):
                return ask(lab.address, port, "kernel")

    f = measured({OURS: lambda: side(True), FOUND: lambda: side(False)}, pairs, of=lambda rates: rates)
    return [
        compared(
            f"redis {name}, 50 clients, over memif, against the kernel over veth",
            "requests/s",
            f[OURS][name],
            f[FOUND][name],
            2,
        )  # fmt: skip
        for name in ("SET", "GET")
    ]


RUNS = {"echo": echo, "packets": packets, "bulk": bulk, "xdp": xdp, "redis": redis, "sizes": sizes}
PARTS = tuple(RUNS)


def run(quick, progress, pairs=PAIRS, parts=PARTS):
    pairs = 1 if quick else pairs
    with Lab() as lab:
        return gathered({part: functools.partial(RUNS[part], lab, quick, progress, pairs) for part in parts})


main = command(run, "Devices", PARTS, plots.draw)

if __name__ == "__main__":
    main()
