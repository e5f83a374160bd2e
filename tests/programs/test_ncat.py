"""ncat: echoes for many clients, files one way, a broker and datagrams, every byte as on the kernel."""

import contextlib
import os
import signal

import flap
import pytest
from material import content, sha
from roles import bound, check_host, every, listens, patience, until
from talkers import Talker, conversation, ended
from upgrades import check_carried, warm

SIZE = 400_000
STEP = 8000  # ncat writes to its child without a look at what that has to say
HOSTS = {"ipv4": "127.0.0.1", "ipv6": "::1"}
ECHOES = {"execute": ["-e", "/bin/cat"], "shell": ["--sh-exec", "cat"], "secure": ["--ssl", "-e", "/bin/cat"]}


def ncat(pair, libos, *words, kind=flap.Program, **options):
    argv = [flap.need("ncat", "ncat"), *map(str, words)]
    if kind is Talker:
        return Talker(argv, libos, pair, **options)
    return flap.Program(argv, libos, pure=pair.pure, timeout=patience(pair, 40), **options)


@contextlib.contextmanager
def listener(pair, *words, host="127.0.0.1", **options):
    """(program, port) of an ncat that listens."""
    port = flap.free_port()
    datagrams = "-u" in words
    with ncat(pair, pair.server, "-l", *words, host, port, **options) as program:
        until(lambda: bound(port) if datagrams else listens(port), "listener", program=program)
        check_host(program.pid, pair.server, pair.pure)
        yield program, port


def echoed(folder, pair, way, host):
    """What a child gives back to two clients at once, and to one after them.

    Not by rings: the child has the connection too, without use for it.
    """
    seen = []
    with listener(pair, "-k", *ECHOES[way], host=HOSTS[host]) as (server, port):
        for count in (2, 1):
            with contextlib.ExitStack() as stack:
                words = *(["--ssl"] if way == "secure" else []), HOSTS[host], port
                clients = [stack.enter_context(ncat(pair, pair.client, *words, kind=Talker)) for _ in range(count)]
                for client in clients:
                    seen.append(conversation(pair, client, content(SIZE), rings=False, step=STEP))
                for client in clients:
                    assert client.ended() == client.sent
    return seen


@every()
@pytest.mark.parametrize("way", ECHOES if flap.FULL else ["execute"])
@pytest.mark.parametrize("host", HOSTS if flap.FULL else ["ipv4"])
def test_echo(agree, roles, way, host):
    agree(echoed, roles, way, host)


def talk(folder, pair):
    """Two ends that say what they are given to each other, in turns and then both at once, until one hangs up."""
    with listener(pair, kind=Talker) as (server, port):
        with ncat(pair, pair.client, "127.0.0.1", port, kind=Talker) as client:

            def said(speaker, hearer, data):
                speaker.say(data)
                until(lambda: len(hearer.read("out")) == len(speaker.sent), "words", program=hearer)

            def turn():
                said(client, server, b"there")
                said(server, client, b"back")

            turn()
            warm(pair, turn, server, client)
            before = len(client.sent), len(server.sent)
            for n in range(0, SIZE, STEP):
                said(client, server, content(SIZE)[n : n + STEP])
                said(server, client, content(SIZE + 1)[n : n + STEP])
            client.say(content(STEP))
            said(server, client, content(STEP))
            check_carried(pair, server, client, least=SIZE)
            client.hang_up()
            assert client.ended() == server.sent
        assert server.ended() == client.sent
        return sha(client.sent[before[0] :]), sha(server.sent[before[1] :])


@every()
def test_talk(agree, roles):
    agree(talk, roles)


def one_way(folder, pair, size):
    """A file to who listens, and a file from who listens, each over a connection that ends with it."""
    data, seen = content(size), []
    with listener(pair, "--recv-only") as (server, port):
        with ncat(pair, pair.client, "--send-only", "127.0.0.1", port, stdin=data) as client:
            seen.append(ended(client))
        seen.append(ended(server))
    with listener(pair, "--send-only", stdin=data) as (server, port):
        with ncat(pair, pair.client, "--recv-only", "127.0.0.1", port) as client:
            seen.append(ended(client))
        seen.append(ended(server))
    assert seen == [b"", data, data, b""]
    return [sha(text) for text in seen]


@every()
@pytest.mark.parametrize("size", [0, 1, 5_000_000] if flap.FULL else [3_000_000])
def test_files(agree, roles, size):
    agree(one_way, roles, size)


def broker(folder, pair):
    """What five members of a broker's round say is heard by the four others, in order."""
    with listener(pair, "--broker") as (server, port), contextlib.ExitStack() as stack:
        members = [stack.enter_context(ncat(pair, pair.client, "127.0.0.1", port, kind=Talker)) for _ in range(5)]
        speaker, *others = members
        # who has heard something has joined
        for member in others:
            until(lambda member=member: speaker.say(b"\n") or member.read("out"), "member", program=member)
        early = [len(member.read("out")) for member in others]
        assert max(early) <= len(speaker.sent)

        def spoken(data):
            speaker.say(data)
            for member in others:
                until(lambda member=member: member.read("out").endswith(data), "words", program=member)

        turns = [0]

        def turn():
            turns[0] += 1
            spoken(b"turn %d\n" % turns[0])

        warm(pair, turn, server, *members)
        for n in range(100):
            spoken(b"line %d %s\n" % (n, content(n * 50).hex().encode()))
        check_carried(pair, server, *members, least=100_000)
        heard = [member.read("out").lstrip(b"\n") for member in others]
        assert heard == [bytes(speaker.sent).lstrip(b"\n")] * 4
        return [sha(text.partition(b"line 0")[2]) for text in heard], speaker.read("out")


@every(full=True)
def test_broker(agree, roles):
    agree(broker, roles)


def datagrams(folder, pair, host):
    """Datagrams to a child that answers each, from one client after the other."""
    seen = []
    for size in (1, 512, 8000):
        with listener(pair, "-u", "-e", "/bin/cat", host=HOSTS[host]) as (server, port):
            with ncat(pair, pair.client, "-u", HOSTS[host], port, kind=Talker) as client:
                for _ in range(3):
                    client.exchange(content(size))
                seen.append(client.read("out"))
                assert seen[-1] == client.sent
                # no datagram tells of an end
                os.kill(client.pid, signal.SIGTERM)
                client.wait(20)
    return seen


@every()
@pytest.mark.parametrize("host", HOSTS if flap.FULL else ["ipv4"])
def test_datagrams(agree, roles, host):
    agree(datagrams, roles, host)
