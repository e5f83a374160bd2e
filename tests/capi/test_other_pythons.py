"""demi_init where our interpreter can't be: an errno and one line on standard error, and the program goes on."""

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import flap
import pytest
import pythons

HERE = Path(__file__).parent
CAPI = HERE.parents[1] / "libos" / "capi"
OTHERS = list(pythons.others().values())
OTHER = "demi_init: starting Python: another Python version lives in this process\n"
NOT_RUNNING = "demi_init: starting Python: this program's own Python is not running yet\n"
SCRIPT = f"""
import ctypes, errno
demi = ctypes.CDLL({str(CAPI / "libdemikernel.so")!r})
words = (ctypes.c_char_p * 2)(b"python", None)
class Arguments(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("argc", ctypes.c_int), ("argv", ctypes.c_void_p), ("callback", ctypes.c_void_p)]
arguments = Arguments(1, ctypes.addressof(words), None)
for _ in range(2):
    assert demi.demi_init(ctypes.byref(arguments)) == errno.ENOSYS
qd = ctypes.c_int()
assert demi.demi_queue(ctypes.byref(qd), 4) == errno.ENOSYS
assert "libpython{sys.version_info[0]}.{sys.version_info[1]}." not in open("/proc/self/maps").read()
print("goes on")
"""


def stays_without(argv, line, **options):
    """The program ends well after demi_init has answered ENOSYS, with that line on standard error."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, **options)
    assert (done.returncode, done.stdout) == (0, "goes on\n"), done.stderr
    assert line in done.stderr
    assert len(done.stderr.splitlines()) == done.stderr.count("demi_init: ")


@pytest.mark.skipif(not OTHERS, reason="no Python of another minor version is installed")
@pytest.mark.parametrize("python", OTHERS if flap.FULL else OTHERS[-1:], ids=os.path.basename)
def test_in_a_python_of_another_version(python):
    stays_without([python, "-c", SCRIPT], OTHER)


@pytest.mark.parametrize("version", ["3.1", "3.110", "2.7", "4.11"])
def test_versions_whose_names_are_like_ours(program, version):
    stays_without([program(HERE / "without.c", "-rdynamic", f'-DFAKE="{version}.2"', "-DRUNS=1")], OTHER)


def test_a_python_that_is_not_running_yet(program):
    ours = f"{sys.version_info[0]}.{sys.version_info[1]}.0"
    stays_without([program(HERE / "without.c", "-rdynamic", f'-DFAKE="{ours}"', "-DRUNS=0")], NOT_RUNNING)


def test_a_library_of_another_python_that_nobody_can_see(program, tmp_path):
    """A plug-in's, whose names are its own."""
    library = tmp_path / "libpython3.1.so.1.0"
    subprocess.run(["gcc", "-shared", "-x", "c", os.devnull, "-o", library], check=True)
    stays_without([program(HERE / "without.c"), library], OTHER)


def test_too_little_address_space(program):
    limit = (1 << 30, 1 << 30)
    stays_without(
        [program(HERE / "without.c")],
        "too little address space",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, limit),
    )


def test_half_an_installation(program, tmp_path):
    """The library without the one that the interpreter comes from."""
    shutil.copy(CAPI / "libdemikernel.so", tmp_path)
    argv = [program(HERE / "without.c")]
    stays_without(argv, "libdemikernel_python.so", env=os.environ | {"LD_LIBRARY_PATH": str(tmp_path)})
