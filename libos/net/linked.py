# cython: infer_types=True
"""Lists whose links lie in the records themselves, so that they need no memory of their own.

A Queue keeps an order: whoever is in one has a Link of its own for it, and is put in, found and taken out in a moment.
A chain is a place of a table of records by number, whose addresses it holds one after the other.
"""

from libos import raw
from libos.net import structs


def append(at, link, record):
    """`record` goes to the end of the queue at `at`, unless it is in it."""
    if link.record:
        return
    q = structs.queue(at)
    link.record = record
    link.next = 0
    link.before = q.last
    if q.last:
        structs.link(q.last).next = structs.self_of_link(link)
    else:
        q.first = structs.self_of_link(link)
    q.last = structs.self_of_link(link)
    q.count += 1


def remove(at, link):
    """Whose link it is leaves the queue at `at`, where it is in it."""
    if link.record == 0:
        return
    q = structs.queue(at)
    link.record = 0
    if link.next:
        structs.link(link.next).before = link.before
    else:
        q.last = link.before
    if link.before:
        structs.link(link.before).next = link.next
    else:
        q.first = link.next
    q.count -= 1


def first(at):
    """Address of the record that has been in the queue at `at` for longest, 0 where there is none."""
    q = structs.queue(at)
    return structs.link(q.first).record if q.first else 0


def take(at):
    """The same, and it leaves."""
    record = first(at)
    if record:
        remove(at, structs.link(structs.queue(at).first))
    return record


def chain(place, record):
    """`record` is the first at that place of a table."""
    structs.transport(record).chain = raw.load(place)
    raw.store(place, record)


def unchain(place, record):
    """`record`, which is there, leaves its place."""
    after = structs.transport(record).chain
    at = raw.load(place)
    if at == record:
        raw.store(place, after)
        return
    before = structs.transport(at)
    while before.chain != record:
        before = structs.transport(before.chain)
    before.chain = after
