"""redis-servers that replicate and save, and what the tests ask of them over the kernel."""

import contextlib
import os
import re
import socket

import flap
from roles import check_host, patience, until


class Redis:
    """A running redis-server."""

    def __init__(self, program, port, pair):
        self.program = program
        self.port = port
        self.pair = pair

    def ask(self, *words):
        """The answer to one command, as text; the test's own."""
        return self.asked([words])[0]

    def asked(self, commands):
        """The answers to commands that are sent one after the other, over the kernel; nothing of arrays."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            reader = connection.makefile("rb")
            return [answer(connection, reader, words) for words in commands]

    def info(self, section, name):
        """One field of INFO."""
        found = re.search(rf"^{name}:(.*?)\r?$", self.ask("INFO", section), re.M)
        return found.group(1) if found else None

    def digest(self):
        return self.ask("DEBUG", "DIGEST")


def answer(connection, reader, words):
    """Send a command (RESP, the protocol of Redis) and read what it is answered, as text."""
    words = [word if isinstance(word, bytes) else word.encode() for word in words]
    connection.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))
    line = reader.readline()
    assert line[:1] in b"+:$" and line.endswith(b"\r\n"), line
    if line[:1] != b"$":
        return line[1:-2].decode()
    size = int(line[1:])
    return reader.read(size + 2)[:size].decode(errors="replace") if size >= 0 else None


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
