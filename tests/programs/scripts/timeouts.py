"""A default time-out for new sockets, and a connection that has none: bytes there and back, a receive that waits."""

import os
import socket
import threading
import time

socket.setdefaulttimeout(5)
with socket.create_server(("127.0.0.1", 0)) as listener:
    with socket.create_connection(listener.getsockname()) as client, listener.accept()[0] as server:
        client.settimeout(None)
        server.settimeout(None)
        started = time.monotonic()
        for _ in range(100):
            client.sendall(b"there")
            assert server.recv(100) == b"there"
            server.sendall(b"back")
            assert client.recv(100) == b"back"
        print("soon" if time.monotonic() - started < 4 else "late")
        print(os.get_blocking(client.fileno()), os.get_blocking(server.fileno()))
        threading.Timer(0.2, client.sendall, [b"later"]).start()
        print(server.recv(100))
print(socket.getdefaulttimeout())
