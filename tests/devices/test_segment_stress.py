"""Many processes on one segment: every byte is right, who is killed harms nobody, and nothing is left."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest
from frame_host import names, unique

import libos.mode
from libos.devices.segment import Segment

HERE = os.path.dirname(os.path.abspath(__file__))


def start(name, seconds, seed, **environment):
    argv = [sys.executable, os.path.join(HERE, "segment_worker.py"), name, str(seconds), str(seed)]
    env = os.environ | {"PYTHONPATH": os.path.dirname(os.path.dirname(HERE))} | environment
    return subprocess.Popen(argv, env=env, stdout=-1, text=True)


def up(workers):
    for worker in workers:
        assert worker.stdout.readline() == "up\n"


def reports(workers):
    found = []
    for worker in workers:
        text = worker.communicate(timeout=60)[0]
        assert worker.returncode == 0
        found.append(json.loads(text))
    return found


def check(found):
    assert sum(f["bad"] for f in found) == sum(f["disordered"] for f in found) == 0
    assert sum(f["torn"] for f in found) == 0
    assert all(f["heard"] > 0 and f["talkers"] > 3 for f in found), found


def test_sixteen_hosts_some_of_them_killed():
    name, seed = unique(), random.randrange(1 << 30)
    chance = random.Random(seed)
    workers = [start(name, 4, seed + i) for i in range(16)]
    up(workers)
    victims = [start(name, 60, seed + 100 + i) for i in range(4)]
    up(victims)
    for i, victim in enumerate(victims):
        time.sleep(chance.random() / 2)
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        victims[i] = start(name, 60, seed + 200 + i)
    found = reports(workers)
    for victim in victims:
        victim.kill()
        victim.communicate()
    check(found)
    assert names(name) == [], f"seed {seed}"


@pytest.mark.skipif(libos.mode.pure(), reason="needs both modes")
def test_compiled_and_interpreted_hosts_share_a_segment():
    name = unique()
    workers = [start(name, 3, i, **({"CATFLAP_PURE": "1"} if i % 2 else {})) for i in range(6)]
    up(workers)
    check(reports(workers))
    assert names(name) == []


def test_hosts_that_come_at_the_same_moment_meet():
    name = unique()
    workers = [start(name, 2.5, i) for i in range(8)]
    up(workers)
    found = reports(workers)
    assert all(f["talkers"] >= 7 for f in found), found
    assert names(name) == []


def test_coming_and_going_in_threads():
    """Names and ports are the kernel's to give: no two hosts ever have one port."""
    name, held, wrong = unique(), set(), []

    def visit():
        for _ in range(25):
            device = Segment(name)
            if device.port in held:
                wrong.append(device.port)
            held.add(device.port)
            time.sleep(0.001)
            held.discard(device.port)
            device.close()

    threads = [threading.Thread(target=visit) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and names(name) == []
