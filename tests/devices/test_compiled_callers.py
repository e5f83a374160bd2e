"""Devices as compiled code calls them: by the class's own table of methods, also those that are Python."""

import ctypes
import os
import signal
import subprocess
import sys

import pytest
from frame_host import TYPE, Host, closing, unique

import libos.mode
from libos.devices import layout
from libos.devices.impair import Impair
from libos.devices.pcap_file import PcapFile
from libos.devices.segment import Segment
from libos.devices.trace import Trace
from libos.devices.wrapper import Wrapper
from libos.runtime.clock import Clock

AROUND = {
    "segment": lambda device: device,
    "wrapper": Wrapper,
    "trace": lambda device: Trace(device, [].append, Clock()),
    "impair": lambda device: Impair(device, Clock()),
}


@pytest.fixture(scope="module")
def loops():
    if libos.mode.pure():
        pytest.skip("nothing is compiled")
    from benchmarks.native import loops

    assert libos.mode.compiled(loops)
    return loops


@pytest.mark.parametrize("around", AROUND)
def test_a_compiled_loop_sends_and_receives(loops, around):
    name = unique()
    near, far = AROUND[around](Segment(name)), Segment(name)
    frames = ctypes.create_string_buffer(layout.BURST * layout.FRAME)
    frame = ctypes.create_string_buffer(far.mac + near.mac + TYPE + b"x" * 50, 64)
    with closing(near, far):
        assert loops.frame_source(near, ctypes.addressof(frame), 64, 300) == 0
        assert near.transmitted == 300 and len(Host(far).all()) == 300
        back = near.mac + far.mac + TYPE + b"y" * 50
        for _ in range(100):
            assert Host(far).send(back)
        assert loops.frame_sink(near, ctypes.addressof(frames), 100) >= 0 and near.received == 100


def test_what_a_python_device_raises_ends_in_no_frame(loops, monkeypatch):
    """A compiled caller can't see it; it is told to whoever listens to such (sys.unraisablehook)."""
    told = []
    monkeypatch.setattr("sys.unraisablehook", lambda args: told.append(args.exc_type))

    class Once(PcapFile):
        turns = 0

        def transmit(self, address, length):
            Once.turns += 1
            if Once.turns == 1:
                raise ValueError("broken")
            return True

    once, frame = Once(None, None, Clock()), ctypes.create_string_buffer(64)
    assert loops.frame_source(once, ctypes.addressof(frame), 64, 1) == 1 and told == [ValueError]


FLOOD = """
import ctypes, random, signal, sys
from benchmarks.native import loops
from libos.devices.segment import Segment
device = Segment(sys.argv[1])
frame = ctypes.create_string_buffer(device.mac[:5] + bytes([int(sys.argv[2])]) + device.mac + bytes(9000), 9014)
print("up", flush=True)
signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends the process at once, wherever it is
signal.setitimer(signal.ITIMER_REAL, 0.02 + random.random() / 50)
loops.frame_source(device, ctypes.addressof(frame), 9014, 1 << 40)
"""


def test_senders_killed_at_full_speed(loops):
    """Some die with a slot that they have taken and not filled (one in about twenty); however it was, frames go on."""
    name = unique()
    near, other = Host(Segment(name, mtu=9000)), Host(Segment(name))
    with closing(near.device, other.device):
        for _ in range(3):
            argv = [sys.executable, "-c", FLOOD, name, str(near.device.port)]
            flood = subprocess.Popen(argv, env=os.environ | {"PYTHONPATH": os.getcwd()}, stdout=-1, text=True)
            assert flood.stdout.readline() == "up\n"
            loops.frame_sink(near.device, near.at, 1 << 40)  # until nothing has come for a while
            flood.communicate()
            assert flood.returncode == -signal.SIGALRM
            assert near.device.received > 0
            assert other.say(near, b"after it") and near.heard() == [b"after it"]
        assert near.device.ring.torn == 0
