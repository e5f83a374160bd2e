"""coturn: what its own client sends through relayed sockets comes back, none of it lost, as on the kernel."""

import contextlib
import re

import flap
import pytest
from roles import bound, check_host, every, listens, patience, until
from upgrades import check_carried

SETTINGS = ["-n", "--listening-ip", "127.0.0.1", "--relay-ip", "127.0.0.1", "--allow-loopback-peers", "--no-cli"]
SETTINGS += ["--no-tls", "--no-dtls", "--lt-cred-mech", "-u", "user:secret", "-r", "realm", "--log-file", "stdout"]
# clients in pairs that send to each other, at the least that their own clock of seconds allows
CLIENT = ["-u", "user", "-w", "secret", "-y", "-z", "5", "-l", "900"]
WAYS = {
    "connections-to-datagrams": ["-t", "-s", "-c", "-m", "2", "-n", "150"],
    "datagrams": ["-s", "-c", "-m", "2", "-n", "150"],
    "channels": ["-m", "4", "-n", "50"],
    "relayed-connections": ["-T", "-n", "50"],
}


@contextlib.contextmanager
def turnserver(folder, pair):
    """(program, port) of a turnserver."""
    port = flap.free_port()
    files = "--pidfile", folder / "pid", "--userdb", folder / "users"
    argv = [flap.need("turnserver", "coturn"), *SETTINGS, "--listening-port", port, *files]
    argv += ["--min-port", port + 100, "--max-port", port + 300]
    with flap.Program([*map(str, argv)], pair.server, pure=pair.pure, timeout=patience(pair, 60)) as program:
        until(lambda: listens(port) and bound(port), "listener", program=program)
        check_host(program.pid, pair.server, pair.pure)
        yield program, port


def relayed(folder, pair, way):
    """How many messages the clients sent and got.

    On the kernel, too, one of a relayed connection is lost now and then where cores are busy, and its client waits ten
    seconds for it in vain (seen in 1 of 8 runs): of three runs of that kind one has to lose nothing.
    """
    for _ in range(3 if way == "relayed-connections" else 1):
        counted = relayed_once(folder, pair, way)
        if counted[1] == b"lost packets 0":
            break
    return counted


def relayed_once(folder, pair, way):
    words = WAYS[way]
    with turnserver(folder, pair) as (server, port):
        argv = [flap.need("turnutils_uclient", "coturn"), *CLIENT, *words, "-p", str(port), "127.0.0.1"]
        with flap.Program(argv, pair.client, pure=pair.pure, timeout=patience(pair, 40)) as client:
            if "-t" in words:
                check_carried(pair, server, client, least=10_000)
            result = client.wait(patience(pair, 40) + 20)
        assert result.status == 0, str(result)
        counted = re.findall(rb"(tot_send_msgs=\d+, tot_recv_msgs=\d+|lost packets \d+|dropped \d+)", result.stdout)
        return counted[-3:]


@every(full=True)
@pytest.mark.parametrize("way", WAYS)
def test_relays(agree, roles, way):
    counts, *losses = agree(relayed, roles, way)
    sent, got = re.findall(rb"\d+", counts)
    assert losses == [b"lost packets 0", b"dropped 0"] and sent == got and int(sent)
