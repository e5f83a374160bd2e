"""A hostile peer writes random words to random places of what it shares with its victim: it harms nobody but itself.

The victim serves on, its time-outs are kept, and the bytes of its other connections are exact (docs/catloop.md, Trust).
What each of the three programs does is in c/scribble.c. FLAP_SCRIBBLE_SEED=7 runs just that seed.
"""

import os
import re
import time

import flap
import pytest

SECONDS = 60 if flap.FULL else 5
SEEDS = [int(os.environ["FLAP_SCRIBBLE_SEED"])] if "FLAP_SCRIBBLE_SEED" in os.environ else [1, 2]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.timeout(300)
def test_a_peer_that_scribbles(preload, seed):
    program = flap.compiled("scribble.c")
    limit = SECONDS + 30
    with flap.Program([program, "victim", str(SECONDS + 2)], "catloop", timeout=limit) as victim:
        while not (found := re.search(rb"^ports (\d+) (\d+)$", victim.read("out"), re.M)):
            assert victim.process.poll() is None
            time.sleep(0.01)
        ports = [port.decode() for port in found.groups()]
        honest = [flap.Program([program, "honest", p, str(SECONDS)], "catloop", timeout=limit) for p in ports]
        words = [program, "evil"]
        evil = [
            flap.Program([*words, p, str(SECONDS), str(seed * 2 + i)], "catloop", timeout=limit, strict=False)
            for i, p in enumerate(ports)
        ]
        results = {"honest": [program.wait(limit) for program in honest], "evil": [e.wait(limit) for e in evil]}
        results["victim"] = [victim.wait(limit)]
    for role, ended in results.items():
        for result in ended:
            said = f"seed {seed}, {role}\n{result}"
            assert not result.timed_out and result.status == 0 and b"BROKEN" not in result.stdout, said
            assert role == "evil" or not flap.COMPLAINTS.search(result.log), said
    exchanged = [int(re.search(rb"exchanged (\d+)", result.stdout).group(1)) for result in results["honest"]]
    attacks = [re.search(rb"attacks (\d+) words (\d+)", result.stdout).groups() for result in results["evil"]]
    print(f"seed {seed}: {attacks} attacks, {exchanged} bytes")
    assert all(int(n) >= SECONDS and int(words) > 10_000 for n, words in attacks) and min(exchanged) > 10_000
