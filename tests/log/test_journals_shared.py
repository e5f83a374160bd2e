"""Journals of files and logs of programs on one volume: one owner at a time, and each keeps what is the other's."""

import ctypes

import pytest
import storage
from test_log_sharing import SIZE, Sharer, pushed, shared

from libos.errors import Fail, Kind
from libos.sgarray import SGArray


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "both.cattree")


def straight(journals, data):
    """Groups that go straight, of journal 0, one for each of `data`."""
    there = journals.straight()
    there.bind(0, journals.log_of(0))
    there.begin()
    for one in data:
        place = there.place(len(one), 1)
        assert place > 0
        ctypes.memmove(there.room() + place, one, len(one))
        there.put(0, place, len(one))
        journals.device.write(1, there.sealed(), there.vector, 1, True)
        assert journals.device.completion() == 1
        there.over(journals.device.result)
    there.end()
    there.close()


def test_each_keeps_what_is_the_others(path):
    head, more = b"whose it is", [b"a" * 300, b"b" * 5000, b"c"]
    journals = storage.Journals(path, SIZE, storage.Heap(64))
    journals.begin(0, head)
    journals.settle()
    straight(journals, more)
    with pytest.raises(Fail) as caught, shared(path):  # whose owner does not share it
        pass
    assert caught.value.kind is Kind.IN_USE
    journals.close()  # as when the program is killed
    owner = Sharer(path)
    with shared(path) as store:
        assert store.logs() == {"journal 0": (0, len(head) + 5301), "log": (0, 0)}
        assert pushed(store, store.open("log"), b"of a program") == 12
        for _ in range(2):  # as a guest, then as the owner itself
            with pytest.raises(Fail) as caught:
                storage.journals(path)
            assert caught.value.kind is Kind.IN_USE
            owner.kill()
            assert store.logs("log") == {"log": (0, 12)}
        assert store.link.owner
    journals = storage.journals(path)
    assert list(journals.records(0)) == [head, *more] and journals.filled() == [0]
    straight(journals, [b"again"])
    assert list(journals.records(0)) == [head, *more, b"again"]
    journals.empty(0)
    journals.close()
    with shared(path) as store:
        assert store.logs("log") == {"log": (0, 12)} and store.logs("journal")["journal 0"] == (0, 0)
        assert store.wait(store.push(store.open("log"), SGArray.of(b"!")), 20).error is None


def test_the_records_of_straight_groups_live_on_when_space_is_collected(path):
    """What a small volume moves is looked for in the segments that straight groups have written."""
    journals = storage.Journals(path, 7 << 20, storage.Heap(64))
    journals.begin(0, b"head")
    journals.settle()
    straight(journals, [bytes([i]) * 3000 for i in range(200)])
    room = ctypes.create_string_buffer(1 << 18)
    journals.begin(1, b"other")
    for _ in range(40):  # more than there is room for
        for _ in range(4):
            journals.append(1, ctypes.addressof(room), len(room))
        journals.settle()
        journals.empty(1)
        journals.begin(1, b"other")
    journals.settle()
    assert list(journals.records(0)) == [b"head", *(bytes([i]) * 3000 for i in range(200))]
    journals.close()
