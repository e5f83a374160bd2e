"""How fast streams are over a simulated wire of 20 Mbit/s, as a table beside this file: a change of it is for a
reviewer to see.

`python tests/net/test_netsim.py` writes the table anew. It is the same in both modes and on all machines.
"""

import random
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

from pair import MS, SECOND, Pair, Wire  # noqa: E402

from libos.net import structs  # noqa: E402

TABLE = HERE / "netsim.txt"
SIZE = 200_000
CONTROLS = {"NewReno": structs.NEWRENO, "CUBIC": structs.CUBIC, "Vegas": structs.VEGAS}
LOSSES = (0, 0.001, 0.01, 0.05)
DELAYS = (1, 10, 50)  # milliseconds, one way


def rate(control, loss, delay, seed):
    """Mbit/s of one stream, with the wait of its end."""
    pair = Pair(Wire(seed, delay=delay * MS, loss=loss, gap=600_000, queue=50))
    for stack in pair.stacks:
        stack.tcp.congestion = control
    client, server = pair.connected()
    data, sent, start = bytes(SIZE), 0, pair.now

    def turn():
        nonlocal sent
        if sent < SIZE:
            sent += max(0, client.send(data[sent:]))
            if sent == SIZE:
                client.shutdown()
        return server.receive() == b""

    assert pair.run(600, turn)
    pair.close()
    return SIZE * 8 / ((pair.now - start) / SECOND) / 1e6


def table():
    lines = ["control  loss %  " + "".join(f"{delay:>6} ms" for delay in DELAYS) + "   Mbit/s"]
    for name, control in CONTROLS.items():
        for loss in LOSSES:
            seeds = random.Random(loss).sample(range(1000), 2)
            rates = [sum(rate(control, loss, delay, seed) for seed in seeds) / 2 for delay in DELAYS]
            lines.append(f"{name:<8} {loss * 100:>6g}  " + "".join(f"{value:>9.2f}" for value in rates))
    return "\n".join(lines) + "\n"


def test_the_table_is_as_it_was():
    assert table() == TABLE.read_text()


if __name__ == "__main__":
    TABLE.write_text(table())
