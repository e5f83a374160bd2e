"""Run by test_pair.py in both modes: the mode, and a digest of all frames of some transfers over bad wires."""

import hashlib
import random

from pair import Pair, Wire

import libos.mode
from libos.net import stack, structs


def trace(family, congestion, digest):
    pair = Pair(Wire(11, loss=0.05, jitter=0.1, twice=0.02, gap=50_000, queue=30), family)
    for side in pair.stacks:
        side.tcp.congestion = congestion
    send = pair.wire.send

    def noted(to, frame, now):
        digest.update(b"%d %d " % (now, to) + frame)
        send(to, frame, now)

    pair.wire.send = noted
    client, server = pair.connected()
    data, sent = random.Random(2).randbytes(60_000), 0

    def turn():
        nonlocal sent
        if sent < len(data):
            sent += max(0, client.send(data[sent : sent + 7001]))
            if sent == len(data):
                client.shutdown()
        return server.receive() == b""

    assert pair.run(600, turn)
    pair.close()


def main():
    digest = hashlib.sha256()
    for family in (4, 6):
        for congestion in (structs.NEWRENO, structs.CUBIC, structs.VEGAS):
            trace(family, congestion, digest)
    print("compiled" if libos.mode.compiled(stack) else "interpreted", digest.hexdigest())


if __name__ == "__main__":
    main()
