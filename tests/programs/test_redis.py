"""redis-server, redis-cli and redis-benchmark: every answer and every key as on the kernel."""

import contextlib
import re

import flap
import pytest
from material import content, sha
from roles import check_host, every, patience, until

SETTINGS = ["--bind", "127.0.0.1", "--save", "", "--enable-debug-command", "yes"]
COMMANDS = """
SET greeting hello
GET greeting
INCR counter
INCRBY counter 41
APPEND greeting " world"
GETRANGE greeting 3 7
LPUSH list a b c
LRANGE list 0 -1
HSET hash f1 v1 f2 v2
HGETALL hash
ZADD board 1 one 2 two 3 three
ZRANGE board 0 -1 WITHSCORES
SADD set x
SISMEMBER set x
EXPIRE greeting 1000
TYPE board
MULTI
INCR counter
RPUSH list d
EXEC
EVAL "return {1, 'two', redis.call('GET', 'counter')}" 0
LPUSH greeting wrong
NOSUCHCOMMAND
BLPOP nothing 0.05
DBSIZE
"""


class Redis:
    """A running server and how to ask it."""

    def __init__(self, program, port, pair):
        self.program = program
        self.port = port
        self.pair = pair

    def client(self, tool, *words, stdin=None, timeout=30, libos=None):
        """(status, stdout) of redis-cli or redis-benchmark with `words`."""
        argv = [flap.need(tool, "redis-tools"), "-p", str(self.port), *words]
        libos = libos or self.pair.client
        result = flap.run(argv, libos, pure=self.pair.pure, stdin=stdin, timeout=patience(self.pair, timeout))
        assert not result.timed_out and result.stderr == b"", str(result)
        return result.status, result.stdout

    def cli(self, *words, **options):
        return self.client("redis-cli", *words, **options)

    def ask(self, *words):
        """The answer to one command over the kernel, as text; for the test's own questions."""
        return self.cli(*words, libos="kernel")[1].decode().strip()


@contextlib.contextmanager
def redis(folder, pair):
    """A redis-server in `folder`, gone at the end."""
    port = flap.free_port()
    argv = [flap.need("redis-server", "redis-server"), "--port", str(port), "--dir", str(folder), *SETTINGS]
    with flap.Program(argv, pair.server, pure=pair.pure, timeout=patience(pair, 60)) as program:
        flap.wait_for_port(port, program)
        check_host(program.pid, pair.server, pair.pure)
        yield Redis(program, port, pair)


def commands(folder, pair):
    """The transcript of COMMANDS typed into redis-cli, and how the server ends."""
    with redis(folder, pair) as server:
        transcript = server.cli(stdin=COMMANDS.encode())
        digest = server.ask("DEBUG", "DIGEST")
        ended = server.cli("SHUTDOWN", "NOSAVE")
        return transcript, digest, ended, server.program.wait(20).status


@every(sample=True, catnip=True)
def test_commands(agree, roles):
    (status, output), digest, ended, exit_status = agree(commands, roles)
    assert b"hello" in output and b"WRONGTYPE" in output and status == exit_status == 0
    assert len(digest) == 40 and ended == (0, b"")


def large_values(folder, pair):
    """Values of up to 5 MB stored from stdin and read back by GET and by one MGET of all."""
    sizes = {f"v{n}": n for n in (0, 1, 1448, 65536, 1_000_001, 5_000_000)}
    with redis(folder, pair) as server:
        for name, size in sizes.items():
            assert server.cli("-x", "SET", name, stdin=content(size)) == (0, b"OK\n")
        single = [sha(server.cli("--raw", "GET", name)[1]) for name in sizes]
        together = server.cli("--raw", "MGET", *sizes)[1]
        assert single == [sha(content(size) + b"\n") for size in sizes.values()]
        assert together == b"".join(content(size) + b"\n" for size in sizes.values())
        return single, sha(together), server.ask("DEBUG", "DIGEST")


@every(sample=True)
def test_large_values(agree, roles):
    agree(large_values, roles)


def mass_insertion(folder, pair):
    """20,000 commands through redis-cli --pipe, then counted and digested."""
    lines = "".join(f"SET key:{n} value:{n * n}\r\nLPUSH list {n}\r\n" for n in range(10_000))
    with redis(folder, pair) as server:
        status, output = server.cli("--pipe", stdin=lines.encode())
        return status, output, server.ask("DBSIZE"), server.ask("LLEN", "list"), server.ask("DEBUG", "DIGEST")


@every()
def test_mass_insertion(agree, roles):
    status, output, keys, items, _ = agree(mass_insertion, roles)
    assert status == 0 and b"errors: 0, replies: 20000" in output and (keys, items) == ("10001", "10000")


def benchmark(folder, pair, clients, pipeline, threads):
    """What redis-benchmark measured (the names, not the speeds) and what the server counted."""
    words = ["-n", "4000", "-c", str(clients), "-P", str(pipeline), "--csv", "-d", "100", "--threads", str(threads)]
    with redis(folder, pair) as server:
        status, output = server.client("redis-benchmark", *words, "-t", "ping,set,get,incr,lpush,lrange_100,mset")
        rows = [line.split(",")[0] for line in output.decode().splitlines()]
        counted = re.findall(r"cmdstat_(\w+):calls=(\d+).*?failed_calls=(\d+)", server.ask("INFO", "commandstats"))
        counted = sorted(row for row in counted if row[0] not in ("info", "config|get"))
        return status, rows, counted, server.ask("GET", "counter:__rand_int__")


@every(sample=True)
@pytest.mark.parametrize(("clients", "pipeline", "threads"), [(50, 1, 1), (20, 16, 2)], ids=["plain", "pipelined"])
def test_benchmark(agree, roles, clients, pipeline, threads):
    status, rows, counted, counter = agree(benchmark, roles, clients, pipeline, threads)
    assert status == 0 and '"SET"' in rows and int(counter) >= 4000
    assert dict((name, failed) for name, _, failed in counted)["set"] == "0"


def publishing(folder, pair):
    """What two subscribers print of 200 messages, one of them of 300 kB; and a blocked BLPOP that is served."""
    with redis(folder, pair) as server, contextlib.ExitStack() as stack:
        tool = [flap.need("redis-cli", "redis-tools"), "-p", str(server.port)]

        def start(*words):
            return stack.enter_context(flap.Program([*tool, *words], pair.client, pure=pair.pure, timeout=60))

        readers = [start("SUBSCRIBE", "news"), start("PSUBSCRIBE", "n*")]
        waiting = start("BLPOP", "jobs", "30")
        until(lambda: server.ask("PUBLISH", "news", "early") == "2", "two subscribers")
        lines = "".join(f"PUBLISH news message-{n}\n" for n in range(198)).encode()
        published = server.cli(stdin=lines)
        assert server.cli("-x", "PUBLISH", "news", stdin=content(150_000).hex().encode()) == (0, b"2\n")
        assert server.cli("PUBLISH", "news", "the end") == (0, b"2\n")
        for reader in readers:
            until(lambda reader=reader: b"the end" in reader.read("out"), "last message", program=reader)
        until(lambda: "blocked_clients:1" in server.ask("INFO", "clients"), "blocked client")
        pushed = server.cli("LPUSH", "jobs", "work")
        # a message before both had subscribed may have reached one of them
        heard = [re.sub(rb"(\n\w*message\n(n\*\n)?news\nearly)+", b"", reader.read("out")) for reader in readers]
        return published, [sha(text) for text in heard], pushed, waiting.wait(20).stdout


@every()
def test_publishing(agree, roles):
    published, _, pushed, served = agree(publishing, roles)
    assert published == (0, b"2\n" * 198) and pushed == (0, b"1\n") and served == b"jobs\nwork\n"


def saving(folder, pair):
    """The digest before BGSAVE, under writes during it, and of a server that loaded the dump."""
    with redis(folder, pair) as server:
        lines = "".join(f"SET key:{n} {'x' * (1 + n % 500)}\nSADD set:{n % 7} {n}\n" for n in range(5000))
        server.cli("--pipe", stdin=lines.replace("\n", "\r\n").encode())
        before = server.ask("DEBUG", "DIGEST")
        assert server.ask("BGSAVE") == "Background saving started"
        # a child was forked with the connections open; the parent serves on
        assert server.cli("SET", "after", "the save") == (0, b"OK\n")
        until(lambda: "rdb_bgsave_in_progress:0" in server.ask("INFO", "persistence"), "end of the save")
        assert "rdb_last_bgsave_status:ok" in server.ask("INFO", "persistence")
        assert server.ask("DEBUG", "DIGEST") != before
        server.cli("SHUTDOWN", "NOSAVE")
        assert server.program.wait(20).status == 0
    with redis(folder, pair) as server:
        assert server.ask("DEBUG", "DIGEST") == before
        return before


@every(sample=True)
def test_background_save(agree, roles):
    agree(saving, roles)
