"""Goodput of one stream between two hosts of the stack, over wires of 100 Mbit/s that lose, delay and reorder:
docs/goodput.json and the table in docs/goodput.md. A change of them is for a reviewer to see.

`make goodput` writes them anew. They are the same in both modes and on all machines.
"""

import itertools
import json
import statistics
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

from pair import MS, SECOND, Lanes, Pair  # noqa: E402

import libos.mode  # noqa: E402
from libos.devices.impair import Harm  # noqa: E402

DOCS = HERE.parents[1] / "docs"
FIGURES, PAGE = DOCS / "goodput.json", DOCS / "goodput.md"
RATE, SIZE, SEEDS = 100_000_000, 4_000_000, 3
LOSSES = (0, 0.001, 0.01, 0.03)
DELAYS = (0, 1, 10, 50)  # milliseconds, one way
REORDERS = (0, 0.01)
CHECKED = [(0.03, 1, 0.01, "1 MiB"), (0.01, 10, 0, "1 MiB"), (0.001, 50, 0.01, "64 KiB")]
BUFFERS = {"64 KiB": 1 << 16, "1 MiB": 1 << 20}  # of each socket and direction


def goodput(loss, delay, reorder, buffer, seed):
    """Mbit/s of one stream, from its first octet to its end."""
    pair = Pair(Lanes(seed, Harm(loss=loss, reorder=reorder, delay=delay * MS, rate=RATE)))
    for stack in pair.stacks:
        stack.tcp.rx_limit = stack.tcp.tx_limit = BUFFERS[buffer]
    client, server = pair.connected()
    data, sent, start = bytes(1 << 16), 0, pair.now

    def turn():
        nonlocal sent
        while sent < SIZE and (n := client.send(data[: SIZE - sent])) > 0:
            sent += n
            if sent == SIZE:
                client.shutdown()
        while part := server.receive():
            pass
        return part == b""

    assert pair.run(600, turn)
    pair.close()
    return round(SIZE * 8 / ((pair.now - start) / SECOND) / 1e6, 2)


def grid():
    """[{loss, delay, reorder, buffer, goodput}]: chances, ms each way, name, Mbit/s of each seed."""
    cells = []
    for buffer, reorder, loss, delay in itertools.product(BUFFERS, REORDERS, LOSSES, DELAYS):
        settings = {"loss": loss, "delay": delay, "reorder": reorder, "buffer": buffer}
        cells.append(settings | {"goodput": [goodput(**settings, seed=seed) for seed in range(SEEDS)]})
    return cells


def table(cells):
    """The rows of a grid as they stand in the document."""
    lines = ["| buffer | reordered | lost | " + " | ".join(f"{delay} ms" for delay in DELAYS) + " |"]
    lines.append("| --- " * 3 + "| ---: " * len(DELAYS) + "|")
    for (buffer, reorder, loss), row in itertools.groupby(cells, lambda c: (c["buffer"], c["reorder"], c["loss"])):
        rates = " | ".join(f"{statistics.median(c['goodput']):.2f}" for c in row)
        lines.append(f"| {buffer} | {reorder * 100:g} % | {loss * 100:g} % | {rates} |")
    return "\n".join(lines) + "\n"


def test_the_document_shows_the_figures():
    cells = json.loads(FIGURES.read_text())
    assert table(cells) in PAGE.read_text()
    assert len(cells) == len(LOSSES) * len(DELAYS) * len(REORDERS) * len(BUFFERS)


@pytest.mark.parametrize("loss, delay, reorder, buffer", CHECKED[: 1 if libos.mode.pure() else None])
def test_a_cell_is_as_it_was(loss, delay, reorder, buffer):
    settings = {"loss": loss, "delay": delay, "reorder": reorder, "buffer": buffer}
    figure = next(c for c in json.loads(FIGURES.read_text()) if settings.items() <= c.items())
    assert goodput(**settings, seed=0) == figure["goodput"][0]


def main():
    """Write the figures, and the table in place of the old one."""
    cells = grid()
    FIGURES.write_text("[\n" + ",\n".join(json.dumps(c) for c in cells) + "\n]\n")
    before, _, after = PAGE.read_text().partition("| buffer |")
    PAGE.write_text(before + table(cells) + "\n" + after.partition("\n\n")[2].lstrip())


if __name__ == "__main__":
    main()
