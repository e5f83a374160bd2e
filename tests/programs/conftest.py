"""Fixtures of the program tests: what a run is under, and the preload that must be there."""

import contextlib
import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

import catmints  # noqa: E402
import flap  # noqa: E402
import roles  # noqa: E402
import wires  # noqa: E402


def difference(found, wanted, where=""):
    """Where two answers begin to differ, and what is there."""
    if isinstance(found, (list, tuple)) and isinstance(wanted, (list, tuple)) and len(found) == len(wanted):
        for n, (one, other) in enumerate(zip(found, wanted, strict=True)):
            if one != other:
                return difference(one, other, f"{where}[{n}]")
    if isinstance(found, (bytes, str)) and isinstance(wanted, (bytes, str)):
        at = len(os.path.commonprefix([found, wanted]))
        here = slice(max(at - 80, 0), at + 80)
        return f"{where} at {at}: {len(found)} {found[here]!r}, on the kernel {len(wanted)} {wanted[here]!r}"
    return f"{where}: {found!r}, on the kernel {wanted!r}"


@pytest.fixture(scope="session", autouse=True)
def preload():
    """Path of the preload library; fails, never skips, when it has not been built."""
    assert os.path.exists(flap.PRELOAD), f"{flap.PRELOAD} is missing: python setup.py build_ext --inplace"
    return flap.PRELOAD


@pytest.fixture(autouse=True)
def wired(request, tmp_path_factory):
    """Where a role is Catnip's, programs have their ends on different machines."""
    callspec = getattr(request.node, "callspec", None)
    pair = callspec.params.get("roles") if callspec else None
    with wires.wires(tmp_path_factory.mktemp("ports")) if pair and "catnip" in pair else contextlib.nullcontext():
        yield


@pytest.fixture(autouse=True)
def fabric(request):
    """What runs on Catmint is skipped where there is no fabric."""
    params = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    for libos in {str(role) for role in params.get("roles", ())} & {"catmint", *flap.FABRICS}:
        catmints.need("catmint-shm" if libos == "catmint" else libos)


@pytest.fixture(scope="session")
def agree(tmp_path_factory):
    """agree(session, roles, *arguments): session(folder, roles, *arguments) there returns what it does on the kernel.

    The kernel's answer is made once for each session and arguments; it is returned.
    """
    known = {}

    def check(session, pair, *arguments):
        key = (session, *arguments)
        if key not in known:
            with wires.none():
                known[key] = session(tmp_path_factory.mktemp("kernel"), roles.KERNEL, *arguments)
        found = session(tmp_path_factory.mktemp("ours"), pair, *arguments)
        assert found == known[key], difference(found, known[key])
        return found

    return check
