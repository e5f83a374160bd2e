"""postgres with psql and pgbench over TCP: a process forked for each connection, COPY, notices, cancelled queries."""

import os
import re
import signal

import flap
import pytest
import served
from material import content, sha
from postgres import forget, go, hold, postgres, reached, readable
from roles import every, until

ROWS = 60_000
ASLEEP = "SELECT pid FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND wait_event = 'PgSleep';"
LINES = b"".join(b"%d\t%s\n" % (n, content(27)[n % 9 :].hex().encode()) for n in range(ROWS))


@pytest.fixture(scope="module", autouse=True)
def cluster():
    readable()
    yield
    forget()


def copies(folder, pair):
    """Some MB by COPY into a table, and out of it; a value of 3 MB; what some hundred statements answer."""
    table = b"CREATE TABLE t (n int, x text);\nCOPY t FROM STDIN;\n" + LINES + b"\\.\n"
    large = f"SELECT repeat('{content(50).hex()}', 30000);\n"
    with postgres(pair) as server:
        filled = server.psql(table)
        out = server.psql("COPY (SELECT * FROM t ORDER BY n) TO STDOUT;\n")
        assert out[1] == LINES
        single = server.psql("SELECT count(*), sum(length(x)) FROM t;\n")
        many = "".join(f"SELECT {n}, x FROM t WHERE n = {n % 9} LIMIT 1;\n" for n in range(600))
        with server.client("psql", "-XAt", stdin=(many + hold("asked") + large).encode()) as client:
            reached(server, "asked")
            served.upgraded(pair, server.port)
            go(server)
            result = client.wait(30)
        return filled, single, result.status, sha(result.stdout), result.stderr


@every()
def test_copies(agree, roles):
    filled, single, status, _, errors = agree(copies, roles)
    assert (
        filled == (0, b"CREATE TABLE\nCOPY 60000\n", b"")
        and single[1].startswith(b"60000|")
        and (status, errors) == (0, b"")
    )


def notices(folder, pair):
    """What a listener is told by two others, and what is left of a query that is cancelled by SIGINT and by another."""
    with postgres(pair) as server:
        script = "LISTEN news;\n" + hold("listening") + "SELECT 'after';\nUNLISTEN news;\n"
        with server.client("psql", "-XAt", stdin=script.encode()) as listener:
            reached(server, "listening")
            told = [server.psql(f"NOTIFY news, '{word}';\n") for word in ("one", "x" * 7000)]
            go(server)
            heard = listener.wait(20)
        ended = [re.sub(rb"PID \d+", b"PID", heard.stdout), heard.stderr, heard.status]
        for by in ("SIGINT", "another"):
            with server.client("psql", "-XAt", stdin=b"SELECT pg_sleep(60);\nSELECT 'on';\n") as sleeper:
                backend = until(lambda: server.ask(ASLEEP), "sleeping query", program=sleeper)
                if by == "SIGINT":
                    os.kill(sleeper.pid, signal.SIGINT)
                else:
                    assert server.ask(f"SELECT pg_cancel_backend({backend});") == "t"
                result = sleeper.wait(20)
                ended.append((result.status, result.stdout, result.stderr))
        return told, ended


@every()
def test_notifications_and_cancelled_queries(agree, roles):
    _, ended = agree(notices, roles)
    cancelled = b"ERROR:  canceling statement due to user request\n"
    assert ended[0].count(b'"news"') == 2 and ended[1:3] == [b"", 0], ended
    # psql itself ends by the interrupt, once the server has said that it has cancelled the query
    assert ended[3:] == [(3, b"", b"Cancel request sent\n" + cancelled), (0, b"on\n", cancelled)], ended


MODES = ("simple", "extended", "prepared") if flap.FULL else ("prepared",)


def accounts(folder, pair):
    """pgbench: each transaction processed, money neither made nor lost; with a connection for each of them too."""
    with postgres(pair) as server:
        seen = [server.run("pgbench", "-i", "-q", "-I", "dtgp", "postgres")[0]]
        for words in [("-M", mode, "-t", "20") for mode in MODES] + [("-C", "-S", "-t", "10")]:
            words = ("-n", "-c", "8", "-j", "2", "--random-seed=5", *words, "postgres")
            status, output, errors = server.run("pgbench", *words)
            counted = re.findall(rb"number of (?:failed )?transactions.*", output)
            seen.append((status, counted, errors))
        sums = [
            server.ask(f"SELECT sum({name[0]}balance) FROM pgbench_{name};")
            for name in ("accounts", "tellers", "branches")
        ]
        # the order in which two threads' transactions come decides nothing of the sum
        assert len({*sums, server.ask("SELECT sum(delta) FROM pgbench_history;")}) == 1
        return seen, sums


@every()
def test_accounts(agree, roles):
    seen, _ = agree(accounts, roles)
    assert {(status, errors) for status, _, errors in seen[1:]} == {(0, b"pgbench: setting random seed to 5\n")}, seen


def test_another_user_stays_on_the_kernel():
    """Rings are for one user's programs: psql run by root, the server by its own, and both say so."""
    if os.getuid():
        pytest.skip("it takes root to be two users")
    pair = served.BOTH
    with postgres(pair) as server:
        script = ("SELECT 1;\n" * 100 + hold("asked") + "SELECT 2;\n").encode()
        with server.client("psql", "-XAt", stdin=script, user=False) as client:
            reached(server, "asked")
            assert served.reasons(client.pid) == {"CATFLAP_KERNEL_PEER_UID"}
            go(server)
            assert client.wait(20).stdout == b"1\n" * 100 + b"2\n"
