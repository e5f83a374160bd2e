"""The POSIX layer through its entries, over real kernel sockets."""

import ctypes
import errno
import os
import socket

import pytest

from interpose import abi, description
from libos.runtime import instrument

STREAM, DGRAM, NONBLOCK = 1, 2, 0o4000


def buffer(data=b"", size=64):
    memory = ctypes.create_string_buffer(max(size, len(data)))
    memory.raw = data.ljust(len(memory), b"\0")
    return memory


def address(memory):
    return ctypes.addressof(memory)


def adopted(bridge, end, flags=NONBLOCK):
    end.setblocking(not flags)
    assert bridge.adopt(end.fileno(), 0, STREAM | flags, 0, 0) == 0
    return bridge.at(end.fileno())


def test_recv_returns_what_is_there_and_would_block_when_nonblocking(bridge, pair):
    left, right = pair
    d = adopted(bridge, left)
    memory = buffer()
    assert bridge.recv(d, address(memory), 64, 0, bridge.qt) == -errno.EAGAIN
    right.sendall(b"hello")
    assert bridge.recv(d, address(memory), 64, 0, bridge.qt) == 5
    assert memory.raw[:5] == b"hello"
    right.shutdown(socket.SHUT_WR)
    assert bridge.recv(d, address(memory), 64, 0, bridge.qt) == 0
    assert bridge.process.qtokens.live() == 0


def test_a_blocking_descriptor_sleeps_on_a_qtoken_that_is_taken_once(bridge, pair):
    left, right = pair
    d = adopted(bridge, left, 0)
    memory = buffer()
    assert bridge.recv(d, address(memory), 64, 0, bridge.qt) == abi.CATFLAP_SLEEP
    assert bridge.word.value != 0
    assert bridge.process.qtokens.live() == 1
    assert bridge.woke(bridge.word.value, abi.CATFLAP_POP, address(memory), 7) == 7
    assert bridge.process.qtokens.live() == 0


def test_dontwait_never_sleeps(bridge, pair):
    left, _ = pair
    d = adopted(bridge, left, 0)
    assert bridge.recv(d, address(buffer()), 64, socket.MSG_DONTWAIT, bridge.qt) == -errno.EAGAIN


def test_waitall_and_low_water_on_a_blocking_descriptor_take_nothing_inline(bridge, pair):
    left, right = pair
    d = adopted(bridge, left, 0)
    right.sendall(b"abc")
    assert bridge.recv(d, address(buffer()), 64, socket.MSG_WAITALL, bridge.qt) == abi.CATFLAP_SLEEP
    bridge.dropped(bridge.word.value)
    value = ctypes.c_int(10)
    assert bridge.setsockopt(d, socket.SOL_SOCKET, socket.SO_RCVLOWAT, ctypes.addressof(value), 4) == 0
    assert bridge.recv(d, address(buffer()), 64, 0, bridge.qt) == abi.CATFLAP_SLEEP
    bridge.dropped(bridge.word.value)
    assert left.recv(64, socket.MSG_DONTWAIT) == b"abc"
    assert bridge.process.qtokens.live() == 0


def test_send_is_inline_when_nonblocking_and_the_kernels_when_not(bridge, pair):
    left, right = pair
    d = adopted(bridge, left)
    memory = buffer(b"payload")
    assert bridge.send(d, address(memory), 7, 0, bridge.qt) == 7
    assert right.recv(64) == b"payload"
    left.setblocking(True)
    bridge.status(d, 0)
    assert bridge.send(d, address(memory), 7, 0, bridge.qt) == abi.CATFLAP_SLEEP
    bridge.dropped(bridge.word.value)


def test_after_a_fork_a_cached_mode_only_decides_to_ask_the_kernel(bridge, pair):
    left, _ = pair
    d = adopted(bridge, left)
    assert bridge.recv(d, address(buffer()), 64, 0, bridge.qt) == -errno.EAGAIN
    bridge.forks.value += 1
    assert bridge.recv(d, address(buffer()), 64, 0, bridge.qt) == abi.CATFLAP_SLEEP
    bridge.dropped(bridge.word.value)


def test_a_number_that_is_no_socket_any_more_is_stale(bridge, pair):
    left, _ = pair
    d = adopted(bridge, left)
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, left.fileno())
    os.close(null)
    assert bridge.recv(d, address(buffer()), 64, 0, bridge.qt) == abi.CATFLAP_STALE


def test_dup_shares_and_the_last_close_ends_the_description(bridge, pair):
    left, right = pair
    d = adopted(bridge, left)
    first = left.fileno()
    copy = os.dup(first)
    bridge.dup(d, copy)
    assert bridge.table[copy] == bridge.table[first]
    assert bridge.close(d, first) == 1  # the queue moved to the copy
    assert d.queue.fd == copy
    right.sendall(b"x")
    assert bridge.recv(d, address(buffer()), 64, 0, bridge.qt) == 1
    assert bridge.close(d, copy) == 0
    assert id(d) not in description.ALIVE
    os.close(copy)


def test_listen_turns_a_stream_into_a_listener_that_accepts(bridge):
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    d = adopted(bridge, server)
    assert bridge.listen(d, 5) == 0
    listener = bridge.at(server.fileno())
    assert type(listener).__name__ == "Listener"
    assert bridge.accept(listener, 0, 0, 0, bridge.qt) == -errno.EAGAIN
    with socket.create_connection(server.getsockname()):
        fd = bridge.accept(listener, 0, 0, 0, bridge.qt)
        assert fd >= 0
        os.close(fd)
    server.close()


def test_datagrams_keep_their_bounds(bridge):
    left, right = socket.socket(type=socket.SOCK_DGRAM), socket.socket(type=socket.SOCK_DGRAM)
    for end in (left, right):
        end.bind(("127.0.0.1", 0))
    left.setblocking(False)
    left.connect(right.getsockname())
    right.connect(left.getsockname())
    assert bridge.adopt(left.fileno(), 0, DGRAM | NONBLOCK, 0, 0) == 0
    d = bridge.at(left.fileno())
    memory = buffer(b"abcdef", 4)
    assert bridge.recv(d, address(memory), 4, 0, bridge.qt) == -errno.EAGAIN
    assert bridge.send(d, address(buffer(b"abcdef")), 6, 0, bridge.qt) == 6
    assert right.recv(64) == b"abcdef"
    right.send(b"123456")
    assert bridge.recv(d, address(memory), 4, socket.MSG_TRUNC, bridge.qt) == 6
    assert memory.raw[:4] == b"1234"
    left.close()
    right.close()


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 200_000])
def test_sendfile_stages_in_the_heap_and_gives_it_back(bridge, pair, tmp_path, size):
    left, right = pair
    left.setblocking(False)
    d = adopted(bridge, left)
    path = tmp_path / "file"
    content = bytes(i * 31 % 251 for i in range(size))
    path.write_bytes(content)
    offset = ctypes.c_int64(0)
    got = b""
    with path.open("rb") as file:
        while offset.value < size:
            r = bridge.sendfile(d, file.fileno(), ctypes.addressof(offset), size - offset.value, bridge.qt)
            assert r > 0 or r == -errno.EAGAIN
            if len(got) < offset.value:
                got += right.recv(1 << 20)
    while len(got) < size:
        got += right.recv(1 << 20)
    assert got == content
    assert bridge.process.heap.live() == 0


def test_an_exception_of_ours_becomes_an_errno_and_a_log_entry(bridge, pair):
    left, _ = pair
    d = adopted(bridge, left)

    def broken(*_):
        raise OSError(errno.ENOBUFS, "made up")

    bridge.process.bind_number = broken
    assert bridge.dup(d, 200) == -errno.ENOBUFS
    assert bridge.log and bridge.log[0][0] == "dup"


class IOVec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class Message(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("name_length", ctypes.c_uint32), ("segments", ctypes.c_void_p),
                ("count", ctypes.c_size_t), ("control", ctypes.c_void_p), ("control_length", ctypes.c_size_t),
                ("flags", ctypes.c_int)]  # fmt: skip


def test_push_hook_sees_every_way_out(bridge, pair, tmp_path):
    """send, the segments of sendmsg, and what sendfile staged."""
    left, right = pair
    left.setblocking(False)
    d = adopted(bridge, left)
    path = tmp_path / "file"
    path.write_bytes(b"of a file")
    seen = []
    instrument.install("push", lambda qd, view: seen.append(bytes(view)))
    try:
        one, two, offset = buffer(b"one"), buffer(b"two!"), ctypes.c_int64(3)
        segments = (IOVec * 3)(IOVec(address(one), 3), IOVec(0, 0), IOVec(address(two), 4))
        message = Message(segments=ctypes.addressof(segments), count=3)
        assert bridge.send(d, address(one), 3, 0, bridge.qt) == 3
        assert bridge.sendmsg(d, ctypes.addressof(message), 0, bridge.qt) == 7
        with path.open("rb") as file:
            assert bridge.sendfile(d, file.fileno(), ctypes.addressof(offset), 100, bridge.qt) == 6
    finally:
        instrument.remove("push")
    assert seen == [b"one", b"one", b"two!", b"a file"]
    assert right.recv(100) == b"oneonetwo!a file"
