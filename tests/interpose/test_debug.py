"""`--debug` stops in pdb inside the stack under a live program, on a terminal of its own."""

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

LIBRARY = Path(__file__).resolve().parents[2] / "interpose" / "libcatflap.so"
CLIENT = """
import socket
left = socket.create_server(("127.0.0.1", 0))
right = socket.create_connection(left.getsockname())
end, _ = left.accept()
right.sendall(b"hello")
print(end.recv(100).decode())
"""


def talk(terminal, mark, seconds=20):
    """Everything the debugger says until `mark`."""
    said, end = b"", time.monotonic() + seconds
    while mark not in said and time.monotonic() < end:
        if select.select([terminal], [], [], 0.5)[0]:
            said += os.read(terminal, 4096)
    assert mark in said, said
    return said.decode()


def test_pdb_inside_a_live_program():
    ours, theirs = pty.openpty()
    env = dict(os.environ, LD_PRELOAD=str(LIBRARY), CATFLAP_LIBOS="catnap", CATFLAP_PURE="1")
    env["CATFLAP_DEBUG"] = os.ttyname(theirs)
    program = subprocess.Popen([sys.executable, "-c", CLIENT], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert "stream.py" in talk(ours, b"(Pdb)")
        os.write(ours, b"p size, flags\n")
        assert "(100, 0)" in talk(ours, b"(Pdb)")
        os.write(ours, b"w\n")
        assert "entries.py" in talk(ours, b"(Pdb)")
        os.write(ours, b"q\n")
        out, err = program.communicate(timeout=20)
    finally:
        program.kill()
        os.close(ours)
        os.close(theirs)
    assert (program.returncode, out, err) == (0, b"hello\n", b"")
