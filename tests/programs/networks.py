"""Programs on a network of Catnip's: a shared-memory segment that the test names, two hosts with known addresses."""

import os
import re

import flap
import pytest
import pythons
from roles import SCRIPTS, listens, until

SERVER, CLIENT = "10.77.1.1", "10.77.1.2"
SERVER6, CLIENT6 = "fd00:77::1", "fd00:77::2"
MODES = [pytest.param(False, id="catnip"), pytest.param(True, id="catnip-pure", marks=pytest.mark.pure_sample)]


class Network:
    """A segment of its own. `pure`: Catflap is interpreted in what runs on it."""

    def __init__(self, pure=False):
        self.device = f"segment:t{os.getpid()}-{os.urandom(4).hex()}"
        self.pure = pure

    def host(self, *addresses):
        """The settings of a program that is a host with these addresses, out of the segment's networks."""
        own = [f"{address}/{64 if ':' in address else 16}" for address in addresses]
        return {"CATFLAP_DEVICE": self.device, "CATFLAP_ADDRESSES": ",".join(own)}

    def server(self, argv, port, *, says=None, there=listens, seconds=60, **options):
        """A Program at SERVER and SERVER6, once it is there on a port of the kernel's too, or has said `says`; it lives
        `seconds` at most.
        """
        options.setdefault("env", {}).update(self.host(SERVER, SERVER6))
        program = flap.Program(argv, "catnip", pure=self.pure, timeout=seconds * (4 if self.pure else 1), **options)
        ready = (lambda: says in program.read("out") + program.read("err")) if says else lambda: there(port)
        until(ready, "listener", 20 * (4 if self.pure else 1), program=program)
        return program

    def client(self, argv, *, seconds=40, **options):
        """The Result of a program at CLIENT and CLIENT6."""
        options.setdefault("env", {}).update(self.host(CLIENT, CLIENT6))
        return flap.run(argv, "catnip", pure=self.pure, timeout=seconds * (4 if self.pure else 1), **options)


def spoken(name, run, server, client, address, port, *times):
    """What both ends of a script say; `name`: of the script, behind one that runs it where there are two."""
    script = [pythons.same(), *(os.path.join(SCRIPTS, part) for part in name.split())]
    with server([*script, "server", address, str(port), *times], port, says=b"listens") as program:
        result = run([*script, "client", address, str(port), *times])
        assert result.status == 0, f"{result}\n{program.read('out')}\n{program.read('err')}"
        ended = program.wait(30)
    assert ended.status == 0, str(ended)
    text = (ended.stdout + b"---\n" + result.stdout).decode()
    for own in (address, client):
        text = text.replace(f"'{own}'", "'HOST'")
        text = re.sub(rf"(?<![\w.:]){re.escape(own)}(?![\w.:])", "HOST", text)
    return text
