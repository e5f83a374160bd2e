"""PORT [GO]: a client that plays ping-pong and sends some MB to and fro over one connection, and prints what came back.

With GO it says "reached" after the ping-pong and waits for that file.
"""

import hashlib
import os
import random
import socket
import sys
import threading
import time

with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20) as connection:
    reader = connection.makefile("rb")
    for n in range(100):
        connection.sendall(b"%d\n" % n)
        assert reader.readline() == b"%d\n" % n
    if len(sys.argv) > 2:
        print("reached", flush=True)
        while not os.path.exists(sys.argv[2]):
            time.sleep(0.01)
    data = random.Random(3).randbytes(3_000_000)

    def send():
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=send)
    thread.start()
    received = reader.read()
    thread.join()
    print(len(received), hashlib.sha256(received).hexdigest(), received == data)
