"""A network namespace of a test's own, where a TAP interface harms nobody."""

import contextlib
import ctypes
import fcntl
import os
import socket
import subprocess
import time

import pytest

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def call(name, *arguments):
    if getattr(LIBC, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)


@contextlib.contextmanager
def network_namespace():
    """This thread in a new network namespace meanwhile. Skips the test where that, or a TAP, is not permitted."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            call("unshare", CLONE_NEWNET)
        except OSError as error:
            pytest.skip(f"no network namespace can be made here: {error}")
        try:
            if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
                pytest.skip("no /dev/net/tun here")
            yield
        finally:
            call("setns", before, CLONE_NEWNET)
    finally:
        os.close(before)


def ip(words):
    """One command of ip(8), in the namespace of the calling thread."""
    subprocess.run(["ip", *words.split()], check=True)


@contextlib.contextmanager
def wire(*options):
    """In a network namespace, the two ends of a wire: interfaces "ours" and "theirs", up and silent."""
    with network_namespace():
        ip("link add ours type veth peer name theirs")
        for name in ("ours", "theirs"):
            with open(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6", "w") as file:
                file.write("1")
            ip(f"link set {name} {' '.join(options)} up")
        await_carrier()
        yield


def await_carrier():
    """Both ends of the wire are up, and what is sent is lost no more."""
    end = time.monotonic() + 10
    while not all(asked(name, 0x8913)[0] & 0x40 for name in ("ours", "theirs")):  # SIOCGIFFLAGS, IFF_RUNNING
        assert time.monotonic() < end, "the wire is dead"
        time.sleep(0.001)


def asked(name, request):
    """What an ioctl of netdevice(7) says of an interface; /sys is of another namespace."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        return fcntl.ioctl(sock, request, name.encode().ljust(40, b"\0"))[16:]


def mac(name):
    """An interface's address, 6 bytes."""
    return asked(name, 0x8927)[2:8]  # SIOCGIFHWADDR


class Wiretap:
    """Raw frames of ETH_P_ALL, or of a type, on an interface (packet(7)): what comes there, no matter to whom."""

    def __init__(self, name, kind=3):
        self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.sock.setsockopt(263, 23, 1)  # PACKET_IGNORE_OUTGOING
        self.sock.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)  # SO_RCVBUFFORCE
        self.sock.bind((name, kind))
        self.send = self.sock.send

    def heard(self):
        """All that is there."""
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                found.append(self.sock.recv(70000, socket.MSG_DONTWAIT))
        return found

    def wait(self, count):
        """The next `count` frames; fewer where they don't come."""
        found, end = [], time.monotonic() + 5
        while len(found) < count and time.monotonic() < end:
            found += self.heard()
        return found + self.heard()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.sock.close()
