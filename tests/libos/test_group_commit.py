"""Many threads that append at once: each answer is right, groups are shared, and whoever wants to be alone is."""

import ctypes
import os
import threading

import pytest

from libos import group_commit
from libos.journals import MANY, Journals
from libos.log import layout
from libos.runtime.memory import Heap

COMPILED = group_commit.COMPILED
# compiled, whoever waits here would keep the GIL from all others: there threads of C do all this (scenarios/c/files.c)
pytestmark = pytest.mark.skipif(COMPILED, reason="threads of Python can't wait in compiled rooms")
THREADS, TIMES = 8, 40
FUTEX = ctypes.CDLL(None).syscall


class Appending:
    """Journals that threads append to, and what each of them wrote."""

    def __init__(self, path):
        self.journals = Journals(str(path), 8 << 20, Heap(64))
        self.straight = self.journals.straight()
        self.commit = group_commit.GroupCommit(self.journals.heap)
        self.commit.use(self.straight, self.journals.file.fd, False, 0)
        for number in range(THREADS):
            self.journals.begin(number, b"head")
            self.journals.settle()
            self.straight.bind(number, self.journals.log_of(number))
        self.straight.begin()
        self.wrong = []

    def append(self, number, data):
        """Whether it is durable; as the walk of an fsync does it."""
        self.commit.enter()
        place = 0
        while place == 0:
            self.commit.lock()
            group = self.straight.number
            place = self.straight.place(len(data), THREADS)
            if place > 0:
                room = self.straight.rooms + self.straight.filling * layout.STRAIGHT_ROOM
                ctypes.memmove(room + place, data, len(data))
                self.straight.put(number, place, len(data))
            self.commit.unlock()
            if place >= 0:
                self.commit.committed(group)
        doubt = ctypes.c_uint64.from_address(self.straight.line(number) + layout.L_DOUBT).value
        self.commit.leave()
        return place > 0 and not doubt

    def alone(self):
        self.commit.claim()
        while True:
            seen = self.commit.turned()
            if self.commit.alone():
                return
            FUTEX(202, ctypes.c_long(self.commit.turn_at), 128, seen, None, None, 0)

    def run(self, work):
        threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads) and not self.wrong, self.wrong

    def records(self):
        self.straight.end()
        return [list(self.journals.records(number))[1:] for number in range(THREADS)]


@pytest.fixture
def appending(tmp_path):
    there = Appending(tmp_path / "volume")
    yield there
    there.journals.close()


def text(number, i):
    return f"{number}:{i} ".encode() * (i + 1)


def test_each_has_its_own(appending):
    def work(number):
        for i in range(TIMES):
            if not appending.append(number, text(number, i)):
                appending.wrong.append((number, i))

    appending.run(work)
    assert appending.records() == [[text(number, i) for i in range(TIMES)] for number in range(THREADS)]
    assert THREADS <= MANY


def test_one_write_for_all_that_wait(appending):
    """While the first is on its way, which here is for as long as the lock is held, all others join one group."""
    appending.commit.lock()
    begun = threading.Barrier(THREADS + 1)

    def work(number):
        begun.wait(60)
        if not appending.append(number, b"a record"):
            appending.wrong.append(number)

    opener = threading.Thread(target=lambda: (begun.wait(60), appending.commit.unlock()))
    opener.start()
    appending.run(work)
    opener.join(60)
    appending.straight.end()
    counters = appending.journals.volume.counters
    assert counters["entries"] - 2 * THREADS <= THREADS and counters["errors"] == 0
    assert appending.records() == [[b"a record"]] * THREADS


def test_whoever_wants_to_be_alone_is(appending):
    turns = []

    def work(number):
        for i in range(TIMES):
            if number:
                if not appending.append(number, text(number, i)):
                    appending.wrong.append((number, i))
            else:
                appending.alone()
                appending.straight.end()
                appending.journals.append(0, *kept(text(0, i)))
                appending.journals.settle()
                appending.straight.begin()
                appending.commit.release()
                turns.append(i)

    rooms = []

    def kept(data):
        rooms.append(ctypes.create_string_buffer(data, len(data)))
        return ctypes.addressof(rooms[-1]), len(data)

    appending.run(work)
    assert turns == list(range(TIMES))
    assert appending.records() == [[text(number, i) for i in range(TIMES)] for number in range(THREADS)]


def test_a_write_that_fails_is_said_to_all(appending):
    """The device is gone: nobody is told that anything is durable."""
    fd = os.open(os.devnull, os.O_RDONLY)
    appending.commit.fd = fd

    def work(number):
        if appending.append(number, b"lost"):
            appending.wrong.append(number)

    appending.run(work)
    os.close(fd)
    assert appending.records() == [[]] * THREADS
