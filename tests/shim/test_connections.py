"""`catflap top` and `catflap why`, on real programs in every state that a descriptor can be in."""

import io
import json
import os
import pty
import re
import subprocess
import termios
import time

from puppets import Puppet, connect, only, talk, why
from rich.console import Console

from libos import layout
from shim import inside, reasons, top
from shim.connections import Snapshot

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def connections(catflap):
    """{(process, descriptor): row} of `top --json`."""
    done = catflap("top", "--json")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return {(row["pid"], row["fd"]): row for row in json.loads(done.stdout)["connections"]}


def test_upgraded(catflap, pair):
    server, client, here, there = pair
    rows = connections(catflap)
    for pid, fd, peer in ((server.pid, here, client.pid), (client.pid, there, server.pid)):
        row = rows[pid, fd]
        assert (row["libos"], row["state"], row["code"], row["name"]) == ("catloop", "upgraded", 0, "")
        assert 5000 < row["bytes_in"] <= 100000 and 5000 < row["bytes_out"] <= 100000
        assert row["peer"] == peer and row["program"].startswith("python") and row["protocol"] == "tcp"
        assert row["level_in"] == row["level_out"] == 0
        assert (row["rate_in"], row["rate_out"]) == (0, 0)
        assert only(catflap, f"{pid}:{fd}")["state"] == "upgraded"
    ends = rows[server.pid, here], rows[client.pid, there]
    assert sum(row["spins"] + row["sleeps"] for row in ends) > 0
    assert rows[server.pid, here]["local"] == rows[client.pid, there]["remote"]
    assert len([fd for pid, fd in rows if pid == server.pid]) == 1  # what listens is no connection
    assert [row["fd"] for row in why(catflap, client.pid)["descriptors"]] == [there]


def test_rates_and_rings_grow_with_the_bytes(catflap, pair):
    server, client, here, there = pair
    before = Snapshot()
    client.do("sock.setblocking(False); answer = sock.send(bytes(100000))")
    client.do("sock.setblocking(True); sock.sendall(bytes(1000)); answer = 1")
    now, rows = top.look(before)
    (sent,) = [out for row, _, out in rows if (row.pid, row.fd) == (client.pid, there)]
    assert sent > 0
    (row,) = [row for row in now.connections if (row.pid, row.fd) == (client.pid, there)]
    assert row.level_out > 0 and row.bytes_out > 50000


def test_tables_for_people(catflap, pair):
    server, client, here, there = pair
    done = catflap("top", "--once")
    (line,) = [line for line in done.stdout.splitlines() if line.split()[:1] == [str(client.pid)]]
    assert "catloop" in line and "upgraded" in line and "1K/1K" in line and "127.0.0.1:" in line
    assert re.search(r"^\d+ connections of \d+ processes under Catflap, \d+ upgraded$", done.stdout, re.M)
    assert catflap("top").stdout.count("catloop") >= 2  # stdout is no terminal
    text = catflap("why", client.pid).stdout
    assert f"fd {there}" in text and f"({server.pid})" in text and "upgraded: its bytes" in text


def test_narrow_terminals_get_the_columns_that_matter(pair):
    for width, there, not_there in (
        (200, set(top.COLUMNS) - set(top.CATNIP), ()),
        (80, ("pid", "program", "state", "in"), ("rings", "local")),
    ):
        console = Console(width=width, record=True, file=io.StringIO())
        console.print(top.view(console, *top.look(pause=0.01)))
        lines = console.export_text().splitlines()
        heads = next(line.split() for line in lines if "program" in line)
        assert set(there) <= set(heads) and not set(not_there) & set(heads)
        assert not any("…" in line for line in lines) and any("upgraded" in line.split() for line in lines)
        assert [head for head in top.COLUMNS if head in heads] == heads
    assert (top.size(0), top.size(1), top.size(73), top.size(9300), top.size(2.5e9)) == (
        "0",
        "1",
        "73",
        "9.3kB",
        "2.5GB",
    )


def test_live_table_ends_with_control_c(catflap, pair):
    words, environ = catflap.words("top"), catflap.environ(TERM="xterm")
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(words[0], words, environ)
    termios.tcsetwinsize(terminal, (40, 200))
    text, pressed = b"", False
    while True:
        try:
            text += os.read(terminal, 65536)
        except OSError:  # the other side is closed
            break
        if text.count(b"catloop") >= 6 and not pressed:  # three times the two ends
            os.write(terminal, b"\x03")
            pressed = True
    os.close(terminal)
    assert pressed and os.waitpid(pid, 0)[1] == 0
    assert b"Traceback" not in text


def test_ipv6(catflap):
    with Puppet(catflap) as server, Puppet(catflap) as client:
        here, there = connect(server, client, "::1")
        talk(server, client)
        row = only(catflap, f"{client.pid}:{there}")
        assert row["state"] == "upgraded" and row["remote"].startswith("[::1]:") and row["protocol"] == "tcp6"
        assert "[::1]:" in catflap("top", "--once").stdout


def talk_in_vain(server, client):
    """Until the client gives the server up, to which it leaves half a second."""
    end = time.monotonic() + 1
    while time.monotonic() < end:
        talk(server, client, 2000)


def test_peer_without_catflap(catflap):
    with Puppet(catflap, None) as server, Puppet(catflap) as client:
        here, there = connect(server, client)
        row = only(catflap, f"{client.pid}:{there}")
        assert (row["state"], row["code"]) == ("young", 0) and "worth: 1" in row["meaning"]
        talk(server, client, 3)
        assert only(catflap, f"{client.pid}:{there}")["state"] == "meeting"
        talk_in_vain(server, client)
        row = only(catflap, f"{client.pid}:{there}")
        assert (row["libos"], row["code"], row["name"]) == ("kernel", 10, "CATFLAP_KERNEL_PEER_PLAIN")
        assert row["peer"] == server.pid and row["peer_program"].startswith("python")
        assert (row["meaning"], row["remedy"]) == reasons.REASONS[10][1:]
        assert connections(catflap)[client.pid, there]["code"] == 10
        assert "10 PEER_PLAIN" in catflap("top", "--once").stdout


def test_sockets_without_a_connection(catflap, pair):
    server, client, here, there = pair
    numbers = client.do("""
udp = socket.socket(type=socket.SOCK_DGRAM); udp.bind(("127.0.0.1", 0))
idle = socket.socket()
listening = socket.create_server(("127.0.0.1", 0))
answer = udp.fileno(), idle.fileno(), listening.fileno()
""")
    rows = {row["fd"]: row for row in why(catflap, client.pid)["descriptors"]}
    assert [(rows[fd]["state"], rows[fd]["code"]) for fd in numbers] == [
        ("kernel", 1),
        ("unconnected", 0),
        ("listening", 0),
    ]
    assert rows[numbers[0]]["protocol"] == "udp" and rows[numbers[0]]["remedy"].startswith("--libos catnap")
    assert not {(client.pid, fd) for fd in numbers} & set(connections(catflap))


def test_passed_on_both_ends(catflap, pair):
    server, client, here, there = pair
    client.do("a, b = socket.socketpair(); socket.send_fds(a, [b'x'], [sock.fileno()])")
    talk(server, client, 3)
    for pid, fd in ((client.pid, there), (server.pid, here)):
        row = only(catflap, f"{pid}:{fd}")
        assert (row["libos"], row["code"], row["name"]) == ("kernel", 15, "CATFLAP_KERNEL_LEFT")
        assert row["bytes_in"] > 0


def test_two_numbers_and_two_processes(catflap, pair):
    server, client, here, there = pair
    other, child = client.do("""
copy = os.dup(sock.fileno())
child = os.fork()
if not child:
    import signal
    signal.pause()
answer = copy, child
""")
    try:
        rows = connections(catflap)
        for key in ((client.pid, there), (client.pid, other), (child, there), (child, other)):
            assert rows[key]["state"] == "upgraded" and rows[key]["bytes_out"] == rows[client.pid, there]["bytes_out"]
    finally:
        os.kill(child, 9)


def test_children_that_serve_one_connection_each(catflap):
    """The same number in each child is another connection."""
    with Puppet(catflap) as server, Puppet(catflap) as client:
        port = server.do("server = socket.create_server(('127.0.0.1', 0)); answer = server.getsockname()[1]")
        client.do("socks = [socket.create_connection(('127.0.0.1', PORT)) for _ in range(3)]", PORT=port)
        children = server.do("""
children = []
for turn in range(3):
    peer, _ = server.accept()
    child = os.fork()
    if not child:
        for _ in range(20 * (turn + 1)): peer.sendall(peer.recv(100))
        import signal
        signal.pause()
    children.append(child)
    number = peer.fileno()
    peer.close()
answer = number, children
""")
        number, children = children
        try:
            client.do("""
for turn, sock in enumerate(socks):
    for _ in range(20 * (turn + 1)):
        sock.sendall(b"x" * 100)
        sock.recv(100)
""")
            rows = connections(catflap)
            counts = [rows[child, number]["bytes_in"] for child in children]
            peers = [rows[client.pid, fd]["bytes_out"] for fd in client.do("answer = [s.fileno() for s in socks]")]
            if not os.environ.get("CATFLAP_PURE"):  # interpreted descriptions don't tell their records
                assert counts == peers
        finally:
            for child in children:
                os.kill(child, 9)


def test_many_short_connections_before(catflap, pair):
    """Records are handed out one after the other: a young one may lie far behind many that are free."""
    server, client, here, there = pair
    client.do("for _ in range(2000): socket.socket().close()")
    here, there = connect(server, client)
    talk(server, client)
    assert only(catflap, f"{client.pid}:{there}")["state"] == "upgraded"


def test_memory_that_only_debuggers_may_read(catflap, monkeypatch, pair):
    """As Yama does it: mappings may be looked at, memory may not."""

    def forbidden(self, address, size):
        raise inside.refused(self.pid, PermissionError())

    monkeypatch.setattr(inside.Process, "read", forbidden)
    snapshot = Snapshot()
    program, error = snapshot.unreadable[pair[1].pid]
    assert program.startswith("python") and "memory can't be read" in str(error)
    assert error.remedy == "run as root or set kernel.yama.ptrace_scope=0"
    assert not [row for row in snapshot.connections if row.pid == pair[1].pid]


def test_without_the_preloads_words_notes_and_records_tell(catflap, monkeypatch):
    """A stripped or replaced libcatflap.so."""
    monkeypatch.setattr(inside, "symbols", lambda path, inode: {})
    with Puppet(catflap, None) as plain, Puppet(catflap) as server, Puppet(catflap) as client:
        connect(plain, client)
        talk_in_vain(plain, client)
        udp = client.do("udp = socket.socket(type=socket.SOCK_DGRAM); old = sock; answer = udp.fileno(), sock.fileno()")
        _, there = connect(server, client)
        talk(server, client)
        rows = {row.fd: row for row in Snapshot(only=client.pid).connections}
        assert [rows[fd].code for fd in udp] == [1, 10]
        assert (rows[there].state, rows[there].code) == ("upgraded", 0)


def test_numbers_are_those_of_the_sources():
    with open(os.path.join(ROOT, "csrc", "trap.h")) as file:
        text = file.read()
    assert f"#define PAGE_BITS {inside.PAGE_BITS}\n" in text and "#define PAGE_COUNT (1u << 16)\n" in text
    states = re.search(r"enum state \{ (.*?) \}", text)[1]
    assert states.lower().replace("state_", "").split(", ") == list(inside.HOST_STATES)
    sizes = [{"K": 1 << 10, "M": 1 << 20}[size[-1]] * int(size[:-1]) for size in top.SIZES]
    assert sizes == [layout.SMALL, layout.MIDDLE, layout.BIG] and len(sizes) == layout.LEVELS


def test_runs():
    assert list(inside.runs([1, 2, 3, 5, 7, 8])) == [range(1, 4), range(5, 6), range(7, 9)]
    assert list(inside.runs([])) == []


def session(pid):
    """The session of a process, None when that has ended."""
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


def test_processes_that_come_and_go_meanwhile(catflap):
    words = catflap.words("run", "--", "sh", "-c", "while :; do cat /dev/null; done")
    with subprocess.Popen(words, env=catflap.environ(), stdin=subprocess.DEVNULL, start_new_session=True) as busy:
        try:
            for _ in range(10):
                assert not [pid for pid in Snapshot().unreadable if session(pid) == busy.pid]
        finally:
            busy.kill()
