"""A reader that leaves its ring in the middle of a look for room: there is none before what it gives back has gone."""

import ctypes
import select
import socket

import loops
import pytest

from interpose import blocks
from libos import endpoint, leaving

if endpoint.COMPILED:
    pytest.skip("reaches between two steps of a look", allow_module_level=True)
from interpose import scanning, watching


def by_poll(side):
    fds = (ctypes.c_int * 2)(side.sock.fileno(), select.POLLOUT)
    handles, copy = (ctypes.c_uint64 * 1)(side.end), (ctypes.c_uint64 * 1)()
    watching.poll_once(ctypes.addressof(fds), ctypes.addressof(handles), ctypes.addressof(copy), 1)
    return bool(fds[1] >> 16 & select.POLLOUT)


def by_epoll(side):
    room = ctypes.create_string_buffer(blocks.FIRST + blocks.SIZE)
    block = ctypes.addressof(room)
    for offset, value in ((blocks.END, side.end), (blocks.EVENTS, select.EPOLLOUT), (blocks.FD, side.sock.fileno())):
        ctypes.c_uint64.from_address(block + blocks.FIRST + offset).value = value
    return bool(scanning.have_now(block, block + blocks.FIRST) & select.EPOLLOUT)


@pytest.mark.parametrize("look", [by_poll, by_epoll])
def test_room_is_told_of_when_it_is_there(look, monkeypatch):
    with loops.pair() as (left, right):
        left.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        right.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        sent = 0
        while (r := left.push(bytes(300_000))) > 0:
            sent += r
        settle = leaving.settle

        def and_then_leaves(end):
            monkeypatch.setattr(leaving, "settle", settle)
            answer = settle(end)
            leaving.close_inward(right.end)
            return answer

        monkeypatch.setattr(leaving, "settle", and_then_leaves)
        assert not look(left)
        assert left.push(b"more") == -11
        got = 0
        right.sock.setblocking(True)
        while got < sent:
            got += len(right.sock.recv(1 << 20))
            leaving.settle(left.end)
        assert left.push(b"more") == 4 and right.sock.recv(9) == b"more"
