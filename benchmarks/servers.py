"""The servers of benchmarks/services.py, unmodified, and their clients: how each is started and asked.

`NAME(libos, port, folder)` gives a Server; `NAME_rate` or `NAME_times(port, libos, ...)` runs the client on the other
core and on the same side, and answers a number or a list of them. `SETTINGS` is written down with the figures.
"""

import contextlib
import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import time

from benchmarks.conversation import output
from benchmarks.programs import CLIENT_CORE, Server, compiled, free_port, need, pinned
from benchmarks.report import PRELOAD, ROOT

NGINX = """
{user}
worker_processes 1;
pid {folder}/pid;
error_log stderr crit;
events {{ worker_connections 512; }}
http {{
    access_log off;
    sendfile on;
    keepalive_requests 100000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{ listen 127.0.0.1:{port}; root {folder}; }}
}}
"""
POSTGRES = "/usr/lib/postgresql"
SETTINGS = {
    "redis": "redis-server --save '', else its defaults; redis-benchmark, requests one at a time (-P 1)",
    "memcached": "memcached -t 4 -U 0, one value of 100 B; client: benchmarks/c/memget.c",
    "nginx": "1 worker, sendfile, no access log, a file of 1 KB; wrk -t 1 -c 16, keep-alive",
    "iperf3": "one stream, its defaults",
    "postgres": "initdb's defaults, TCP; pgbench -S -c 1, scale 1",
    "asyncio": "streams at both ends, 64 B: benchmarks/asyncio_echo.py",
}
ASYNCIO = os.path.join(ROOT, "benchmarks", "asyncio_echo.py")


def asked(argv, libos):
    """What a client prints, on the clients' core."""
    return output(pinned(CLIENT_CORE, argv), libos)


def found(pattern, text):
    match = re.search(pattern, text)
    if not match:
        raise SystemExit(f"catflap: no {pattern!r} in what a client printed: {text[-400:]}")
    return match.group(1)


def memcached(libos, port, folder):
    # as the user it was started as: the two ends of an upgraded connection belong to one user
    user = ["-u", pwd.getpwuid(os.geteuid()).pw_name]
    argv = [need("memcached", "memcached"), *user, *f"-l 127.0.0.1 -p {port} -U 0 -t 4".split()]
    return Server(argv, libos, port)


def memcached_times(port, libos, clients, count):
    """(requests per second, [nanoseconds of each])."""
    program = compiled("memget", "memget")
    whole, *each = map(float, asked([program, str(port), str(clients), str(count)], libos).split())
    return count / whole * 1e9, each


def nginx(libos, port, folder):
    with open(os.path.join(folder, "file"), "wb") as f:
        f.write(b"x" * 1023 + b"\n")
    path = os.path.join(folder, "nginx.conf")
    user = "user root;" if os.geteuid() == 0 else ""
    with open(path, "w") as f:
        f.write(NGINX.format(user=user, folder=folder, port=port))
    argv = [need("nginx", "nginx-light"), "-e", "stderr", "-p", folder, "-c", path, "-g", "daemon off;"]
    return Server(argv, libos, port)


def nginx_rate(port, libos, seconds):
    argv = [need("wrk", "wrk"), "-t", "1", "-c", "16", "-d", f"{seconds}s", f"http://127.0.0.1:{port}/file"]
    text = asked(argv, libos)
    if "Non-2xx" in text:
        raise SystemExit(f"catflap: nginx does not serve the file: {text}")
    return float(found(r"Requests/sec:\s*([\d.]+)", text))


def iperf3(libos, port, folder):
    # it complains of the connection that finds out whether it is up
    return Server([need("iperf3", "iperf3"), "-s", "-p", str(port)], libos, port, stderr=subprocess.DEVNULL)


def iperf3_rate(port, libos, seconds):
    argv = [need("iperf3", "iperf3"), "-c", "127.0.0.1", "-p", str(port), "-t", str(seconds), "-J"]
    return json.loads(asked(argv, libos))["end"]["sum_received"]["bits_per_second"] / 8


def postgres_program(name):
    path = shutil.which(name)
    for version in sorted(os.listdir(POSTGRES), key=float, reverse=True) if os.path.isdir(POSTGRES) else ():
        candidate = os.path.join(POSTGRES, version, "bin", name)
        if os.path.exists(candidate):
            return candidate
    return path or need(name, "postgresql")


def as_postgres(argv):
    """postgres refuses root: `argv` as its own user."""
    if os.geteuid():
        return argv
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *argv]


def unreadable():
    """Why postgres can't be measured here, or None."""
    test = as_postgres(["test", "-r", PRELOAD])
    if subprocess.run(test, cwd="/").returncode:
        return f"{PRELOAD} is not readable by the user postgres"
    return None


@contextlib.contextmanager
def postgres(libos, port, folder):
    if os.geteuid() == 0:
        os.chmod(folder, 0o755)
        entry = pwd.getpwnam("postgres")
        os.chown(folder, entry.pw_uid, entry.pw_gid)
    data = os.path.join(folder, "data")
    quiet = {"cwd": folder, "stdout": subprocess.DEVNULL, "check": True}
    subprocess.run(as_postgres([postgres_program("initdb"), "-D", data, "-A", "trust"]), **quiet)
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "port": port,
        "log_min_messages": "panic",
    }
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    with Server(as_postgres([postgres_program("postgres"), "-D", data, *options]), libos, port) as server:
        ready = as_postgres([postgres_program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)])
        for _ in range(100):  # it listens before it is ready
            if subprocess.run(ready, cwd=folder).returncode == 0:
                break
            time.sleep(0.1)
        fill = [*pgbench(port, "-i", "-q"), "postgres"]
        subprocess.run(fill, **quiet, stderr=subprocess.DEVNULL)
        yield server


def pgbench(port, *options):
    return as_postgres([postgres_program("pgbench"), "-h", "127.0.0.1", "-p", str(port), *options])


def postgres_rate(port, libos, seconds, *options):
    argv = [*pgbench(port, "-S", "-n", "-c", "1", "-T", str(seconds), *options), "postgres"]
    return float(found(r"tps = ([\d.]+)", asked(argv, libos)))


def asyncio(libos, port, folder):
    return Server([sys.executable, ASYNCIO, "server", str(port)], libos, port)


def asyncio_times(port, libos, count):
    return [float(word) for word in asked([sys.executable, ASYNCIO, "client", str(port), str(count)], libos).split()]


@contextlib.contextmanager
def both(start, liboses=("kernel", "catloop")):
    """{libos: (port, Server)} of one server on each side."""
    with contextlib.ExitStack() as stack:
        running = {}
        for libos in liboses:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            port = free_port()
            running[libos] = (port, stack.enter_context(start(libos, port, folder)))
        yield running


def version(program):
    """The first line that says a version."""
    option = {"memcached": "-V", "nginx": "-v", "wrk": "-v", "python": "-V"}.get(program, "--version")
    path = {"python": sys.executable, "postgres": None}.get(program, program) or postgres_program("postgres")
    done = subprocess.run([path, option], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return next((line for line in done.stdout.splitlines() if re.search(r"\d\.\d", line)), "unknown")
