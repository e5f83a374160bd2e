"""The protocol of the replicated store without I/O: whatever arrives when, and whoever dies, the counters add up."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.common import replica as protocol
from examples.common.coordinator import Coordinator, NoQuorum
from examples.common.frames import LARGEST, Body, Frames, Malformed, frame
from examples.common.replica import MOST_GONE, ORPHAN, STALE, YES, Replica, Session
from examples.common.workload import Broken, Workload, counter_of, load, total, value_of

FIELDS = st.lists(st.binary(max_size=30) | st.integers(0, 2**64 - 1), max_size=5)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 255), FIELDS), max_size=6), st.lists(st.integers(1, 50), max_size=20))
def test_frames_however_they_are_split(messages, sizes):
    data, frames, found = b"".join(frame(kind, *fields) for kind, fields in messages), Frames(), []
    for size in [*sizes, len(data)]:
        frames.receive(data[:size])
        data = data[size:]
        while (body := frames.next()) is not None:
            found.append(Body(body))
    assert [body.kind for body in found] == [kind for kind, _ in messages]
    for body, (_, fields) in zip(found, messages, strict=True):
        assert [body.number() if isinstance(field, int) else body.data() for field in fields] == fields
        body.end()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=60) | st.tuples(st.integers(0, 10), FIELDS).map(lambda m: frame(m[0], *m[1]))))
def test_a_replica_is_never_upset_by_garbage(parts):
    replica = Replica()
    session = Session(replica)
    session.receive(frame(protocol.HELLO, 1))
    session.answers()
    for part in parts:
        session.receive(part)
        session.answers()
    session.lost()
    assert not replica.clients[1].connected


@pytest.mark.parametrize("length", [0, LARGEST + 1])
def test_frames_of_no_size(length):
    frames = Frames()
    frames.receive(length.to_bytes(4))
    with pytest.raises(Malformed):
        frames.next()


class Link:
    """A connection of one client to one replica: bytes on their way in both directions."""

    def __init__(self, session):
        self.session = session
        self.up = self.down = b""
        self.ended = False


class World:
    """Three replicas and some clients. What happens next is drawn: some bytes arrive, or somebody dies."""

    def __init__(self, seed, workload):
        self.random = random.Random(seed)
        self.workload = workload
        self.replicas = [Replica() for _ in range(3)]
        self.dead = set()
        self.killed = 0
        self.held = set()  # links on which nothing arrives for now
        self.clients = {}  # of a coordinator: its task and links

    def join(self, task):
        coordinator = Coordinator(self.random.getrandbits(64), self.random.randrange(3))
        self.clients[coordinator] = task(coordinator), [Link(Session(replica)) for replica in self.replicas]
        for replica in self.dead:
            coordinator.lost(replica)
        self.advance(coordinator)
        return coordinator

    def advance(self, coordinator):
        task, links = self.clients[coordinator]
        try:
            next(task)
        except StopIteration:
            self.clients[coordinator] = None, links
        for replica, data in coordinator.to_send():
            links[replica].up += data

    def running(self, coordinator):
        return self.clients[coordinator][0] is not None

    def kill_client(self, coordinator):
        """What it had not sent yet is lost, on each connection as much as it likes."""
        self.killed += 1
        _, links = self.clients[coordinator]
        self.clients[coordinator] = None, links
        for link in links:
            link.up = link.up[: self.random.randint(0, len(link.up))]

    def kill_replica(self, replica):
        self.dead.add(replica)
        for _, links in self.clients.values():
            links[replica].down = links[replica].down[: self.random.randint(0, len(links[replica].down))]

    def part(self, data):
        size = self.random.choice([len(data), self.random.randint(1, len(data))])
        return data[:size], data[size:]

    def events(self):
        """All that could happen next."""
        for coordinator, (task, links) in self.clients.items():
            for replica, link in enumerate(links):
                gone = replica in self.dead
                if link in self.held:
                    continue
                if not gone and not link.ended and (link.up or task is None):
                    yield self.arrives_up, coordinator, replica
                if task is not None and coordinator.alive[replica] and (link.down or gone):
                    yield self.arrives_down, coordinator, replica

    def arrives_up(self, coordinator, replica):
        link = self.clients[coordinator][1][replica]
        if link.up:
            data, link.up = self.part(link.up)
            link.session.receive(data)
            while answers := link.session.answers():
                link.down += answers
            assert not link.session.ended
        else:
            link.ended = True
            link.session.lost()

    def arrives_down(self, coordinator, replica):
        link = self.clients[coordinator][1][replica]
        if link.down:
            data, link.down = self.part(link.down)
            coordinator.receive(replica, data)
            assert coordinator.alive[replica]
        else:
            coordinator.lost(replica)
        self.advance(coordinator)

    def run(self, until, accident=lambda: None):
        for _ in range(200_000):
            events = list(self.events())
            if until() or not events:
                return
            accident()
            event, *arguments = self.random.choice(list(self.events()))
            event(*arguments)
        raise AssertionError("it has no end")


def summed(world):
    sums = []
    world.join(lambda coordinator: total(coordinator, world.workload, sums))
    world.run(lambda: sums)
    return sums[0]


def simulated(seed, clients, keys, size, dying, broken):
    """A run in which `dying` clients die, and a replica when `broken`; asserts what has to hold at the end."""
    workload = Workload(keys, "uniform", size, 12, seed)
    world = World(seed, workload)
    accidents = [lambda: world.kill_client(world.random.choice([c for c in world.clients if world.running(c)]))] * dying
    accidents += [lambda: world.kill_replica(world.random.randrange(3))] * broken

    def accident():
        if accidents and world.random.random() < 0.02 and any(map(world.running, world.clients)):
            accidents.pop(world.random.randrange(len(accidents)))()

    for _ in range(clients):
        world.join(lambda coordinator: load(coordinator, workload))
    world.run(lambda: not any(map(world.running, world.clients)), accident)
    found = summed(world)
    assert found % workload.size == 0, "half a transaction"
    assert workload.committed <= found // workload.size <= workload.committed + world.killed
    assert summed(world) == found
    world.run(lambda: False)  # until nothing is under way
    for i, replica in enumerate(world.replicas):
        if i not in world.dead:
            assert all(counter_of(key, *read) == read[0] for key, read in replica.values.items())
    return world


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3))
def test_clients_in_each_others_way(seed, clients, keys, size):
    world = simulated(seed, clients, keys, size, 0, False)
    assert world.workload.committed == 12
    assert not any(replica.holders or replica.late for replica in world.replicas)
    newest = {key: max(r.version(key) for r in world.replicas) for key in world.workload.keys}
    assert sum(newest.values()) == 12 * world.workload.size


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 5), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3))
def test_clients_that_die(seed, clients, keys, size, dying):
    simulated(seed, clients, keys, size, dying, False)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3))
def test_a_replica_that_dies(seed, clients, keys, size):
    world = simulated(seed, clients, keys, size, 0, True)
    assert world.workload.committed == 12


def test_a_commit_on_its_way_is_waited_for():
    """A client dies while only one replica will ever hear of its commit. The others are asked to abort it, but not
    before that one has heard of it, too.
    """
    world = World(1, Workload(1, transactions=1))
    first = world.join(lambda coordinator: load(coordinator, world.workload))
    _, links = world.clients[first]
    world.run(lambda: any(link.up[4:5] == bytes([protocol.COMMIT]) for link in links))
    world.kill_client(first)
    for link in links:
        link.up = b""
    links[1].up = frame(protocol.COMMIT, 1, world.workload.keys[0], 1, value_of(world.workload.keys[0], 1))
    world.held.add(links[1])
    world.workload.left = 1
    second = world.join(lambda coordinator: load(coordinator, world.workload))
    world.run(lambda: world.workload.aborted > 50)
    assert world.running(second) and world.workload.committed == 0
    world.held.clear()
    world.run(lambda: not world.running(second))
    assert world.workload.committed == 1 and summed(world) == 2


def test_two_replicas_that_die():
    world = World(1, Workload(5, transactions=10))
    world.join(lambda coordinator: load(coordinator, world.workload))
    world.kill_replica(0)
    world.kill_replica(2)
    with pytest.raises(NoQuorum):
        world.run(lambda: False)


def test_a_replica_that_says_nothing():
    """Whoever owes an answer for too long is lost, and the others go on."""
    world = World(1, Workload(5, transactions=10))
    coordinator = world.join(lambda coordinator: load(coordinator, world.workload))
    _, links = world.clients[coordinator]
    links[1].session.receive = lambda data: None
    world.run(lambda: False)
    coordinator.timed_out()
    assert coordinator.alive == [True, False, True]
    world.advance(coordinator)
    world.run(lambda: not world.running(coordinator))
    assert world.workload.committed == 10


def test_a_replica_that_answers_nonsense():
    for data in (frame(protocol.DONE, 0) * 2, frame(protocol.VALUE, 0), frame(protocol.DONE), bytes(4)):
        coordinator = Coordinator(1)
        next(coordinator.hello())
        coordinator.receive(1, data)
        assert coordinator.alive == [True, False, True]


def test_votes():
    replica = Replica()
    for client in (1, 2):
        replica.connect(client)
    assert replica.prepare(1, 1, [(b"a", 0)], [(b"a", 1, b"x")]) == (YES, 0, 0)
    assert replica.prepare(2, 1, [(b"a", 0)], []) == (protocol.LOCKED, 1, 1)
    replica.disconnect(1)
    assert replica.prepare(2, 1, [(b"a", 0)], []) == (ORPHAN, 1, 1)
    replica.resolve(1, 1, True, [(b"a", 1, b"x")])
    assert replica.prepare(2, 1, [(b"a", 0)], []) == (STALE, 0, 0)
    assert replica.prepare(2, 1, [(b"a", 1)], [(b"b", 1, b"y")]) == (YES, 0, 0)
    with pytest.raises(Malformed):
        replica.prepare(2, 2, [], [])


def test_a_committed_write_waits_for_the_holder():
    replica = Replica()
    for client in (1, 2):
        replica.connect(client)
    assert replica.prepare(1, 1, [(b"a", 0)], [(b"a", 1, b"mine")])[0] == YES
    replica.commit(2, 1, [(b"a", 1, b"theirs"), (b"b", 1, b"theirs")])
    assert set(replica.values) == {b"b"}
    replica.abort(1, 1)
    assert replica.values[b"a"] == (1, b"theirs") and not replica.holders and not replica.late


def test_clients_that_are_gone_are_forgotten_in_the_end():
    replica = Replica()
    replica.connect(0)
    assert replica.prepare(0, 1, [(b"a", 0)], [])[0] == YES
    for client in range(1, 2 * MOST_GONE):
        replica.connect(client)
        replica.disconnect(client)
    replica.disconnect(0)  # holds something: remembered until that is decided
    assert len(replica.clients) == MOST_GONE + 1 and 0 in replica.clients


@pytest.mark.parametrize("choice", ["zipfian", "uniform"])
def test_choice(choice):
    workload = Workload(100, choice)
    chosen = [workload.chosen()[0] for _ in range(5000)]
    assert all(len(key) == 64 for key in chosen) and len(set(chosen)) > 90
    share = chosen.count(workload.keys[0]) / len(chosen)
    assert (0.15 < share < 0.25) if choice == "zipfian" else share < 0.03


@given(st.integers(0, 2**64 - 1), st.integers(0, 699), st.integers(1, 255))
def test_every_byte_of_a_value_counts(counter, place, bit):
    value = bytearray(value_of(b"k", counter))
    assert len(value) == 700 and counter_of(b"k", 1, bytes(value)) == counter
    value[place] ^= bit
    with pytest.raises(Broken):
        counter_of(b"k", 1, bytes(value))
