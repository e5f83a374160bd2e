"""The superblock heap against a plain model."""

import ctypes

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from libos.runtime.memory import Heap


@pytest.mark.parametrize("size, room", [(1, 64), (64, 64), (65, 128), (4096, 4096), (1 << 20, 1 << 20)])
def test_sizes_are_rounded_up_to_their_class(size, room):
    heap = Heap(4)
    assert heap.size_of(heap.alloc(size)) == room


def test_what_does_not_fit_is_refused():
    heap = Heap(2)
    assert heap.alloc((1 << 20) + 1) == 0
    assert heap.alloc(1 << 20) and heap.alloc(1 << 20)
    assert heap.alloc(64) == 0


def test_a_larger_object_serves_when_the_region_is_used_up():
    heap = Heap(2)
    large = [heap.alloc(1 << 20) for _ in range(2)]
    heap.free(large[0])
    assert heap.alloc(64) == large[0] and heap.size_of(large[0]) == 1 << 20
    assert heap.alloc(64) == 0
    assert heap.free(large[0]) == 0 and heap.free(large[1]) == 0 and heap.live() == 0


def test_double_free_and_foreign_addresses_are_refused():
    heap = Heap(2)
    address = heap.alloc(100)
    for foreign in (0, 8, address + 1, address + (1 << 40)):
        assert heap.free(foreign) == -1
    assert heap.free(address) == 0
    assert heap.free(address) == -1
    assert heap.live() == 0


def test_nothing_outside_of_the_heap_is_held():
    heap = Heap(2)
    address = heap.alloc(64)
    for foreign in (0, 8, heap.base - 1, heap.base + (1 << 20), heap.base + (2 << 20), address + (1 << 40)):
        assert not heap.holds(foreign, 1)
    assert heap.holds(heap.base, 64)
    heap.free(address)
    assert not heap.holds(address, 1)


def test_an_object_in_flight_outlives_its_free():
    heap = Heap(2)
    address = heap.alloc(4096)
    heap.retain(address)
    assert heap.free(address) == 0
    assert heap.alloc(4096) != address
    assert heap.release(address) == 0
    assert heap.release(address) == -1
    assert heap.live() == 1


class HeapModel(RuleBasedStateMachine):
    """Live objects never overlap and keep their bytes; an object lives as long as anybody holds it."""

    def __init__(self):
        super().__init__()
        self.heap = Heap(8)
        self.objects = {}  # address -> [size, how often the application has it, references of the libOS, fill]
        self.fill = 0

    @rule(size=st.sampled_from([1, 64, 100, 1000, 4096, 70000, 300000]))
    def alloc(self, size):
        address = self.heap.alloc(size)
        if address == 0:
            return
        assert address not in self.objects
        for other, (room, *_) in self.objects.items():
            assert address + size <= other or other + room <= address
        self.fill = (self.fill + 1) % 256
        ctypes.memset(address, self.fill, size)
        self.objects[address] = [size, 1, 0, self.fill]

    def gone(self, address):
        size, held, references, _ = self.objects[address]
        if not held and not references:
            del self.objects[address]

    @precondition(lambda self: self.objects)
    @rule(data=st.data(), what=st.sampled_from(["free", "retain", "release"]))
    def change(self, data, what):
        address = data.draw(st.sampled_from(sorted(self.objects)))
        size, held, references, fill = self.objects[address]
        assert ctypes.string_at(address, size) == bytes([fill]) * size
        answer = getattr(self.heap, what)(address)
        if what == "free":
            assert answer == (0 if held else -1)
            self.objects[address][1] -= 1 if held else 0
        elif what == "retain":
            assert answer == 0
            self.objects[address][2] += 1
        else:
            assert answer == (0 if references else -1)
            self.objects[address][2] -= 1 if references else 0
        self.gone(address)

    @precondition(lambda self: any(references for _, _, references, _ in self.objects.values()))
    @rule(data=st.data())
    def hand_over(self, data):
        """By any byte of an object."""
        address = data.draw(st.sampled_from(sorted(a for a, (_, _, n, _) in self.objects.items() if n)))
        self.heap.hand_over(address + data.draw(st.integers(0, self.heap.size_of(address) - 1)))
        self.objects[address][1] += 1
        self.objects[address][2] -= 1

    @precondition(lambda self: self.objects)
    @rule(data=st.data(), size=st.sampled_from([0, 1, 63, 64, 65, 4096, 1 << 20, (1 << 20) + 1, 1 << 32]))
    def holds(self, data, size):
        address = data.draw(st.sampled_from(sorted(self.objects)))
        room = self.heap.size_of(address)
        at = data.draw(st.integers(0, room - 1))
        assert self.heap.holds(address + at, size) == (self.objects[address][1] > 0 and at + size <= room)

    @invariant()
    def counted(self):
        assert self.heap.live() == len(self.objects)


TestHeap = HeapModel.TestCase
TestHeap.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
