"""node: an HTTP server and a client that keep connections, and a cluster, whose primary passes them to workers."""

import contextlib
import os
import signal

import flap
import pytest
import served
from roles import SCRIPTS, check_host, every, listens, patience, until
from webserver import asked, connected


@contextlib.contextmanager
def node(pair, *words, env=None):
    """web.mjs, listening; yields its Program and port."""
    port = flap.free_port()
    argv = [flap.need("node", "nodejs"), os.path.join(SCRIPTS, "web.mjs"), str(port), *words]
    with flap.Program(argv, pair.server, pure=pair.pure, timeout=patience(pair, 60), env=env) as program:
        until(lambda: b"ready" in program.read("out") if words else listens(port), "listener", program=program)
        if not words:
            check_host(program.pid, pair.server, pair.pure)
        yield program, port


def client(pair, port, *words, env=None):
    argv = [flap.need("node", "nodejs"), os.path.join(SCRIPTS, "webclient.mjs"), str(port), *map(str, words)]
    return flap.Program(argv, pair.client, pure=pair.pure, timeout=patience(pair, 25), env=env)


def transcript(folder, pair):
    """What the client prints, and how the server ends."""
    go = folder / "go"
    with node(pair) as (program, port):
        with client(pair, port, go) as asking:
            until(lambda: b"reached" in asking.read("out"), "hundred messages", program=asking)
            served.upgraded(pair, port)
            go.touch()
            result = asking.wait(40)
        os.kill(program.pid, signal.SIGTERM)
        ended = program.wait(20)
    return (result.status, result.stdout, result.stderr), (ended.status, ended.stdout, ended.stderr)


@every()
def test_keeping_connections(agree, roles):
    (status, output, errors), ended = agree(transcript, roles)
    assert (status, errors, ended) == (0, b"", (0, b"", b"")), output
    lines = output.decode().splitlines()
    assert len(lines) == 74 and lines[-4].split() == ["reset", "ECONNRESET"] and lines[-3].split()[1] == "200", output


def cluster(folder, pair, policy):
    """What a cluster of two answers to a client and to 40 connections of this process; how many workers they found."""
    with node(pair, "2", policy) as (program, port):
        with client(pair, port) as asking:
            result = asking.wait(40)
        workers = set()
        for _ in range(40):
            with connected(port) as connection:
                connection.request("GET", "/worker")
                workers.add(int(connection.getresponse().read()))
                assert asked(connection, "GET", "/size/65536")[0::3] == (200, 65536)
        family = program.family()
        assert workers <= set(family[1:])
        # which of the workers is asked for how many connections it has had is chance
        lines = [line for line in result.stdout.splitlines() if not line.startswith(b"sockets")]
        os.kill(program.pid, signal.SIGTERM)
        return (
            (result.status, lines, result.stderr),
            len(workers) if policy == "turns" else None,
            program.wait(20).status,
        )


@pytest.mark.parametrize("policy", ["turns", "none"] if flap.FULL else ["turns"])
@every()
def test_cluster(agree, roles, policy):
    (status, lines, errors), workers, ended = agree(cluster, roles, policy)
    assert (status, errors, ended) == (0, b"", 0) and len(lines) == 71 and workers in (2, None), lines


def test_why_a_node_with_io_uring_stays_on_the_kernel(tmp_path):
    """A ring's operations go past every preload: where libuv is told to make one, the reason is known."""
    go, pair = tmp_path / "go", served.BOTH
    with node(pair, env={"UV_USE_IO_URING": "1"}) as (program, port):
        if not any(
            "io_uring" in os.readlink(f"/proc/{program.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{program.pid}/fd")
        ):
            pytest.skip("this node makes no io_uring")
        with client(pair, port, go) as asking:
            until(lambda: b"reached" in asking.read("out"), "hundred messages", program=asking)
            assert served.process_reason(program.pid) == "CATFLAP_KERNEL_IO_URING"
            assert {row.state for row in served.rows(port)} & {"upgraded", "moving"} == set()
            go.touch()
            assert asking.wait(40).status == 0
