"""openssl s_server and s_client: pages, files, reversed lines and large streams through TLS, as on the kernel."""

import contextlib
import re
import subprocess

import flap
import pytest
from material import content, sha
from roles import bound, check_host, every, listens, patience, until
from talkers import Talker
from upgrades import check_carried, warm

SIZE = 3_000_000
VERSIONS = ["-tls1_3", "-tls1_2"]


def openssl(*words):
    return [flap.need("openssl", "openssl"), *map(str, words)]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Paths of a certificate of localhost's own and its key, as options."""
    folder = tmp_path_factory.mktemp("certificate")
    key, cert = folder / "key", folder / "cert"
    words = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run(openssl("req", "-x509", *words, "-keyout", key, "-out", cert), check=True, capture_output=True)
    return "-cert", str(cert), "-key", str(key)


def started(kind, words, libos, pair, **options):
    if kind is Talker:
        return Talker(words, libos, pair, **options)
    return flap.Program(words, libos, pure=pair.pure, timeout=patience(pair, 60), **options)


@contextlib.contextmanager
def server(pair, certificate, *words, kind=flap.Program, cwd=None):
    """(program, port) of an s_server."""
    port = flap.free_port()
    argv = openssl("s_server", "-accept", f"127.0.0.1:{port}", *certificate, *words)
    with started(kind, argv, pair.server, pair, cwd=cwd) as program:
        until(lambda: bound(port) if "-dtls1_2" in words else listens(port), "listener", program=program)
        check_host(program.pid, pair.server, pair.pure)
        yield program, port


def client(pair, port, *words, kind=flap.Program, **options):
    return started(kind, openssl("s_client", "-connect", f"127.0.0.1:{port}", *words), pair.client, pair, **options)


def fetched(pair, port, path, *words):
    """Body of a page that an s_server with -WWW or -www gave to a client."""
    with client(pair, port, "-quiet", *words, stdin=b"GET /%s HTTP/1.0\r\n\r\n" % path.encode()) as program:
        result = program.wait(60)
    assert result.status == 0, str(result)
    return result.stdout.partition(b"\r\n\r\n")[::2]


def pages(folder, pair, certificate, version):
    """Files of several sizes by name, and what of the status page does not change."""
    sizes = (1, 16384, 16385, SIZE)
    for size in sizes:
        (folder / str(size)).write_bytes(content(size))
    with server(pair, certificate, "-WWW", cwd=folder) as (_, port):
        files = [fetched(pair, port, str(size), version) for size in sizes]
        absent = [re.sub(rb"^[0-9A-F]{16}:", b"THREAD:", part) for part in fetched(pair, port, "absent", version)]
        absent = [re.sub(rb"\n[0-9A-F]{16}:", b"\nTHREAD:", part) for part in absent]
    assert [body for _, body in files] == [content(size) for size in sizes]
    with server(pair, certificate, "-www") as (_, port):
        head, page = fetched(pair, port, "", version)
        kept = re.findall(rb"^(?:Ciphers supported.*|(?:TLS|SSL)v.*|New, .*| +Protocol .*| +Cipher .*)$", page, re.M)
    assert any(b"New" in line for line in kept)
    return [head for head, _ in files], [sha(body) for _, body in files], absent, head, kept


@every()
@pytest.mark.parametrize("version", VERSIONS if flap.FULL else VERSIONS[:1])
def test_pages(agree, roles, certificate, version):
    agree(pages, roles, certificate, version)


def reversed_lines(folder, pair, certificate):
    """Lines of several lengths come back the other way round, from one client after another."""
    with server(pair, certificate, "-rev") as (program, port):
        for _ in range(2):
            with client(pair, port, "-quiet", kind=Talker) as talker:

                def turn(line, talker=talker):
                    talker.exchange(line + b"\n")

                turn(b"one")
                warm(pair, lambda turn=turn: turn(b"warm"), program, talker)
                for n in range(40):
                    turn(content(n * 200).hex().encode())
                check_carried(pair, program, talker, least=300_000)
                lines = bytes(talker.sent).splitlines()
                heard = talker.read("out").splitlines()
                assert heard == [line[::-1] for line in lines]
                talker.stop()
        return sha(b"\n".join(line for line in heard if line != b"mraw"))


@every(sample=True)
def test_reversed_lines(agree, roles, certificate):
    agree(reversed_lines, roles, certificate)


def streams(folder, pair, certificate, words):
    """Large streams to the server, to the client, and both ways at once; in datagrams small ones."""
    size, rings = (500, False) if "-dtls1_2" in words else (SIZE, True)
    with server(pair, certificate, "-quiet", *words, kind=Talker) as (program, port):
        with client(pair, port, "-quiet", *words, kind=Talker) as talker:
            ends = (program, talker), (talker, program)

            def said(size):
                for speaker, _ in ends:
                    speaker.say(content(size))
                for speaker, hearer in ends:
                    until(lambda s=speaker, h=hearer: len(h.read("out")) == len(s.sent), "stream", program=hearer)

            for few in (1, 100, 1000):
                said(few)
            if rings:
                warm(pair, lambda: said(3), program, talker)
            for speaker, hearer in ends:
                speaker.say(content(size))
                until(lambda s=speaker, h=hearer: len(h.read("out")) == len(s.sent), "stream", program=hearer)
            said(size + 1)
            if rings:
                check_carried(pair, program, talker, least=4 * size)
            for speaker, hearer in ends:
                assert hearer.read("out") == speaker.sent
            talker.stop()
    return sha(content(size)), sha(content(size + 1))


@every()
@pytest.mark.parametrize("version", VERSIONS if flap.FULL else VERSIONS[:1])
def test_streams(agree, roles, certificate, version):
    agree(streams, roles, certificate, (version,))


@every(full=True)
def test_datagrams(agree, roles, certificate):
    agree(streams, roles, certificate, ("-dtls1_2",))


def again(folder, pair, certificate):
    """Which sessions are new and which go on where the client connects six times."""
    with server(pair, certificate, "-www") as (_, port):
        with client(pair, port, "-reconnect", "-tls1_2", stdin=b"") as program:
            result = program.wait(60)
        return result.status, re.findall(rb"^(New|Reused), (.*)$", result.stdout, re.M)


@every(full=True)
def test_sessions(agree, roles, certificate):
    status, sessions = agree(again, roles, certificate)
    assert status == 0 and [kind for kind, _ in sessions] == [b"New"] + [b"Reused"] * 5
