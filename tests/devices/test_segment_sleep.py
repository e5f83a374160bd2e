"""Two processes that sleep at every turn: a wake-up that is lost would leave both asleep."""

import os
import random
import subprocess
import sys

import pytest
from frame_host import Host, closing, unique

import libos.mode
from libos.devices.segment import Segment

TURNS, LOOKS = (15_000, 30) if libos.mode.pure() else (60_000, 150)
CORES = sorted(os.sched_getaffinity(0))
PONG = """
import os, sys
sys.path[:0] = ["tests/devices"]
from frame_host import Host
from libos.devices.segment import Segment
from test_segment_sleep import CORES, TURNS, heard
os.sched_setaffinity(0, {CORES[-1]})
near = Host(Segment(sys.argv[1]))
print("up", flush=True)
for turn in range(TURNS):
    (frame,) = heard(near)
    assert near.say(frame[6:12], frame[14:])
"""


def heard(host):
    """The next burst. Asleep after a number of looks that differs from turn to turn, so that the other comes at every
    point of going to sleep; without a time-out that would hide a bell that was not rung.
    """
    while True:
        for _ in range(random.randrange(1, LOOKS)):
            frames = host.burst()
            if frames:
                return frames
        if host.device.arm():
            ready = host.rung(20)
            assert ready, "nobody has rung"
        host.device.disarm()


@pytest.mark.skipif(len(CORES) < 2, reason="on one core nobody comes while another goes to sleep")
def test_no_wake_up_is_lost():
    name = unique()
    near = Host(Segment(name))
    argv = [sys.executable, "-c", PONG, name]
    other = subprocess.Popen(argv, env=os.environ | {"PYTHONPATH": os.getcwd()}, stdout=-1, text=True)
    with closing(near.device):
        assert other.stdout.readline() == "up\n"
        os.sched_setaffinity(0, {CORES[0]})
        for turn in range(TURNS):
            assert near.say(near.device.mac[:5] + bytes([near.device.port + 1]), b"%d" % turn)
            (frame,) = heard(near)
            assert frame[14:] == b"%d" % turn
        os.sched_setaffinity(0, CORES)
    other.communicate()
    assert other.returncode == 0
