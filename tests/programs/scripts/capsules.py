"""Looks at the type of capsules before the first socket, as inspect and mock do; then bytes there and back."""

import datetime
import socket

kind = type(datetime.datetime_CAPI)
print(kind.__name__, hasattr(kind, "absent"))
with socket.create_server(("127.0.0.1", 0)) as listener:
    with socket.create_connection(listener.getsockname()) as client, listener.accept()[0] as server:
        for word in (b"there", b"and", b"back"):
            client.sendall(word)
            print(server.recv(100))
with open("/proc/self/maps") as maps:
    print("host" if "libcatflap_host.so" in maps.read() else "kernel")
