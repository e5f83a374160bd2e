"""mosquitto, its publisher and its subscriber: every message once, in order and whole, as on the kernel."""

import contextlib
import os
import signal

import flap
import pytest
from material import content, sha
from roles import check_host, every, listens, patience, until
from talkers import Talker, ended
from upgrades import check_carried, warm

CONFIGURATION = """
listener {port} 127.0.0.1
allow_anonymous true
persistence false
max_queued_messages 0
user root
"""
LARGE = 1_000_000


class Broker:
    """A running broker and how to speak to it."""

    def __init__(self, program, port, pair):
        self.program = program
        self.port = port
        self.pair = pair

    def argv(self, tool, *words):
        return [flap.need(tool, "mosquitto-clients"), "-p", str(self.port), *map(str, words)]

    def publish(self, *words, **options):
        """Run mosquitto_pub to its end."""
        options = {"pure": self.pair.pure, "timeout": patience(self.pair, 30), **options}
        result = flap.run(self.argv("mosquitto_pub", *words), self.pair.client, **options)
        assert (result.status, result.stdout, result.stderr) == (0, b"", b""), str(result)

    def publisher(self, *words):
        """mosquitto_pub with a message for each line of its standard input."""
        return Talker(self.argv("mosquitto_pub", "-l", *words), self.pair.client, self.pair)

    def subscriber(self, *words):
        """mosquitto_sub, which prints messages as they are."""
        argv = self.argv("mosquitto_sub", "-N", *words)
        return flap.Program(argv, self.pair.client, pure=self.pair.pure, timeout=patience(self.pair, 40))


@contextlib.contextmanager
def broker(folder, pair):
    port = flap.free_port()
    path = folder / f"broker-{port}.conf"
    path.write_text(CONFIGURATION.format(port=port))
    argv = [flap.need("mosquitto", "mosquitto"), "-c", str(path)]
    with flap.Program(argv, pair.server, pure=pair.pure, timeout=patience(pair, 60)) as program:
        until(lambda: listens(port), "listener", program=program)
        check_host(program.pid, pair.server, pair.pure)
        yield Broker(program, port, pair)
    assert b"rror" not in program.wait().stderr, program.wait()


def here(subscriber):
    """Return once a subscriber is there: it has got the retained message."""
    until(lambda: subscriber.read("out").startswith(b"ready"), "subscription", program=subscriber)


def qualities(folder, pair, qos, lines):
    """What two subscribers, one of them by a wildcard, hear of lines from one publisher and a message from another."""
    with broker(folder, pair) as broker_, contextlib.ExitStack() as stack:
        broker_.publish("-t", "news/local", "-r", "-m", "ready")
        subscribers = [
            stack.enter_context(broker_.subscriber("-q", qos, "-t", topic)) for topic in ("news/local", "news/#")
        ]
        for subscriber in subscribers:
            here(subscriber)
        publisher = stack.enter_context(broker_.publisher("-q", qos, "-t", "news/local"))
        everyone = broker_.program, publisher, *subscribers

        def said(text, heard):
            publisher.say(text + b"\n")
            for subscriber in subscribers:
                until(lambda s=subscriber: s.read("out").endswith(heard), "message", program=subscriber)

        turns = [0]

        def turn():
            turns[0] += 1
            said(b"turn %d" % turns[0], b"turn %d" % turns[0])

        turn()
        warm(pair, turn, *everyone)
        said(b"begin", b"begin")
        text = [b"%d %s" % (n, content(n % 300).hex().encode()) for n in range(lines)]
        said(b"\n".join(text), b"".join(text[-3:]))
        check_carried(pair, *everyone, least=sum(map(len, text)) // 2)
        assert publisher.ended() == b""
        (folder / "large").write_bytes(content(LARGE))
        broker_.publish("-q", qos, "-t", "news/local", "-f", folder / "large")
        seen = []
        for subscriber in subscribers:
            until(lambda s=subscriber: s.read("out").endswith(content(LARGE)[-100:]), "message", program=subscriber)
            seen.append(subscriber.read("out").partition(b"begin")[2])
            os.kill(subscriber.pid, signal.SIGTERM)
            subscriber.wait(20)
        assert seen == [b"".join(text) + content(LARGE)] * 2
        return [sha(part) for part in seen]


@every(sample=True, mint=True)
@pytest.mark.parametrize("qos", [0, 1, 2] if flap.FULL else [2])
def test_qualities(agree, roles, qos):
    agree(qualities, roles, qos, 2000 if flap.FULL else 500)


def retained(folder, pair):
    """What later subscribers hear of messages that were kept, of three sizes; one is taken back, one replaced."""
    (folder / "large").write_bytes(content(LARGE))
    with broker(folder, pair) as broker_:
        broker_.publish("-r", "-q", 1, "-t", "kept/large", "-f", folder / "large")
        broker_.publish("-r", "-q", 2, "-t", "kept/small", "-m", "x")
        broker_.publish("-r", "-t", "kept/gone", "-m", "gone")
        broker_.publish("-r", "-t", "kept/gone", "-n")
        broker_.publish("-r", "-t", "kept/small", "-m", "new", "-V", "5")
        seen = []
        for topic, count in (("kept/large", 1), ("kept/small", 1), ("kept/#", 2)):
            with broker_.subscriber("-q", 2, "-t", topic, "-C", count, "-v") as subscriber:
                seen.append(ended(subscriber))
        return [sha(text) for text in seen], seen[1]


@every()
def test_retained(agree, roles):
    assert agree(retained, roles)[1] == b"kept/small new"


def queued(folder, pair):
    """A subscriber with a session goes away, and is told later of what came meanwhile; of one that was killed others
    hear the will.
    """
    with broker(folder, pair) as broker_:
        session = "-c", "-i", "lasting", "-q", 2, "-t", "news"
        broker_.publish("-t", "news", "-r", "-m", "ready")
        with broker_.subscriber(*session, "-C", 1) as subscriber:
            first = ended(subscriber)
        with broker_.publisher("-q", 1, "-t", "news") as publisher:
            for n in range(500):
                publisher.say(b"%d %s\n" % (n, content(n).hex().encode()))
            assert publisher.ended() == b""
        with broker_.subscriber(*session, "-C", 501) as subscriber:
            # what is retained comes once more at a new subscription, before or between what was queued
            second = ended(subscriber)
        broker_.publish("-t", "wills", "-r", "-m", "ready")
        with broker_.subscriber("-t", "wills", "-C", 2) as listener:
            here(listener)
            words = "-t", "news", "--will-topic", "wills", "--will-payload", "I was killed", "-W", "60"
            with broker_.subscriber(*words) as victim:
                here(victim)
                os.kill(victim.pid, signal.SIGKILL)
                victim.wait(20)
            will = ended(listener)
        return first, sha(second.replace(b"ready", b"")), will


@every(full=True)
def test_sessions_and_wills(agree, roles):
    first, _, will = agree(queued, roles)
    assert first == b"ready" and will == b"readyI was killed"
