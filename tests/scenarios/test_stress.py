"""Stress of upgraded connections: two processes move streams whose every byte is known, in all ways a program may.

What they do is in c/stress.c, and follows from a seed that every run prints. FLAP_STRESS_SEED=7 (or 7-90) runs just
those seeds; `-s` shows each run.
"""

import os
import random
import re
import signal
import subprocess
import time

import flap
import pytest

CATLOOP = ("catloop", "catloop")
THEMES = ("plain", "fork", "abrupt", "kill", "stop")
SECONDS = 600 / len(THEMES) if flap.FULL else 11
STALL, LIMIT = 6, 40  # seconds: a stream that stands still; a run
SURVIVAL = 1_000_000  # microseconds between a death, or the last byte after it, and the survivor's notice
DIED = re.compile(r"crash at (\d+) us")
ENDED = re.compile(r"^(?:received|sent) connection .* moved (\d+) us, ended (\d+) us$", re.M)
BESIDE = re.compile(r"beside (\d+)$", re.M)


def now_us():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


class Pair:
    """Both ends of one run: role 1 listens, role 0 dials. `outcome` says in one line what it was."""

    def __init__(
        self, seed, theme, libos=CATLOOP, *, pure=False, size=4_000_000, calls=3000, stall=STALL, env=({}, {})
    ):
        worths = "/".join(end.get("CATFLAP_WORTH", "-") for end in env)
        self.title = f"seed {seed} theme {theme} libos {'/'.join(libos)} size {size} worth {worths}"
        self.theme, self.libos, self.pure, self.env = theme, libos, pure, env
        self.argv = [str(seed), theme, str(size), str(calls), str(stall)]
        self.dice = random.Random(seed)
        self.died_us = None
        self.beside = 0
        self.ends = [None, None]

    def start(self, role, *ports):
        argv = [flap.compiled("stress.c"), str(role), *self.argv, *ports]
        options = {"pure": self.pure and self.libos[role] != "kernel", "env": self.env[role], "timeout": LIMIT + 20}
        self.ends[role] = flap.Program(argv, self.libos[role], strict=False, **options)
        return self.ends[role]

    def said(self, role):
        return self.ends[role].read("out").decode(errors="backslashreplace")

    def __enter__(self):
        self.start(1)
        self.start(0, *self.await_words(1, r"^ports (\d+) (\d+)$"))
        return self

    def __exit__(self, kind, error, trace):
        for end in self.ends:
            if end is not None:
                end.stop()

    def await_words(self, role, pattern):
        end = time.monotonic() + 20
        while True:
            found = re.search(pattern, self.said(role), re.M)
            if found:
                return found.groups()
            over = self.ends[role].process.poll() is not None or time.monotonic() > end
            assert not over, f"{self.title}\n{self.ends[role].stop()}"
            time.sleep(0.002)

    def hit(self, role, number):
        """Send a signal to the program itself; it may be gone already."""
        try:
            os.kill(self.ends[role].pid, number)
        except (OSError, IndexError):
            pass

    def disturb(self):
        """What a third process does to them, while both run."""
        role = self.dice.randrange(2)
        if self.theme == "kill":
            self.await_words(role, "^(running)")
            time.sleep(self.dice.choice([0.001, 0.02, 0.3]) * self.dice.random())
            self.died_us = now_us()
            self.hit(role, signal.SIGKILL)
        for _ in range(self.dice.randrange(1, 12) if self.theme == "stop" else 0):
            role = self.dice.randrange(2)
            time.sleep(self.dice.choice([0.001, 0.05]) * self.dice.random())
            self.hit(role, signal.SIGSTOP)
            time.sleep(self.dice.choice([0.001, 0.05, 0.3]) * self.dice.random())
            self.hit(role, signal.SIGCONT)

    def stuck(self):
        """Why it is of no use to wait any longer, or None."""
        for role in (0, 1):
            found = re.search(r"^(BROKEN|STALLED).*$", self.said(role), re.M)
            if found:
                return found.group(0)
        return "no end" if time.monotonic() > self.deadline else None

    def wait(self):
        """Both have ended, or something is wrong: then the error says where each of them stands."""
        self.deadline = time.monotonic() + LIMIT
        self.disturb()
        why = None
        while any(end.process.poll() is None for end in self.ends):
            why = self.stuck()
            if why:
                time.sleep(0.2)  # for the rest of what it says
                break
            time.sleep(0.005)
        if why or self.stuck():
            raise AssertionError(f"{why or self.stuck()}\n{self.title}\n{self.whereabouts()}")
        results = [end.wait() for end in self.ends]
        for role in (0, 1):
            self.check(role, results[role], results[1 - role])
        return self

    def whereabouts(self):
        """What both have said, and where each of their threads is."""
        parts = []
        for role in (0, 1):
            end = self.ends[role]
            stacks = [stack(pid) for pid in end.family()] if end.process.poll() is None else []
            parts += [f"=== role {role}, {self.libos[role]}", *stacks, str(end.stop())]
        return "\n".join(parts)

    def check(self, role, result, other):
        said = result.stdout.decode(errors="backslashreplace")
        where = f"{self.title} role {role}\n{result}\n=== the other end\n{other}"
        if self.libos[role] != "kernel":
            assert not flap.COMPLAINTS.search(result.log), where
        self.beside += sum(map(int, BESIDE.findall(said)))
        if "end\n" in said:
            assert result.status == 0, where
        else:
            assert self.theme == "kill", where
            assert result.status == 137 or DIED.search(said), where
            return
        crash = DIED.search(other.stdout.decode())
        if self.theme == "kill" and not DIED.search(said):
            died = min(t for t in (self.died_us, int(crash.group(1)) if crash else None) if t)
            late = [int(ended) - max(died, int(moved)) for moved, ended in ENDED.findall(said)]
            assert max(late, default=0) < SURVIVAL, f"noticed after {max(late)} us\n{where}"


def stack(pid):
    """Where each thread of a process is: in the kernel, and by gdb where there is one."""
    lines = []
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:  # it has ended meanwhile
        tasks = []
    for task in tasks:
        words = [task]
        for name in ("wchan", "syscall", "stack"):
            try:
                with open(f"/proc/{pid}/task/{task}/{name}") as f:
                    words.append(f"{name}={f.read().strip()}")
            except OSError:
                pass
        lines.append(" ".join(words))
    try:
        command = ["gdb", "-batch", "-nx", "-p", str(pid), "-ex", "thread apply all bt 14"]
        lines.append(subprocess.run(command, capture_output=True, text=True, timeout=30).stdout[-12000:])
    except (OSError, subprocess.TimeoutExpired):
        pass
    return f"process {pid}\n" + "\n".join(lines)


def worth(dice):
    """When a connection is worth a meeting: at once for some, later at one of the two ends."""
    return {"CATFLAP_WORTH": str(dice.choice([1, 1, 2, 16, dice.randrange(1, 201)]))}


def stress(seed, theme, libos=None, **options):
    """One run. What it is follows from seed and theme."""
    dice = random.Random(seed * 7)
    if libos is None:
        libos = dice.choice([CATLOOP] * 8 + [("catloop", "kernel"), ("kernel", "catloop")])
    size = options.pop("size", None) or dice.choice(
        [20_000, 1_000_000, 4_000_000, 30_000_000 if flap.FULL else 8_000_000]
    )
    pair = Pair(seed, theme, libos, size=size, env=(worth(dice), worth(dice)), **options)
    start = time.monotonic()
    with pair:
        pair.wait()
    print(f"{pair.title}: {time.monotonic() - start:.2f} s, {pair.beside} bytes beside the kernel")
    return pair


def seeds():
    """Which seeds a theme runs until its time is up: the same ones each time, but for the long runs."""
    asked = os.environ.get("FLAP_STRESS_SEED")
    if asked:
        first, _, last = asked.partition("-")
        return range(int(first), int(last or first) + 1)
    first = time.time_ns() // 1_000_000 % 1_000_000_000 if flap.FULL else 1
    return range(first, first + 1_000_000)


@pytest.mark.timeout(3 * SECONDS + 200)
@pytest.mark.parametrize("theme", THEMES)
def test_streams(preload, theme):
    beside, runs, end = 0, 0, time.monotonic() + SECONDS
    for seed in seeds():
        beside += stress(seed, theme).beside
        runs += 1
        if time.monotonic() > end and not os.environ.get("FLAP_STRESS_SEED"):
            break
    print(f"{theme}: {runs} runs")
    assert beside or runs < 5, "no byte has ever left the kernel"


@pytest.mark.pure_sample
@pytest.mark.parametrize(("theme", "seed"), [("plain", 1), ("plain", 2), ("abrupt", 3), ("kill", 5)])
def test_streams_interpreted(preload, theme, seed):
    stress(seed, theme, CATLOOP, pure=True, size=200_000, calls=200)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("theme", THEMES)
def test_kernel_passes(preload, theme, seed):
    """What the stress asks for is what the kernel does."""
    assert stress(seed, theme, ("kernel", "kernel")).beside == 0


FLIP = """
left = [{at}]

def install(instrument):
    def flip(qd, view):
        if left[0] < len(view):
            view[left[0]] ^= 1
            left[0] = 1 << 60
        left[0] -= len(view)

    instrument.install("pop", flip)
"""


@pytest.mark.parametrize("role", [0, 1])
def test_a_changed_bit_is_seen(preload, tmp_path, role):
    """One bit of one byte, changed by a hook at either end."""
    hook = tmp_path / "hook.py"
    hook.write_text(FLIP.format(at=1000 + role * 700))
    env = [{"CATFLAP_WORTH": "1"}, {"CATFLAP_WORTH": "1"}]
    env[role]["CATFLAP_HOOK"] = str(hook)
    with Pair(3, "plain", env=env) as pair, pytest.raises(AssertionError, match=r"byte \d+ of .* is wrong"):
        pair.wait()


def test_a_hang_is_seen(preload):
    """An end that is stopped and never continued: the other one's streams stand still, and it says where."""
    with Pair(2, "kill", stall=1, env=[{"CATFLAP_WORTH": "1"}] * 2) as pair:
        pair.disturb = lambda: pair.hit(0, signal.SIGSTOP)
        pair.await_words(1, "^(running)")
        with pytest.raises(AssertionError, match=r"(?s)STALLED connection.*(step|syscall=)"):
            pair.wait()
