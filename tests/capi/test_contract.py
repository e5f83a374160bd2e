"""The C face's contract: sizes and offsets, numbers, exported names, headers and man pages say the same."""

import ctypes
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from libos.capi import layout
from libos.core import layout as core

ROOT = Path(__file__).resolve().parents[2]
CAPI = ROOT / "libos" / "capi"
HEADERS = sorted((CAPI / "include" / "demi").glob("*.h"))
PRELOAD = ROOT / "interpose" / "libcatflap.so"


class Segment(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("sgaseg_buf", ctypes.c_void_p), ("sgaseg_len", ctypes.c_uint32)]


class Array(ctypes.Structure):
    _pack_ = 1
    _fields_ = [
        ("sga_buf", ctypes.c_void_p),
        ("sga_numsegs", ctypes.c_uint32),
        ("sga_segs", Segment * core.SEGMENTS_MAX),
        ("sga_addr6", ctypes.c_char * 28),
    ]


class Accepted(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("qd", ctypes.c_int32), ("addr6", ctypes.c_char * 28)]


class Value(ctypes.Union):
    _pack_ = 1
    _fields_ = [("sga", Array), ("ares", Accepted)]


class Result(ctypes.Structure):
    _pack_ = 1
    _fields_ = [
        ("qr_opcode", ctypes.c_uint32),
        ("qr_qd", ctypes.c_int32),
        ("qr_qt", ctypes.c_uint64),
        ("qr_ret", ctypes.c_int64),
        ("qr_value", Value),
    ]


class Arguments(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("argc", ctypes.c_int), ("argv", ctypes.c_void_p), ("callback", ctypes.c_void_p)]


STRUCTS = {
    "demi_sgaseg": Segment,
    "demi_sgarray": Array,
    "demi_accept_result": Accepted,
    "demi_qresult": Result,
    "demi_args": Arguments,
}


def text_of_headers():
    return "\n".join(header.read_text() for header in HEADERS)


def declared():
    return set(re.findall(r"extern [\w ]+?\*?(demi_\w+)\(", text_of_headers()))


def test_structs_lie_in_c_as_in_python(program, tmp_path):
    lines = []
    for name, struct in STRUCTS.items():
        lines.append(f'printf("{name} %zu\\n", sizeof(struct {name}));')
        for field, _ in struct._fields_:
            lines.append(f'printf("{name}.{field} %zu\\n", offsetof(struct {name}, {field}));')
    source = tmp_path / "sizes.c"
    source.write_text(
        "#include <demi/libos.h>\n#include <stdio.h>\nint main(void)\n{\n" + "\n".join(lines) + "\nreturn 0;\n}\n"
    )
    found = dict(line.split() for line in subprocess.check_output([program(source)], text=True).splitlines())
    expected = {}
    for name, struct in STRUCTS.items():
        expected[name] = str(ctypes.sizeof(struct))
        expected |= {f"{name}.{field}": str(getattr(struct, field).offset) for field, _ in struct._fields_}
    assert found == expected


def test_the_face_reads_and_writes_at_these_offsets():
    assert (layout.SGA_BUF, layout.SGA_COUNT) == (Array.sga_buf.offset, Array.sga_numsegs.offset)
    assert (layout.SGA_SEGMENTS, layout.SGA_ADDRESS) == (Array.sga_segs.offset, Array.sga_addr6.offset)
    assert (layout.SGA_SEGMENT, layout.SGA_SIZE) == (ctypes.sizeof(Segment), ctypes.sizeof(Array))
    assert (layout.QR_OPCODE, layout.QR_QD, layout.QR_QT) == (0, Result.qr_qd.offset, Result.qr_qt.offset)
    assert (layout.QR_RET, layout.QR_VALUE) == (Result.qr_ret.offset, Result.qr_value.offset)
    assert (layout.QR_SIZE, layout.ARES_ADDRESS) == (ctypes.sizeof(Result), Accepted.addr6.offset)


@pytest.mark.parametrize("module", [layout, core], ids=["capi", "core"])
def test_compiled_and_interpreted_code_have_the_same_numbers(module):
    text = (ROOT / (module.__name__.replace(".", "/") + ".pxd")).read_text()
    compiled = {name: int(value) for name, value in re.findall(r"    (\w+) = (\d+)", text)}
    assert compiled == {name: value for name, value in vars(module).items() if name.isupper()}


# what words hold
VALUES = """OWNED SHARED FRESH BOUND LISTENING CONNECTING CONNECTED ALONE DRIVEN ONCE_MORE NAME_4 NAME_6
STARTED ADDRESSED HELD LENT""".split()
# of a push of messages instead of an address; of a queue of messages instead of a ring and of what a log has
PUSHES = ["PIECES", "PIECE_ERROR"]
MESSAGES = "FIRST_LENT LAST_LENT FIRST_READY LAST_READY CONNECTION FAILED_WITH PEER_NAME".split()
NOT_THEIRS = "RING MASK HEAD TAIL CAPACITY LOG_LINE UNJOINED LOG_NEXT".split()


def words_of_the_table():
    """The words of a table's head, and of the records, with their names."""
    names = list(vars(core))
    for first, last in [("LOCK", "HEAD_SIZE"), ("TOKEN", "ELEMENT"), ("QUEUE_QD", "LOCK")]:
        words = [name for name in names[names.index(first) : names.index(last)] if name.isupper()]
        words = [name for name in words if name not in VALUES]
        yield [name for name in words if name not in PUSHES + MESSAGES]
        yield [name for name in words if name not in NOT_THEIRS and (name != "ADDRESS" or first != "TOKEN")]


def test_no_two_words_of_a_record_are_one():
    for words in words_of_the_table():
        assert len({getattr(core, word) for word in words}) == len(words), words


def test_numbers_of_the_headers():
    text = text_of_headers()
    assert int(re.search(r"DEMI_SGARRAY_MAXSIZE (\d+)", text)[1]) == core.SEGMENTS_MAX
    opcodes = re.findall(r"DEMI_OPC_(\w+)", text.partition("typedef enum demi_opcode")[2].partition("}")[0])
    assert opcodes == ["INVALID", "PUSH", "POP", "ACCEPT", "CONNECT", "CLOSE", "FAILED"]
    assert [getattr(core, name) for name in opcodes[1:]] == [1, 2, 3, 4, 5, 6]
    counters = re.findall(r"    DEMI_(\w+)", text.partition("enum demi_counter {")[2].partition("}")[0])[1:]
    ours = [{"FAILED": "FAILED_OPERATIONS"}.get(name, name) for name in counters]
    assert [getattr(core, name) for name in ours] == list(range(len(ours)))


def test_what_is_declared_is_exported_and_has_its_page():
    symbols = subprocess.check_output(["nm", "-D", "--defined-only", CAPI / "libdemikernel.so"], text=True).split("\n")
    exported = {line.split()[2] for line in symbols if line}
    assert exported == declared()
    pages = {page.stem: page.read_text() for page in (CAPI / "man").glob("*.3")}
    assert set(pages) == declared()
    flat = " ".join(text_of_headers().split())
    for name, page in pages.items():
        header = re.search(r"#include <demi/(\w+\.h)>", page)[1]
        assert f"{name}(" in (CAPI / "include" / "demi" / header).read_text()
        synopsis = " ".join(re.search(r"\n((?:int|uint64_t|demi_sgarray_t) demi_.*?;)", page, re.S)[1].split())
        assert synopsis in flat, f"{name}: {synopsis}"


@pytest.mark.skipif(not shutil.which("groff"), reason="no groff")
@pytest.mark.parametrize("page", sorted((CAPI / "man").glob("*.3")), ids=lambda page: page.stem)
def test_pages_can_be_set(page):
    done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", page], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr and page.stem in done.stdout


@pytest.mark.skipif(not shutil.which("g++"), reason="no C++ compiler")
def test_headers_are_c_plus_plus_too(tmp_path):
    source = tmp_path / "all.cc"
    source.write_text("".join(f"#include <demi/{header.name}>\n" for header in HEADERS) + "int main() { return 0; }\n")
    subprocess.run(["g++", "-Wall", "-Wextra", "-Werror", f"-I{CAPI / 'include'}", "-fsyntax-only", source], check=True)


@pytest.mark.parametrize("libos", ["catnap", "catloop"])
@pytest.mark.parametrize("name", ["stream", "forks"])
def test_in_a_program_that_is_under_catflap(run, name, libos):
    run(ROOT / "tests" / "capi" / "c" / f"{name}.c", libos, LD_PRELOAD=str(PRELOAD), CATFLAP_LIBOS=libos)


def test_in_a_program_that_is_a_python():
    script = f"""
import ctypes, os, signal, sys
demi = ctypes.CDLL({str(CAPI / "libdemikernel.so")!r})
words = (ctypes.c_char_p * 2)(b"python", None)
class Arguments(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("argc", ctypes.c_int), ("argv", ctypes.c_void_p), ("callback", ctypes.c_void_p)]
arguments = Arguments(1, ctypes.addressof(words), None)
assert demi.demi_init(ctypes.byref(arguments)) == 0
qd = ctypes.c_int()
assert demi.demi_queue(ctypes.byref(qd), 4) == 0 and qd.value == 500
for fork in (os.fork, ctypes.CDLL(None).fork):  # who has prepared Python for it, and who leaves that to us
    pid = fork()
    if pid == 0:
        signal.alarm(20)
        other = ctypes.c_int()
        assert demi.demi_queue(ctypes.byref(other), 4) == 0 and other.value != qd.value
        os._exit(demi.demi_close(other) or demi.demi_close(qd))
    assert os.waitpid(pid, 0)[1] == 0
assert demi.demi_close(qd) == 0
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_libos_is_chosen_by_the_environment_too(program):
    executable = program(ROOT / "tests" / "capi" / "c" / "invalid.c")
    for libos, code in [("catloop", 0), ("catnap", 0), ("", 0), ("catdog", 1)]:
        done = subprocess.run([executable], env={"LIBOS": libos}, capture_output=True)
        assert done.returncode == code, done.stderr
