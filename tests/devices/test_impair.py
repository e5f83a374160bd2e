"""The bad wire: each harm alone, and that the same seed and clock bring the same fate."""

import pytest
from frame_host import Host, closing, unique
from hypothesis import given
from hypothesis import strategies as st

from libos.devices.impair import Harm, Impair, Lane
from libos.devices.segment import Segment
from libos.runtime.clock import FakeClock

MS = 1_000_000


def through(harm, frames, seed=1, gap=0, until=10**12):
    """[(time, frame)] of frames that come out of a lane, put in `gap` ns apart."""
    lane, found, now = Lane(harm, seed), [], 0
    for frame in frames:
        lane.put(frame, now)
        now += gap
    while 0 <= lane.due() <= until:
        now = lane.due()
        found.append((now, lane.take(now)))
    return found


def numbered(count, size=100):
    return [i.to_bytes(4, "big") + bytes(size - 4) for i in range(count)]


def test_nothing_happens_to_frames_by_itself():
    frames = numbered(500)
    assert through(Harm(), frames) == [(0, frame) for frame in frames]


def test_loss_and_duplication_are_as_probable_as_asked():
    frames = numbered(1000)
    assert 250 < len(through(Harm(loss=0.7), frames)) < 350
    assert through(Harm(loss=1.0), frames) == []
    doubled = through(Harm(duplicate=0.2, limit=5000), frames)
    assert 1150 < len(doubled) < 1250 and {f for _, f in doubled} == set(frames)


def test_corruption_turns_one_bit():
    frames = numbered(300)
    found = [frame for _, frame in through(Harm(corrupt=0.5), frames)]
    turned = [sum(bin(a ^ b).count("1") for a, b in zip(x, y, strict=True)) for x, y in zip(frames, found, strict=True)]
    assert set(turned) == {0, 1} and 100 < sum(turned) < 200


def test_delay_and_jitter():
    frames = numbered(300)
    assert {time for time, _ in through(Harm(delay=5 * MS), frames)} == {5 * MS}
    found = through(Harm(delay=5 * MS, jitter=2 * MS), frames, gap=MS // 10)
    late = [time - i * (MS // 10) for i, (time, _) in enumerate(found)]
    assert 3 * MS <= min(late) and max(late) > 6 * MS and [frame for _, frame in found] == frames


def test_reordered_frames_overtake():
    frames = numbered(200)
    found = [frame for _, frame in through(Harm(delay=5 * MS, reorder=0.1), frames, gap=MS // 10)]
    assert sorted(found) == frames and found != frames


def test_a_rate_spaces_frames_and_a_full_queue_loses():
    found = through(Harm(rate=1_000_000_000), numbered(10, 125))
    assert [time for time, _ in found] == [1000 * (i + 1) for i in range(10)]  # 1000 bits at 1 Gbit/s
    assert len(through(Harm(rate=1, limit=7), numbered(20), until=10**18)) == 7


harms = st.builds(
    Harm, loss=st.floats(0, 0.5), duplicate=st.floats(0, 0.5), corrupt=st.floats(0, 0.5), reorder=st.floats(0, 0.5),
    delay=st.integers(0, 10**7), jitter=st.integers(0, 10**7), rate=st.sampled_from([0, 10**6, 10**9]),
)  # fmt: skip


@given(harms, st.integers(0, 1 << 32), st.integers(0, 10**6))
def test_the_same_seed_brings_the_same_fate(harm, seed, gap):
    frames = numbered(60)
    found = through(harm, frames, seed, gap)
    assert found == through(harm, frames, seed, gap)
    assert [time for time, _ in found] == sorted(time for time, _ in found)
    assert all(len(frame) == 100 for _, frame in found) and len(found) <= 120


@given(st.integers(0, 1 << 32), st.floats(0.01, 0.9))
def test_one_setting_does_not_move_what_another_does(seed, corrupt):
    frames = numbered(100)
    kept = {frame[:2] + frame[4:] for _, frame in through(Harm(loss=0.3), frames, seed)}
    assert len(through(Harm(loss=0.3), frames, seed)) == len(through(Harm(loss=0.3, corrupt=corrupt), frames, seed))
    assert kept


@pytest.fixture
def wire():
    name, clock = unique(), FakeClock()
    device = Impair(Segment(name), clock, 7, Harm(delay=3 * MS), Harm(delay=5 * MS))
    other = Host(Segment(name))
    with closing(device, other.device):
        yield Host(device), other, clock


def test_who_waits_knows_when_to_come_back(wire):
    near, far, clock = wire
    assert near.say(far, b"out") and far.heard() == []
    assert near.device.deadline(clock.now()) == 3 * MS
    far.say(near, b"in")
    assert near.heard() == [] and near.device.deadline(clock.now()) == 3 * MS
    clock.advance(3 * MS)
    assert not near.device.arm() and near.heard() == [] and far.heard() == [b"out"]
    assert near.device.deadline(clock.now()) == 5 * MS and near.device.arm()
    near.device.disarm()
    clock.advance(2 * MS)
    assert not near.device.arm() and near.heard() == [b"in"] and near.device.deadline(clock.now()) == -1


def test_a_full_device_gets_the_frame_later():
    name, clock = unique(), FakeClock()
    device, other = Impair(Segment(name, slots=64), clock), Host(Segment(name))
    near = Host(device)
    with closing(device, other.device):
        for i in range(70):
            assert near.say(other, b"%d" % i)
        assert device.full >= 1
        found = other.heard()
        near.all()
        assert found + other.heard() == [b"%d" % i for i in range(70)]


def test_its_addresses_are_the_inner_devices(wire):
    near, _, _ = wire
    assert near.device.ipv4 == near.device.inner.ipv4 and near.device.mac == near.device.inner.mac
    assert near.device.capabilities == 0
    with pytest.raises(AttributeError):
        near.device.nothing_of_that_name  # noqa: B018
