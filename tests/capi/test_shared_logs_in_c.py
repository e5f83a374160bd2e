"""A volume that programs in C share, with each other and with Python."""

import subprocess
from pathlib import Path

import pytest
from sharing import Sharer

from libos.factory import native

HERE = Path(__file__).parent
AT_A_TIME = 8  # pushes of a sharer that are under way


@pytest.fixture
def volume(tmp_path):
    return str(tmp_path / "volume")


@pytest.fixture
def sharer(program, volume):
    some = []

    def started(name, count, libos="catnap"):
        argv = [program(HERE / "sharer.c"), f"--{libos}", f"--cattree-shared={volume}", name, str(count)]
        some.append(Sharer(argv))
        assert some[-1].said == "here"
        return some[-1]

    yield started
    for one in some:
        if one.process.returncode is None:
            one.kill()


def lines(volume):
    """{name of a sharer: its numbers} of the log, in its order."""
    store = native("cattree", path=volume, shared=True)
    qd, whole = store.open("log"), b""
    head, end = store.bounds(qd)
    while len(whole) < end - head:
        with store.wait(store.pread(qd, 1 << 20, head + len(whole)), 20).sga as sga:
            whole += bytes(sga)
    store.shut()
    found = {}
    for line in whole.decode().splitlines():
        who, number = line.split()
        found.setdefault(who, []).append(int(number))
    return found


@pytest.mark.parametrize("libos", ["catnap", "catloop"])
def test_every_call(run, volume, libos):
    """As on a volume of its own."""
    run(HERE / "c" / "logs.c", libos, CATTREE_SHARED=volume)
    store = native("cattree", path=volume)
    logs = store.logs()
    assert logs["log"] == (0, 653938) and logs["together"] == (0, 20000) and "c" not in logs
    assert [logs[f"own {i}"] for i in (1, 3, 5, 7)] == [(0, 10000)] * 4 and logs["shared"] == (0, 40000)
    store.shut()


def test_the_owner_is_killed(sharer, volume):
    """What was acknowledged is there, once; what was lost is there once or not; what comes later goes to the next."""
    owner = sharer("a", 100000)
    others = [sharer("b", 400), sharer("c", 400, "catloop")]
    for one in (owner, *others):
        one.follow(40)
    owner.kill()
    for one in others:
        one.follow()
        assert sorted(one.done + one.lost) == list(range(400)) and len(one.lost) <= AT_A_TIME
    found = lines(volume)
    for name, one in zip("abc", (owner, *others), strict=True):
        assert found[name] == sorted(set(found[name])), name  # once each, in their order
        assert set(one.done) <= set(found[name])
        assert set(found[name]) <= set(one.done) | set(one.lost) or name == "a"
    for one in others:
        one.end()


def test_the_owner_leaves(sharer, volume):
    """A program that ends in order takes nothing with it: what the next one has not been answered it asks again."""
    owner = sharer("a", 50)
    other = sharer("b", 400)
    owner.follow()
    other.follow(20)
    owner.end()
    other.follow()
    assert sorted(other.done) == list(range(400)) and not other.lost
    assert lines(volume) == {"a": list(range(50)), "b": list(range(400))}
    other.end()


def test_with_python(sharer, volume):
    """Either may be the owner."""
    store = native("cattree", path=volume, shared=True)
    one = sharer("a", 50)
    one.follow()
    assert sorted(one.done) == list(range(50))
    store.shut()
    assert lines(volume) == {"a": list(range(50))}  # which the other owns now
    one.end()
    assert lines(volume) == {"a": list(range(50))}


def test_a_volume_that_is_not_shared_is_one_line(program, volume):
    store = native("cattree", path=volume)
    argv = [program(HERE / "sharer.c"), "--catnap", f"--cattree-shared={volume}", "a", "1"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=100, stdin=subprocess.DEVNULL)
    store.shut()
    assert done.returncode == 1 and "is in use, and its owner does not share it" in done.stderr
    assert "Traceback" not in done.stderr
