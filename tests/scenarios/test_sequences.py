"""Random sequences of socket operations: results and errno are the same on the kernel and under Catflap.

What a script may say is in c/sequence.c. A failing script is shrunk, and printed in full.
"""

import os
import re
import tempfile

import flap
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

# what most scripts would hardly ever come to by themselves
CONNECTION = ["socket 0 0 0", "bind 0 0 0", "listen 0 0 0", "socket 1 0 0", "connect 1 0 0", "accept 0 2 1"]
DATAGRAMS = ["socket 4 1 0", "bind 4 0 0", "socket 5 1 0", "bind 5 0 0", "connect 5 4 0", "connect 4 5 0"]
IN_USE = ["setsockopt 1 1 1", "setsockopt 2 1 1"]  # TCP_NODELAY
IN_USE += ["send 1 10 0", "recv 2 10 0", "send 2 10 0", "recv 1 10 0"] * 12
NAGLE = re.compile(r"setsockopt \d+ 1 0")
EXAMPLES = 400 if flap.FULL else 30
IN_USE_EXAMPLES = 4000 if flap.FULL else 120

slots = st.sampled_from([0, 1, 2, 1, 2, 3, 4, 5, 6])  # the ends of the connection twice as often
small = st.integers(0, 11)
size = st.sampled_from([0, 1, 10, 1500, 2999])


def line(name, *arguments):
    words = [st.just(name), *arguments, *[st.just(0)] * (3 - len(arguments))]
    return st.tuples(*words).map(lambda t: " ".join(map(str, t)))


SETS = st.integers(0, 1)
CALLS = [
    line("socket", slots, SETS, SETS),
    line("close", slots),
    line("vanish", slots, st.just(0), SETS),
    line("dup", slots, slots),
    line("dup2", slots, slots, SETS),
    line("dupfd", slots, slots, small),
    line("fcntl", slots, small, small),
    line("ioctl", slots, SETS, SETS),
    line("bind", slots),
    line("listen", slots, small),
    line("connect", slots, slots),
    line("disconnect", slots),
    line("accept", slots, slots, SETS),
    line("shutdown", slots, st.integers(0, 3)),
    line("names", slots, SETS),
    line("getsockopt", slots, st.integers(0, 7)),
    line("setsockopt", slots, st.integers(0, 3), SETS),
    *[line("send", slots, size, st.integers(0, 7))] * 3,
    *[line("recv", slots, size, st.integers(0, 9))] * 3,
    line("sendto", slots, slots, size),
    line("poll", st.integers(0, 5), st.integers(0, 8), SETS),
    line("select", st.integers(0, 3), st.integers(0, 8), SETS),
    line("epoll", SETS),
    *[line("epoll_ctl", SETS, slots, st.integers(0, 19))] * 2,
    line("epoll_wait", SETS, small, SETS),
]
scripts = st.tuples(
    st.sampled_from([CONNECTION + DATAGRAMS, CONNECTION, []]), st.lists(st.one_of(CALLS), min_size=60, max_size=150)
).map(lambda parts: parts[0] + parts[1])


def transcript(script, libos, **options):
    """Result of one script, one operation a line."""
    with tempfile.NamedTemporaryFile("w", prefix="flap-script-") as file:
        file.write("\n".join(script) + "\n")
        file.flush()
        result = flap.run([flap.compiled("sequence.c"), file.name], libos, **options)
    assert result.status == 0 and b"BROKEN" not in result.stdout, f"{libos}: {result}"
    assert result.stdout.endswith(b"end\n")
    return result


def compare(script, libos="catnap", **options):
    kernel, ours = transcript(script, "kernel"), transcript(script, libos, **options)
    if kernel.stdout != ours.stdout:
        # a script whose outcome differs on the kernel itself says nothing about us
        assert transcript(script, "kernel").stdout == kernel.stdout, f"the kernel disagrees with itself: {script}"
    assert ours.stdout.decode().splitlines() == kernel.stdout.decode().splitlines(), f"{script}\n{ours}"
    return ours


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=not flap.FULL)
@example(script=CONNECTION + DATAGRAMS)
@given(script=scripts)
@pytest.mark.timeout(1800)
def test_random_sequences(script):
    compare(script)


def comparable(script):
    """Without Nagle's algorithm, which shared memory doesn't have, and without numbers closed behind our back (both in
    docs/differences.md); with room for every event, since which of more come first is nowhere said.
    """
    script = [line[:-1] + "1" if NAGLE.match(line) else line for line in script]
    script = [line[:-1] + "1" if line.startswith("vanish") else line for line in script]
    return [re.sub(r"epoll_wait (\d) \d+", r"epoll_wait \1 15", line) for line in script]


@settings(
    max_examples=IN_USE_EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=not flap.FULL
)
@given(script=scripts.filter(lambda script: script[: len(CONNECTION)] == CONNECTION))
@pytest.mark.timeout(1800)
def test_random_sequences_on_a_connection_in_use(script):
    compare(CONNECTION + IN_USE + comparable(script[len(CONNECTION) :]), "auto")


def test_nothing_is_held_back():
    """Bytes in shared memory are there at once, whatever is on its way (docs/differences.md)."""
    script = CONNECTION + IN_USE[2:] + ["send 2 2999 5", "select 3 1 1"]
    assert "  slot 1 in out" in transcript(script, "auto").stdout.decode().splitlines()


def one_of_each():
    """A script with every operation there is: on an empty slot, on a stream, on a datagram socket."""
    with open(os.path.join(flap.SOURCES, "sequence.c")) as f:
        table = f.read().split("} operations[] = {")[1].split("};")[0]
    names = [word.split('"')[0] for word in table.split('{"')[1:]]
    assert len(names) == 25
    script = [f"{name} 3 0 0" for name in names] + CONNECTION + DATAGRAMS + ["send 1 10 0", "poll 2 8 0"]
    return script + [f"{name} {k} 3 1" for k in (1, 2, 4) for name in names]


@pytest.mark.parametrize("pure", [False, pytest.param(True, marks=pytest.mark.pure_sample)])
def test_one_of_each(preload, pure):
    assert compare(one_of_each(), pure=pure).host == ["1"]


def test_a_difference_is_seen(preload, tmp_path):
    """One bit of one received byte, changed by a hook, is a difference."""
    hook = tmp_path / "hook.py"
    hook.write_text(
        "def install(instrument):\n"
        "    def flip(qd, view):\n"
        "        view[0] ^= 1\n\n"
        "    instrument.install('pop', flip)\n"
    )
    script = [*CONNECTION, "send 1 10 0", "poll 0 2 1", "recv 2 10 0"]
    with pytest.raises(AssertionError, match="bytes"):
        compare(script, env={"CATFLAP_HOOK": str(hook)})
    compare(script)


@pytest.mark.parametrize("script", [["socket 3 0 1", "send 3 0 5"], DATAGRAMS + ["send 4 0 5", "recv 5 10 1"]])
def test_vector_of_nothing(preload, script):
    """It is no datagram, and doesn't ask whether there is a connection."""
    compare(script)


# a stream's or a datagram socket's number closed by a raw system call while a copy of it lives on
VANISHED = [
    CONNECTION
    + ["dup 1 7 0", "vanish 1 0 0", *(f"{name} 7 1 1" for name in ("bind", "names", "getsockopt", "shutdown"))],
    CONNECTION + ["dup 0 7 0", "vanish 0 0 0", "setsockopt 7 0 1", "getsockopt 7 7 0", "listen 7 3 0", "names 7 0 0"],
]
# and the number given away again: bytes must not follow it
REUSED = [
    DATAGRAMS + ["dup 4 7 0", "vanish 4 0 0", "dup 5 3 0", "send 7 10 0", "recv 5 20 1", "recv 7 20 1"],
    DATAGRAMS
    + ["dup 4 7 0", "vanish 4 0 0", "socket 3 1 0", "bind 3 0 0", "sendto 5 3 10", "recv 7 20 1", "recv 3 20 1"],
    [*CONNECTION, "dup 2 7 0", "socket 6 0 1", "connect 6 0 0", "vanish 2 0 0", "accept 0 3 1"]
    + ["send 7 10 0", "recv 1 20 1", "recv 6 20 1", "send 1 1500 0", "recv 3 2999 1", "recv 7 2999 1"],
    # the copy by which that is found out is the connection's no more
    [*CONNECTION, "close 0 0 0", "dup 2 4 0", "dup2 4 6 0", "socket 4 0 0", "dup 6 5 0", "vanish 6 0 0", "dupfd 5 2 11"]
    + ["connect 5 0 0", "socket 0 0 0", "dup2 0 6 0", "close 0 0 0", "dup 2 0 0", "dup 6 5 0", "socket 2 0 0"]
    + ["shutdown 0 0 0"],
]


@pytest.mark.parametrize("script", VANISHED + REUSED)
def test_closed_behind_our_back(preload, script):
    compare(script)
