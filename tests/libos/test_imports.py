"""Imports go one way (docs/architecture.md), and the platform's error numbers stay in one layer."""

import ast
import graphlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("shim", "libos", "interpose")
FORBIDDEN = {  # who must not import what
    "libos/runtime/": ["interpose", "shim", "libos.pdpix", "libos.catnap", "libos.factory", "libos.config"],
    "libos/": ["interpose", "shim"],
    "libos/net/wire/": ["libos.net.host", "libos.net.tcp", "libos.net.output"],
    "interpose/": ["shim", "libos.catnap", "libos.catnap_native", "libos.memory_queue"],
    "shim/": ["interpose", "libos.pdpix", "libos.catnap", "libos.runtime", "libos.factory", "libos.queue"],
}
BACKENDS = ("libfabric.py", "libfabric_library.py")  # of libos.fabric, that are the platform's
THIRD_PARTY_FREE = ("libos/", "interpose/", "shim/__main__.py", "shim/run.py", "shim/program.py")
THIRD_PARTY = ("click", "rich", "psutil", "elftools", "numpy")


def sources():
    return [p for package in PACKAGES for p in sorted((ROOT / package).rglob("*.py"))]


def imports(path, top_level=False):
    """Every module that a file imports, as dotted names."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name, module):
    return name == module or name.startswith(module + ".")


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way(path):
    place = str(path.relative_to(ROOT))
    for folder, modules in FORBIDDEN.items():
        if place.startswith(folder):
            for name in imports(path):
                assert not any(within(name, module) for module in modules), f"{place} imports {name}"


@pytest.mark.parametrize("path", sorted((ROOT / "libos/net").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_protocols_know_nothing_but_memory(path):
    """Time, randomness, ports and frames are arguments."""
    ours = [name for name in imports(path) if within(name, "libos")]
    assert all(within(name, "libos.net") or name in ("libos", "libos.raw") for name in ours), ours
    for name in imports(path):
        assert not any(within(name, module) for module in ("socket", "time", "random", "os", "threading", "select"))


@pytest.mark.parametrize("path", sorted((ROOT / "libos/log").glob("*.py")), ids=lambda p: p.name)
def test_the_log_knows_nothing_but_memory(path):
    """The block device and the heap are arguments, time is not needed."""
    ours = [name for name in imports(path) if within(name, "libos")]
    assert all(within(name, "libos.log") or name in ("libos", "libos.raw") for name in ours), ours
    for name in imports(path):
        assert not any(within(name, module) for module in ("socket", "time", "random", "os", "threading", "select"))


@pytest.mark.parametrize("path", sorted((ROOT / "libos/fabric").glob("*.py")), ids=lambda p: p.name)
def test_the_fabric_s_core_knows_nothing_but_memory(path):
    """The fabric, buffers and time are arguments; lists, octets and how records are declared are Catnip's."""
    shared = ("libos.net.linked", "libos.net.octets", "libos.net.structs", "libos.net.declared")
    allowed = ("libos.fabric", "libos.raw", *shared, *(("libos.errors",) if path.name in BACKENDS else ()))
    ours = [name for name in imports(path) if within(name, "libos") and name not in ("libos", "libos.net")]
    assert all(any(within(name, module) for module in allowed) for name in ours), ours
    outside = ("socket", "time", "os", "threading", "select", "mmap", "fcntl")
    if path.name not in BACKENDS:
        assert not any(within(name, module) for name in imports(path) for module in outside)


def test_protocols_have_no_circles():
    """Each room of libos.net can be read after those that it imports."""
    graph = {}
    for path in sorted((ROOT / "libos/net").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        graph[module] = {
            name for name in imports(path, top_level=True) if (ROOT / f"{name.replace('.', '/')}.py").exists()
        }
    list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_no_third_party_package_inside_a_program_or_on_the_run_path(path):
    place = str(path.relative_to(ROOT))
    if place.startswith(THIRD_PARTY_FREE) and place != "interpose/build.py":
        for name in imports(path, top_level=place.startswith("shim/")):
            assert not any(within(name, package) for package in THIRD_PARTY), f"{place} imports {name}"


def test_errno_is_named_in_few_places():
    users = {str(p.relative_to(ROOT)) for p in sources() if any(within(n, "errno") for n in imports(p))}
    inside = {place for place in users if place.startswith("libos/")}
    assert inside <= {"libos/calls.py", "libos/errors.py"}


def test_rooms_stay_small():
    large = [p for p in sources() if len(p.read_text().splitlines()) > 400]
    assert not large, large
    assert sum(len(p.read_text().splitlines()) for p in (ROOT / "csrc").iterdir()) < 3000
