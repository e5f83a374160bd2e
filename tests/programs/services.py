"""Programs as a service manager, a container or an administrator starts them: an echo, and who talks to it, each in a
room of its own.
"""

import contextlib
import os
import re
import subprocess
import sys

import flap
from material import content
from roles import listens, patience, until
from talkers import Talker, conversation
from upgrades import carried

from shim import why

SIZE = 300_000
ENTRY = f"import sys; sys.path[0] = {flap.INSTALLED!r}; from shim.__main__ import main; sys.exit(main())"
HEADER = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"
# what a room needs of us, wherever it is: the trees, and the Python that they run on
OURS = sorted({os.path.realpath(path) for path in (flap.ROOT, flap.INSTALLED, sys.prefix, sys.base_prefix)} - {"/usr"})


def command(libos, *options, pure=False):
    """Words that put a program under a libOS, in front of its own: `catflap run`; none for the kernel."""
    if libos == "kernel":
        return []
    flags = ["--worth", "1", *(["--pure"] if pure else []), *options]
    return [sys.executable, "-c", ENTRY, "run", "--libos", libos, *flags, "--"]


def confined(*words):
    """Words that start a program under confined.c."""
    return [flap.compiled("confined.c"), *words, "--"]


def numbers(*names):
    """The numbers of system calls, as confined.c takes them; names of other machines' calls have none."""
    with open(HEADER) as f:
        known = dict(re.findall(r"#define __NR_(\w+) (\d+)", f.read()))
    return ",".join(known[name] for name in names if name in known)


def box(*words):
    """Words that start a program behind a read-only root with a /tmp, /home and /dev of its own (bwrap(1))."""
    kept = [word for path in OURS for word in ("--ro-bind", path, path)]
    own = ["--tmpfs", "/tmp", "--tmpfs", "/home", "--dev", "/dev", "--proc", "/proc"]
    return [flap.need("bwrap", "bubblewrap"), "--ro-bind", "/", "/", *own, *kept, "--chdir", "/", *words]


@contextlib.contextmanager
def network():
    """Words that start a program in a network name space of its own, with a loopback that is up; and whose it is."""
    words = [flap.need("unshare", "util-linux"), "-n", "sh", "-c", "ip link set lo up; echo up; exec sleep 100"]
    holder = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"up\n"
        yield [flap.need("nsenter", "util-linux"), "-t", str(holder.pid), "-n"], holder.pid
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()


def echoer(port, host="127.0.0.1"):
    """The words of an echo for one connection."""
    return [flap.need("socat", "socat"), f"TCP4-LISTEN:{port},bind={host},reuseaddr", "PIPE"]


def asker(port):
    """The words of who says to it what standard input holds, and prints what comes back."""
    return [flap.need("socat", "socat"), "-t", "20", "-", f"TCP4:127.0.0.1:{port}"]


@contextlib.contextmanager
def echo(pair, wrap=(), env=None, words=echoer, waits=True, seconds=40):
    """(program, port) of an echo for one connection, started by the words of `wrap`."""
    port = flap.free_port()
    argv = [*wrap, *command(pair.server, pure=pair.pure), *words(port)]
    with flap.Program(argv, env=env, timeout=patience(pair, seconds)) as program:
        if waits:
            until(lambda: listens(port), "listener", program=program)
        yield program, port


def talker(pair, port, wrap=(), env=None):
    """A running Talker to an echo, started by the words of `wrap`."""
    return Talker([*wrap, *command(pair.client, pure=pair.pure), *asker(port)], "kernel", pair, env=env)


def talk(pair, server=(), client=(), env=None, rings=True, why=(), data=None):
    """A conversation of an echo and a talker, each in its room: all comes back, and both end well and silently.

    Under auto at both ends by rings, unless told otherwise; then `why` are the reasons that `catflap why` must give of
    the echo's connection and of the talker's.
    """
    data = content(SIZE) if data is None else data
    with echo(pair, server, env) as (program, port), talker(pair, port, client, env) as speaker:
        seen = conversation(pair, speaker, data, program, rings=rings)
        if not rings:
            assert carried(program) == carried(speaker) == 0
        if pair.server == pair.client == "auto":
            for end, name in zip((program, speaker), why, strict=False):
                assert name in reasons(end), (name, reasons(end))
        finish(speaker, program)
        return seen


def finish(speaker, program):
    """The talker hangs up, and both have said what they had to, and no more."""
    speaker.hang_up()
    for end, text in ((speaker, speaker.sent), (program, b"")):
        result = end.wait(20)
        assert (result.status, result.stderr, result.stdout) == (0, b"", text), str(result)


def leaf(program):
    """Process id of the program that was asked for, below those that started it."""
    return program.family()[-1]


def reasons(program):
    """{reason or state} of what the last process below `program` is connected to, by `catflap why`."""
    return {row["name"] or row["state"] for row in why.document(str(leaf(program)))["descriptors"] if row["remote"]}
