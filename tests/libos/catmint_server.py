"""A program on Catmint, for tests: `catmint_server.py KIND COUNT` sends back what COUNT connections bring, and prints
its port first.
"""

import os
import signal
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import catmints

from libos.pdpix import ACCEPT, POP


def main(kind, count):
    libos = catmints.made(kind)
    waiting = libos.wait_set()
    listener = libos.socket(socket.AF_INET, socket.SOCK_STREAM)
    libos.bind(listener, ("127.0.0.1", 0))
    libos.listen(listener)
    waiting.add(libos.accept(listener))
    print(libos.getsockname(listener)[1], flush=True)
    while count:
        result = waiting.wait()
        if result.error:
            print(result.error.kind.name, flush=True)
            libos.close(result.qd)
            count -= 1
        elif result.opcode == ACCEPT:
            waiting.add(libos.accept(result.qd))
            waiting.add(libos.pop(result.value))
        elif result.opcode == POP and len(result.sga):
            waiting.add(libos.push(result.qd, result.sga))
            libos.sgafree(result.sga)
        elif result.opcode == POP:
            libos.sgafree(result.sga)
            libos.close(result.qd)
            count -= 1
        else:
            waiting.add(libos.pop(result.qd))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    main(sys.argv[1], int(sys.argv[2]))
