"""Where Catflap can't be built, setup.py says so in one line and builds nothing."""

import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig

import pytest

import setup

ROOT = os.path.dirname(os.path.abspath(setup.__file__))


def refusal():
    """The line with which check_platform ends."""
    with pytest.raises(SystemExit) as caught:
        setup.check_platform()
    line = caught.value.code
    assert line.startswith("catflap: ") and "\n" not in line
    return line


def test_this_machine_is_fit():
    setup.check_platform()


@pytest.mark.parametrize("machine", ["aarch64", "i686", "riscv64"])
def test_other_architecture(monkeypatch, machine):
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert "unsupported" in refusal() and machine in refusal()


def test_other_system(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "unsupported" in refusal() and "darwin" in refusal()


@pytest.mark.parametrize("libc", [("musl", "1.2.4"), ("", "")])
def test_other_libc(monkeypatch, libc):
    monkeypatch.setattr(platform, "libc_ver", lambda: libc)
    assert "unsupported C library" in refusal()


@pytest.mark.parametrize("version", [(3, 10, 13), (3, 14, 0)])
def test_other_python(monkeypatch, version):
    monkeypatch.setattr(sys, "version_info", version)
    assert "unsupported Python" in refusal()


def test_other_interpreter(monkeypatch):
    monkeypatch.setattr(sys.implementation, "name", "pypy")
    assert "unsupported Python" in refusal()


def test_python_without_shared_libpython(monkeypatch):
    real = sysconfig.get_config_var
    monkeypatch.setattr(sysconfig, "get_config_var", lambda name: "libpython.a" if name == "INSTSONAME" else real(name))
    assert f"libpython3.{sys.version_info[1]}-dev" in refusal() and "--enable-shared" in refusal()


def test_libpython_that_is_not_installed(monkeypatch):
    real = os.path.exists
    monkeypatch.setattr(os.path, "exists", lambda path: "libpython" not in str(path) and real(path))
    assert "no shared libpython" in refusal()


def test_python_without_headers(monkeypatch):
    real = os.path.exists
    monkeypatch.setattr(os.path, "exists", lambda path: not str(path).endswith("Python.h") and real(path))
    assert f"Python.h is missing: apt-get install libpython3.{sys.version_info[1]}-dev" in refusal()


def test_no_compiler(monkeypatch):
    monkeypatch.setenv("CC", "/nonexistent")
    assert refusal() == "catflap: no C compiler (/nonexistent): apt-get install gcc libc6-dev"


def test_compiler_without_headers(monkeypatch, tmp_path):
    bare = tmp_path / "cc"
    bare.write_text('#!/bin/sh\n[ "$1" = --version ]\n')
    bare.chmod(0o755)
    monkeypatch.setenv("CC", str(bare))
    assert "headers of the C library" in refusal() and "libc6-dev" in refusal()


def test_real_build_without_a_compiler(tmp_path):
    """The whole of stderr is the one line, and the tree is as before."""
    source = tmp_path / "source"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".*", "build", "tests", "*.so", "__pycache__"))
    before = sorted(os.walk(source))
    command = [sys.executable, "-B", "setup.py", "-q", "build_ext", "--inplace"]
    done = subprocess.run(command, cwd=source, env={**os.environ, "CC": "/nonexistent"}, capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == ""
    assert re.fullmatch(r"catflap: no C compiler \(/nonexistent\): [^\n]+\n", done.stderr)
    assert sorted(os.walk(source)) == before
