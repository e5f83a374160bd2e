"""Cattree as programs see it: on files and block devices by io_uring, and beside network libOSes."""

import asyncio
import os
import shutil
import socket
import subprocess
import sys

import pytest

from libos.aio import Loop
from libos.blocks.memory import MemoryDevice
from libos.errors import Fail, Kind
from libos.factory import native
from libos.pdpix import PUSH, READABLE
from libos.sgarray import SGArray

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SIZE = 8 << 20


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "logs.cattree")


@pytest.fixture
def store():
    store = native("cattree", device=MemoryDevice(SIZE))
    yield store
    store.shut()
    assert store.heap.live() == 0


def pushed(store, qd, data):
    with store.sgaalloc(len(data)) as sga:
        sga.segments[0][:] = data
        return store.wait(store.push(qd, sga), 10)


def popped(store, qd, size=1 << 20):
    result = store.wait(store.pop(qd, size), 10)
    assert result.error is None, result
    with result.sga as sga:
        return bytes(sga)


def failure(call, *arguments, **options):
    with pytest.raises(Fail) as caught:
        call(*arguments, **options)
    return caught.value.kind


def test_a_file_keeps_what_was_pushed(path):
    """All sizes: in the group, from where it lies, with a last partial block."""
    sizes = (1, 64, 511, 4095, 4096, 4097, 10000, 65536, 500000)
    store = native("cattree", path=path, size=SIZE)
    qd = store.creat("log")
    for i, size in enumerate(sizes):
        result = pushed(store, qd, bytes([i]) * size)
        assert (result.opcode, result.value, result.error) == (PUSH, size, None)
    copy = path + ".copy"
    shutil.copy(path, copy)  # as a power cut would leave it
    store.shut()
    for name in (path, copy):
        store = native("cattree", path=name)
        qd = store.open("log")
        assert [popped(store, qd) for _ in sizes] == [bytes([i]) * size for i, size in enumerate(sizes)]
        assert popped(store, qd) == b""
        store.shut()
        assert store.heap.live() == 0


def test_one_owner(path):
    store = native("cattree", path=path, size=SIZE)
    code = f"from libos.factory import native; native('cattree', path={path!r})"
    other = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert "is in use: a device of Cattree has one owner" in other.stderr
    assert failure(native, "cattree", path=path) is Kind.IN_USE
    store.shut()
    native("cattree", path=path).shut()


def test_what_is_no_volume_is_left_alone(path):
    with open(path, "wb") as file:
        file.write(b"precious" + bytes(SIZE))
    assert failure(native, "cattree", path=path) is Kind.INVALID
    with open(path, "rb") as file:
        assert file.read(8) == b"precious"
    assert failure(native, "cattree", path=path + ".small", size=8192) is Kind.INVALID
    assert failure(native, "cattree", path=os.path.dirname(path)) in (Kind.INVALID, Kind.DEVICE)
    assert failure(native, "cattree") is Kind.INVALID


def flushes(device):
    """Flushes that the kernel has finished on a block device (Documentation/block/stat.rst: the 16th field)."""
    number = os.stat(device).st_rdev
    with open(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}/stat") as file:
        return int(file.read().split()[15])


@pytest.fixture
def loop_device(tmp_path):
    image = tmp_path / "image"
    with open(image, "wb") as file:
        file.truncate(SIZE)
    made = subprocess.run(["losetup", "--find", "--show", image], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no loop device: {made.stderr.strip()}")
    yield made.stdout.strip()
    subprocess.run(["losetup", "--detach", made.stdout.strip()], check=True)


def test_each_group_is_flushed(loop_device):
    """The kernel's own counter of a device that nobody else uses."""
    store = native("cattree", path=loop_device)
    assert not store.volume.device.write_through
    qd = store.creat("log")
    before = flushes(loop_device)
    for i in range(20):
        assert pushed(store, qd, bytes([i]) * 4096).error is None
        assert flushes(loop_device) == before + i + 1
    groups = store.volume.counters["groups"]
    with store.sgaalloc(100) as sga:
        assert all(result.error is None for result in store.wait_all([store.push(qd, sga) for _ in range(30)], 10))
    assert store.volume.counters["groups"] == groups + 1 and flushes(loop_device) == before + 21
    store.shut()
    store = native("cattree", path=loop_device)
    qd = store.open("log")
    assert [popped(store, qd)[:1] for _ in range(20)] == [bytes([i]) for i in range(20)]
    store.shut()


def test_cursors(store):
    qd = store.creat("log")
    for word in (b"one", b"three", b"seventeen"):
        assert pushed(store, qd, word).error is None
    other = store.open("log")
    assert [popped(store, qd), popped(store, other)] == [b"one", b"one"]
    assert store.lseek(qd, 5) == 5
    assert [popped(store, qd), popped(store, qd, 4), popped(store, qd), popped(store, qd)] == [
        b"ree",
        b"seve",
        b"nteen",
        b"",
    ]
    assert store.lseek(other, -9, os.SEEK_END) == 8 and popped(store, other) == b"seventeen"
    store.truncate(other, 3)
    store.lseek(other, 0, os.SEEK_CUR)
    assert failure(store.lseek, other, 2) is Kind.INVALID and failure(store.truncate, other, 18) is Kind.INVALID
    assert store.logs() == {"log": (3, 17)}


def test_misuse(store):
    qd, memory = store.creat("log"), store.queue()
    assert failure(store.open, "none") is Kind.INVALID and failure(store.creat, "") is Kind.INVALID
    assert failure(store.push, qd, SGArray.of(bytes(600000))) is Kind.INVALID
    assert failure(store.pushto, qd, SGArray.of(b"x"), ("127.0.0.1", 1)) is Kind.UNSUPPORTED
    assert failure(store.lseek, memory, 0) is Kind.UNSUPPORTED
    store.close(qd)
    assert failure(store.push, qd, SGArray.of(b"x")) is Kind.BAD_QUEUE


def test_watch_and_pieces(store):
    qd, reader = store.creat("log"), store.open("log")
    watching = store.watch(reader, READABLE)
    assert failure(store.wait, watching, 0) is Kind.TIMED_OUT
    assert store.wait(store.push(qd, SGArray.of(b"a", b"", b"bc")), 5).value == 3
    assert store.wait(watching, 5).value == READABLE
    assert popped(store, reader) == b"abc"


def test_what_is_in_flight_may_be_let_go_of():
    """Freed, cancelled, closed: the device has its memory as long as it needs it, and nothing is kept."""
    memory = MemoryDevice(SIZE)
    store = native("cattree", device=memory)
    qd = store.creat("log")
    memory.hold = True
    tokens = []
    for i in range(6):
        with store.sgaalloc(5000) as sga:
            sga.segments[0][:] = bytes([i]) * 5000
            tokens.append(store.push(qd, sga))
    assert failure(store.wait_any, tokens, 0) is Kind.TIMED_OUT
    assert store.cancel(tokens[0])
    store.close(qd)
    assert [result.error.kind for result in store.wait_all(tokens)] == [Kind.CANCELED] * 6
    memory.hold = False
    qd = store.open("log")
    store.settle(lambda: store.volume.idle)
    assert store.heap.live() == 6 and [popped(store, qd)[0] for _ in range(6)] == list(range(6))
    memory.hold = True
    store.lseek(qd, 0)
    popping = store.pop(qd)
    assert store.cancel(popping) and store.wait(popping).error.kind is Kind.CANCELED
    store.lseek(qd, 5000)
    memory.hold = False
    assert popped(store, qd)[0] == 1
    memory.hold = True
    store.lseek(qd, 0)
    store.pop(qd)
    memory.hold = False
    store.shut()
    assert store.heap.live() == 0


@pytest.mark.parametrize("name", ["catnap", "catloop"])
def test_network_and_log_in_one_wait(name, path):
    """What comes in by a connection goes to the device as the same array, and one wait takes both."""
    net = native(name)
    store = native("cattree", path=path, size=SIZE, beside=net)
    log = store.creat("log")
    listener = net.socket(socket.AF_INET, socket.SOCK_STREAM)
    net.bind(listener, ("127.0.0.1", 0))
    net.listen(listener)
    client = socket.create_connection(net.getsockname(listener), 5)
    connection = net.wait(net.accept(listener), 5).value
    silent = net.queue()
    for i in range(4):
        client.sendall(bytes([i]) * 5000)
        received = 0
        while received < 5000:
            result = store.wait(net.pop(connection), 5)
            with result.sga as sga:
                received += len(sga)
                waiting = [net.pop(silent), store.push(log, sga)]
                at, result = net.wait_any(waiting, 5)
                assert at == 1 and result.error is None
                net.cancel(waiting[0])
    client.close()
    store.shut()
    store = native("cattree", path=path)
    (head, end) = store.logs()["log"]
    assert (head, end) == (0, 20000)
    store.shut()


def test_awaited(path):
    """A push and a pop by asyncio."""
    store = native("cattree", path=path, size=SIZE)
    qd = store.creat("log")
    loop = Loop(store)

    async def main():
        with store.sgaalloc(4096) as sga:
            sga.segments[0][:] = b"x" * 4096
            pushes = [loop.completion(store, store.push(qd, sga)) for _ in range(8)]
            assert [result.error for result in await asyncio.gather(*pushes)] == [None] * 8
        with (await loop.completion(store, store.pop(qd))).sga as sga:
            assert bytes(sga) == b"x" * 4096

    loop.run_until_complete(asyncio.wait_for(main(), 20))
    loop.close()
    store.shut()
