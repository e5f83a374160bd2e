"""Catnip from plain Python: two processes, each a host of a shared-memory segment with a TCP/IP stack of its own."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from examples import drop_seventh
from libos.catnip_native import CatnipLibOS
from libos.devices.impair import Harm, Impair
from libos.devices.segment import Segment
from libos.errors import Fail, Kind
from libos.factory import native
from libos.runtime.clock import Clock
from libos.sgarray import SGArray

SERVER = os.path.join(os.path.dirname(__file__), "catnip_server.py")
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@pytest.fixture
def segment():
    return f"catnip-{os.getpid()}-{time.monotonic_ns()}"


class Server:
    def __init__(self, segment, count=1):
        environ = {**os.environ, "PYTHONPATH": ROOT}
        command = [sys.executable, SERVER, segment, str(count)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ)
        self.ipv4, self.ipv6 = self.process.stdout.readline().split()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def joined(libos, host, port=7):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    qd = libos.socket(family, socket.SOCK_STREAM)
    result = libos.wait(libos.connect(qd, (host, port)), 20)
    if result.error:
        raise result.error
    return qd


def exchanged(libos, qd, data, seconds=60):
    """What comes back of `data`."""
    pushed, got = libos.push(qd, SGArray.of(data)), b""
    waiting = [pushed, libos.pop(qd)]
    while len(got) < len(data):
        _, result = libos.wait_any(waiting, seconds)
        waiting.remove(result.qtoken)
        assert result.error is None
        if result.sga is not None:
            assert len(result.sga)
            got += bytes(result.sga)
            libos.sgafree(result.sga)
            if len(got) < len(data):
                waiting.append(libos.pop(qd))
    return got


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_two_hosts_exchange_bytes(segment, family):
    with Server(segment) as server:
        libos = native("catnip", segment=segment)
        qd = joined(libos, getattr(server, family))
        data = os.urandom(300_000)
        assert exchanged(libos, qd, data) == data
        assert libos.getpeername(qd)[0] == getattr(server, family)
        libos.shutdown(qd, socket.SHUT_WR)
        end = libos.wait(libos.pop(qd), 10)
        assert end.error is None and not len(end.sga)
        libos.sgafree(end.sga)
        libos.close(qd)
        assert libos.heap.live() == 0
        assert server.process.wait(10) == 0
        libos.shut()


def test_nobody_listens(segment):
    with Server(segment) as server:
        libos = native("catnip", segment=segment)
        with pytest.raises(Fail) as refused:
            joined(libos, server.ipv4, 8)
        assert refused.value.kind is Kind.REFUSED
        libos.shut()


def test_bytes_survive_a_bad_wire(segment):
    """Loss, reordering and damage: the checksum, the timers and SACK put the stream in order again."""
    with Server(segment) as server:
        port = Segment(segment)
        harm = Harm(loss=0.02, corrupt=0.01, duplicate=0.01, reorder=0.05, delay=200_000)
        wire = Impair(port, Clock(), 7, harm, harm)
        libos = CatnipLibOS(device=wire, addresses=((port.ipv4, port.ipv4_prefix), (port.ipv6, 64)))
        qd = joined(libos, server.ipv4)
        data = os.urandom(200_000)
        assert exchanged(libos, qd, data) == data
        assert libos.catnip.stack.tcp.retransmitted > 0
        libos.close(qd)
        libos.shut()


def test_every_seventh_frame_is_dropped_under_a_live_host(segment):
    """examples/drop_seventh.py, in the midst of a connection."""
    with Server(segment) as server:
        libos = native("catnip", segment=segment)
        qd = joined(libos, server.ipv4)
        assert exchanged(libos, qd, b"x" * 1000) == b"x" * 1000
        assert libos.catnip.stack.tcp.retransmitted == 0
        drop_seventh.install(libos)
        data = os.urandom(100_000)
        assert exchanged(libos, qd, data) == data
        wrapper = libos.catnip.device
        assert wrapper.transmitted // 7 > 0 and libos.catnip.stack.tcp.retransmitted > 0
        libos.close(qd)
        libos.shut()


def test_a_host_goes_on_while_its_program_computes(segment):
    """The program pushes and then looks no more: acknowledgments and retransmissions are the keeper's."""
    with Server(segment) as server:
        libos = native("catnip", segment=segment)
        qd = joined(libos, server.ipv4)
        assert exchanged(libos, qd, b"x" * 1000) == b"x" * 1000
        libos.wait(libos.push(qd, SGArray.of(os.urandom(100_000))), 10)
        time.sleep(1.5)  # the program's own business
        assert libos.pending(qd) == 100_000
        libos.close(qd)
        libos.shut()


def test_the_other_host_dies(segment):
    """Nothing is heard of it any more: the connection fails when its time is up, and a new one finds nobody."""
    with Server(segment) as server:
        libos = native("catnip", segment=segment)
        qd = joined(libos, server.ipv4)
        assert exchanged(libos, qd, b"alive") == b"alive"
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        popped = libos.pop(qd)
        with pytest.raises(Fail) as late:
            libos.wait(popped, 0.5)
        assert late.value.kind is Kind.TIMED_OUT
        libos.close(qd)
        assert libos.wait(popped, 1).error.kind is Kind.CANCELED
        libos.shut()
