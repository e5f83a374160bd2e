"""redis-servers that replicate and save, and what the tests ask of them over the kernel."""

import contextlib
import os
import re

import flap
from roles import check_host, patience, until


class Redis:
    """A running redis-server."""

    def __init__(self, program, port, pair):
        self.program = program
        self.port = port
        self.pair = pair

    def ask(self, *words, stdin=None):
        """The answer to one command, or to those of `stdin`, as text; the test's own."""
        argv = [flap.need("redis-cli", "redis-tools"), "-p", str(self.port), *words]
        result = flap.run(argv, stdin=stdin, timeout=patience(self.pair, 25))
        assert (result.status, result.stderr) == (0, b""), str(result)
        return result.stdout.decode().strip()

    def info(self, section, name):
        """One field of INFO."""
        found = re.search(rf"^{name}:(.*?)\r?$", self.ask("INFO", section), re.M)
        return found.group(1) if found else None

    def digest(self):
        return self.ask("DEBUG", "DIGEST")


@contextlib.contextmanager
def redis(folder, pair, *settings):
    """A redis-server with a folder of its own; what is in that may be from an earlier one."""
    os.makedirs(folder, exist_ok=True)
    port = flap.free_port()
    argv = [flap.need("redis-server", "redis-server"), "--port", str(port), "--dir", str(folder), "--bind", "127.0.0.1"]
    argv += ["--save", "", "--enable-debug-command", "yes", *map(str, settings)]
    with flap.Program(argv, pair.server, pure=pair.pure, timeout=patience(pair, 60)) as program:
        flap.wait_for_port(port, program)
        check_host(program.pid, pair.server, pair.pure)
        yield Redis(program, port, pair)


def load(server, clients, seconds=0, requests=0):
    """redis-benchmark against a server, running: a number of requests."""
    words = ["-p", str(server.port), "-c", str(clients), "-n", str(requests), "-r", "3000", "-d", "300", "-q"]
    words += ["-t", "set,incr,lpush,sadd,hset,zadd"]
    argv = [flap.need("redis-benchmark", "redis-tools"), *words]
    return flap.Program(argv, server.pair.client, pure=server.pair.pure, timeout=patience(server.pair, 40))


def idle(server, *fields):
    """Wait until INFO persistence says 0 for these fields."""
    for field in fields:
        until(lambda field=field: server.info("persistence", field) == "0", f"end of {field}", program=server.program)
