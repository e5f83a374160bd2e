"""Wires of the kernel's between two hosts of this machine: this process, in a network namespace of its own, and another
one. All of it ends with the process.
"""

import contextlib
import ctypes
import os
import subprocess
import time

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)
HERE, THERE = "10.9.{}.2", "10.9.{}.1"


def call(name, *arguments):
    if getattr(LIBC, name)(*arguments):
        raise SystemExit(f"catflap: no network namespace can be made here: {os.strerror(ctypes.get_errno())}")


def ip(words):
    subprocess.run(["ip", *words.split()], check=True)


@contextlib.contextmanager
def apart():
    """This thread in a network namespace of its own meanwhile. Raises SystemExit where that is not permitted."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        call("unshare", CLONE_NEWNET)
        try:
            ip("link set lo up")
            yield
        finally:
            call("setns", before, CLONE_NEWNET)
    finally:
        os.close(before)


class Far:
    """Another network namespace, as long as this lives: a process there that waits."""

    def __enter__(self):
        ours = os.stat("/proc/thread-self/ns/net").st_ino
        self.holder = subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        end = time.monotonic() + 10
        while os.stat(f"/proc/{self.holder.pid}/ns/net").st_ino == ours:
            if self.holder.poll() is not None or time.monotonic() > end:
                raise SystemExit("catflap: no network namespace can be made here")
            time.sleep(0.01)
        self.words = ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net"]  # before a command that is to run there
        return self

    def __exit__(self, *_):
        self.holder.communicate()

    def there(self, words):
        subprocess.run([*self.words, *words.split()], check=True, stdout=subprocess.DEVNULL)

    def wire(self, n):
        """Join `here{n}` and `there{n}`, with the addresses HERE and THERE of network `n`: (ours, theirs)."""
        here, there = f"here{n}", f"there{n}"
        ip(f"link add {here} type veth peer name {there} netns {self.holder.pid}")
        for where, name, address in ((ip, here, HERE), (lambda words: self.there(f"ip {words}"), there, THERE)):
            where(f"address add {address.format(n)}/24 dev {name}")
            where(f"link set {name} up")
        return HERE.format(n), THERE.format(n)
