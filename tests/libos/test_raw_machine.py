"""The machine code of interpreted mode against what it stands for, and from two processes at a time."""

import ctypes
import mmap
import os

import pytest

from libos import raw_ctypes, raw_machine

FUNCTIONS = raw_machine.functions(raw_ctypes.syscall)
M64 = (1 << 64) - 1
VALUES = [0, 1, 2, 1 << 31, (1 << 32) - 1, 1 << 63, M64 - 1, M64]


@pytest.mark.parametrize("before", VALUES)
@pytest.mark.parametrize("value", VALUES)
def test_each_does_what_its_name_says(before, value):
    expected = {
        "exchange": value,
        "fetch_add": (before + value) & M64,
        "fetch_or": before | value,
        "fetch_and": before & value,
    }
    word = ctypes.c_uint64()
    for name, after in expected.items():
        word.value = before
        assert FUNCTIONS[name](ctypes.addressof(word), value) == before
        assert word.value == after, name
    for guess in {before, value}:
        word.value = before
        assert FUNCTIONS["compare_exchange"](ctypes.addressof(word), guess, value ^ 5) == (guess == before)
        assert word.value == (value ^ 5 if guess == before else before)
    assert FUNCTIONS["fence"]() is None


def test_no_addition_of_two_processes_is_lost():
    memory = mmap.mmap(-1, 4096)
    word = ctypes.c_uint64.from_buffer(memory)
    at, count = ctypes.addressof(word), 50_000
    child = os.fork()
    for _ in range(count):
        FUNCTIONS["fetch_add"](at, 1)
        while True:
            seen = word.value
            if FUNCTIONS["compare_exchange"](at, seen, seen + 1):
                break
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    assert word.value == 4 * count


def test_where_nothing_may_be_executed_there_is_none():
    def syscall(n, *arguments):
        return -13 if n == 10 else raw_ctypes.syscall(n, *arguments)

    assert raw_machine.functions(syscall) == {}
