"""The signatures of Windows' RDMA interface: every call of the contract has its counterpart there, and nothing runs."""

import ast
from pathlib import Path

from libos.fabric import ndspi

ROOM = Path(__file__).resolve().parents[2] / "libos" / "fabric"


def methods(name):
    """The calls of the class that a file has first."""
    tree = ast.parse((ROOM / name).read_text())
    first = next(node for node in tree.body if isinstance(node, ast.ClassDef))
    return [node.name for node in first.body if isinstance(node, ast.FunctionDef) and node.name != "__init__"]


def test_each_call_of_the_contract_has_its_counterpart():
    assert list(ndspi.MAPPING) == methods("fabric.py")
    for name, counterparts in ndspi.MAPPING.items():
        assert counterparts or name == "deadline"
        for method in counterparts:
            owner, _, own = method.__qualname__.partition(".")
            assert getattr(getattr(ndspi, owner), own) is method and owner.startswith("IND2")


def test_all_is_typed_and_nothing_runs():
    tree = ast.parse((ROOM / "ndspi.py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            assert node.returns is not None, node.name
            assert all(arg.annotation for arg in node.args.args if arg.arg != "self"), node.name
            (body,) = node.body
            assert isinstance(body, ast.Expr) and isinstance(body.value, ast.Constant), node.name
