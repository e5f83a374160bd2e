"""Errors, addresses, options and the platform's numbers."""

import ctypes
import errno
import re
import socket
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import interpose.abi
import interpose.linux
import libos.calls
from interpose import errors, sockaddr, traps

ROOT = Path(__file__).resolve().parents[2]


@given(st.binary(min_size=4, max_size=4), st.integers(0, 65535))
def test_sockaddr_in(host, port):
    raw = ctypes.create_string_buffer(struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + host + bytes(8), 16)
    assert sockaddr.read(ctypes.addressof(raw), 16) == (host, port)


@given(st.binary(min_size=16, max_size=16), st.integers(0, 65535))
def test_sockaddr_in6(host, port):
    head = struct.pack("=H", socket.AF_INET6) + struct.pack("!H", port) + bytes(4)
    raw = ctypes.create_string_buffer(head + host + bytes(4), 28)
    assert sockaddr.read(ctypes.addressof(raw), 28) == (host, port)


def test_other_addresses_are_nobodys():
    raw = ctypes.create_string_buffer(struct.pack("=H", socket.AF_UNIX) + b"/x", 28)
    assert sockaddr.read(ctypes.addressof(raw), 28) is None
    assert sockaddr.read(ctypes.addressof(raw), 2) is None
    assert sockaddr.read(0, 16) is None


def test_errno_of_keeps_the_kernels_number():
    assert errors.errno_of(OSError(errno.ENOBUFS, "x")) == errno.ENOBUFS
    assert errors.errno_of(MemoryError()) == errno.ENOMEM
    assert errors.errno_of(ValueError("ours")) == errno.EIO


def test_abi_numbers_are_the_headers():
    text = (ROOT / "csrc" / "abi.h").read_text()
    named = dict(re.findall(r"(CATFLAP_\w+) = (-?\d+)", text))
    assert named
    for name, value in named.items():
        assert getattr(interpose.abi, name) == int(value), name


def includes(pxd):
    """[(header, names)] of a .pxd whose names are C constants."""
    header = None
    for line in pxd.read_text().splitlines():
        found = re.match(r'cdef extern from "(<.*>)"', line)
        header = found.group(1) if found else header
        names = line.removeprefix("    int").removeprefix("    long")
        for name, c_name in re.findall(r'(\w+)(?: "(\w+)")?(?:,|$)', names):
            if line.startswith("    ") and header:
                yield header, name, c_name or name


@pytest.mark.parametrize("module", [interpose.linux, libos.calls], ids=lambda m: m.__name__)
def test_platform_numbers_are_the_headers(module, tmp_path):
    pxd = ROOT / (module.__name__.replace(".", "/") + ".pxd")
    rows = list(includes(pxd))
    assert len(rows) > 5
    source = "#define _GNU_SOURCE\n#include <stdio.h>\n" + "".join(f"#include {h}\n" for h in {h for h, *_ in rows})
    source += "int main(void){" + "".join(f'printf("%ld\\n", (long){c});' for _, _, c in rows) + "}"
    (tmp_path / "numbers.c").write_text(source)
    subprocess.run(["cc", "-o", tmp_path / "numbers", tmp_path / "numbers.c"], check=True)
    values = subprocess.run([tmp_path / "numbers"], check=True, capture_output=True, text=True).stdout.split()
    for (_, name, _), value in zip(rows, values, strict=True):
        assert getattr(module, name) == int(value), name


def test_rows_of_the_table_of_traps():
    assert traps.row("int dup2(int fd, int to)") == "TRAP(int, dup2, (int fd, int to), (fd, to), none)\n"
    assert traps.row("FILE *fdopen(int fd, const char *mode)").startswith("TRAP_PLAIN(FILE *, fdopen, (int fd, ")
    assert traps.row("int fcntl(int fd, int cmd, ...)").endswith("(fd, cmd, arg), none, cmd)\n")
    assert traps.row("void *f(char *const argv[], char name[SIZE])").endswith(", (argv, name), none)\n")
    assert traps.row("int f(void)") == "TRAP(int, f, (void), (), none)\n"
    names = traps.names()
    assert len(names) == len(set(names)) and set(traps.PLAIN) <= set(names)
