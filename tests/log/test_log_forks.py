"""Volumes and fork(2): the child has none, and keeps its parent's from nobody."""

import os
import signal
import subprocess
import sys

import pytest

from libos.factory import native

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PARENT = """
import os, sys, time
sys.path.insert(0, sys.argv[3])
from libos.errors import Fail
from libos.factory import native
from libos.sgarray import SGArray

def failing(call, *arguments):
    try:
        call(*arguments)
    except Fail as fail:
        return fail.kind.name

store = native("cattree", path=sys.argv[1], size=8 << 20, shared=sys.argv[2] == "True")
log, memory = store.creat("log"), store.queue()
reading, writing = os.pipe()
child = os.fork()
if not child:
    os.read(reading, 1)
    print(failing(store.open, "log"), failing(store.logs), failing(store.push, log, SGArray.of(b"no")))
    store.push(memory, SGArray.of(b"what is in memory is the child's"))
    print(bytes(store.wait(store.pop(memory), 5).sga).decode())
    store.shut()
    print(os.getpid(), flush=True)
    time.sleep(100)
for i in range(20):
    assert store.wait(store.push(log, SGArray.of(b"parent")), 10).error is None
os.write(writing, b"x")
time.sleep(100)
"""


@pytest.mark.parametrize("shared", [True, False])
def test_a_child_does_not_keep_the_volume(tmp_path, shared):
    """Of a parent that was killed, while the child lives on; nor does it disturb the parent before."""
    path = str(tmp_path / "volume")
    argv = [sys.executable, "-c", PARENT, path, str(shared), ROOT]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout.readline() == "DEVICE DEVICE BAD_QUEUE\n"
        assert parent.stdout.readline() == "what is in memory is the child's\n"
        child = int(parent.stdout.readline())
        parent.kill()
        parent.wait()
        try:
            os.kill(child, 0)
            store = native("cattree", path=path, shared=shared)
            assert store.logs() == {"log": (0, 120)}
            store.shut()
        finally:
            os.kill(child, signal.SIGKILL)
