"""One server loop for two ports: the requests of all clients come out of one queue, and nonsense never reaches it.

    python examples/first_come.py PORT PORT [--libos catnap]

A client sends lines "ask WHAT" and gets "answer to WHAT"; anything else is dropped. Ends when both clients have.
"""

import os
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from examples.common import options
from examples.serving import bound, started
from libos.sgarray import SGArray


def main():
    chosen = options.first_come(__doc__)
    libos = started(chosen)
    listeners = [bound(libos, socket.SOCK_STREAM, address) for address in chosen.addresses]
    connections = [result.value for result in libos.wait_all([libos.accept(listener) for listener in listeners])]
    for listener in listeners:
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
    main()
