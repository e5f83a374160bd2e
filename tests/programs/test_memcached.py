"""memcached with twelve threads: every answer to many clients at once as on the kernel."""

import contextlib
import os
import re
import subprocess

import flap
import pytest
import pythons
from roles import SCRIPTS, check_host, every, listens, patience, until
from upgrades import check_carried

SETTINGS = ["-l", "127.0.0.1", "-U", "0", "-u", "root", "-t", "12", "-m", "512", "-I", "2m"]


@contextlib.contextmanager
def memcached(pair):
    """(program, port) of a memcached that evicts nothing, gone at the end."""
    port = flap.free_port()
    argv = [flap.need("memcached", "memcached"), *SETTINGS, "-p", str(port)]
    with flap.Program(argv, pair.server, pure=pair.pure, timeout=patience(pair, 60)) as program:
        until(lambda: listens(port), "listener", program=program)
        check_host(program.pid, pair.server, pair.pure)
        yield program, port


def values(folder, pair, clients, rounds):
    """The digests of what clients saw, and how many connections and threads the server has at the end."""
    argv = [pythons.same(), os.path.join(SCRIPTS, "memcache.py")]
    with memcached(pair) as (program, port):
        argv += map(str, (port, clients, rounds))
        limit = patience(pair, 60)
        with flap.Program(argv, pair.client, pure=pair.pure, timeout=limit, stdin=subprocess.PIPE) as client:
            until(lambda: client.read("out").endswith(b"all\n"), "answers", limit, program=client)
            check_carried(pair, program, client, least=clients * rounds * 10_000_000)
            client.process.stdin.close()
            result = client.wait(20)
        assert (result.status, result.stderr) == (0, b""), str(result)
        return result.stdout.splitlines(), len(os.listdir(f"/proc/{program.pid}/task"))


@every(sample=True)
@pytest.mark.parametrize(("clients", "rounds"), [(12, 1), (40, 2)] if flap.FULL else [(12, 1)])
def test_values(agree, roles, clients, rounds):
    lines, threads = agree(values, roles, clients, rounds)
    assert len(lines) == clients + 1 and threads > 12


def capable(folder, pair, *words):
    """What libmemcached's conformance test says; most of its time it waits for delayed acknowledgements."""
    with memcached(pair) as (_, port):
        argv = [flap.need("memccapable", "libmemcached-tools"), "-h", "127.0.0.1", "-p", str(port), *words]
        result = flap.run(argv, pair.client, pure=pair.pure, timeout=patience(pair, 30))
        return result.status, re.sub(rb"\s+", b" ", result.stdout), result.stderr


@every()
@pytest.mark.parametrize("protocol", ["-a", "-b"] if flap.FULL else ["-b"], ids={"-a": "text", "-b": "binary"}.get)
def test_conformance(agree, roles, protocol):
    status, text, _ = agree(capable, roles, protocol)
    assert status == 0 and text.count(b"[pass]") > 20 and b"[FAIL]" not in text
