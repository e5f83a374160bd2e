"""A libOS of logs against a dict of byte strings, and against files of the kernel."""

import os
import tempfile

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from libos.blocks.memory import MemoryDevice
from libos.errors import Fail, Kind
from libos.factory import native
from libos.log.volume import COMPILED
from libos.sgarray import SGArray

NAMES = st.sampled_from(["a", "b", "dir/c", "\udcff"])
SIZE = 12 << 20


class Model:
    """What a log should be: bytes `head` to the end of `whole`."""

    def __init__(self):
        self.head = 0
        self.whole = b""


class Open:
    """A log that is open: its qd, a descriptor of the kernel's file, the cursor."""

    def __init__(self, qd, fd, model):
        self.qd = qd
        self.fd = fd
        self.model = model
        self.cursor = model.head


def refused(call, *arguments):
    with pytest.raises(Fail) as caught:
        call(*arguments)
    assert caught.value.kind is Kind.INVALID


class Logs(RuleBasedStateMachine):
    """`model`: name -> Model; `opened`: what is open. The kernel's files have the same names, in a folder."""

    @initialize(block=st.sampled_from([512, 4096]))
    def begin(self, block):
        self.block = block
        self.store = native("cattree", device=MemoryDevice(SIZE, block=block))
        self.folder = tempfile.TemporaryDirectory()
        self.model, self.opened = {}, []

    def place(self, name):
        return os.path.join(self.folder.name, name.replace("/", "_"))

    def enter(self, qd, name, flags=0):
        fd = os.open(self.place(name), os.O_RDWR | flags)
        self.opened.append(Open(qd, fd, self.model[name]))
        os.lseek(fd, self.model[name].head, os.SEEK_SET)
        while len(self.opened) > 4:
            self.leave(self.opened[0])

    def leave(self, one):
        self.opened.remove(one)
        self.store.close(one.qd)
        os.close(one.fd)

    def draw(self, data):
        return data.draw(st.sampled_from(self.opened))

    @rule(name=NAMES)
    def creat(self, name):
        qd = self.store.creat(name)
        model = self.model.setdefault(name, Model())
        model.head, model.whole = 0, b""
        self.enter(qd, name, os.O_CREAT | os.O_TRUNC)

    @rule(name=NAMES, create=st.booleans())
    def open(self, name, create):
        if name in self.model or create:
            self.model.setdefault(name, Model())
            self.enter(self.store.open(name, create), name, os.O_CREAT)
        else:
            refused(self.store.open, name)

    @precondition(lambda self: self.opened)
    @rule(data=st.data())
    def close(self, data):
        self.leave(self.draw(data))

    @rule(name=NAMES)
    def unlink(self, name):
        if name in self.model:
            self.store.unlink(name)
            os.unlink(self.place(name))
            del self.model[name]
        else:
            refused(self.store.unlink, name)

    @rule(old=NAMES, new=NAMES)
    def rename(self, old, new):
        if old in self.model:
            self.store.rename(old, new)
            os.rename(self.place(old), self.place(new))
            self.model[new] = self.model.pop(old)
        else:
            refused(self.store.rename, old, new)

    @precondition(lambda self: self.opened)
    @rule(data=st.data(), pieces=st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=4),
          large=st.sampled_from([0, 0, 0, 4000, 4096, 9000]))  # fmt: skip
    def push(self, data, pieces, large):
        one = self.draw(data)
        pieces = [*pieces, b"L" * large] if large else pieces
        result = self.store.wait(self.store.push(one.qd, SGArray.of(*pieces)), 5)
        assert result.error is None and result.value == sum(map(len, pieces))
        os.pwrite(one.fd, b"".join(pieces), len(one.model.whole))
        one.model.whole += b"".join(pieces)

    @precondition(lambda self: self.opened)
    @rule(data=st.data(), size=st.integers(1, 5000))
    def pop(self, data, size):
        one = self.draw(data)
        result = self.store.wait(self.store.pop(one.qd, size), 5)
        if one.cursor < one.model.head:
            assert result.error.kind is Kind.INVALID
            return
        with result.sga as sga:
            found = bytes(sga)
        assert found == one.model.whole[one.cursor : one.cursor + len(found)] and len(found) <= size
        assert bool(found) == (one.cursor < len(one.model.whole))
        assert found == os.read(one.fd, len(found))
        one.cursor += len(found)

    @precondition(lambda self: self.opened)
    @rule(data=st.data(), size=st.integers(1, 50000))
    def pread(self, data, size):
        one = self.draw(data)
        offset = data.draw(st.integers(0, len(one.model.whole) + 10))
        result = self.store.wait(self.store.pread(one.qd, size, offset), 5)
        if offset < one.model.head:
            assert result.error.kind is Kind.INVALID
            return
        with result.sga as sga:
            assert bytes(sga) == one.model.whole[offset : offset + size] == os.pread(one.fd, size, offset)

    @precondition(lambda self: self.opened)
    @rule(
        data=st.data(), whence=st.sampled_from([os.SEEK_SET, os.SEEK_CUR, os.SEEK_END]), offset=st.integers(-99, 9999)
    )
    def lseek(self, data, whence, offset):
        one = self.draw(data)
        base = {os.SEEK_SET: 0, os.SEEK_CUR: one.cursor, os.SEEK_END: len(one.model.whole)}[whence]
        if one.model.head <= base + offset <= len(one.model.whole):
            assert self.store.lseek(one.qd, offset, whence) == os.lseek(one.fd, offset, whence)
            one.cursor = base + offset
        else:
            refused(self.store.lseek, one.qd, offset, whence)

    @precondition(lambda self: self.opened)
    @rule(data=st.data())
    def truncate(self, data):
        one = self.draw(data)
        offset = data.draw(st.integers(0, len(one.model.whole)))
        self.store.truncate(one.qd, offset)
        one.model.head = max(one.model.head, offset)

    @precondition(lambda self: self.opened)
    @rule(data=st.data(), more=st.sampled_from([0, 0, 1, 700, 100000]))
    def ftruncate(self, data, more):
        one = self.draw(data)
        length = data.draw(st.integers(0, len(one.model.whole))) + more
        if length < one.model.head:
            refused(self.store.ftruncate, one.qd, length)
            return
        self.store.ftruncate(one.qd, length)
        os.ftruncate(one.fd, length)
        one.model.whole = one.model.whole[:length].ljust(length, b"\0")

    @rule(clean=st.booleans())
    def restart(self, clean):
        """The process ends, in an orderly way or not."""
        if clean:
            for one in list(self.opened):
                self.leave(one)
        self.store.settle(lambda: self.store.volume.idle)
        image = bytearray(self.store.volume.device.image)
        for one in list(self.opened):
            self.leave(one)
        self.store.shut()
        if clean:
            image = self.store.volume.device.image
        self.store = native("cattree", device=MemoryDevice(image=image, block=self.block))

    @invariant()
    def same_directory(self):
        if hasattr(self, "store"):
            there = {name: (model.head, len(model.whole)) for name, model in self.model.items()}
            assert self.store.logs() == there
            assert list(self.store.logs("d")) == [name for name in there if name.startswith("d")]
            for one in self.opened:
                assert self.store.bounds(one.qd) == (one.model.head, len(one.model.whole))
            live = {id(model) for model in (*self.model.values(), *(one.model for one in self.opened))}
            self.store.settle(lambda: self.store.volume.idle)
            assert len(self.store.volume.catalog.logs) == len(live)

    def teardown(self):
        if hasattr(self, "store"):
            for one in list(self.opened):
                self.leave(one)
            for name, model in self.model.items():  # every byte, in one piece or two
                qd = self.store.open(name)
                found = b""
                while len(found) < len(model.whole) - model.head:
                    with self.store.wait(self.store.pread(qd, 1 << 20, model.head + len(found)), 5).sga as sga:
                        found += bytes(sga)
                assert found == model.whole[model.head :]
                self.store.close(qd)
            self.store.shut()
            assert self.store.heap.live() == 0
            self.folder.cleanup()


TestLogs = Logs.TestCase
TestLogs.settings = settings(
    max_examples=100 if COMPILED else 6, stateful_step_count=50 if COMPILED else 20, deadline=None
)
