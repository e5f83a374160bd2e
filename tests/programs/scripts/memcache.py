"""memcache.py PORT CLIENTS ROUNDS: as many clients of a memcached at once; what each was answered, as a digest.

Every answer is known beforehand. The connections stay open until standard input ends.
"""

import hashlib
import random
import socket
import sys
import threading

SIZES = (1, 2, 1000, 1023, 1024, 1025, 4096, 65536, 100_000, 1_000_000)


class Client:
    """One connection: keys and values of its own, which depend on its number alone."""

    def __init__(self, port, number):
        self.number = number
        self.random = random.Random(number)
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.file = self.sock.makefile("rb", buffering=0 if number % 2 else 65536)
        self.seen = hashlib.sha256()

    def ask(self, text, answer):
        """Send a command; its answer has to be this one."""
        self.sock.sendall(text)
        self.expect(answer)

    def expect(self, answer):
        got, left = [], len(answer)
        while left:
            piece = self.file.read(left)
            assert piece, f"client {self.number}: end of the stream, {left} bytes missing"
            got.append(piece)
            left -= len(piece)
        got = b"".join(got)
        assert got == answer, (self.number, got[:80], answer[:80])
        self.seen.update(got)

    def round(self, n):
        """Values of every size, one by one, in one command and pipelined; changed in place, and deleted."""
        keys = {b"c%d-%d-%d" % (self.number, n, size): self.random.randbytes(size) for size in SIZES}
        for key, value in keys.items():
            self.ask(b"set %s 7 0 %d\r\n%s\r\n" % (key, len(value), value), b"STORED\r\n")
        answers = {key: b"VALUE %s 7 %d\r\n%s\r\n" % (key, len(value), value) for key, value in keys.items()}
        for key, answer in answers.items():
            self.ask(b"get %s\r\n" % key, answer + b"END\r\n")
        order = self.random.choices(list(keys), k=30)
        self.ask(b"get %s absent\r\n" % b" ".join(order), b"".join(map(answers.get, order)) + b"END\r\n")
        # more is on its way than sockets hold, and only then is it read
        order = self.random.choices(list(keys), k=60)
        self.sock.sendall(b"".join(b"get %s\r\n" % key for key in order))
        for key in order:
            self.expect(answers[key] + b"END\r\n")
        self.small(b"n%d-%d" % (self.number, n))
        gone = b"".join(b"delete %s\r\n" % key for key in keys)
        self.ask(gone, b"DELETED\r\n" * len(keys))
        self.ask(b"get %s\r\n" % b" ".join(keys), b"END\r\n")

    def small(self, key):
        """Commands that change a value, answered and not, and 200 counted up in one write."""
        self.ask(b"set %s 0 0 2\r\n\r\n\r\n" % key, b"STORED\r\n")
        self.ask(b"append %s 0 0 3\r\n\0\xff\n\r\n" % key, b"STORED\r\n")
        self.sock.sendall(b"prepend %s 0 0 1 noreply\r\n>\r\n" % key)
        self.ask(b"get %s\r\n" % key, b"VALUE %s 0 6\r\n>\r\n\0\xff\n\r\nEND\r\n" % key)
        self.ask(b"set %s 0 0 1\r\n0\r\n" % key, b"STORED\r\n")
        self.ask(b"incr %s 3\r\n" % key * 200, b"".join(b"%d\r\n" % (3 * n) for n in range(1, 201)))
        self.ask(b"add %s 0 0 1\r\nx\r\n" % key, b"NOT_STORED\r\n")
        self.ask(b"delete %s\r\nincr %s 1\r\n" % (key, key), b"DELETED\r\nNOT_FOUND\r\n")


def main(port, count, rounds):
    clients = [Client(port, number) for number in range(count)]

    def work(client):
        for n in range(rounds):
            client.round(n)

    threads = [threading.Thread(target=work, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for client in clients:
        print(client.number, client.seen.hexdigest())
    print("all", flush=True)
    sys.stdin.read()


main(*map(int, sys.argv[1:]))
