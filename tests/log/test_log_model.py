"""A libOS of logs against a dict of byte strings, and against files of the kernel."""

import os
import tempfile

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from libos.blocks.memory import MemoryDevice
from libos.errors import Fail, Kind
from libos.factory import native
from libos.log.volume import COMPILED
from libos.sgarray import SGArray

NAMES = st.sampled_from(["a", "b", "c"])
SIZE = 12 << 20


class Logs(RuleBasedStateMachine):
    """`model`: name -> (head, bytes); `files`: the same as files of the kernel, of which a head is not cut off."""

    @initialize(block=st.sampled_from([512, 4096]))
    def begin(self, block):
        self.block = block
        self.store = native("cattree", device=MemoryDevice(SIZE, block=block))
        self.folder = tempfile.TemporaryDirectory()
        self.model, self.qds, self.cursors, self.files = {}, {}, {}, {}

    def file(self, name, flags=0):
        return os.open(os.path.join(self.folder.name, name), os.O_RDWR | os.O_APPEND | flags)

    def reopen(self, name, create):
        if name in self.qds:
            self.store.close(self.qds.pop(name))
            os.close(self.files.pop(name))
        self.qds[name] = self.store.open(name, create)
        self.files[name] = self.file(name)
        self.cursors[name] = self.model[name][0]
        os.lseek(self.files[name], self.cursors[name], os.SEEK_SET)

    @rule(name=NAMES)
    def creat(self, name):
        qd = self.store.creat(name)
        self.store.close(qd)
        os.close(self.file(name, os.O_CREAT | os.O_TRUNC))
        self.model[name] = 0, b""
        self.reopen(name, False)

    @rule(name=NAMES)
    def open(self, name):
        if name not in self.model:
            try:
                self.store.open(name)
                raise AssertionError("a log that was never made")
            except Fail as fail:
                assert fail.kind is Kind.INVALID
        else:
            self.reopen(name, False)

    @precondition(lambda self: self.qds)
    @rule(data=st.data(), pieces=st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=4),
          large=st.sampled_from([0, 0, 0, 4000, 4096, 9000]))  # fmt: skip
    def push(self, data, pieces, large):
        name = data.draw(st.sampled_from(sorted(self.qds)))
        pieces = [*pieces, b"L" * large] if large else pieces
        result = self.store.wait(self.store.push(self.qds[name], SGArray.of(*pieces)), 5)
        assert result.error is None and result.value == sum(map(len, pieces))
        head, whole = self.model[name]
        self.model[name] = head, whole + b"".join(pieces)
        at = os.lseek(self.files[name], 0, os.SEEK_CUR)
        os.write(self.files[name], b"".join(pieces))
        os.lseek(self.files[name], at, os.SEEK_SET)

    @precondition(lambda self: self.qds)
    @rule(data=st.data(), size=st.integers(1, 5000))
    def pop(self, data, size):
        name = data.draw(st.sampled_from(sorted(self.qds)))
        result = self.store.wait(self.store.pop(self.qds[name], size), 5)
        cursor, (head, whole) = self.cursors[name], self.model[name]
        if cursor < head:
            assert result.error.kind is Kind.INVALID
            return
        with result.sga as sga:
            found = bytes(sga)
        assert found == whole[cursor : cursor + len(found)] and len(found) <= size
        assert bool(found) == (cursor < len(whole))
        assert found == os.read(self.files[name], len(found))
        self.cursors[name] += len(found)

    @precondition(lambda self: self.qds)
    @rule(
        data=st.data(), whence=st.sampled_from([os.SEEK_SET, os.SEEK_CUR, os.SEEK_END]), offset=st.integers(-99, 9999)
    )
    def lseek(self, data, whence, offset):
        name = data.draw(st.sampled_from(sorted(self.qds)))
        head, whole = self.model[name]
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self.cursors[name], os.SEEK_END: len(whole)}[whence]
        if head <= base + offset <= len(whole):
            assert self.store.lseek(self.qds[name], offset, whence) == os.lseek(self.files[name], offset, whence)
            self.cursors[name] = base + offset
        else:
            try:
                self.store.lseek(self.qds[name], offset, whence)
                raise AssertionError("an offset that is not there")
            except Fail as fail:
                assert fail.kind is Kind.INVALID

    @precondition(lambda self: self.qds)
    @rule(data=st.data())
    def truncate(self, data):
        name = data.draw(st.sampled_from(sorted(self.qds)))
        head, whole = self.model[name]
        offset = data.draw(st.integers(0, len(whole)))
        self.store.truncate(self.qds[name], offset)
        self.model[name] = max(head, offset), whole

    @rule(clean=st.booleans())
    def restart(self, clean):
        """The process ends, in an orderly way or not."""
        names = list(self.qds)
        for name in names:
            self.store.close(self.qds.pop(name))
            os.close(self.files.pop(name))
        self.store.settle(lambda: self.store.volume.idle)
        image = bytearray(self.store.volume.device.image)
        self.store.shut()
        if clean:
            image = self.store.volume.device.image
        self.store = native("cattree", device=MemoryDevice(image=image, block=self.block))
        for name in names:
            self.reopen(name, False)

    @invariant()
    def same_directory(self):
        if hasattr(self, "store"):
            assert self.store.logs() == {name: (head, len(whole)) for name, (head, whole) in self.model.items()}

    def teardown(self):
        if hasattr(self, "store"):
            for qd in self.qds.values():
                self.store.close(qd)
            for file in self.files.values():
                os.close(file)
            self.store.shut()
            assert self.store.heap.live() == 0
            self.folder.cleanup()


TestLogs = Logs.TestCase
TestLogs.settings = settings(
    max_examples=100 if COMPILED else 6, stateful_step_count=50 if COMPILED else 20, deadline=None
)
