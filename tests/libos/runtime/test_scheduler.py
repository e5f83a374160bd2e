"""Scheduler, suspension, timers and clock."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libos.runtime import suspend
from libos.runtime.clock import FakeClock
from libos.runtime.scheduler import APPLICATION, BACKGROUND, FAST_PATH, Scheduler
from libos.runtime.timers import Timers


def test_application_before_background_before_fast_path():
    scheduler, order = Scheduler(64), []

    async def note(name):
        order.append(name)

    scheduler.spawn(FAST_PATH, note("fast path"))
    scheduler.spawn(BACKGROUND, note("background"))
    scheduler.spawn(APPLICATION, note("application"))
    assert scheduler.run(10) == 2
    assert order == ["application", "background"]
    assert scheduler.run_one(True) and order[-1] == "fast path"
    assert not scheduler.run_one(True)


def test_a_blocked_coroutine_runs_only_when_woken():
    scheduler, turns = Scheduler(64), []

    async def worker():
        woken = suspend.until_woken()
        for turn in range(3):
            turns.append(turn)
            await woken

    slot = scheduler.spawn(APPLICATION, worker())
    scheduler.run(10)
    assert turns == [0]
    scheduler.wake(APPLICATION, slot)
    assert scheduler.run(10) == 1 and turns == [0, 1]


def test_giving_way_runs_everybody_in_turn():
    scheduler, order = Scheduler(64), []

    async def worker(name):
        again = suspend.until_next_turn()
        for _ in range(3):
            order.append(name)
            await again

    for name in "abc":
        scheduler.spawn(APPLICATION, worker(name))
    scheduler.run(9)
    assert order == list("abcabcabc")


def test_slots_are_used_again_and_a_full_scheduler_says_so():
    scheduler = Scheduler(64)

    async def short():
        return 7

    for _ in range(3):
        slots = [scheduler.spawn(APPLICATION, short()) for _ in range(64)]
        assert sorted(slots) == list(range(64))
        unwanted = short()
        with pytest.raises(MemoryError):
            scheduler.spawn(APPLICATION, unwanted)
        unwanted.close()
        assert scheduler.run(100) == 64


def test_an_exception_ends_its_coroutine_only():
    scheduler, seen = Scheduler(64), []
    scheduler.on_error = seen.append

    async def broken():
        raise ValueError("x")

    async def fine():
        seen.append("fine")

    scheduler.spawn(APPLICATION, broken())
    scheduler.spawn(APPLICATION, fine())
    assert scheduler.run(10) == 2
    assert isinstance(seen[0], ValueError) and seen[1] == "fine"


def test_cancel_closes_a_coroutine_where_it_stands():
    scheduler, ended = Scheduler(64), []

    async def worker():
        try:
            await suspend.until_woken()
        finally:
            ended.append(True)

    slot = scheduler.spawn(APPLICATION, worker())
    scheduler.run(1)
    scheduler.cancel(APPLICATION, slot)
    assert ended and scheduler.run(1) == 0


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans()), max_size=30))
def test_timers_fire_in_order_once_and_never_when_cancelled(rows):
    clock, timers, fired = FakeClock(), Timers(), []
    expected = []
    for n, (deadline, cancelled) in enumerate(rows):
        handle = timers.set(deadline, lambda n=n: fired.append(n))
        if cancelled:
            assert timers.cancel(handle) and not timers.cancel(handle)
        else:
            expected.append((deadline, n))
    while timers.next_deadline() is not None:
        clock.advance(timers.next_deadline() - clock.now())
        assert timers.fire(clock.now()) > 0
    assert fired == [n for _, n in sorted(expected)]


def test_a_fake_clock_never_goes_back():
    with pytest.raises(ValueError):
        FakeClock().advance(-1)
