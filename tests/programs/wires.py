"""Programs on Catnip, and the kernel's on another machine: each has a wire to a bridge, where the kernel is host 1.

Tests and programs that know loopback alone need not know: scenarios/c/elsewhere.c is preloaded in all of them.
"""

import contextlib
import os
import socket
import subprocess
import sys

import flap
import pytest

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "devices"))
from namespace import ip, network_namespace  # noqa: E402

BRIDGE = "cats"
KERNEL = 1
LOOPBACK = {"127.0.0.1": socket.AF_INET, "::1": socket.AF_INET6}
LEAST = 6  # frames of a conversation: a connection is opened, something is said, it is closed


def quiet(name):
    """The kernel says nothing of its own there."""
    with open(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6", "w") as file:
        file.write("1")


class Wires:
    """`folder`: who has which port of loopback; `device`: Catnip's. What flap.Program asks, of each of its programs."""

    def __init__(self, folder, device):
        self.folder = folder
        self.device = device
        self.hosts = KERNEL
        self.sent = 0  # by those that have left
        os.chmod(folder, 0o777)  # nobody's programs too
        ip("link set lo up")
        try:
            # with an address of its own: else it would have another one whenever a wire comes or goes
            ip(f"link add {BRIDGE} address 02:00:00:00:00:01 type bridge mcast_snooping 0")
        except subprocess.CalledProcessError:
            pytest.skip("no bridge can be made here")
        ip(f"link set {BRIDGE} up")
        ip(f"address add 10.77.0.1/16 dev {BRIDGE}")
        ip(f"address add fd77::1/112 dev {BRIDGE} nodad")

    def joined(self, libos):
        """(settings, libraries before ours) of a program under `libos`: one on Catnip is a host of its own."""
        settings = {"FLAP_WIRE": self.folder, "FLAP_HOST": str(KERNEL)}
        if libos == "catnip":
            self.hosts += 1
            n, name = self.hosts, f"cat{self.hosts}"
            addresses = f"10.77.{n >> 8}.{n & 255}/16,fd77::{n:x}/112"
            settings |= {"FLAP_HOST": str(n), "CATFLAP_DEVICE": f"{self.device}:{name}", "CATFLAP_ADDRESSES": addresses}
            self.lay(name)
        return settings, [flap.compiled("elsewhere.c", flags=("-shared", "-fPIC"))]

    def lay(self, name):
        """A wire from the bridge to the interface of a program; a TAP is both."""
        if self.device == "tap":
            ends = (name,)
            ip(f"tuntap add {name} mode tap")
        else:
            ends = name, f"to-{name}"
            ip(f"link add {name} type veth peer name to-{name}")
        for end in ends:
            quiet(end)
        words = (f"{ends[-1]} master {BRIDGE}", f"{name} arp off", *(f"{end} up" for end in ends))
        subprocess.run(["ip", "-batch", "-"], input="".join(f"link set {w}\n" for w in words), text=True, check=True)

    def left(self, settings):
        """A program has ended, and all that it has started."""
        if settings["FLAP_HOST"] != str(KERNEL):
            name = f"cat{settings['FLAP_HOST']}"
            self.sent += self.carried(name)
            ip(f"link delete {name}")

    def carried(self, name="cat"):
        """Frames that programs on Catnip have sent, or one of them."""
        column = 1 if self.device == "tap" else 9  # what a program sends to a TAP is received there
        with open("/proc/thread-self/net/dev") as file:
            rows = [line.split(":") for line in file]
        found = [row[1].split() for row in rows if row[0].strip().startswith(name) and row[0].strip() != BRIDGE]
        return sum(int(words[column]) for words in found) + (self.sent if name == "cat" else 0)

    def moved(self, name):
        """Where the test itself finds what has a name of loopback."""
        host = KERNEL
        if name[0] in LOOPBACK:
            with contextlib.suppress(OSError):
                host = int(os.readlink(os.path.join(self.folder, str(name[1]))))
        v4 = "." in str(name[0])
        return name if host == KERNEL else (f"10.77.{host >> 8}.{host & 255}" if v4 else f"fd77::{host:x}", name[1])


class Own(socket.socket):
    """The test's own sockets: on the kernel's host."""

    def connect(self, name):
        super().connect(flap.wires.moved(name) if flap.wires and self.family in LOOPBACK.values() else name)

    def bind(self, name):
        own = flap.wires and self.family in LOOPBACK.values() and name[0] in LOOPBACK
        super().bind(("" if self.family == socket.AF_INET else "::", *name[1:]) if own else name)
        if own:
            path = os.path.join(flap.wires.folder, str(self.getsockname()[1]))
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            os.symlink(str(KERNEL), path)


@contextlib.contextmanager
def wires(folder, device="af_packet"):
    """Programs are on wires meanwhile, in a network namespace of the test's own; something has to go over them."""
    with network_namespace():
        flap.wires = Wires(str(folder), device)
        before, socket.socket = socket.socket, Own
        try:
            yield
            assert flap.wires.carried() >= LEAST, "nothing went over Catnip"
        finally:
            flap.wires = None
            socket.socket = before


@contextlib.contextmanager
def none():
    """Programs are at home meanwhile."""
    before, flap.wires = flap.wires, None
    try:
        yield
    finally:
        flap.wires = before
