"""What a process family keeps of others is bounded by its connections, not by how many it has ever met."""

import os

from libos import layout, raw
from libos.catloop import Catloop
from libos.memory_file import sealed


def hear(family, end, number):
    page = sealed(f"catflap-test-{number}", 4096)
    family.hear(end, b"%016x" % number, page)
    os.close(page)


def mappings():
    with open("/proc/self/maps") as f:
        return sum(1 for _ in f)


def test_peers_of_whom_no_connection_is_left_are_forgotten():
    libos = Catloop()
    family = libos.family
    family.start_bells()
    kept, passing = libos.records.claim(), libos.records.claim()
    hear(family, kept, 1)
    before = mappings()
    for number in range(2, 1000):
        hear(family, passing, number)
    assert mappings() - before < 300 and len(family.peers) < 140
    # what connections still use is there
    for end, number in ((kept, 1), (passing, 999)):
        assert raw.load(end + layout.PEER_BELLS) == family.pages[b"%016x" % number]
        assert raw.load(raw.load(end + layout.PEER_BELLS)) == 0
        assert raw.load(raw.load(end + layout.PEER_NAMES)) > 10
        assert raw.load(raw.load(end + layout.OWN_NAMES)) > 10


def test_pairs_without_a_connection_are_few_whoever_they_were_for():
    family = Catloop().family
    made = [family.pair_with(b"somebody") for _ in range(3)]
    for number in range(50):
        family.pair_with(b"peer %d" % number)
    assert len(family.by_block) <= 17 and len(family.pairs) <= 17
    assert made[0][0] is made[2][0]
