"""socat: children on one end, files, relays and datagrams, every byte as on the kernel."""

import contextlib
import os
import signal

import flap
import pytest
from material import content, sha
from roles import bound, check_host, every, listens, patience, until
from talkers import Talker, conversation, ended

SIZE = 3_000_000
# what a connection is given to, and how: the child on a socket pair, on pipes, on the connection itself, on a terminal
ECHOES = {
    "pair": ["EXEC:cat"],
    # socat never hears of the end of these two's children, and waits for the time it is given
    "pipes": ["-t", "0.2", "EXEC:cat,pipes"],
    "itself": ["EXEC:cat,nofork"],
    "shell": ["-t", "0.2", "SYSTEM:cat | cat"],
    "pipe": ["PIPE"],
    "small": ["-b", "100", "EXEC:cat"],
    "large": ["-b", "60000", "EXEC:cat"],
}
SAMPLE = ("pair", "itself")
# socat writes as much as it has read to a pipe that has room for less, and the child waits for socat: such an echo is
# given no more at once than its pipes hold
AT_ONCE = {"pipes": 32768, "pipe": 32768}
# no rings: a program of another kind has the connection, or a process that waits for the shell shares it
BESIDE = ("itself", "shell")


def socat(pair, libos, *words, kind=flap.Program, **options):
    """A socat that, once one end has ended, waits long for the other."""
    argv = [flap.need("socat", "socat"), "-t", "20", *words]
    if kind is Talker:
        return Talker(argv, libos, pair, **options)
    return flap.Program(argv, libos, pure=pair.pure, timeout=patience(pair, 40), **options)


@contextlib.contextmanager
def listener(pair, *words, kind="TCP4-LISTEN", options="", libos=None):
    """(program, port) of a socat that listens on 127.0.0.1 with a child for each connection."""
    port = flap.free_port()
    *flags, target = words
    address = f"{kind}:{port},bind=127.0.0.1,reuseaddr,fork{options}"
    with socat(pair, libos or pair.server, *flags, address, target) as program:
        until(lambda: listens(port), "listener", program=program)
        check_host(program.pid, libos or pair.server, pair.pure)
        yield program, port


def echoed(folder, pair, way):
    """What comes back from `way` to two clients at once."""
    seen = []
    with listener(pair, *ECHOES[way]) as (server, port), contextlib.ExitStack() as stack:
        words = "-", f"TCP4:127.0.0.1:{port}"
        clients = [stack.enter_context(socat(pair, pair.client, *words, kind=Talker)) for _ in range(2)]
        for client in clients:
            data, step = content(SIZE), AT_ONCE.get(way)
            seen.append(conversation(pair, client, data, server, rings=way not in BESIDE, step=step))
        for client in clients:
            assert client.ended() == client.sent
        return seen


@every(sample=True)
@pytest.mark.parametrize("way", ECHOES if flap.FULL else SAMPLE)
def test_echo(agree, roles, way):
    agree(echoed, roles, way)


def stored(folder, pair):
    """Files of three sizes, each sent over a connection of its own into a file that grows; and one fetched."""
    target, source = folder / "target", folder / "source"
    source.write_bytes(content(SIZE))
    sizes, seen = (0, 1, SIZE), b""
    with listener(pair, "-u", f"OPEN:{target},creat,append") as (_, port):
        for size in sizes:
            with socat(pair, pair.client, "-u", "-", f"TCP4:127.0.0.1:{port}", stdin=content(size)) as client:
                ended(client)
            seen += content(size)
            until(lambda seen=seen: target.exists() and target.stat().st_size == len(seen), "bytes in the file")
    with listener(pair, "-U", f"OPEN:{source},rdonly") as (_, port):
        with socat(pair, pair.client, "-u", f"TCP4:127.0.0.1:{port}", "-") as client:
            fetched = ended(client)
    assert target.read_bytes() == seen and fetched == content(SIZE)
    return sha(seen), sha(fetched)


@every()
def test_files(agree, roles):
    agree(stored, roles)


def relayed(folder, pair, hops):
    """Through a chain of relays to an echo, and the end."""
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(listener(pair, "EXEC:cat"))]
        for _ in range(hops):
            servers.append(stack.enter_context(listener(pair, f"TCP4:127.0.0.1:{servers[-1][1]}")))
        words = "-", f"TCP4:127.0.0.1:{servers[-1][1]},nodelay"
        client = stack.enter_context(socat(pair, pair.client, *words, kind=Talker))
        # relays reach each other also where the client reaches none by rings
        through = [program for program, _ in servers] if pair.server == pair.client else []
        seen = conversation(pair, client, content(SIZE), *through)
        assert client.ended() == client.sent
        return seen


@every()
@pytest.mark.parametrize("hops", [1, 4] if flap.FULL else [1])
def test_relays(agree, roles, hops):
    agree(relayed, roles, hops)


def datagrams(folder, pair, kind, child):
    """What comes back of datagrams of several sizes, each from a socket of its own; of some kinds one more from it."""
    port, seen = flap.free_port(), []
    with socat(pair, pair.server, "-T", "3", f"{kind}:{port},bind=127.0.0.1,fork", child) as server:
        until(lambda: bound(port), "socket", program=server)
        check_host(server.pid, pair.server, pair.pure)
        for size in (1, 512, 8000):
            with socat(pair, pair.client, f"UDP4:127.0.0.1:{port}", "-", kind=Talker) as client:
                for _ in range(1 + (kind == "UDP4-LISTEN")):
                    client.exchange(content(size))
                seen.append(client.read("out"))
                assert seen[-1] == client.sent
                # no datagram tells of an end
                os.kill(client.pid, signal.SIGTERM)
                client.wait(20)
    return seen


DATAGRAMS = [("UDP4-LISTEN", "EXEC:cat"), ("UDP4-RECVFROM", "EXEC:cat"), ("UDP4-RECVFROM", "PIPE")]


@every()
@pytest.mark.parametrize(("kind", "child"), DATAGRAMS if flap.FULL else DATAGRAMS[:1])
def test_datagrams(agree, roles, kind, child):
    agree(datagrams, roles, kind, child)
