"""Two machines for tests of programs: network namespaces, whose interfaces are the ends of a wire."""

import contextlib
import os
import sys

import flap
import pytest

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "devices"))
from namespace import call, ip, network_namespace  # noqa: E402

CLONE_NEWNET = 0x40000000
ADDRESSES = ("10.78.0.1", "10.78.0.2")


class Machines:
    """`at(k)`: for `with`, the calling thread, and what it starts meanwhile, is on machine k, 0 or 1."""

    def __init__(self):
        self.spaces = []

    @contextlib.contextmanager
    def at(self, k):
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            call("setns", self.spaces[k], CLONE_NEWNET)
            yield ADDRESSES[k]
        finally:
            call("setns", before, CLONE_NEWNET)
            os.close(before)


@contextlib.contextmanager
def machines():
    """Skips the test where they can't be made."""
    flap.need("ip", "iproute2")
    made = Machines()
    with network_namespace():
        try:
            for k in range(2):
                if k:
                    call("unshare", CLONE_NEWNET)
                made.spaces.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
            ip(f"link add end1 type veth peer name end0 netns /proc/{os.getpid()}/fd/{made.spaces[0]}")
            for k, address in enumerate(ADDRESSES):
                with made.at(k):
                    ip("link set lo up")
                    ip(f"address add {address}/24 dev end{k}")
                    ip(f"link set end{k} up")
            yield made
        except OSError as error:
            pytest.skip(f"no two network namespaces can be made here: {error}")
        finally:
            for space in made.spaces:
                os.close(space)
