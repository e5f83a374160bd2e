"""Workload F of YCSB as transactions, without I/O: read some keys, raise the counter in each value, commit.

Keys have 64 bytes and values 700: a counter of eight, and bytes that follow from it and the key, so that each value can
be checked. The sum of all counters is the number of committed transactions times the keys in each.
"""

import hashlib
import random
from itertools import accumulate

KEY, VALUE = 64, 700  # bytes
THETA = 0.99  # of the zipfian choice, as in YCSB
MOST_ATTEMPTS = 10_000
AT_ONCE = 16  # keys that the sum reads in one transaction


class Broken(Exception):
    """A value isn't what any transaction has written, or a transaction never got through."""


class Workload:
    """What all clients share: which keys, how many transactions are left, and how it went."""

    def __init__(self, keys, choice="zipfian", size=1, transactions=0, seed=1):
        self.keys = [b"user%0*d" % (KEY - 4, i) for i in range(keys)]
        self.weights = list(accumulate(1 if choice == "uniform" else (i + 1) ** -THETA for i in range(keys)))
        self.size = min(size, keys)
        self.left = transactions
        self.random = random.Random(seed)
        self.committed = 0
        self.aborted = 0

    def chosen(self):
        """The keys of one transaction, all different."""
        found = set()
        while len(found) < self.size:
            found.update(self.random.choices(self.keys, cum_weights=self.weights))
        return sorted(found)


def value_of(key, counter):
    filler = hashlib.sha256(key + counter.to_bytes(8)).digest() * (VALUE // 32 + 1)
    return counter.to_bytes(8) + filler[: VALUE - 8]


def counter_of(key, version, value):
    """The counter in what was read. Raises Broken when one byte is wrong."""
    if version == 0:
        return 0
    counter = int.from_bytes(value[:8])
    if value != value_of(key, counter):
        raise Broken(f"a value of {key.decode()} that nobody has written")
    return counter


def load(coordinator, workload):
    """One client: transactions, each until it is committed, while there are some left. A generator."""
    yield from coordinator.hello()
    while workload.left:
        workload.left -= 1
        yield from changed(coordinator, workload, workload.chosen())
    yield from coordinator.settle()


def changed(coordinator, workload, keys):
    """One transaction, however many attempts it takes."""
    for _ in range(MOST_ATTEMPTS):
        reads, writes = {}, {}
        for key in keys:
            reads[key] = yield from coordinator.read(key)
            writes[key] = value_of(key, counter_of(key, *reads[key]) + 1)
        if (yield from coordinator.commit(reads, writes)):
            workload.committed += 1
            return
        workload.aborted += 1
    raise Broken(f"a transaction was aborted {MOST_ATTEMPTS} times")


def total(coordinator, workload, sums):
    """Append the sum of all counters to `sums`, read in transactions that a majority has confirmed. A generator."""
    yield from coordinator.hello()
    found = 0
    for start in range(0, len(workload.keys), AT_ONCE):
        for _ in range(MOST_ATTEMPTS):
            reads = {}
            for key in workload.keys[start : start + AT_ONCE]:
                reads[key] = yield from coordinator.read(key)
            if (yield from coordinator.commit(reads, {})):
                break
        else:
            raise Broken(f"a transaction was aborted {MOST_ATTEMPTS} times")
        found += sum(counter_of(key, *read) for key, read in reads.items())
    yield from coordinator.settle()
    sums.append(found)


def report(run, chosen, clock):
    """Run the part of a program that is a client, and say how it went; `run(tasks)` runs tasks, functions of a
    coordinator, side by side; `clock()` is in seconds. Raises Broken when the counters don't add up.
    """
    sums = []
    if chosen.role == "sum":
        workload = Workload(chosen.keys)
        run([lambda coordinator: total(coordinator, workload, sums)])
        print(f"the sum of all counters is {sums[0]}")
        return
    workload = Workload(chosen.keys, chosen.choice, chosen.size, chosen.transactions, chosen.seed)
    if not chosen.shared:
        run([lambda coordinator: total(coordinator, workload, sums)])
    start = clock()
    run([lambda coordinator: load(coordinator, workload)] * chosen.clients)
    rate = workload.committed / (clock() - start)
    print(f"{workload.committed} committed, {workload.aborted} aborted, {rate:.0f} transactions per second")
    if chosen.shared:
        return
    run([lambda coordinator: total(coordinator, workload, sums)])
    grown, expected = sums[1] - sums[0], workload.committed * workload.size
    if grown != expected:
        raise Broken(f"the sum of all counters has grown by {grown}, not by {expected}")
    print(f"the sum of all counters has grown by {grown}, as it has to")
