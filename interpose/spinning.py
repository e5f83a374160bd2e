"""Whether a thread that finds nothing looks again for a while before it sleeps: while it takes no core from anybody."""

import posix

from interpose import description
from libos import driver, layout, raw

COMPILED = __file__.endswith(".so")
OFTEN = 10000000  # ns between looks at who runs
SELDOM = 160000000  # ns until a thread that had to wait for its core is asked again

# in the line of a thread's bell, behind what peers and sets read there (libos/rings.py)
ASKED = 24
WAITED = 32
VERDICT = 40
SHARES, ALONE, UNKNOWN = 0, 1, 2


class Spinning:
    def __init__(self):
        self.spin = 20000  # ns
        self.cores = 1
        self.look_at = 0  # when the machine is looked at next
        self.crowded = 0  # looks in a row that found more threads than cores


HERE = Spinning()


def begin(spin):
    """`spin` is how many ns a thread looks at rings before it sleeps; 0: none."""
    HERE.spin = spin
    HERE.cores = posix.cpu_count() or 1


def look(turns):
    """Drive what is here to be driven, in a spin of which so many turns are over."""
    if turns:
        driver.HERE.driver.look_again()
    else:
        driver.HERE.driver.look()


def pays(w, now):
    """Whether there is a core for who spins.

    There is while the machine has no more threads than cores, but for one look, 10 ms before the next. Then there may
    be one all the same: where others share theirs, and this thread, whose wait is `w`, has hardly waited for its own.
    """
    if now >= HERE.look_at:
        HERE.look_at = now + OFTEN
        HERE.crowded = HERE.crowded + 1 if raw.running() > HERE.cores else 0
    if HERE.spin == 0:
        return False
    if HERE.crowded < 2:
        return True
    bell = raw.load(w + layout.W_BELL)
    return 0 < bell < 64 and alone(description.PROCESS.bells + bell * 64, now)


def alone(line, now):
    """Whether a thread, known by the line of its bell, waited for a core for less than an eighth of the last time."""
    verdict = raw.load(line + VERDICT)
    since = now - raw.load(line + ASKED)
    if since >= (SELDOM if verdict == SHARES else OFTEN):
        waited = raw.waited()
        verdict = UNKNOWN
        if raw.load(line + ASKED) and waited >= 0:
            verdict = ALONE if (waited - raw.load(line + WAITED)) * 8 < since else SHARES
        raw.store(line + ASKED, now)
        raw.store(line + WAITED, waited)
        raw.store(line + VERDICT, verdict)
    return verdict == ALONE
