"""redis-servers under load that save, rewrite their log and replicate: each copy is what the server has."""

import contextlib
import os
import signal

import flap
import pytest
import served
from material import content
from redisserver import idle, load, redis
from roles import every, patience, until

REQUESTS = 20000 if flap.FULL else 4000


@contextlib.contextmanager
def loaded(server, clients=20):
    """A server under redis-benchmark meanwhile, which has to end well."""
    with load(server, clients, requests=REQUESTS) as benchmark:
        until(lambda: int(server.info("stats", "total_commands_processed")) > 500, "load", program=server.program)
        yield
        result = benchmark.wait(patience(server.pair, 40))
    assert result.status == 0 and b"rror" not in result.stdout + result.stderr, str(result)


def saved(folder, pair):
    """BGSAVE and the rewrite of the append-only file under load; servers started from each have the same."""
    with redis(folder / "a", pair, "--appendonly", "yes", "--appendfsync", "no") as server:
        for n in (1, 70_000, 3_000_000):
            server.ask("SET", f"value{n}", content(n))
        with loaded(server):
            for command in ("BGSAVE", "BGREWRITEAOF"):
                assert "started" in server.ask(command)
                idle(server, "rdb_bgsave_in_progress", "aof_rewrite_in_progress")
        states = [
            server.info("persistence", f"{name}_status")
            for name in ("rdb_last_bgsave", "aof_last_bgrewrite", "aof_last_write")
        ]
        length = server.ask("LLEN", "mylist")
        digest = server.digest()
        assert server.ask("SAVE") == "OK"
        os.kill(server.program.pid, signal.SIGTERM)
        assert server.program.wait(20).status == 0
    with redis(folder / "a", pair, "--appendonly", "yes") as server:
        idle(server, "loading")
        assert server.digest() == digest
    with redis(folder / "a", pair) as server:
        idle(server, "loading")
        assert server.digest() == digest
    return states, length


@every()
def test_saving_under_load(agree, roles):
    states, _ = agree(saved, roles)
    assert states == ["ok"] * 3


def linked(replica):
    until(lambda: replica.info("replication", "master_link_status") == "up", "link", program=replica.program)


def follows(replica, master):
    """Wait until a replica has all that its master has sent."""
    linked(replica)
    until(
        lambda: replica.info("replication", "slave_repl_offset") == master.info("replication", "master_repl_offset"),
        "the same offset",
        program=replica.program,
    )


def replicated(folder, pair, diskless):
    """A replica synchronised under load, cut off and synchronised in part with and without load; at last a master."""
    words = ("--repl-diskless-sync", diskless, "--repl-diskless-sync-delay", "0", "--repl-backlog-size", "64mb")
    with redis(folder / "m", pair, *words) as master:
        for n in (1, 70_000, 3_000_000):
            master.ask("SET", f"value{n}", content(n))
        with redis(folder / "r", pair, "--repl-diskless-load", "disabled") as replica:
            with loaded(master):
                assert replica.ask("REPLICAOF", "127.0.0.1", str(master.port)) == "OK"
                linked(replica)
                assert int(master.ask("CLIENT", "KILL", "TYPE", "replica")) == 1
            follows(replica, master)
            assert replica.digest() == master.digest()
            master.asked([("SET", "late", "r")] * 400)  # one after the other, each of them passed on
            served.upgraded(pair, master.port)
            assert int(replica.ask("CLIENT", "KILL", "TYPE", "master")) == 1
            master.ask("SET", "after", content(2_000_000))
            follows(replica, master)
            assert replica.digest() == master.digest()
            synced = [master.info("stats", f"sync_{kind}") for kind in ("full", "partial_ok", "partial_err")]
            assert replica.ask("REPLICAOF", "NO", "ONE") == "OK" and replica.ask("SET", "own", "1") == "OK"
            return synced


@pytest.mark.parametrize("diskless", ["yes", "no"] if flap.FULL else ["yes"])
@every(mixed=False)
def test_replication(agree, roles, diskless):
    assert agree(replicated, roles, diskless) == ["1", "2", "1"]  # it first asks to go on from what it had as a master
