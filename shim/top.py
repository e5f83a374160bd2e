"""`catflap top`: all connections of processes under Catflap, once or again and again."""

import time

from rich import box, filesize
from rich.console import Group
from rich.live import Live
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from shim.connections import Snapshot

EVERY = 1.0  # seconds between two looks
ONCE = 0.5  # and between the two that a single table needs for its rates
COLUMNS = ("pid", "program", "fd", "local", "remote", "libos", "state", "in", "out", "in/s", "out/s", "spins", "sleeps",
           "rings", "cwnd", "srtt", "retrans")  # fmt: skip
CATNIP = ("cwnd", "srtt", "retrans")  # left out where nothing is on Catnip
SIZES = ("1K", "256K", "4M")  # of the rings of libos/layout.py's levels; a test compares
NUMBERS = ("pid", "fd", "in", "out", "in/s", "out/s", "spins", "sleeps", *CATNIP)
# what a narrow terminal does without
LEAST = ("rings", "sleeps", "spins", "libos", "local", "out/s", "in/s", "fd", *CATNIP)
STYLES = {"upgraded": "green", "catnap": "green", "catnip": "green"}


def rates(before, now):
    """{(process, descriptor): (bytes per second in, out)} through rings, between two snapshots."""
    seconds = max(now.time - before.time, 1e-3)
    old = {(row.pid, row.fd, row.local, row.remote): row for row in before.connections}
    found = {}
    for row in now.connections:
        was = old.get((row.pid, row.fd, row.local, row.remote))
        if was:
            pairs = ((row.bytes_in, was.bytes_in), (row.bytes_out, was.bytes_out))
            found[row.pid, row.fd] = tuple(max(a - b, 0) / seconds for a, b in pairs)
    return found


def shown(snapshot, speed):
    """[(connection, bytes per second in, out)], the busiest first. Sockets without another end are no connections."""
    rows = [(row, *speed.get((row.pid, row.fd), (0.0, 0.0))) for row in snapshot.connections if row.remote]
    return sorted(rows, key=lambda row: (-row[1] - row[2], row[0].pid, row[0].fd))


def look(before=None, pause=ONCE):
    """(snapshot, its rows with their rates)."""
    if before is None:
        before = Snapshot()
        time.sleep(pause)
    now = Snapshot()
    return now, shown(now, rates(before, now))


def document():
    """What `--json` prints."""
    snapshot, rows = look()
    return {
        "connections": [{**row.as_dict(), "rate_in": round(a), "rate_out": round(b)} for row, a, b in rows],
        "unreadable": [
            {"pid": pid, "program": program, "why": str(error), "remedy": error.remedy}
            for pid, (program, error) in snapshot.unreadable.items()
        ],
    }


def state(row):
    """The state of a connection in a cell: a reason by its number and name, on Catnip that of its TCP."""
    return f"{row.code} {row.name.removeprefix('CATFLAP_KERNEL_')}" if row.code else row.tcp or row.state


def size(count):
    """A number of bytes in a few letters: 73, 9.3kB."""
    return filesize.decimal(int(count)).replace(" bytes", "").replace(" byte", "").replace(" ", "")


def time_taken(nanoseconds):
    """A time in a few letters: 0.043ms, 12.5ms."""
    return f"{nanoseconds / 1e6:.3g}ms"


def cells(row, in_rate, out_rate):
    """{column: what it shows} of one connection."""
    rings = f"{SIZES[row.level_in]}/{SIZES[row.level_out]}" if row.libos in ("catloop", "catmint") else ""
    path = (size(row.cwnd), time_taken(row.srtt), row.retransmissions) if row.libos == "catnip" else ("", "", "")
    named = (row.pid, row.program, row.fd, row.local, row.remote, row.libos, state(row))
    counted = (size(row.bytes_in), size(row.bytes_out), size(in_rate), size(out_rate), row.spins, row.sleeps, rings)
    found = {column: Text(str(value)) for column, value in zip(COLUMNS, named + counted + path, strict=True)}
    found["state"].stylize("yellow" if row.code else STYLES.get(row.state, ""))
    return found


def table(rows, left_out):
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    columns = [column for column in COLUMNS if column not in left_out]
    for column in columns:
        made.add_column(column, justify="right" if column in NUMBERS else "left", no_wrap=True)
    for row in rows:
        made.add_row(*(row[column] for column in columns))
    return made


def view(console, snapshot, rows):
    """The table, as many columns as there is room for, and a line for each process that can't be looked into."""
    endless = console.options.update_width(10_000)
    filled = [cells(*row) for row in rows]
    needless = () if any(row.libos == "catnip" for row, _, _ in rows) else CATNIP
    for count in range(len(LEAST) + 1):
        shown_table = table(filled, needless + LEAST[:count])
        if Measurement.get(console, endless, shown_table).maximum <= console.width:
            break
    lines = [f"{name} ({pid}): {error}; {error.remedy}" for pid, (name, error) in snapshot.unreadable.items()]
    upgraded = sum(row.state == "upgraded" for row, _, _ in rows)
    lines.append(f"{len(rows)} connections of {len(snapshot.processes)} processes under Catflap, {upgraded} upgraded")
    return Group(shown_table, *(Text(line) for line in lines))


def live(console):
    """Until Ctrl-C."""
    try:
        snapshot, rows = look()
        with Live(view(console, snapshot, rows), console=console, screen=True, auto_refresh=False) as screen:
            while True:
                time.sleep(EVERY)
                snapshot, rows = look(snapshot)
                screen.update(view(console, snapshot, rows), refresh=True)
    except KeyboardInterrupt:
        return
