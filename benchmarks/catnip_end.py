"""One host of the benchmark of idle connections, written for PDPIX: `python -m benchmarks.catnip_end server SEGMENT`
answers what comes on each connection, and prints its address first. `client SEGMENT ADDRESS N` opens one connection,
asks once, says `one`, waits for a line; does the same with N more and says `all`. Both then wait in all connections.
"""

import socket
import sys

from libos.factory import native
from libos.pdpix import ACCEPT, POP

PORT, BACKLOG, SIZE = 7, 1024, 64


def server(libos):
    waiting = libos.wait_set()
    listener = libos.socket(socket.AF_INET, socket.SOCK_STREAM)
    libos.bind(listener, ("0.0.0.0", PORT))
    libos.listen(listener, BACKLOG)
    waiting.add(libos.accept(listener))
    print(libos.address, flush=True)
    while True:
        result = waiting.wait()
        if result.opcode == ACCEPT:
            waiting.add(libos.accept(listener))
            waiting.add(libos.pop(result.value))
        elif result.opcode == POP and result.sga is not None:
            waiting.add(libos.push(result.qd, result.sga))
            libos.sgafree(result.sga)
        else:
            waiting.add(libos.pop(result.qd))


def asked(libos, waiting, address):
    """A connection on which an answer has come, and that waits for the next."""
    qd = libos.socket(socket.AF_INET, socket.SOCK_STREAM)
    libos.wait(libos.connect(qd, (address, PORT)))
    sga = libos.sgaalloc(SIZE)
    libos.wait(libos.push(qd, sga))
    libos.sgafree(sga)
    libos.sgafree(libos.wait(libos.pop(qd)).sga)
    waiting.add(libos.pop(qd))


def client(libos, address, n):
    waiting = libos.wait_set()
    asked(libos, waiting, address)
    print("one", flush=True)
    sys.stdin.readline()
    for _ in range(n):
        asked(libos, waiting, address)
    print("all", flush=True)
    waiting.wait()


if __name__ == "__main__":
    role, segment, *words = sys.argv[1:]
    libos = native("catnip", segment=segment)
    if role == "server":
        server(libos)
    else:
        client(libos, words[0], int(words[1]))
