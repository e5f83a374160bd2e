"""Programs that keep logs, with a volume of Cattree for them: killed, and after power cuts."""

import contextlib
import os
import signal
import sys
import threading
import urllib.request

import flap
import pytest
import storage
from roles import until

REDIS = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--enable-debug-command", "yes"]
RUNS = [pytest.param(False, id="compiled"), pytest.param(True, id="pure", marks=pytest.mark.pure_sample)]


class Redis:
    """A redis-server on files of `folder`/data, and the volume beside them."""

    def __init__(self, folder, policy, pure=False):
        self.data, self.volume = folder / "data", folder / "volume"
        self.data.mkdir(exist_ok=True)
        self.policy = policy
        self.pure = pure

    @contextlib.contextmanager
    def running(self, libos="auto"):
        self.port = flap.free_port()
        words = ["--port", str(self.port), "--dir", str(self.data), "--appendfsync", self.policy, *REDIS]
        argv = [flap.need("redis-server", "redis-server"), *words]
        env = storage.variables(self.volume, self.data)
        with flap.Program(argv, libos, pure=self.pure, timeout=120, env=env) as program:
            flap.wait_for_port(self.port, program)
            until(lambda: self.ask("PING") == "PONG", "redis", program=program)
            yield program

    def ask(self, *words, stdin=None):
        argv = [flap.need("redis-cli", "redis-tools"), "-p", str(self.port), *words]
        return flap.run(argv, "kernel", stdin=stdin, timeout=60).stdout.decode().strip()

    def fill(self, name, count):
        """`count` commands, one after the other, as a client that waits for each answer sends them."""
        lines = "".join(f"SET {name}:{n} {'x' * (n % 300)}-{n}\nLPUSH {name} {n}\n" for n in range(count // 2))
        assert self.ask(stdin=lines.encode()).count("OK") == count // 2

    def digest(self):
        return self.ask("DEBUG", "DIGEST")

    def rewrite(self):
        assert "started" in self.ask("BGREWRITEAOF")
        until(lambda: "aof_rewrite_in_progress:0" in self.ask("INFO", "persistence"), "end of the rewrite")
        assert "aof_last_bgrewrite_status:ok" in self.ask("INFO", "persistence")


def killed(program):
    os.kill(program.pid, signal.SIGKILL)
    program.wait(20)


@pytest.mark.parametrize("pure", RUNS)
@pytest.mark.parametrize("policy", ["always", "everysec", "no"])
def test_redis_is_killed(tmp_path, policy, pure):
    """Every key comes back, from generation to generation, with rewrites and without."""
    redis, digest = Redis(tmp_path, policy, pure), "0" * 40
    for generation in range(4):
        with redis.running() as program:
            assert redis.digest() == digest
            redis.fill(f"generation{generation}", 300)
            if generation % 2:
                redis.rewrite()
                redis.fill(f"more{generation}", 100)
            digest = redis.digest()
            killed(program)
    with redis.running("kernel"):  # nothing of this depends on the volume while the machine runs
        assert redis.digest() == digest


def test_redis_after_power_cuts(tmp_path):
    """What was answered under `always` is there, though the kernel has lost whatever it had not been told to keep."""
    redis, digest = Redis(tmp_path, "always"), "0" * 40
    for generation in range(3):
        with redis.running() as program:
            assert redis.digest() == digest
            redis.fill(f"generation{generation}", 300)
            if generation == 1:
                redis.rewrite()
                redis.fill("rewritten", 200)
            digest = redis.digest()
            killed(program)
        assert storage.power_cut(redis.volume, redis.data) >= 1
    with redis.running():
        assert redis.digest() == digest


def test_redis_of_a_volume_that_is_full_of_other_things(tmp_path):
    """A small volume: journals fill it again and again, and nobody is told of that."""
    redis = Redis(tmp_path, "always")
    storage.Journals(str(redis.volume), 7 << 20, storage.Heap(64)).close()
    with redis.running() as program:
        for i in range(12):
            assert redis.ask("-x", "SET", f"large{i}", stdin=os.urandom(400_000)) == "OK"
        redis.fill("small", 100)
        digest = redis.digest()
        killed(program)
    storage.power_cut(redis.volume, redis.data)
    with redis.running():
        assert redis.digest() == digest


LOGGING = """
import logging, os, sys
handler = logging.FileHandler(sys.argv[1])
handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
logging.getLogger().addHandler(handler)
for i in range(200):
    logging.warning("message %d", i)
    if i % 10 == 9:
        os.fsync(handler.stream.fileno())
print(os.path.getsize(sys.argv[1]), flush=True)
os.kill(os.getpid(), 9)
"""


def test_python_logging(tmp_path):
    """A program that is a Python itself: its messages are there, after a kill and after a power cut."""
    folder, volume = tmp_path / "logs", tmp_path / "volume"
    folder.mkdir()
    argv = [sys.executable, "-c", LOGGING, str(folder / "log")]
    result = flap.run(argv, "auto", env=storage.variables(volume, folder))
    text = "".join(f"WARNING message {i}\n" for i in range(200))
    assert result.stdout.split() == [str(len(text)).encode()] and (folder / "log").read_text() == text, str(result)
    assert storage.power_cut(volume, folder) == 1
    assert (folder / "log").read_text() == text


NGINX = """
daemon off; worker_processes 2; pid {folder}/pid; error_log {folder}/logs/error.log; events {{ worker_connections 64; }}
http {{ access_log {folder}/logs/access.log; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
server {{ listen 127.0.0.1:{port}; location / {{ return 200 "here"; }} }} }}
"""


def test_nginx_access_log(tmp_path):
    """Two workers append to one log, from connections at the same time; reopened by a signal after it was renamed."""
    logs = tmp_path / "logs"
    logs.mkdir()
    port = flap.free_port()
    (tmp_path / "conf").write_text(NGINX.format(folder=tmp_path, port=port))
    argv = [flap.need("nginx", "nginx-light"), "-e", str(logs / "error.log"), "-c", str(tmp_path / "conf")]

    def asks(first):
        for i in range(first, first + 25):
            assert urllib.request.urlopen(f"http://127.0.0.1:{port}/{i}", timeout=20).read() == b"here"

    def asked():
        threads = [threading.Thread(target=asks, args=(first,)) for first in (0, 100, 200, 300)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def lines(name):
        return len((logs / name).read_text().splitlines()) if (logs / name).exists() else -1

    with flap.Program(argv, "auto", env=storage.variables(tmp_path / "volume", logs), timeout=90) as program:
        flap.wait_for_port(port, program)
        asked()
        until(lambda: lines("access.log") == 100, "lines of the log")
        (logs / "access.log").rename(logs / "old.log")
        os.kill(program.pid, signal.SIGUSR1)
        until(lambda: lines("access.log") == 0, "a new log")
        asked()
        # a worker goes on with the old one until the signal has reached it too
        until(lambda: lines("access.log") + lines("old.log") == 200, "lines of both logs")
