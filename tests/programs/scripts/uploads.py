"""uploads.py HOST PORT: an HTTP server that answers uploads with length and SHA-256 and misbehaves on request."""

import hashlib
import http.server
import socket
import sys


class Uploads(http.server.BaseHTTPRequestHandler):
    """/cut ends in the middle of an answer, /reset without one, /pieces comes in chunks."""

    protocol_version = "HTTP/1.1"

    def pieces(self):
        """The body of the request, piece by piece, whether its length is given or it comes in chunks."""
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            left = int(self.headers["Content-Length"])
            while left:
                piece = self.rfile.read1(min(left, 65536))
                assert piece, "the upload was cut off"
                yield piece
                left -= len(piece)

    def do_POST(self):
        digest, length = hashlib.sha256(), 0
        for piece in self.pieces():
            digest.update(piece)
            length += len(piece)
        self.answer(f"{self.command} {self.path} {length} {digest.hexdigest()}\n".encode())

    do_PUT = do_POST

    def answer(self, body, announced=None):
        self.send_response(200)
        self.send_header("Content-Length", str(announced or len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/cut":
            self.answer(b"cut off", announced=1000)
            self.close_connection = True
        elif self.path == "/reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            self.close_connection = True
        elif self.path == "/pieces":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for n in range(1, 400):
                self.wfile.write(b"%x\r\n%s\r\n" % (n, b"x" * n))
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.answer(self.path.encode())

    def log_message(self, *words):
        """Nothing: what the server prints is compared."""


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
    request_queue_size = 64


Server((sys.argv[1], int(sys.argv[2])), Uploads).serve_forever()
