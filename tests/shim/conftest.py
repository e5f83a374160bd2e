"""Starting the launcher the way its console script does, from any folder."""

import os
import subprocess
import sys

import pytest
from puppets import Puppet, connect, talk

from shim.connections import Snapshot

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ENTRY = "import sys; sys.path[0] = {root!r}; from shim.__main__ import main; sys.exit(main())"


class Catflap:
    """`catflap(...)` runs a command to its end; `catflap.words(...)` is the command line for one."""

    root = ROOT

    def words(self, *arguments, python=(), root=ROOT):
        return [sys.executable, *python, "-c", ENTRY.format(root=str(root)), *map(str, arguments)]

    def environ(self, **changes):
        """This environment without CATFLAP_* and LD_PRELOAD; CATFLAP_PURE stays, as the mode under test."""
        gone = ("LD_PRELOAD", "CATFLAP_LIBOS", "CATFLAP_CONFIG", "CATFLAP_LOG", "CATFLAP_VERBOSE", "CATFLAP_HOOK")
        environ = {name: value for name, value in os.environ.items() if name not in gone}
        for name, value in changes.items():
            environ.pop(name, None) if value is None else environ.update({name: str(value)})
        return environ

    def __call__(self, *arguments, cwd=None, env=None, root=ROOT, text=True, **options):
        words = self.words(*arguments, root=root)
        env = self.environ() if env is None else env
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run(words, capture_output=True, text=text, cwd=cwd, env=env, timeout=100, **options)


@pytest.fixture(scope="session")
def catflap():
    return Catflap()


@pytest.fixture
def refused():
    """Check a set-up error: exit status, nothing on stdout, exactly one line `catflap: what: why`."""

    def check(done, status, *parts):
        assert done.returncode == status, done.stderr
        assert done.stdout == ""
        line, newline, rest = done.stderr.partition("\n")
        assert newline and not rest, done.stderr
        assert line.startswith("catflap: ") and line.count(": ") >= 2, line
        for part in parts:
            assert part in line, line

    return check


@pytest.fixture
def pair(catflap):
    """(server, client, their descriptors) of an upgraded connection over which 10,000 bytes went both ways, or more
    where the two were slow to meet.
    """
    with Puppet(catflap) as server, Puppet(catflap) as client:
        here, there = connect(server, client)
        for _ in range(10):
            talk(server, client)
            ends = [c for c in Snapshot().connections if (c.pid, c.fd) in ((server.pid, here), (client.pid, there))]
            if [c.state for c in ends] == ["upgraded"] * 2 and all(c.bytes_in and c.bytes_out for c in ends):
                break
        yield server, client, here, there
