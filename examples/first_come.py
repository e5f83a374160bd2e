"""One server loop for two ports: the requests of all clients come out of one queue, and nonsense never reaches it.

    python examples/first_come.py PORT PORT

A client sends lines "ask WHAT" and gets "answer to WHAT"; anything else is dropped. Ends when both clients have.
"""

import os
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from libos.factory import native
from libos.sgarray import SGArray


def served(libos, port):
    """The qd of the first connection to a port."""
    listener = libos.socket(socket.AF_INET, socket.SOCK_STREAM)
    libos.setsockopt(listener, socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    libos.bind(listener, ("127.0.0.1", port))
    libos.listen(listener)
    return listener, libos.accept(listener)


def main(*ports):
    libos = native("catnap")
    waiting = [served(libos, int(port)) for port in ports]
    connections = [result.value for result in libos.wait_all([qtoken for _, qtoken in waiting])]
    for listener, _ in waiting:
        libos.close(listener)
    requests = libos.filter(libos.merge(*connections), lambda sga: bytes(sga).startswith(b"ask "))
    while True:
        request = libos.wait(libos.pop(requests))
        if not len(request.sga):
            break
        answer = SGArray.of(b"answer to ", bytes(request.sga)[4:])
        libos.wait(libos.push(request.value, answer))
        libos.sgafree(request.sga)
    for qd in (requests, *connections):
        libos.close(qd)


if __name__ == "__main__":
    main(*sys.argv[1:])
