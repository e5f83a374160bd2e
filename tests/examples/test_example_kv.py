"""The key-value store: real redis clients, a real redis as the oracle, and requests that are wrong."""

import random
import subprocess

import flap
import pytest
import twins
from hypothesis import given, settings
from hypothesis import strategies as st
from twins import TWINS, Server, received

from examples.common import resp, store
from examples.common.resp import LARGEST, Malformed, Requests
from examples.common.store import Session, Store


def request(*arguments):
    return resp.array(arguments)  # requests are arrays of bulk strings too


def pieces(data, cuts):
    """`data` cut at those places."""
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


def told(parts, session=None):
    """All answers of a session to a stream that comes in parts."""
    session, answers = session or Session(Store()), b""
    for part in parts:
        session.receive(part)
        while some := session.answers():
            answers += some
    return answers


ARGUMENTS = st.lists(st.binary(max_size=40), min_size=1, max_size=5)
CUTS = st.lists(st.integers(0, 2000), max_size=12)


@settings(max_examples=150, deadline=None)
@given(st.lists(ARGUMENTS, max_size=8), CUTS)
def test_requests_however_they_are_split(requests, cuts):
    parser, found = Requests(), []
    for part in pieces(b"".join(request(*r) for r in requests), cuts):
        parser.receive(part)
        while (one := parser.next()) is not None:
            found.append(one)
    assert found == requests


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from([b"*2\r\n", b"$3\r\n", b"abc\r\n", b"*-1\r\n", b"\r\n", b"*x", b"$-5\r\n"]) | st.binary()),
    CUTS,
)
def test_garbage_however_it_is_split(parts, cuts):
    """The same answers, and the same end, as when it comes at once."""
    data = b"".join(parts)
    whole, split = Session(Store()), Session(Store())
    assert told([data], whole) == told(pieces(data, cuts), split)
    assert whole.ended == split.ended


KEYS = st.sampled_from([b"a", b"b", b"\0\r\n\xff"])
COMMANDS = st.sampled_from([b"SET", b"get", b"Del", b"EXISTS"])


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([b"SET", b"get", b"Del", b"EXISTS"]), KEYS, st.binary(max_size=20)), max_size=30)
)
def test_against_a_dict(steps):
    model, expected, session = {}, b"", Session(Store())
    for name, key, value in steps:
        session.receive(request(name, key, value) if name == b"SET" else request(name, key))
        if name == b"SET":
            model[key] = value
            expected += b"+OK\r\n"
        elif name == b"get":
            expected += resp.bulk(model.get(key))
        else:
            expected += b":%d\r\n" % (key in model)
            if name == b"Del":
                model.pop(key, None)
    assert told([b""], session) == expected


@pytest.mark.parametrize(
    "data, words",
    [
        (b"*x\r\n", "invalid multibulk length"),
        (b"*1025\r\n", "invalid multibulk length"),
        (b"*1\r\n:1\r\n", "expected '$', got ':'"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$%d\r\n" % (LARGEST + 1), "invalid bulk length"),
        (b"*2\r\n$%d\r\n%s\r\n$1\r\n" % (LARGEST, bytes(LARGEST)), "invalid bulk length"),
        (b"x" * 65537, "too big inline request"),
        (b"*1\r\n" + b"$" * 65537, "too big bulk count string"),
    ],
)
def test_what_is_refused(data, words):
    parser = Requests()
    parser.receive(data)
    with pytest.raises(Malformed, match=words.replace("$", r"\$")):
        parser.next()


def test_answers_come_in_batches():
    """A small stream of requests for large values isn't answered in one piece."""
    session = Session(Store())
    session.store.values[b"large"] = bytes(100_000)
    session.receive(request(b"GET", b"large") * 1000)
    assert all(100_000 < len(session.answers()) < store.BATCH + 100_100 for _ in range(1000))
    assert session.answers() == b""


# what redis 7 and the store have in common
EXCHANGES = [
    request(b"PING"),
    request(b"ping", b"\0\r\n"),
    b"PING\r\n\r\n  \nping hello\n",
    request(b"SET", b"k", b"\0\xff\r\n") + request(b"GET", b"k") + request(b"GET", b"none"),
    request(b"SET", b"", b"") + request(b"EXISTS", b"", b"", b"none") + request(b"DEL", b"", b"", b"none"),
    request(b"SET", b"k", b"v", b"nonsense"),
    request(b"SET", b"k") + request(b"GET") + request(b"get", b"a", b"b") + request(b"DEL") + request(b"Exists"),
    request(b"PING", b"a", b"b"),
    request(b"NONSENSE") + request(b"nonsense", b"a", b"b\0c", b"d\r\ne") + request(b"x" * 200, b"y" * 100, b"z" * 100),
    request(b"CONFIG")
    + request(b"CONFIG", b"GET")
    + request(b"config", b"nonsense")
    + request(b"config", b"get", b"none"),
    request(b"CONFIG", b"GET", b"appendonly"),
    b"*0\r\n*-1\r\n*-7\r\n" + request(b"PING"),
    request(b"SET", b"big", bytes(300_000)) + request(b"GET", b"big"),
    request(b"PING") + b"*1\r\n:4\r\nPING\r\n",
    b"*01\r\n",
    b"*+1\r\n",
    b"*1\r\n$04\r\nPING\r\n",
    b"*1\r\n$-1\r\n" + request(b"PING"),
    b"*nonsense\r\n" + request(b"PING"),
]


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    """The port of a real redis."""
    port = flap.free_port()
    argv = [flap.need("redis-server", "redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    folder = tmp_path_factory.mktemp("redis")
    with flap.Program([*argv, "--dir", str(folder)], timeout=100) as server:
        flap.wait_for_port(port, server)
        yield port


def exchanged(port, data):
    """All that comes back for `data` until an echo of a mark behind it, or the end of the connection."""
    with twins.connected(port) as sock:
        sock.sendall(data + request(b"PING", b"mark"))
        answer = b""
        while not answer.endswith(resp.bulk(b"mark")) and (piece := sock.recv(65536)):
            answer += piece
        return answer


@pytest.mark.parametrize("server", TWINS)
def test_the_same_as_redis(server, redis):
    with Server(server, "kv", "server") as served:
        for data in EXCHANGES:
            assert exchanged(served.port, data) == exchanged(redis, data), data[:100]


@pytest.mark.parametrize("server", TWINS)
def test_redis_cli(server):
    cli = flap.need("redis-cli", "redis-tools")

    def tell(*words, feed=None):
        argv = [cli, "-p", str(served.port), *words]
        return subprocess.run(argv, input=feed, capture_output=True, timeout=twins.TIMEOUT, check=True).stdout

    with Server(server, "kv", "server") as served:
        value = random.Random(1).randbytes(500_000)
        assert tell("PING") == b"PONG\n"
        assert tell("-x", "SET", "key", feed=value) == b"OK\n"
        assert tell("GET", "key") == value + b"\n"
        assert tell("EXISTS", "key", "none") == b"1\n"
        assert tell("DEL", "key") == b"1\n"
        assert tell("NONSENSE") == b"ERR unknown command 'NONSENSE', with args beginning with: \n\n"


@pytest.mark.parametrize("server", TWINS)
def test_redis_benchmark(server):
    benchmark = flap.need("redis-benchmark", "redis-tools")
    with Server(server, "kv", "server") as served:
        argv = [benchmark, "-p", str(served.port), "-t", "ping,set,get", "-n", "1000", "-c", "10", "-P", "8", "-q"]
        done = subprocess.run(argv, capture_output=True, timeout=twins.TIMEOUT, text=True)
        said = done.stdout + done.stderr
        assert done.returncode == 0 and "WARNING" not in said and "rror" not in said, said
        found = [line.split(":")[0] for line in said.replace("\r", "\n").splitlines() if "requests per second" in line]
        assert found == ["PING_INLINE", "PING_MBULK", "SET", "GET"]


@pytest.mark.parametrize("server", TWINS)
def test_too_large_is_refused_and_the_refusal_arrives(server):
    """More is on its way when the server refuses: the words must not be lost in a reset."""
    with Server(server, "kv", "server") as served, served.connect() as sock:
        sock.sendall(request(b"PING") + b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n" % (LARGEST * 4) + bytes(LARGEST * 4))
        expected = b"+PONG\r\n-ERR Protocol error: invalid bulk length\r\n"
        assert received(sock, 1000) == expected
        with served.connect() as other:
            other.sendall(request(b"EXISTS", b"k"))
            assert received(other, 4) == b":0\r\n"


@pytest.mark.parametrize("server", TWINS)
def test_a_client_that_does_not_read_and_one_that_is_killed(server):
    with Server(server, "kv", "server") as served:
        with served.connect() as sock:
            sock.sendall(request(b"SET", b"k", bytes(LARGEST - 10)))
            assert received(sock, 5) == b"+OK\r\n"
            sock.sendall(request(b"GET", b"k") * 200)
            with served.connect() as other:
                other.sendall(request(b"PING"))
                assert received(other, 7) == b"+PONG\r\n"
            with open(f"/proc/{served.process.pid}/statm") as statm:
                resident = int(statm.read().split()[1]) * 4096
            assert resident < 100 << 20
        argv = [
            flap.need("redis-benchmark", "redis-tools"),
            "-p",
            str(served.port),
            "-t",
            "set",
            "-n",
            "10000000",
            "-q",
        ]
        with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as killed:
            twins.until(lambda: exchanged(served.port, request(b"EXISTS", b"key:__rand_int__")).startswith(b":1"))
            killed.kill()
        with served.connect() as sock:
            sock.sendall(request(b"PING"))
            assert received(sock, 7) == b"+PONG\r\n"
