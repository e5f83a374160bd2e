"""Entries of the bridge called as C calls them: native addresses when compiled, plain functions when interpreted."""

import ctypes
import os

import pytest

from interpose import description, entries
from libos import factory


class Bridge:
    """`bridge.recv(d, ...)` calls the entry of that name; `bridge.word` is the caller's qtoken word."""

    def __init__(self):
        self.process = description.process()
        self.word = ctypes.c_uint64()
        self.forks = ctypes.c_uint32()
        self.table = {}
        self.log = []
        self.process.libos = factory.make("catnap")
        self.process.qtokens = self.process.libos.qtokens
        self.process.heap = self.process.libos.heap
        self.process.forks_at = ctypes.addressof(self.forks)
        self.process.bind_number = self.bind_number
        self.process.grace_begin = lambda: None
        self.process.grace_passed = lambda: 1
        self.process.log = lambda what, error=None: self.log.append((what, error))
        self.native = entries.native()
        self.interpreted = entries.interpreted()

    def bind_number(self, number, handle, reason):
        self.table[number] = handle or -reason
        return 0

    @property
    def qt(self):
        return ctypes.addressof(self.word)

    def at(self, number):
        return description.ALIVE[self.table[number]]

    def __getattr__(self, operation):
        function, described = self.interpreted[operation]

        def call(*arguments):
            if not self.native:
                return function(*arguments)
            raw = [id(a) if described and i == 0 else a for i, a in enumerate(arguments)]
            prototype = ctypes.PYFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * len(raw))
            return prototype(self.native[operation])(*raw)

        return call


@pytest.fixture
def bridge():
    made = Bridge()
    yield made
    description.ALIVE.clear()


@pytest.fixture
def pair():
    """A connected TCP pair on loopback, as two kernel descriptors."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        left = socket.create_connection(listener.getsockname())
        right, _ = listener.accept()
    yield left, right
    for end in (left, right):
        try:
            os.close(end.detach())
        except OSError:
            pass
