"""A PostgreSQL server in a folder of its own, run by the user postgres, and its clients."""

import contextlib
import functools
import glob
import os
import pwd
import shutil
import subprocess
import tempfile

import flap
import pytest
from roles import check_host, patience, until

USER = "postgres"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "autovacuum": "off",
    "max_connections": "60",
    "log_min_messages": "error",
    "timezone": "UTC",
}


def tool(name):
    """Path of one of the server's programs, which Debian keeps out of PATH."""
    found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))
    return found[-1] if found else flap.need(name, "postgresql")


def drop():
    """What goes before a command line to make it the server's user's: the server refuses root."""
    return (
        []
        if os.getuid()
        else [flap.need("setpriv", "util-linux"), f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
    )


@functools.lru_cache(1)
def blank():
    """A new cluster, made once on the kernel and copied for each server."""
    folder = tempfile.mkdtemp(prefix="flap-postgres-")
    if not os.getuid():
        os.chown(folder, pwd.getpwnam(USER).pw_uid, -1)
    data = os.path.join(folder, "data")
    argv = [*drop(), tool("initdb"), "-N", "-A", "trust", "-U", USER, "--no-locale", "-E", "UTF8", "-D", data]
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd="/")
    with open(os.path.join(data, "postgresql.conf"), "a") as f:
        f.writelines(f"{name} = '{value}'\n" for name, value in SETTINGS.items())
    return folder


def forget():
    """Remove the cluster of blank()."""
    if blank.cache_info().currsize:
        shutil.rmtree(blank())
        blank.cache_clear()


class Postgres:
    """A running server; clients are run by its user, in its folder."""

    def __init__(self, program, port, folder, pair):
        self.program = program
        self.port = port
        self.folder = folder
        self.pair = pair

    def client(self, name, *words, libos=None, user=True, stdin=None):
        """A running client program; `user` false: as the one who runs the tests."""
        argv = [*(drop() if user else []), flap.need(name, "postgresql"), "-h", "127.0.0.1", "-p", str(self.port)]
        libos, pure = libos or self.pair.client, self.pair.pure
        options = {"stdin": stdin, "cwd": self.folder, "timeout": patience(self.pair, 25)}
        log = os.path.join(self.folder, "client.log")
        return flap.Program([*argv, "-U", USER, *map(str, words)], libos, pure=pure, log=log, **options)

    def run(self, name, *words, **options):
        """(status, stdout, stderr) of a client that has ended."""
        with self.client(name, *words, **options) as program:
            result = program.wait(patience(self.pair, 25) + 10)
        assert not result.timed_out, str(result)
        return result.status, result.stdout, result.stderr

    def psql(self, script, *words, **options):
        """As run, of psql that reads `script`."""
        return self.run(
            "psql", "-XAt", *words, stdin=script if isinstance(script, bytes) else script.encode(), **options
        )

    def ask(self, query):
        """The test's own question, over the kernel."""
        status, output, errors = self.psql(query, libos="kernel")
        assert (status, errors) == (0, b""), errors
        return output.decode().strip()


@contextlib.contextmanager
def cluster():
    """The path of a copy of a new cluster, gone at the end."""
    with tempfile.TemporaryDirectory(prefix="flap-postgres-", ignore_cleanup_errors=True) as folder:
        if not os.getuid():
            os.chown(folder, pwd.getpwnam(USER).pw_uid, -1)
        subprocess.run(["cp", "-a", os.path.join(blank(), "data"), folder], check=True)
        yield os.path.join(folder, "data")


@contextlib.contextmanager
def postgres(pair):
    """A server on a copy of a new cluster, gone at the end; nothing of it may be left."""
    with cluster() as data:
        folder, port = os.path.dirname(data), flap.free_port()
        argv = [*drop(), tool("postgres"), "-D", data, "-p", str(port)]
        log, limit = os.path.join(folder, "server.log"), patience(pair, 60)
        with flap.Program(argv, pair.server, pure=pair.pure, log=log, timeout=limit, cwd=folder) as program:
            flap.wait_for_port(port, program)
            check_host(program.pid, pair.server, pair.pure)
            yield Postgres(program, port, folder, pair)


def go(server):
    """Let psql scripts that hold() go on."""
    with open(os.path.join(server.folder, "go"), "w"):
        pass


def hold(name):
    """psql: say that it got here, then wait for go()."""
    return f"\\! touch {name}; until [ -e go ]; do sleep 0.02; done\n"


def reached(server, name):
    """Wait for a psql script to be at hold(name)."""
    until(lambda: os.path.exists(os.path.join(server.folder, name)), name, program=server.program)


def readable():
    """Skip where the server's user may not read this installation: nothing can be preloaded then."""
    readers = [*drop(), "test", "-r", flap.PRELOAD]
    if subprocess.run(readers, cwd="/").returncode:
        pytest.skip(f"the user {USER} may not read {flap.PRELOAD}")
