"""The C programs under examples/c, each by its one line, on every libOS."""

import re
import socket
import subprocess
from pathlib import Path

import catmints
import pytest

RUN = Path(__file__).resolve().parents[2] / "examples" / "c" / "run"
SAYS = {
    "echo": r"20000 echoes, \d+ ns each",
    "ping_pong": "1024 rounds",
    "push_pop": "sent 64 MiB",
    "logged_echo": r"1000 durable echoes, [\d.]+ us each",
}


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


@pytest.mark.parametrize("libos", ["catnap", "catloop", "catmint"])
@pytest.mark.parametrize("name", sorted(SAYS))
def test_one_line(name, libos):
    if libos == "catmint":
        catmints.needed()
    done = subprocess.run([RUN, name, libos, str(free_port())], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert re.search(SAYS[name], done.stdout)
    assert (name == "logged_echo") == ("logged 64000 bytes" in done.stderr)
