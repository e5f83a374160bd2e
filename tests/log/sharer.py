"""sharer.py PATH NAME COUNT: shares a volume; says "owner" or "guest", and of COUNT pushes to a log, NAME and a number
each, "done N" or "lost N" as they end. Then it shuts the volume, at the end of its input.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from libos.errors import Kind
from libos.factory import native
from libos.sgarray import SGArray

AT_A_TIME = 8


def main(path, name, count):
    store = native("cattree", path=path, shared=True)
    log = store.open("log", create=True)
    print("guest" if store.link.owner is None else "owner", flush=True)
    pushes, waiting = {}, store.wait_set()
    for i in range(count + AT_A_TIME):
        if i < count:
            token = store.push(log, SGArray.of(f"{name} {i}\n".encode()))
            pushes[token] = i
            waiting.add(token)
        if i >= AT_A_TIME and len(waiting):
            result = waiting.wait(60)
            assert result.error is None or result.error.kind is Kind.RESET, result
            print("lost" if result.error else "done", pushes[result.qtoken], flush=True)
    print("end", flush=True)
    sys.stdin.read()
    store.shut()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
