"""A host of a segment, for tests: `catnip_server.py SEGMENT COUNT` sends back what COUNT connections bring, and prints
its addresses first.
"""

import ipaddress
import socket
import sys

from libos.factory import native
from libos.pdpix import ACCEPT, POP


def main(segment, count):
    libos = native("catnip", segment=segment)
    device = libos.catnip.device
    waiting = libos.wait_set()
    for family in (socket.AF_INET, socket.AF_INET6):
        listener = libos.socket(family, socket.SOCK_STREAM)
        libos.setsockopt(listener, socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        libos.bind(listener, ("::" if family == socket.AF_INET6 else "0.0.0.0", 7))
        libos.listen(listener)
        waiting.add(libos.accept(listener))
    print(*(ipaddress.ip_address(packed) for packed in (device.ipv4, device.ipv6)), flush=True)
    while count:
        result = waiting.wait()
        if result.error:
            print(result.error, flush=True)
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
    libos.shut()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
