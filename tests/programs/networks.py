"""Programs on a network of Catnip's: a shared-memory segment that the test names, two hosts with known addresses."""

import os

import flap
from roles import listens, until

SERVER, CLIENT = "10.77.1.1", "10.77.1.2"
SERVER6, CLIENT6 = "fd00:77::1", "fd00:77::2"


class Network:
    """A segment of its own. `pure`: Catflap is interpreted in what runs on it."""

    def __init__(self, pure=False):
        self.device = f"segment:t{os.getpid()}-{os.urandom(4).hex()}"
        self.pure = pure

    def host(self, *addresses):
        """The settings of a program that is a host with these addresses, out of the segment's networks."""
        own = [f"{address}/{64 if ':' in address else 16}" for address in addresses]
        return {"CATFLAP_DEVICE": self.device, "CATFLAP_ADDRESSES": ",".join(own)}

    def server(self, argv, port, *, says=None, **options):
        """A Program at SERVER and SERVER6, once it listens on a port of the kernel's too, or has said `says`."""
        options.setdefault("env", {}).update(self.host(SERVER, SERVER6))
        program = flap.Program(argv, "catnip", pure=self.pure, timeout=60 * (4 if self.pure else 1), **options)
        there = (lambda: says in program.read("out")) if says else lambda: listens(port)
        until(there, "listener", 20 * (4 if self.pure else 1), program=program)
        return program

    def client(self, argv, **options):
        """The Result of a program at CLIENT and CLIENT6."""
        options.setdefault("env", {}).update(self.host(CLIENT, CLIENT6))
        return flap.run(argv, "catnip", pure=self.pure, timeout=40 * (4 if self.pure else 1), **options)
