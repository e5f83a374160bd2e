"""What is imported at its first use is imported before a fork, all of it."""

import ast
import os

import flap

FOLDER = os.path.join(flap.ROOT, "interpose")
# at the start of the host, by its builder, or only on the way into a debugger or a log
EARLY = {"abi.py", "build.py", "host.py", "debug.py"}


def imports(tree):
    """Modules of interpose that are imported inside functions."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.ImportFrom) and node.module == "interpose":
                    yield from (alias.name for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module.startswith("interpose."):
                    yield node.module.removeprefix("interpose.")


def parsed(name):
    with open(os.path.join(FOLDER, name)) as f:
        return ast.parse(f.read())


def test_nothing_is_imported_lazily_that_a_fork_does_not_know():
    lazy = set()
    for name in os.listdir(FOLDER):
        if name.endswith(".py") and name not in EARLY:
            lazy.update(imports(parsed(name)))
    assert {"attention", "options"} <= lazy
    (before,) = (
        node for node in parsed("host.py").body if isinstance(node, ast.FunctionDef) and node.name == "load_the_rest"
    )
    assert lazy <= set(imports(ast.Module([before], [])))
