"""`catflap compare`: one command on the kernel and under Catflap, turn and turn about: same answers? how fast?"""

import os
import signal
import statistics
import subprocess
import time

from shim import doctor, program, run

ASPECTS = ("exit status", "stdout", "stderr")


class Outcome:
    """One run: its exit status as text, what it wrote, and the seconds it took."""

    def __init__(self, status, stdout, stderr, seconds):
        self.seconds = seconds
        self.seen = {"exit status": status, "stdout": stdout, "stderr": stderr}


class Side:
    """The runs on one side: the kernel's, or Catflap's."""

    def __init__(self, name, environ):
        self.name = name
        self.environ = environ
        self.outcomes = []

    def answers(self, aspect):
        """The different answers of one aspect, in the order they came."""
        return list(dict.fromkeys(outcome.seen[aspect] for outcome in self.outcomes))

    def median(self):
        return statistics.median(outcome.seconds for outcome in self.outcomes)

    def least(self):
        return min(outcome.seconds for outcome in self.outcomes)


def once(path, words, environ, timeout):
    """Run the command to its end, its input /dev/null, and say what came out."""
    began = time.perf_counter()
    with subprocess.Popen(
        words,
        executable=path,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=timeout is not None,
    ) as process:
        try:
            stdout, stderr = process.communicate(timeout=timeout)
            status = spoken(process.returncode)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            stdout, stderr = process.communicate()
            status = f"not done after {timeout:g} s"
    return Outcome(status, stdout, stderr, time.perf_counter() - began)


def spoken(status):
    """A subprocess return code in words."""
    if status >= 0:
        return str(status)
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"


def measure(words, libos, runs, timeout=None, environ=None):
    """(kernel Side, Catflap Side) after `runs` runs of each; which goes first changes every time."""
    environ = os.environ if environ is None else environ
    flags = {"libos": libos} if libos else {}
    run.library()
    settings = run.settings(flags, environ)
    plain = doctor.kernel_environment(environ)
    sides = [Side("kernel", plain), Side("Catflap", run.environment(flags, settings, environ))]
    path = program.find(words[0], plain)
    for turn in range(runs):
        for side in sides if turn % 2 == 0 else reversed(sides):
            side.outcomes.append(once(path, words, side.environ, timeout))
    return sides


def verdicts(kernel, catflap):
    """[(aspect, "same" | "varies" | "differs", sentence)]. What the kernel alone does not repeat is no disagreement."""
    result = []
    for aspect in ASPECTS:
        expected, got = kernel.answers(aspect), catflap.answers(aspect)
        if set(expected) == set(got):
            result.append((aspect, "same", "same"))
        elif len(expected) > 1:
            result.append((aspect, "varies", "varies from run to run on the kernel itself: not compared"))
        else:
            odd = next(answer for answer in got if answer != expected[0])
            result.append((aspect, "differs", difference(expected[0], odd)))
    return result


def difference(expected, got):
    """The first difference of two answers, in words."""
    if isinstance(expected, str):
        return f"kernel {expected}, Catflap {got}"
    ours, theirs = got.splitlines(keepends=True), expected.splitlines(keepends=True)
    for line, (a, b) in enumerate(zip(theirs, ours, strict=False), 1):
        if a != b:
            return f"line {line}: kernel {short(a)}, Catflap {short(b)}"
    shorter, who = (ours, "Catflap") if len(ours) < len(theirs) else (theirs, "kernel")
    return f"{who} stops after line {len(shorter)}"


def short(line):
    """A line of output, quoted, not longer than fits on a screen line."""
    text = ascii(line.decode("utf-8", "backslashreplace").rstrip("\n"))
    return text if len(text) <= 60 else text[:56] + "...'"
