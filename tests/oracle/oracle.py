"""CPython's own tests, run in a child on the kernel or under a libOS, and what became of each of them.

A test that hangs or ends its process is told as that; the rest of the run goes on in another child.
"""

import json
import os
import tempfile

import flap
import pythons

INSIDE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "inside.py")
CHILDREN = 8  # so often may a test end its process


class Ran:
    """What a run has told: `outcomes` {test: (outcome, text)}, `host`: Catflap was in every child, connections `warmed`
    and `carried` (warm.py).
    """

    def __init__(self, lines):
        self.outcomes, self.host, self.warmed, self.carried = {}, bool(lines), 0, 0
        for kind, *words in lines:
            if kind == "begin":
                self.outcomes.setdefault(words[0], ("hung or crashed", ""))
            elif kind == "end":
                self.outcomes[words[0]] = words[1], words[2]
            elif kind == "host":
                self.host &= words[0]
            elif kind == "count":
                self.warmed += words[0]
                self.carried += words[1]

    def failed(self):
        return {test for test, (outcome, _) in self.outcomes.items() if outcome not in ("pass", "skip")}

    def passed(self):
        return {test for test, (outcome, _) in self.outcomes.items() if outcome == "pass"}


def run(libos, *names, warm=False, pure=False, worth=1, patience=20, timeout=240):
    """A Ran of the tests of these names. `patience`: seconds for one test, `timeout` for each child."""
    python = pythons.same()
    with tempfile.TemporaryDirectory(prefix="oracle-") as folder:
        told = os.path.join(folder, "told")
        open(told, "w").close()
        work = os.path.join(folder, "work")
        os.mkdir(work)
        for _ in range(CHILDREN):
            argv = [python, INSIDE, told, str(patience), str(int(warm)), *names]
            env = {"CATFLAP_WORTH": str(worth)} if libos != "kernel" else {}
            result = flap.run(argv, libos, pure=pure, env=env, timeout=timeout, cwd=work)
            if result.status == 0:
                break
            before = os.path.getsize(told)
            assert not result.timed_out and before, str(result)
        with open(told) as file:
            return Ran([json.loads(line) for line in file])


def differences(libos, *names, reference, **options):
    """({test: what it says}, the Ran) of tests that fail three times of three under a libOS and pass three times of
    three on the kernel. `reference`: the kernel's Ran of the same names.
    """
    first = run(libos, *names, **options)
    missing = reference.passed() - set(first.outcomes)
    assert not missing, f"never begun: {sorted(missing)}"
    found = first.failed() & reference.passed()
    again = {**options, "timeout": 100}
    for other in (libos, libos, "kernel", "kernel"):
        if found:
            ran = run(other, *sorted(found), **again)
            found &= ran.passed() if other == "kernel" else ran.failed()
    return {test: first.outcomes[test] for test in sorted(found)}, first
