"""Other preloads beside ours: allocators, and a wrapper of the same calls, before us and behind us."""

import os
import re

import flap
import pytest
from material import content
from roles import DEFAULT, every, listens, until
from services import SIZE, asker, echoer, finish
from talkers import Talker, conversation

LIBRARIES = "/usr/lib/x86_64-linux-gnu"
ALLOCATORS = {
    "jemalloc": (f"{LIBRARIES}/libjemalloc.so.2", "libjemalloc2"),
    "tcmalloc": (f"{LIBRARIES}/libtcmalloc_minimal.so.4", "libtcmalloc-minimal4"),
}
ORDERS = ["before", "after", "both"]


def installed(name):
    path, package = ALLOCATORS[name]
    assert os.path.exists(path), f"{path} is missing: apt-get install {package}"
    return path


def beside(pair, libraries, order, env=None):
    """Digest of a conversation of two programs with `libraries` in LD_PRELOAD: ours among them, or behind or before."""
    port = flap.free_port()
    options = {"before": libraries if order != "after" else [], "after": libraries if order != "before" else []}
    options["env"] = env or {}
    with flap.Program(echoer(port), pair.server, pure=pair.pure, **options) as program:
        until(lambda: listens(port), "listener", program=program)
        with Talker(asker(port), pair.client, pair, **options) as speaker:
            seen = conversation(pair, speaker, content(SIZE), program)
            for end in (program, speaker):
                with open(f"/proc/{end.pid}/maps") as f:
                    mapped = f.read()
                assert all(os.path.realpath(library) in mapped for library in libraries), mapped
            finish(speaker, program)
            return seen


@every(mixed=False, catnip=False)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", ALLOCATORS)
def test_allocators(agree, roles, name, order):
    agree(lambda folder, pair: beside(pair, [installed(name)], order), roles)


@pytest.mark.parametrize("libos", ["catnap", "auto"])
@pytest.mark.parametrize("order", ["before", "after"])
def test_a_wrapper_sees_what_passes_it(tmp_path, libos, order):
    """One before us sees every byte of the program's; one behind us what goes through the kernel, and no ring's."""
    wrapper = flap.compiled("preload_wrapper.c", flags=("-shared", "-fPIC"))
    report = tmp_path / "report"
    beside(DEFAULT[libos], [wrapper], order, env={"FLAP_WRAPPER": str(report)})
    told = [tuple(map(int, row)) for row in re.findall(r"early fine, .*read (\d+), written (\d+)", report.read_text())]
    assert len(told) == 2, report.read_text()
    for read, written in told:
        if order == "before":
            assert read == written >= SIZE
        elif libos == "auto":
            assert read < SIZE // 2 and written < SIZE // 2
