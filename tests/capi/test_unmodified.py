"""A program on the C face and, at the other end, one that knows nothing of it: on the kernel, and under Catflap."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PRELOAD = HERE.parents[1] / "interpose" / "libcatflap.so"
SERVER = """
import socket
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
connection, _ = server.accept()
while data := connection.recv(65536):
    connection.sendall(data)
"""


@pytest.mark.parametrize("libos", ["catnap", "catloop"])
@pytest.mark.parametrize("preload", ["", str(PRELOAD)], ids=["kernel", "catflap"])
def test_echo(run, preload, libos):
    env = os.environ | {"LD_PRELOAD": preload, "CATFLAP_LIBOS": "catloop"}
    with subprocess.Popen([sys.executable, "-c", SERVER], env=env, stdout=subprocess.PIPE, text=True) as server:
        rings = int(run(HERE / "client.c", libos, server.stdout.readline().strip()))
        assert server.wait(10) == 0
    assert (rings > 0) == (bool(preload) and libos == "catloop")
