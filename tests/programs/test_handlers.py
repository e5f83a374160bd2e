"""In a program that is a Python, an exception of its own signal handler is never ours to keep."""

import os

import flap
import pytest
import pythons

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "scripts", "handlers.py")


@pytest.mark.parametrize("pure", [False, pytest.param(True, marks=pytest.mark.pure_sample)])
def test_a_handler_that_raises(pure):
    python = pythons.same()
    expected = flap.run([python, SCRIPT], "kernel")
    assert expected.stdout == b"recv late 1\naccept late 2\nbusy late 3\n", str(expected)
    result = flap.run([python, SCRIPT], "catnap", pure=pure)
    assert (result.stdout, result.stderr, result.status) == (expected.stdout, b"", 0), str(result)
