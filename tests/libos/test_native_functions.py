"""Functions in machine code in the queue algebra: by ctypes, cffi or address; what they may do, what is refused."""

import ctypes
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import cffi
import pytest

from libos import mode
from libos.catnap import Catnap
from libos.errors import Fail, Kind
from libos.pdpix import FAILED, LibOS
from libos.sgarray import SGArray

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
OF_ARRAY = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


class At:
    """What knows only its address, as numba's compiled functions do."""

    def __init__(self, function):
        self.address = ctypes.cast(function, ctypes.c_void_p).value


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    target = tmp_path_factory.mktemp("native") / "functions.so"
    include = ROOT / "libos" / "capi" / "include"
    command = ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", f"-I{include}", "-o", str(target)]
    subprocess.run([*command, str(HERE / "c" / "queue_functions.c")], check=True)
    return str(target)


@pytest.fixture(scope="module")
def c(path):
    return ctypes.CDLL(path)


@pytest.fixture
def memory():
    libos = LibOS()
    yield libos
    for qd in list(libos.queues):
        libos.close(qd)
    assert libos.heap.live() == 0


def put(libos, qd, *texts):
    for text in texts:
        sga = libos.sgaalloc(len(text))
        sga.segments[0][:] = text
        assert libos.wait(libos.push(qd, sga), 5).error is None
        libos.sgafree(sga)


def get(libos, qd):
    """(bytes, value) of the next element; raises what it failed with."""
    result = libos.wait(libos.pop(qd), 5)
    if result.opcode == FAILED:
        raise result.error
    with result.sga as sga:
        return bytes(sga), result.value


def texts(libos, qd, count):
    return [get(libos, qd)[0] for _ in range(count)]


def by_ctypes(path):
    return ctypes.CDLL(path).begins


def by_declared_ctypes(path):
    return OF_ARRAY(("begins", ctypes.CDLL(path)))


def by_cffi(path):
    ffi = cffi.FFI()
    ffi.cdef("int begins(const void *, void *);")
    return ffi.dlopen(path).begins


def by_address(path):
    return At(ctypes.CDLL(path).begins)


@pytest.mark.parametrize("given", [by_ctypes, by_declared_ctypes, by_cffi, by_address])
def test_a_filter(memory, path, given):
    """Of all ways to have a function; at once, and as what somebody waits for."""
    source = memory.queue()
    kept = memory.filter(source, given(path))
    put(memory, source, b"n1", b"y1", b"n2", b"n3", b"y2", b"n4")
    assert [get(memory, kept) for _ in range(2)] == [(b"y1", source), (b"y2", source)]
    qtoken = memory.pop(kept)
    put(memory, source, b"n5", b"y3")
    result = memory.wait(qtoken, 5)
    assert (bytes(result.sga), result.value) == (b"y3", source)
    memory.sgafree(result.sga)


def test_the_context(memory, c):
    """It is the memory of an object, kept for as long as the queue lives, and read and written."""
    source, found = memory.queue(), (ctypes.c_uint64 * 2)()
    kept = memory.filter(memory.filter(source, c.begins, bytearray(b"x")), c.counts, found)
    put(memory, source, b"y", b"xyz", b"x")
    memory.wait(memory.push(source, SGArray.of(b"x1", b"234")), 5)
    assert texts(memory, kept, 3) == [b"xyz", b"x", b"x1234"]
    assert list(found) == [4, 9]


def test_a_map(memory, c):
    """In place, and less than there was; the array that was pushed keeps its shape."""
    source = memory.queue()
    made = memory.map(memory.map(source, c.upper), c.behind)
    put(memory, source, b"abcd")
    pushed = SGArray.of(bytearray(b"efg"), bytearray(b"h"))
    memory.wait(memory.push(source, pushed), 5)
    assert texts(memory, made, 2) == [b"CD", b"G"]
    assert bytes(pushed) == b"EFGH"


@pytest.mark.parametrize("name", ["beyond", "before", "more", "nothing", "fails"])
def test_a_map_that_does_what_it_may_not_fails_one_pop(memory, c, name):
    source = memory.queue()
    made = memory.map(source, c[name])
    put(memory, source, b"n")
    with pytest.raises(Fail, match="a native one") as failure:
        get(memory, made)
    assert failure.value.kind is Kind.INVALID
    kept = memory.filter(source, c.fails)
    put(memory, source, b"n", b"yes")
    with pytest.raises(Fail, match="a native one returned -7"):
        get(memory, kept)
    assert get(memory, kept)[0] == b"yes"


def test_read_only_memory_is_not_changed(memory, c):
    source = memory.queue()
    made = memory.map(source, c.upper)
    memory.wait(memory.push(source, SGArray.of(b"constant")), 5)
    with pytest.raises(Fail, match="read-only"):
        get(memory, made)


@pytest.mark.parametrize(
    "segments, words",
    [([bytearray(b"y")] * 21, "21 segments"), ([memoryview(bytearray(4))[::2]], "side by side")],
)
def test_an_array_that_no_struct_can_have(memory, c, segments, words):
    source = memory.queue()
    kept = memory.filter(source, c.begins)
    memory.wait(memory.push(source, SGArray([memoryview(segment) for segment in segments])), 5)
    put(memory, source, b"y")
    with pytest.raises(Fail, match=words):
        get(memory, kept)
    assert get(memory, kept)[0] == b"y"


def test_a_sort(memory, c):
    source = memory.queue()
    ordered = memory.sort(source, c.shorter)
    put(memory, source, b"ccc", b"a2", b"a1", b"b")
    assert texts(memory, ordered, 4) == [b"b", b"a2", b"a1", b"ccc"]


def test_failing_below_ends_what_is_above(memory, c):
    """As with Python functions: the failure of a source fails one pop, and the source has ended."""
    source = memory.queue()
    above = memory.filter(memory.filter(source, c.fails), c.begins)
    put(memory, source, b"y1", b"n", b"y2")
    assert get(memory, above)[0] == b"y1"
    with pytest.raises(Fail, match="returned -7"):
        get(memory, above)
    assert get(memory, above)[0] == b""


def test_elements_stay_in_their_order_between_those_who_wait_and_those_who_do_not(memory, c):
    """A pop that waits gets the first; one that comes later, and could be served at once, the second."""
    source = memory.queue()
    kept = memory.filter(source, c.begins)
    first = memory.pop(kept)
    put(memory, source, b"y1", b"y2")
    second = memory.pop(kept)
    results = memory.wait_all([first, second], 5)
    assert [bytes(result.sga) for result in results] == [b"y1", b"y2"]
    for result in results:
        memory.sgafree(result.sga)


def test_who_waits_for_room_gets_it(memory, c):
    source = memory.queue(1)
    kept = memory.filter(source, c.begins)
    put(memory, source, b"y1")
    late = SGArray.of(b"y2")
    pushed = memory.push(source, late)
    assert get(memory, kept)[0] == b"y1"
    assert memory.wait(pushed, 5).error is None
    assert get(memory, kept)[0] == b"y2"


def test_a_closed_source_ends(memory, c):
    source = memory.queue()
    kept = memory.filter(source, c.begins)
    put(memory, source, b"y")
    memory.close(source)
    assert get(memory, kept) == (b"", 0)


def test_the_interpreter_is_not_entered(memory, c):
    """From push to pop through filters and a map no Python function runs; interpreted, only those of the libOS."""
    source = memory.queue()
    out = memory.map(memory.filter(memory.filter(source, c.begins), c.fails), c.upper)
    sga = memory.sgaalloc(2)
    sga.segments[0][:] = b"y1"
    entered = set()

    def enters(frame, event, argument):
        if event == "call":
            entered.add(os.path.relpath(frame.f_code.co_filename, ROOT))

    sys.setprofile(enters)
    memory.wait(memory.push(source, sga))
    result = memory.wait(memory.pop(out))
    sys.setprofile(None)
    assert bytes(result.sga) == b"Y1"
    memory.sgafree(sga)
    memory.sgafree(result.sga)
    libos = {name for name in entered if name.startswith("libos" + os.sep)}
    assert libos if mode.pure() else not entered


def test_over_a_connection(c):
    """Native functions take the elements of a stream as well."""
    libos = Catnap()
    listener = libos.socket(socket.AF_INET, socket.SOCK_STREAM)
    libos.bind(listener, ("127.0.0.1", 0))
    libos.listen(listener)
    with socket.create_connection(libos.getsockname(listener), 5) as client:
        qd = libos.wait(libos.accept(listener), 5).value
        shouted = libos.map(libos.filter(qd, c.begins), c.upper)
        sending = threading.Thread(target=lambda: client.sendall(b"yes"))
        sending.start()
        assert get(libos, shouted) == (b"YES", qd)
        sending.join()
    for qd in list(libos.queues):
        libos.close(qd)
    assert libos.heap.live() == 0


def of_one(c):
    return ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(("begins", c))


def of_numbers(c):
    return ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_long)(("begins", c))


def of_another_result(c):
    return ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_void_p, ctypes.c_void_p)(("begins", c))


def made_of_python(c):
    return OF_ARRAY(lambda sga, context: 1)


def null(c):
    return OF_ARRAY(0)


def cffi_of_one(c):
    return cffi.FFI().cast("int (*)(void *)", 4096)


def cffi_of_another_result(c):
    return cffi.FFI().cast("double (*)(void *, void *)", 4096)


def cffi_made_of_python(c):
    return cffi.FFI().callback("int(void *, void *)", lambda sga, context: 1)


def cffi_null(c):
    return cffi.FFI().cast("int (*)(void *, void *)", 0)


def cffi_data(c):
    return cffi.FFI().new("int *")


def null_address(c):
    return type("Nowhere", (), {"address": 0})()


def a_number(c):
    return At(c.begins).address


@pytest.mark.parametrize(
    "given, words",
    [
        (of_one, "arguments other than 2 pointers"),
        (of_numbers, "arguments other than 2 pointers"),
        (of_another_result, "no int"),
        (made_of_python, "enters Python"),
        (null, "NULL"),
        (cffi_of_one, "arguments other than 2 pointers"),
        (cffi_of_another_result, "no int"),
        (cffi_made_of_python, "enters Python"),
        (cffi_null, "NULL"),
        (cffi_data, "no function"),
        (null_address, "NULL"),
        (a_number, "can't be called"),
    ],
)
def test_what_is_refused(memory, c, given, words):
    source = memory.queue()
    for queue in (memory.filter, memory.map):
        with pytest.raises(Fail, match=words) as failure:
            queue(source, given(c))
        assert failure.value.kind is Kind.INVALID


def test_a_comparison_of_one_array_and_a_context_of_a_python_function_are_refused(memory, c):
    source = memory.queue()
    with pytest.raises(Fail, match="other than 3 pointers"):
        memory.sort(source, OF_ARRAY(("shorter", c)))
    with pytest.raises(Fail, match="context"):
        memory.filter(source, len, b"context")
