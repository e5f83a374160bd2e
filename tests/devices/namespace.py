"""A network namespace of a test's own, where a TAP interface harms nobody."""

import contextlib
import ctypes
import os
import subprocess

import pytest

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def call(name, *arguments):
    if getattr(LIBC, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)


@contextlib.contextmanager
def network_namespace():
    """This thread in a new network namespace meanwhile. Skips the test where that, or a TAP, is not permitted."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            call("unshare", CLONE_NEWNET)
        except OSError as error:
            pytest.skip(f"no network namespace can be made here: {error}")
        try:
            if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
                pytest.skip("no /dev/net/tun here")
            yield
        finally:
            call("setns", before, CLONE_NEWNET)
    finally:
        os.close(before)


def ip(words):
    """One command of ip(8), in the namespace of the calling thread."""
    subprocess.run(["ip", *words.split()], check=True)
