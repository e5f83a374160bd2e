"""Programs that fetch and upload: how a test runs one and what of it has to be as on the kernel."""

import contextlib
import os
import re

import flap
import pythons
from material import content, sha
from roles import SCRIPTS, check_host, listens, patience, until


class Client:
    """Runs one command after the other in a folder of its own, under the client's libOS."""

    def __init__(self, folder, pair, port):
        self.folder = os.path.join(folder, "client")
        os.makedirs(self.folder)
        self.pair = pair
        self.port = port

    def put(self, name, data):
        """A file for the next commands; returns its name."""
        with open(os.path.join(self.folder, name), "wb") as f:
            f.write(data)
        return name

    def files(self):
        """{path below the folder: (size, SHA-256)}; they are removed."""
        found = {}
        for where, _, names in os.walk(self.folder):
            for path in (os.path.join(where, name) for name in names):
                with open(path, "rb") as f:
                    data = f.read()
                found[os.path.relpath(path, self.folder)] = len(data), sha(data)
                os.unlink(path)
        return found

    def run(self, *argv, stdin=None, strict=True):
        """(status, stdout, stderr) with the port's number replaced, since each run has another."""
        argv = [str(word).replace("PORT", str(self.port)) for word in argv]
        limit = patience(self.pair, 40)
        options = {"pure": self.pair.pure, "cwd": self.folder, "stdin": stdin, "timeout": limit, "strict": strict}
        result = flap.run(argv, self.pair.client, **options)
        assert not result.timed_out, str(result)
        port = str(self.port).encode()
        return result.status, result.stdout.replace(port, b"PORT"), result.stderr.replace(port, b"PORT")


def curl(client, *words, **options):
    """(status, stdout, complaints); these without how long it took and without the progress that -Z always shows."""
    status, output, errors = client.run(flap.need("curl", "curl"), "-sS", "--max-time", "30", *words, **options)
    return status, output, re.sub(rb" after \d+ ms", b"", b"".join(re.findall(rb"curl: .*\n", errors)))


@contextlib.contextmanager
def uploads(pair, host="127.0.0.1"):
    """The upload server in the Python whose interpreter Catflap shares; yields its port. It must stay silent."""
    port = flap.free_port()
    argv = [pythons.same(), os.path.join(SCRIPTS, "uploads.py"), host, str(port)]
    with flap.Program(argv, pair.server, pure=pair.pure, timeout=patience(pair, 60)) as program:
        until(lambda: listens(port), "listener", program=program)
        check_host(program.pid, pair.server, pair.pure)
        yield port
    result = program.wait()
    assert (result.stdout, result.stderr, result.orphans) == (b"", b"", 0), str(result)


def receipt(method, path, data):
    """What the upload server answers to `data`."""
    return f"{method} {path} {len(data)} {sha(data)}\n".encode()


def described(*sizes):
    """What Client.files says of files named by their size."""
    return {str(size): (size, sha(content(size))) for size in sizes}
