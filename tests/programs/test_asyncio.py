"""asyncio programs in the Python whose interpreter Catflap shares: streams and datagrams as on the kernel."""

import os
import signal

import flap
import pytest
import pythons
from roles import SCRIPTS, check_host, every, listens, patience, until

HOSTS = pytest.mark.parametrize("host", ["127.0.0.1", "::1"], ids=["ipv4", "ipv6"])


def program(script, pair, libos, *words):
    """One of the scripts, started in that Python."""
    argv = [pythons.same(), os.path.join(SCRIPTS, script), *map(str, words)]
    return flap.Program(argv, libos, pure=pair.pure, timeout=patience(pair, 40))


def finish(server):
    """SIGTERM to the program itself; its (status, stdout)."""
    os.kill(server.pid, signal.SIGTERM)
    result = server.wait(20)
    assert result.stderr == b"", str(result)
    return result.status, result.stdout


def client_of(script, pair, *words):
    with program(script, pair, pair.client, *words) as client:
        result = client.wait(patience(pair, 40) + 10)
    assert (result.status, result.stderr) == (0, b""), str(result)
    return result.stdout


def streams(folder, pair, host):
    """Fifty clients at once, twice: what each saw, and what the server counted."""
    port = flap.free_port()
    with program("streams.py", pair, pair.server, host, port) as server:
        until(lambda: listens(port), "listener", program=server)
        check_host(server.pid, pair.server, pair.pure)
        seen = [client_of("streams.py", pair, host, port, 50) for _ in range(2)]
        return seen, finish(server)


@HOSTS
@every(sample=True, mint=True)
def test_streams(agree, roles, host):
    seen, (status, counted) = agree(streams, roles, host)
    assert seen[0] == seen[1] and seen[0].count(b"\n") == 50
    assert status == 0 and counted.startswith(b"100 ")


def datagrams(folder, pair, host):
    """200 datagrams of up to the largest size, there and back."""
    port = flap.free_port()
    with program("datagrams.py", pair, pair.server, host, port) as server:
        until(lambda: server.read("out") == b"ready\n", "server", program=server)
        check_host(server.pid, pair.server, pair.pure)
        return client_of("datagrams.py", pair, host, port, 200), finish(server)


@HOSTS
@every(sample=True)
def test_datagrams(agree, roles, host):
    seen, (status, counted) = agree(datagrams, roles, host)
    assert seen.startswith(b"200 ") and (status, counted) == (0, b"ready\n200\n")
