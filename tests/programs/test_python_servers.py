"""uvicorn, aiohttp and gunicorn, with clients that keep connections, in the Python whose interpreter Catflap shares."""

import contextlib
import importlib.util
import os
import signal
import sys

import flap
import pytest
import served
from roles import SCRIPTS, check_host, every, listens, patience, until
from webserver import connected

MODULES = {"uvicorn": "uvicorn", "aiohttp": "aiohttp", "gunicorn": "gunicorn"}
SERVERS = {
    "uvicorn": [
        "-m",
        "uvicorn",
        "--port",
        "PORT",
        "--log-level",
        "warning",
        "--http",
        "h11",
        "--loop",
        "asyncio",
        "pyapps:asgi",
    ],
    "aiohttp": [os.path.join(SCRIPTS, "pyapps.py"), "PORT"],
    "gunicorn": ["-m", "gunicorn", "-b", "127.0.0.1:PORT", "--workers", "2", "--log-level", "error", "pyapps:wsgi"],
}
# gunicorn's synchronous workers close each connection after its answer
CLIENTS = {"uvicorn": "http.client", "aiohttp": "aiohttp", "gunicorn": None}


@contextlib.contextmanager
def server(folder, pair, name):
    """One of the servers, listening; yields its Program and port. Python's own environment is the one of the tests."""
    port = flap.free_port()
    argv = [sys.executable, *(word.replace("PORT", str(port)) for word in SERVERS[name])]
    env = {"PYTHONPATH": SCRIPTS, "PYTHONDONTWRITEBYTECODE": "1"}
    options = {"pure": pair.pure, "timeout": patience(pair, 60), "env": env, "cwd": folder}
    with flap.Program(argv, pair.server, **options) as program:
        until(lambda: listens(port), "listener", program=program)
        check_host(program.pid, pair.server, pair.pure)
        yield program, port


def session(folder, pair, name):
    """What a client prints that keeps a connection, and how both end."""
    go = folder / "go"
    with server(folder, pair, name) as (program, port):
        argv = [sys.executable, os.path.join(SCRIPTS, "pyclient.py"), CLIENTS[name], str(port), str(go)]
        with flap.Program(argv, pair.client, pure=pair.pure, timeout=patience(pair, 25)) as client:
            until(lambda: b"reached" in client.read("out"), "hundred messages", program=client)
            served.upgraded(pair, port)
            go.touch()
            result = client.wait(40)
        os.kill(program.pid, signal.SIGTERM)
        ended = program.wait(20)
    return (result.status, result.stdout, result.stderr), (ended.status, ended.stdout, ended.stderr)


@pytest.mark.parametrize("name", ["uvicorn", "aiohttp"])
@every()
def test_kept_connections(agree, roles, name):
    (status, output, errors), ended = agree(session, roles, name)
    assert (status, errors, ended[1:]) == (0, b"", (b"", b"")) and output.count(b"\n") == (
        8 if name == "uvicorn" else 68
    )


def workers(folder, pair):
    """Requests of curl to two workers, which are replaced by SIGHUP, and one of which is killed."""
    seen = []
    with server(folder, pair, "gunicorn") as (program, port):

        def pids():
            return set(program.family()[1:])

        until(lambda: len(pids()) == 2, "two workers", program=program)
        url = f"http://127.0.0.1:{port}"
        for turn in ("first", "reloaded", "killed"):
            old = pids()
            if turn == "reloaded":
                os.kill(program.pid, signal.SIGHUP)
                until(lambda old=old: len(pids() - old) == 2 and not pids() & old, "new workers", program=program)
            elif turn == "killed":
                os.kill(min(old), signal.SIGKILL)
                until(lambda old=old: len(pids()) == 2 and pids() != old, "another worker", program=program)
            for _ in range(30):
                with connected(port) as connection:
                    connection.request("GET", "/pid")
                    assert int(connection.getresponse().read()) in pids()
            words = ["-sS", "-T", "-", f"{url}/", f"{url}/pieces/300", f"{url}/absent", f"{url}/size/3000000"]
            argv = [flap.need("curl", "curl"), *words]
            result = flap.run(argv, pair.client, pure=pair.pure, stdin=b"up" * 500_000, timeout=patience(pair, 25))
            seen.append((result.status, result.stdout, result.stderr))
        os.kill(program.pid, signal.SIGTERM)
        ended = program.wait(20)
    return seen, ended.status


@every()
def test_workers(agree, roles):
    seen, ended = agree(workers, roles)
    assert ended == 0 and {status for status, *_ in seen} == {0} and seen[0] == seen[1] == seen[2]


@pytest.mark.parametrize("name", SERVERS)
def test_is_installed(name):
    """Fails, never skips, where the test extra of pyproject.toml was left out."""
    assert importlib.util.find_spec(name), f"{name} is missing: pip install '.[test]'"
