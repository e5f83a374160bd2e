"""A JVM: its HTTP server and client, and NIO selectors, with many threads and a wake-up pipe beside the sockets."""

import hashlib
import os
import subprocess

import flap
import pytest
import served
from material import content
from roles import SCRIPTS, check_host, every, listens, patience, until

# the second-best compiler is soon done; what it makes is as good for our purpose
OPTIONS = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m", "-Dsun.net.httpserver.nodelay=true"]


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    """Folder of the compiled programs."""
    folder = tmp_path_factory.mktemp("classes")
    sources = [os.path.join(SCRIPTS, name) for name in ("Web.java", "Selecting.java")]
    subprocess.run([flap.need("javac", "openjdk-17-jdk-headless"), "-d", folder, *sources], check=True)
    return folder


def java(libos, pair, folder, *words):
    """A JVM with one of the classes in `folder`, or, without one, from its source as it is."""
    name, *words = map(str, words)
    where = ["-cp", str(folder), name] if folder else [os.path.join(SCRIPTS, f"{name}.java")]
    argv = [flap.need("java", "openjdk-17-jdk-headless"), *OPTIONS, *where, *words]
    return flap.Program(argv, libos, pure=pair.pure, timeout=patience(pair, 40))


def session(folder, pair, classes, name, serving, asking):
    """What a client prints and how it ends, and what its server has printed; both waited in between."""
    port, go = flap.free_port(), folder / "go"
    with java(pair.server, pair, classes, name, "server", port, *serving) as server:
        until(lambda: listens(port), "listener", program=server)
        check_host(server.pid, pair.server, pair.pure)
        with java(pair.client, pair, classes, name, "client", port, *asking, go) as client:
            until(lambda: b"reached" in client.read("out"), "hundred messages", program=client)
            served.upgraded(pair, port)
            go.touch()
            result = client.wait(50)
        ended = server.wait(20) if name == "Selecting" else server.stop()
        return result.status, result.stdout, result.stderr, ended.stdout, ended.stderr


@pytest.mark.parametrize("threads", [1, 8] if flap.FULL else [8])
@every()
def test_http(agree, roles, classes, threads):
    status, output, errors, *rest = agree(session, roles, None if flap.FULL else classes, "Web", (threads,), ())
    assert (status, errors, rest) == (0, b"", [b"", b""]) and output.count(b"\n") == 48, output


@pytest.mark.parametrize("count", [1, 40] if flap.FULL else [10])
@every()
def test_selectors(agree, roles, classes, tmp_path_factory, count):
    path = tmp_path_factory.getbasetemp() / "transferred"
    path.write_bytes(content(2_000_000))
    status, output, errors, *rest = agree(session, roles, classes, "Selecting", (path,), (count,))
    assert (status, errors, rest) == (0, b"", [b"served %d\n" % (count * 101 + 1), b""]), output
    wanted = hashlib.sha256(b"".join(b"line %d\n" % n for n in range(100)) + content(2_000_000)).hexdigest()
    assert output.decode().split()[1:] == [wanted] * count + [str(count * 2_000_790)]
