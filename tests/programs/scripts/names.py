"""names.py PORT COUNT: ask a DNS server by datagrams and over one connection; each answer's digest.

The connection stays open until standard input ends.
"""

import hashlib
import socket
import struct
import sys

TYPES = {"A": 1, "PTR": 12, "TXT": 16, "AAAA": 28}


def question(number, name, kind):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", TYPES[kind], 1)


def exactly(sock, size):
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        assert piece, "the server has ended the connection"
        data += piece
    return data


def told(way, number, name, kind, answer):
    """The answer without the place where its records begin, which servers turn round."""
    heading = struct.unpack("!6H", answer[:12])
    assert heading[0] == number
    print(way, name, kind, heading[1:], len(answer), hashlib.sha256(bytes(sorted(answer))).hexdigest()[:16])


def main(port, count):
    asked = [(f"host{n}.test", "A") for n in range(count)]
    asked += [("many.test", "A"), ("six.test", "AAAA"), ("text.test", "TXT"), ("no.test", "A")]
    asked.append(("7.0.0.10.in-addr.arpa", "PTR"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(20)
        sock.connect(("127.0.0.1", port))
        for number, (name, kind) in enumerate(asked):
            sock.send(question(number, name, kind))
            told("datagram", number, name, kind, sock.recv(65535))
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        for number, (name, kind) in enumerate(asked):
            text = question(number, name, kind)
            sock.sendall(struct.pack("!H", len(text)) + text)
            told("connection", number, name, kind, exactly(sock, *struct.unpack("!H", exactly(sock, 2))))
        print("all", flush=True)
        sys.stdin.read()


main(*map(int, sys.argv[1:]))
