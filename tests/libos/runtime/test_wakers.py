"""Waker blocks and qtokens against a plain model."""

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from libos.runtime.qtokens import Qtokens
from libos.runtime.wakers import Wakers


@pytest.mark.parametrize("capacity", [1, 63, 64, 65, 4097])
def test_every_slot_can_be_claimed_once(capacity):
    wakers = Wakers(capacity)
    assert [wakers.claim() for _ in range(capacity)] == list(range(capacity))
    assert wakers.claim() == -1
    wakers.release(capacity // 2)
    assert wakers.claim() == capacity // 2


@settings(max_examples=100, deadline=None)
@given(st.sets(st.integers(0, 9999), max_size=50), st.integers(0, 9999))
def test_next_gives_each_ready_slot_once_going_round(ready, start):
    wakers = Wakers(10000)
    wakers.wake(start)
    assert wakers.next() == start
    for slot in ready:
        wakers.wake(slot)
    got = [wakers.next() for _ in ready]
    assert got == sorted(ready, key=lambda slot: (slot <= start, slot))
    assert wakers.next() == -1


def test_take_consumes_one_wake():
    wakers = Wakers(100)
    wakers.wake(70)
    wakers.wake(70)
    assert wakers.take(70) and not wakers.take(70)
    assert wakers.next() == -1


def test_no_slot_starves_beside_one_that_is_always_ready():
    wakers = Wakers(200)
    wakers.wake(150)
    wakers.wake(3)
    seen = []
    for _ in range(3):
        slot = wakers.next()
        seen.append(slot)
        wakers.wake(3)
    assert 150 in seen


def test_wakes_from_many_threads_all_arrive():
    wakers, seen = Wakers(4096), []
    threads = [threading.Thread(target=lambda n=n: [wakers.wake(s) for s in range(n, 4096, 4)]) for n in range(4)]
    for thread in threads:
        thread.start()
    while len(seen) < 4096:
        slot = wakers.next()
        if slot >= 0:
            seen.append(slot)
        elif not any(t.is_alive() for t in threads) and wakers.next() < 0:
            break
    assert sorted(set(seen)) == list(range(4096))


class QtokenModel(RuleBasedStateMachine):
    """A token is live until it is taken or dropped; nothing revives it."""

    def __init__(self):
        super().__init__()
        self.qtokens = Qtokens()
        self.live, self.complete, self.dead = [], set(), []

    @rule(qd=st.integers(0, 1000))
    def block(self, qd):
        token = self.qtokens.block(1, qd)
        assert token and token not in self.live and token not in self.dead
        self.live.append(token)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def complete_one(self, data):
        token = data.draw(st.sampled_from(self.live))
        assert self.qtokens.complete(token)
        self.complete.add(token)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def take(self, data):
        token = data.draw(st.sampled_from(self.live))
        assert self.qtokens.take(token) == (token in self.complete)
        if token in self.complete:
            self.live.remove(token)
            self.dead.append(token)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def drop(self, data):
        token = data.draw(st.sampled_from(self.live))
        assert self.qtokens.drop(token)
        self.live.remove(token)
        self.dead.append(token)

    @invariant()
    def the_dead_stay_dead(self):
        assert self.qtokens.live() == len(self.live)
        for token in [*self.dead[-3:], 0, 12345]:
            if token not in self.live:
                assert not self.qtokens.complete(token)
                assert not self.qtokens.take(token)
                assert not self.qtokens.drop(token)


TestQtokens = QtokenModel.TestCase
TestQtokens.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
