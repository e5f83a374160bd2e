"""One end of Catmint's benchmark: `python -m benchmarks.fabric_end ROLE SIZE COUNT [PORT]`.

Roles: pong says at which port it is; ping, given that, prints the nanoseconds of each round trip, in JSON. `SIZE`:
bytes of a message. Both look all the time, through Catmint's composition: no coroutine, no interpreter is measured.
"""

import ctypes
import json
import socket
import sys

from benchmarks.native import loops
from libos.factory import native


def joined(libos, port):
    """The address of the record of a connection: to `port`, or, for 0, of who connects to us."""
    qd = libos.socket(socket.AF_INET, socket.SOCK_STREAM)
    if port:
        result = libos.wait(libos.connect(qd, ("127.0.0.1", port)), 20)
    else:
        libos.bind(qd, ("127.0.0.1", 0))
        libos.listen(qd)
        print(libos.getsockname(qd)[1], flush=True)
        result = libos.wait(libos.accept(qd), 20)
    if result.error:
        sys.exit(f"catflap: {result.error}")
    return libos.queue_of(qd if port else result.value).at


def main(role, size, count, port=0):
    libos = native("catmint", provider="shm")
    at = joined(libos, port)
    memory = libos.heap.alloc(size)
    with libos.lock:  # the keeper keeps out
        if role == "pong":
            complete = loops.mint_pong(libos.catmint, at, libos.result_at, count) == count
        else:
            times = (ctypes.c_uint64 * count)()
            place = ctypes.addressof(times)
            complete = loops.mint_ping(libos.catmint, at, memory, size, libos.result_at, place, count) == count
            print(json.dumps(list(times)))
    libos.heap.free(memory)
    libos.shut()
    if not complete:
        sys.exit("messages were lost, or the other end has gone")


if __name__ == "__main__":
    main(sys.argv[1], *(int(word) for word in sys.argv[2:]))
