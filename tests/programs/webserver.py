"""nginx, and what the tests ask of it in this process, over the kernel."""

import contextlib
import http.client
import os
import socket

import flap
from material import content, sha
from roles import check_host, patience, until

SIZES = (0, 1, 4095, 65536, 65537, 1_000_001, 50_000_000)
CONFIGURATION = """
daemon off;
worker_processes {workers};
user {user};
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{ worker_connections 512; }}
http {{
    access_log off;
    log_not_found off;
    default_type application/octet-stream;
    sendfile {sendfile};
    keepalive_timeout 20;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        listen [::1]:{port};
        root {folder}/root;
        {extra}
    }}
}}
"""


class Nginx:
    """A running nginx: its Program, port and folder."""

    def __init__(self, program, port, folder):
        self.program = program
        self.port = port
        self.folder = folder
        self.url = f"http://127.0.0.1:{port}"

    def workers(self):
        """Process ids of the workers."""
        pid = self.program.pid
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            return [int(word) for word in f.read().split()]

    def errors(self):
        """The lines of its error log that are not information."""
        with open(os.path.join(self.folder, "error.log"), errors="backslashreplace") as f:
            return [line for line in f if "[notice]" not in line and "[info]" not in line]


def publish(folder, size):
    """Write a file of `size` bytes under the server's root; its times, so its ETag, are always the same."""
    os.makedirs(f"{folder}/root", exist_ok=True)
    path = f"{folder}/root/{size}"
    with open(path, "wb") as f:
        f.write(content(size))
    os.utime(path, (1_000_000_000, 1_000_000_000))


@contextlib.contextmanager
def nginx(folder, pair, *, sendfile=True, sizes=SIZES, user="root", extra="", workers=1, env=None, wrap=(), seconds=60):
    """nginx on 127.0.0.1 and ::1, serving files named by their size; ended by SIGQUIT at the end.

    `extra` goes into its server block; `wrap` before its command line.
    """
    for size in sizes:
        publish(folder, size)
    port = flap.free_port()
    configuration = os.path.join(folder, "nginx.conf")
    values = {"folder": folder, "port": port, "sendfile": "on" if sendfile else "off", "user": user, "extra": extra}
    values["workers"] = workers
    with open(configuration, "w") as f:
        f.write(CONFIGURATION.format(**values))
    argv = [*wrap, flap.need("nginx", "nginx-light"), "-c", configuration, "-e", os.path.join(folder, "error.log")]
    limit = patience(pair, seconds)
    with flap.Program(argv, pair.server, pure=pair.pure, timeout=limit, env=env) as program:
        flap.wait_for_port(port, program)
        server = Nginx(program, port, folder)
        if not wrap:
            for pid in until(server.workers, "worker", program=program):
                check_host(pid, pair.server, pair.pure)
        yield server
    assert not server.errors(), server.errors()


def asked(connection, method, path, headers=None):
    """(status, headers without the date, SHA-256 of the body, its size) of one request."""
    connection.request(method, path, headers=headers or {})
    response = connection.getresponse()
    body = response.read()
    kept = sorted((name, value) for name, value in response.getheaders() if name not in ("Date", "Server"))
    return response.status, kept, sha(body), len(body)


@contextlib.contextmanager
def connected(port, host="127.0.0.1"):
    """One keep-alive HTTP connection; a request after the server has closed it fails."""
    connection = http.client.HTTPConnection(host, port, timeout=60)
    connection.connect()
    connection.auto_open = 0
    try:
        yield connection
    finally:
        connection.close()


def slow_client(port, path):
    """A socket with a small receive buffer that has asked for `path` and read nothing yet."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    client.settimeout(60)
    client.connect(("127.0.0.1", port))
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    return client


def drain(client, pause=None):
    """Everything up to the end of the connection; `pause()` is called after each piece."""
    pieces = []
    with client:
        while piece := client.recv(16384):
            pieces.append(piece)
            if pause:
                pause()
    return b"".join(pieces)
