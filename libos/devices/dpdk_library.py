"""DPDK in a process that is another's: started once, when the first of its devices is opened, and never in a child of
such a process.

All of it is in one library (dpdk.c), with the drivers. A thread of it sees to what happens to ports, and for each port
one looks for whoever sleeps. Its descriptors lie at numbers that we have reserved: the program sees none of them come
or go. Memory is huge pages where enough are free.

All programs on Catnip import this, so what only DPDK needs is imported where it is used.
"""

import os
from struct import Struct

from libos.errors import Fail, Kind
from libos.memory_file import high

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libcatflap_dpdk.so")
INSTALL = "Debian: apt-get install libdpdk-dev, and build Catflap again"
NAMES = ("receive", "transmit", "arm", "disarm")
PCI = r"([0-9a-f]{4}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7](,.*)?"
VIRTUAL = r"net_[a-z0-9_]+(,.*)?"
LONGEST = 1023  # bytes of a port's text
WISH = Struct(f"={LONGEST + 1}s3Q8s32s")  # dpdk.c, struct wish: name, MTU, bell; then the port, its MAC and its driver
DRIVERS = ("net_memif", "net_vhost", "net_virtio_user", "net_af_packet")
NUMBERS = 24  # two ports have less at a time
HUGE = 64 << 20  # bytes of huge pages that have to be free
PLAIN = "64"  # MiB without any, of which the kernel gives what is used


class Started:
    """The library of this process. `pci`: there is a bus to look for devices on."""

    def __init__(self, loaded, pid, pci, numbers):
        from ctypes import c_void_p, cast

        self.loaded, self.pid, self.pci, self.numbers = loaded, pid, pci, numbers
        self.names = {}  # of open ports
        self.at = {name: cast(getattr(loaded, f"catflap_dpdk_{name}"), c_void_p).value for name in NAMES}

    def open(self, name, mtu, bell):
        """(port, MAC, driver) of a port that was opened: its address, 6 bytes, a text. Raises Fail."""
        from ctypes import create_string_buffer

        if name.partition(",")[0] in self.names.values():
            raise fail(name, "this process has that one open already; another is net_memif1, net_memif2 and so on")
        wish = create_string_buffer(WISH.pack(name.encode(), mtu, bell, 0, b"", b""), WISH.size)
        r = self.loaded.catflap_dpdk_open(wish)
        why = said(self.loaded)
        if why.startswith("failed to parse device"):
            raise fail(name, f"there is no such driver here; there are {', '.join(DRIVERS)}")
        if r < 0:
            raise fail(name, why or os.strerror(-r))
        _, _, _, port, mac, driver = WISH.unpack(wish.raw)
        self.names[port] = name.partition(",")[0]
        return port, mac[:6], driver.rstrip(b"\0").decode()

    def close(self, port):
        from ctypes import c_size_t

        del self.names[port]
        self.loaded.catflap_dpdk_close(c_size_t(port))


HERE = []


def fail(name, why):
    return Fail(Kind.DEVICE, f"dpdk:{name}: {why}")


def said(loaded):
    """What DPDK has complained of first, without the name of the function."""
    import re
    from ctypes import c_size_t, create_string_buffer

    room = create_string_buffer(256)
    loaded.catflap_dpdk_said(room, c_size_t(256))
    return re.sub(r"^\w+(\(\))?: ", "", room.value.decode(errors="replace").strip())


def started(name):
    """The Started of this process, for a port of that name. Raises Fail."""
    import re

    pci = bool(re.fullmatch(PCI, name))
    if not pci and not re.fullmatch(VIRTUAL, name) or len(name.encode()) > LONGEST:
        raise Fail(
            Kind.INVALID,
            f"device 'dpdk:{name}' is not possible; give a virtual device of DPDK's, as net_memif,role=client, or a "
            "PCI address",
        )
    if not HERE:
        HERE.append(start(name, pci))
    if HERE[0].pid != os.getpid():
        raise fail(name, "the process that this one was forked from has DPDK, which starts only once")
    if pci and not HERE[0].pci:
        raise fail(name, "DPDK was started for virtual devices; open this one first")
    return HERE[0]


def start(name, pci):
    import ctypes

    try:
        loaded = ctypes.CDLL(PATH)
    except OSError as error:
        why = "Catflap was built without DPDK" if not os.path.exists(PATH) else str(error)
        raise Fail(Kind.UNSUPPORTED, f"dpdk:{name}: {why} ({INSTALL})")
    spare = high(os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK))
    numbers = [high(os.dup(spare)) for _ in range(NUMBERS)]
    loaded.catflap_dpdk_numbers((ctypes.c_int * NUMBERS)(*numbers), ctypes.c_size_t(NUMBERS), ctypes.c_size_t(spare))
    words = [word.encode() for word in arguments(name if pci else "")]
    alone = ctypes.c_size_t(not pci)
    r = loaded.catflap_dpdk_start((ctypes.c_char_p * len(words))(*words), ctypes.c_size_t(len(words)), alone)
    why = said(loaded)
    if r < 0:
        raise fail(name, f"DPDK does not start: {why} ({os.strerror(-r)})")
    return Started(loaded, os.getpid(), pci, [*numbers, spare])


def arguments(pci):
    """The command line that DPDK is started with."""
    cores = ",".join(map(str, sorted(os.sched_getaffinity(0))))
    words = ["catflap", "--no-telemetry", "--lcores", f"0@({cores})"]
    words += ["-a", pci] if pci else ["--no-pci"]
    if huge_pages_free() >= HUGE:
        return [*words, "--in-memory", "--single-file-segments"]
    return [*words, "--no-huge", "--no-shconf", "-m", PLAIN]


def huge_pages_free(folder="/sys/kernel/mm/hugepages"):
    """Bytes of them, of all sizes."""
    total = 0
    try:
        for size in os.listdir(folder):
            with open(f"{folder}/{size}/free_hugepages") as file:
                total += int(file.read()) * int(size.removeprefix("hugepages-").removesuffix("kB")) * 1024
    except (OSError, ValueError):
        pass  # then there are none
    return total
