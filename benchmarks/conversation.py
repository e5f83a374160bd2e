"""Clients and servers of one C program, benchmarks/c/NAME.c, on the kernel or under Catflap."""

import os
import subprocess
import tempfile

from benchmarks.programs import CLIENT_CORE, Server, compiled, free_port, pinned, served


def output(argv, libos="kernel", timeout=120, settings=None):
    """What a program prints that runs on one side; `settings`: more of its environment."""
    with served(libos) as env:
        try:
            done = subprocess.run(argv, env=env | (settings or {}), stdout=subprocess.PIPE, text=True, timeout=timeout)
        except subprocess.TimeoutExpired:
            raise SystemExit(f"catflap: {' '.join(argv)} on {libos} does not end in {timeout} s")
    if done.returncode:
        raise SystemExit(f"catflap: {' '.join(argv)} on {libos} ended with {done.returncode}")
    return done.stdout


def lines(argv, libos="kernel", timeout=120, settings=None):
    """The numbers that a program prints."""
    return [float(word) for word in output(argv, libos, timeout, settings).split()]


def conversation(name, kind, *words, client=None):
    """The numbers that the client of benchmarks/c/`name`.c prints, its server on the other core.

    `kind`: a libOS, or unix; `client`: the libOS of the client where it is another.
    """
    program = compiled(name, name)
    libos = "kernel" if kind == "unix" else kind
    with tempfile.TemporaryDirectory() as folder:
        where = os.path.join(folder, "socket") if kind == "unix" else free_port()
        # one server at a time: a spinning one would have the core
        with Server([program, "server", str(where)], libos, where):
            argv = [program, "client", str(where), *(str(w) for w in words)]
            return lines(pinned(CLIENT_CORE, argv), client or libos)
