"""Nothing of ours is imported when it is first used: the program may have left its root or its user by then, an upgrade
have taken the files away, or a fork happened while another thread was in that import, which a child waits for for ever.
"""

import ast
import os

import flap
import pytest

from libos.mode import HOT_MODULES

# at the start of the host, by its builder, or only on the way into a debugger or a log
EARLY = {
    "interpose/abi.py",
    "interpose/build.py",
    "interpose/host.py",
    "libos/factory.py",
    "libos/mode.py",
    "libos/config.py",
}
# not in an unmodified program; the room that keeps what it has found once
OTHER = {
    "libos/catnap.py",
    "libos/catnap_native.py",
    "libos/catloop_native.py",
    "libos/catmint_native.py",
    "libos/cattree_native.py",
    "libos/mint_calls.py",
    "libos/mint_face.py",
    "libos/mint_push.py",
    "libos/pdpix.py",
    "libos/sgarray.py",
    "libos/runtime/instrument.py",
    "libos/raw.py",
}
BUILT_IN = {"errno"}


def rooms():
    for folder in ("interpose", "libos", "libos/runtime"):
        for name in sorted(os.listdir(os.path.join(flap.ROOT, folder))):
            if name.endswith(".py") and f"{folder}/{name}" not in EARLY | OTHER:
                yield f"{folder}/{name}"


@pytest.mark.parametrize("room", list(rooms()))
def test_nothing_is_imported_inside_functions(room):
    with open(os.path.join(flap.ROOT, room)) as f:
        tree = ast.parse(f.read())
    found = set()
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Import):
                    found.update(alias.name for alias in node.names)
                elif isinstance(node, ast.ImportFrom):
                    found.add(node.module)
    assert found <= BUILT_IN


def raw_users():
    """Rooms that use raw memory, but for its twins and PDPIX's own face, which unmodified programs never load."""
    for room in rooms():
        with open(os.path.join(flap.ROOT, room)) as f:
            tree = ast.parse(f.read())
        names = [a.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for a in node.names]
        if "raw" in names:
            yield room


@pytest.mark.parametrize("room", list(raw_users()))
def test_raw_memory_is_used_by_compiled_rooms(room):
    """An interpreted one would have it by ctypes: late, and a thousand times as slow."""
    assert room.removesuffix(".py").replace("/", ".") in HOT_MODULES


@pytest.mark.parametrize(
    "room", [room for room in rooms() if room != "interpose/handed.py"]
)  # of a program's own Python
def test_signals_stay_the_program_s(room):
    """Python's module takes SIGINT when it is imported and nobody else has: Ctrl-C would end nothing any more."""
    with open(os.path.join(flap.ROOT, room)) as f:
        tree = ast.parse(f.read())
    found = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    found |= {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
    assert not found & {"signal", "_signal"}
