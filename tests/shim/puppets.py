"""Programs that do what a test says: a Python that runs the lines it is told, with or without Catflap."""

import json
import subprocess
import sys

STRINGS = """
import array, os, socket, sys
for line in sys.stdin:
    answer = None
    exec(eval(line))
    print(repr(answer), flush=True)
"""
LISTEN = """
server = socket.create_server((HOST, 0), family=socket.AF_INET6 if ":" in HOST else socket.AF_INET)
answer = server.getsockname()[1]
"""
ECHO = """
left = ROUNDS * 100
while left and (part := peer.recv(100)):
    peer.sendall(part)
    left -= len(part)
"""
TALK = """
for _ in range(ROUNDS):
    sock.sendall(b"x" * 100)
    got = 0
    while got < 100: got += len(sock.recv(100))
"""


class Puppet:
    """`do(code, NAME=value)` runs code in it and returns its `answer`. A context manager: it ends there.

    `flags`: further options of `catflap run`.
    """

    def __init__(self, catflap, libos="catloop", words=(sys.executable, "-c", STRINGS), flags=(), **options):
        if libos:
            words = catflap.words("run", "--libos", libos, *flags, "--", *words)
        self.process = subprocess.Popen(
            words,
            env=catflap.environ(CATFLAP_WORTH=1),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            **options,
        )
        self.pid = self.process.pid

    def tell(self, code, **names):
        given = "".join(f"{name} = {value!r}\n" for name, value in names.items())
        self.process.stdin.write(repr(given + code) + "\n")
        self.process.stdin.flush()

    def hear(self):
        return eval(self.process.stdout.readline())

    def do(self, code, **names):
        self.tell(code, **names)
        return self.hear()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def connect(server, client, host="127.0.0.1"):
    """`peer` in one puppet and `sock` in the other become the ends of a connection; returns their numbers."""
    port = server.do(LISTEN, HOST=host)
    server.tell("peer, _ = server.accept(); answer = peer.fileno()")
    fd = client.do("sock = socket.create_connection((HOST, PORT)); answer = sock.fileno()", HOST=host, PORT=port)
    return server.hear(), fd


def talk(server, client, rounds=100):
    """100 bytes there and back, so many times."""
    server.tell(ECHO, ROUNDS=rounds)
    client.do(TALK, ROUNDS=rounds)
    server.hear()


def why(catflap, target):
    done = catflap("why", "--json", target)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return json.loads(done.stdout)


def only(catflap, target):
    """The one descriptor that `why PID:FD` tells of."""
    (row,) = why(catflap, target)["descriptors"]
    return row
