"""Programs as a service manager, a container or an administrator starts them: an echo and who talks to it, each in a room
of its own.
"""

import contextlib
import os
import re
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


def command(libos, *options, pure=False):
    """Words that put a program under a libOS, in front of its own: `catflap run`; none for the kernel."""
    if libos == "kernel":
        return []
    flags = ["--worth", "1", *(["--pure"] if pure else []), *options]
    return [sys.executable, "-c", ENTRY, "run", "--libos", libos, *flags, "--"]


def confined(*words):
    """Words that start a program under confined.c."""
    return [flap.compiled("confined.c"), *words, "--"]


def numbers(names):
    """The numbers of system calls, as confined.c takes them; names of other machines' calls have none."""
    with open(HEADER) as f:
        known = dict(re.findall(r"#define __NR_(\w+) (\d+)", f.read()))
    return ",".join(known[name] for name in names if name in known)


@contextlib.contextmanager
def echo(pair, wrap=(), env=None, host="127.0.0.1", options=(), seconds=40):
    """(program, port) of a socat that gives back what it is told, started by the words of `wrap`."""
    port = flap.free_port()
    argv = [*wrap, *command(pair.server, *options, pure=pair.pure), flap.need("socat", "socat")]
    argv += [f"TCP4-LISTEN:{port},bind={host},reuseaddr", "PIPE"]
    with flap.Program(argv, env=env, timeout=patience(pair, seconds)) as program:
        yield program, port


def talker(pair, port, wrap=(), env=None, options=()):
    """A running Talker to 127.0.0.1:`port`, started by the words of `wrap`."""
    argv = [*wrap, *command(pair.client, *options, pure=pair.pure), flap.need("socat", "socat")]
    return Talker([*argv, "-t", "20", "-", f"TCP4:127.0.0.1:{port}"], "kernel", pair, env=env)


def talk(pair, server=(), client=(), rings=True, reason=None, env=None, seen_from_here=True):
    """A conversation of an echo and a talker in their rooms; through rings where they can, else by the kernel.

    `reason`: what `catflap why` says of each end, where both are under auto and no rings are expected.
    """
    with echo(pair, server, env) as (program, port):
        if seen_from_here:
            until(lambda: listens(port), "listener", program=program)
        with talker(pair, port, client, env) as speaker:
            conversation(pair, speaker, content(SIZE), program, rings=rings)
            if not rings and pair.server == pair.client == "auto":
                assert carried(program) == carried(speaker) == 0
                if reason:
                    for end, name in zip((program, speaker), reason if isinstance(reason, tuple) else (reason,) * 2, strict=True):
                        assert name in reasons(end), (name, reasons(end))
            assert speaker.ended() == speaker.sent
        result = program.wait(20)
        assert (result.status, result.stderr, result.stdout) == (0, b"", b""), str(result)
        return b"".join([bytes(speaker.sent)])


def leaf(program):
    """Process id of the program that was asked for, below those that only started it."""
    return program.family()[-1]


def reasons(program):
    """{name of the reason, or state} of what the last process below `program` is connected to, by `catflap why`."""
    return {row["name"] or row["state"] for row in why.document(str(leaf(program)))["descriptors"] if row["remote"]}
