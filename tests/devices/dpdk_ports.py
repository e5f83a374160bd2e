"""Ports of DPDK's that are joined in pairs, for tests."""

import contextlib
import itertools
import os

import pytest
from frame_host import Host, closing, unique

from libos.devices import dpdk_library
from libos.devices.dpdk import Dpdk

NUMBER = itertools.count()  # a process has each of DPDK's names once


def need():
    """Skips the test where Catflap was built without DPDK."""
    if not os.path.exists(dpdk_library.PATH):
        pytest.skip("Catflap was built without DPDK (no libdpdk-dev)")


def opened(kind, *words, mtu=1500):
    """A port of a driver."""
    need()
    return Dpdk(",".join((f"{kind}{next(NUMBER)}", *words)), mtu)


def over(interface):
    """One on the wire of an interface of the kernel's."""
    return opened("net_af_packet", f"iface={interface}")


@contextlib.contextmanager
def joined(near, far):
    """(near, far) once frames go both ways, with nothing counted."""
    with closing(near, far):
        ends = Host(near), Host(far)
        for one, other in (ends, ends[::-1]):
            while not (one.say(other, bytes(46)) and other.settled()):
                pass
        for device in (near, far):
            device.received = device.transmitted = device.full = device.errors = 0
        yield near, far


def memif(folder, *words, mtu=1500):
    """A client and its server, in this order: a client that looks for a server of its own process which has just been
    closed leads DPDK 22.11 into memory that it has freed.
    """
    socket = f"socket=/{unique()}"
    server = opened("net_memif", "role=server", socket, mtu=mtu)
    return joined(opened("net_memif", "role=client", socket, *words, mtu=mtu), server)


def vhost(folder, *words):
    """virtio-user, and what serves it."""
    path = os.path.join(folder, unique())
    backend = opened("net_vhost", f"iface={path}", *words)
    return joined(opened("net_virtio_user", f"path={path}"), backend)
