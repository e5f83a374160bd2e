"""The examples do what they say, as programs of their own."""

import os
import socket
import subprocess
import sys

import flap


def connected(port, process):
    for _ in range(200):
        try:
            return socket.create_connection(("127.0.0.1", port), 10)
        except ConnectionRefusedError:
            assert process.poll() is None, "it has ended"
            try:
                process.wait(0.05)
            except subprocess.TimeoutExpired:
                pass
    raise AssertionError("nobody listens")


def test_first_come():
    """Two clients by turns, with nonsense between: only questions are answered, each to whom it came from."""
    ports = [flap.free_port(), flap.free_port()]
    argv = [sys.executable, os.path.join(flap.ROOT, "examples", "first_come.py"), *map(str, ports)]
    with subprocess.Popen(argv, stderr=subprocess.PIPE) as server:
        try:
            clients = [connected(port, server) for port in ports]
            clients[1].sendall(b"nonsense")
            for i in range(5):
                for name, client in zip((b"a", b"b"), clients, strict=True):
                    client.sendall(b"ask %s%d" % (name, i))
                    assert client.recv(100) == b"answer to %s%d" % (name, i)
            for client in clients:
                client.close()
            assert server.wait(20) == 0, server.stderr.read()
        finally:
            server.kill()
