"""iperf3: what a test moved and lost, one way, both ways and over several connections, as on the kernel."""

import contextlib
import json

import flap
import pytest
from roles import check_host, every, listens, patience, until
from upgrades import check_carried

# the rate of the datagrams is one that a receiver keeps up with even while others use its core
SLOW = ["-u", "-b", "4M", "-l", "1400"]
SAMPLE = {"tcp": ["--bidir", "-P", "4"], "reverse": ["-R"], "udp": [*SLOW, "--bidir"]}
REST = {
    "plain": [],
    "parallel": ["-P", "4"],
    "parallel-reverse": ["-P", "4", "-R"],
    "sendfile": ["-Z"],
    "small-buffers": ["-w", "32K", "-P", "2"],
    "bytes": ["-l", "1", "-N"],
    "udp-plain": SLOW,
    "udp-reverse": [*SLOW, "-R", "-P", "3"],
    "udp-unconnected-sizes": ["-u", "-b", "4M", "-l", "9000", "--udp-counters-64bit"],
}
WAYS = {**SAMPLE, **REST} if flap.FULL else SAMPLE
ONE_WAY = {"sum_sent", "sum_received"}
BOTH_WAYS = {*ONE_WAY, "sum_sent_bidir_reverse", "sum_received_bidir_reverse"}
DATAGRAMS = {"sum", "sum_bidir_reverse"}


@contextlib.contextmanager
def server(pair):
    """(program, port) of an iperf3 that serves one test after the other."""
    port = flap.free_port()
    argv = [flap.need("iperf3", "iperf3"), "-s", "-4", "-p", str(port)]
    with flap.Program(argv, pair.server, pure=pair.pure, timeout=patience(pair, 60)) as program:
        until(lambda: listens(port), "listener", program=program)
        check_host(program.pid, pair.server, pair.pure)
        yield program, port


def measured(pair, program, port, *words, rings=False):
    """What the client reports of one test of a second."""
    argv = [flap.need("iperf3", "iperf3"), "-c", "127.0.0.1", "-p", str(port), "-t", "1", "-J", *words]
    with flap.Program(argv, pair.client, pure=pair.pure, timeout=patience(pair, 20)) as client:
        if rings:
            check_carried(pair, program, client, least=1_000_000)
        result = client.wait(patience(pair, 20) + 10)
    assert result.stderr == b"", str(result)
    found = json.loads(result.stdout)
    assert result.status == 0 and "error" not in found, str(result)
    return found


def moved(folder, pair, way):
    """Which sums a report has, over how many streams, and how many datagrams were lost; twice, of one server."""
    words, reports = WAYS[way], []
    datagrams = "-u" in words
    with server(pair) as (program, port):
        for _ in range(2 if flap.FULL else 1):
            found = measured(pair, program, port, *words, rings=not datagrams and "-l" not in words)
            sums = {name: what for name, what in found["end"].items() if name.startswith("sum")}
            for name, what in sums.items():
                assert what["bytes"] > 0, (name, what)
            sent, received = sums["sum_sent"]["bytes"], sums["sum_received"]["bytes"]
            assert received <= sent
            lost = [what["lost_packets"] for what in sums.values()] if datagrams else None
            intervals = [interval["sum"]["bytes"] > 0 for interval in found["intervals"]]
            reports.append((sorted(sums), len(found["start"]["connected"]), lost, intervals[:1]))
        return reports


@every()
@pytest.mark.parametrize("way", WAYS)
def test_ways(agree, roles, way):
    for sums, streams, lost, intervals in agree(moved, roles, way):
        assert set(sums) - DATAGRAMS == (BOTH_WAYS if "--bidir" in WAYS[way] else ONE_WAY)
        assert streams > 0 and not any(lost or ()) and intervals == [True]
