"""What the kernel's block layer is asked, as it traces that itself: no push is complete before its bytes have been
written and the device's cache flushed behind them, or they went past it (FUA).
"""

import contextlib
import os
import re
import subprocess
import sys

import pytest

from libos.blocks.block_file import cached

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TRACING = "/sys/kernel/tracing"
PUSHES = 20
PUSHER = """
import os, sys
sys.path.insert(0, sys.argv[4])
from libos.factory import native
from libos.sgarray import SGArray

path, instance, beside = sys.argv[1:4]
net = native("catnap") if beside == "True" else None
store = native("cattree", path=path, size=8 << 20, beside=net)
log = store.creat("log")
with open(instance + "/trace_marker", "w", buffering=1) as said, open(instance + "/set_event_pid", "w") as pid:
    if net is None:  # whoever waits for it asks; beside a network that may be a worker of io_uring's
        pid.write(str(os.getpid()))
        pid.flush()
    for i in range(int(sys.argv[5])):
        said.write("begin\\n")
        assert store.wait(store.push(log, SGArray.of(bytes([i]) * 3000))).error is None
        said.write("durable\\n")
store.shut()
"""


@pytest.fixture
def instance(tmp_path):
    """The folder of a trace of our own, of what the device below this folder is asked."""
    device = os.stat(tmp_path).st_dev
    if os.geteuid() or not os.path.exists(f"{TRACING}/events/block/block_bio_queue"):
        pytest.skip("the block layer's trace is root's")
    if cached(device) != "write back":
        pytest.skip("no device with a cache")
    folder = f"{TRACING}/instances/catflap-{os.getpid()}"
    os.mkdir(folder)
    try:
        event = folder + "/events/block/block_bio_queue"
        with open(event + "/filter", "w") as file:
            file.write(f"dev == {os.major(device) << 20 | os.minor(device)}")
        with open(event + "/enable", "w") as file:
            file.write("1")
        yield folder
    finally:
        with contextlib.suppress(OSError), open(folder + "/events/enable", "w") as file:
            file.write("0")
        os.rmdir(folder)


@pytest.mark.parametrize("beside", [False, True])
def test_a_push_is_written_and_flushed(tmp_path, instance, beside):
    argv = [sys.executable, "-c", PUSHER, str(tmp_path / "volume"), instance, str(beside), ROOT, str(PUSHES)]
    subprocess.run(argv, check=True, timeout=100)
    with open(instance + "/trace") as file:
        lines = re.findall(r"(tracing_mark_write: \w+|block_bio_queue: \S+ \w+)", file.read())
    windows = " ".join(line.split()[-1] for line in lines).split("begin")[1:]
    assert len(windows) == PUSHES, windows
    for window in windows:
        asked = window.split()
        asked = asked[: asked.index("durable")]
        # flush F, write W, past the cache F, each at its place
        writes = [i for i, one in enumerate(asked) if re.match("F?W", one) and not one.startswith("FWM")]
        past = any(re.match("F?WF", one) for one in asked)
        flushed = writes and any(one.startswith("F") for one in asked[writes[0] + 1 :])
        assert writes and (past or flushed), asked
