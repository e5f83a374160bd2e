"""Catflap's files are replaced, as pip does it (each unlinked, a new one in its place), while programs go on."""

import contextlib
import os
import shutil
import tempfile

import flap
import pytest
import pythons
from material import content
from roles import DEFAULT, listens, until
from services import SIZE, asker, echoer, finish, reasons
from talkers import Talker, conversation
from upgrades import carried

AUTO = DEFAULT["auto"]
PACKAGES = ("interpose", "libos")
TWICE = """
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
for _ in range(2):
    connection, _ = listener.accept()
    with connection:
        while data := connection.recv(65536):
            connection.sendall(data)
"""


def twice(port):
    """The words of an echo for two connections, one after the other."""
    return [pythons.same(), "-c", TWICE, str(port)]


def copy(source, target):
    for package in PACKAGES:
        leave = shutil.ignore_patterns("*.c", "*.pxd")
        shutil.copytree(os.path.join(source, package), os.path.join(target, package), ignore=leave, dirs_exist_ok=True)


class Installed:
    """An installation of its own, which can be replaced."""

    def __init__(self, folder):
        self.folder = folder
        self.preload = os.path.join(folder, "interpose", "libcatflap.so")
        copy(flap.INSTALLED, folder)

    def remove(self):
        for folder, _, files in os.walk(self.folder):
            for name in files:
                os.unlink(os.path.join(folder, name))

    def replace(self, other=False):
        """The same version comes, or one whose ends do not understand ours."""
        self.remove()
        copy(flap.INSTALLED, self.folder)
        if other:
            self.change("meeting.py", "\nVERSION = ", "\nVERSION = 1000 + ")
            self.change("mode.py", '    "libos.meeting",\n', "")  # from its source, not from the library

    def change(self, name, old, new):
        path = os.path.join(self.folder, "libos", name)
        with open(path) as f:
            text = f.read()
        assert text.count(old) == 1
        with open(path, "w") as f:
            f.write(text.replace(old, new))

    def program(self, words, kind=flap.Program, strict=True):
        options = {"preload": self.preload, "strict": strict}
        return kind(words, "auto", AUTO, **options) if kind is Talker else kind(words, "auto", timeout=60, **options)

    @contextlib.contextmanager
    def echo(self, words=echoer, strict=True):
        port = flap.free_port()
        with self.program(words(port), strict=strict) as program:
            until(lambda: listens(port), "listener", program=program)
            yield program, port


@pytest.fixture
def installed():
    with tempfile.TemporaryDirectory(prefix="flap-installed-") as folder:
        yield Installed(folder)


@pytest.mark.parametrize("other", [False, True], ids=["same", "other"])
@pytest.mark.parametrize("which", ["server", "client"])
def test_old_and_new(installed, other, which):
    """An upgraded connection stays one; a new one of an old and a new process is one if they understand each other."""
    with installed.echo() as (program, port), installed.echo(twice) as (late, late_port):
        with installed.program(asker(late_port), Talker) as first:  # an old server is one that has had a connection
            conversation(AUTO, first, content(SIZE), late)
            assert first.ended() == first.sent
        with installed.program(asker(port), Talker) as speaker:
            conversation(AUTO, speaker, content(SIZE), program)
            installed.replace(other)
            before = carried(program)
            speaker.exchange(content(SIZE))
            assert carried(program) >= before + 2 * SIZE
            with contextlib.ExitStack() as stack:
                if (
                    which == "client"
                ):  # an old server gets a new client; else the other way round, by a relay of the old
                    server, client = late, stack.enter_context(installed.program(asker(late_port), Talker))
                else:
                    server, port = stack.enter_context(installed.echo())
                    client = stack.enter_context(Talker(asker(port), "auto", AUTO))
                earlier = carried(server)
                conversation(AUTO, client, content(SIZE), server, rings=not other)
                if other:
                    assert carried(server) == earlier and carried(client) == 0
                    assert "CATFLAP_KERNEL_OTHER_VERSION" in reasons(server) | reasons(client)
                finish(client, server)
            finish(speaker, program)


def maps_preload(program):
    """Whether the program has begun, with our preload."""
    for pid in program.family():
        with open(f"/proc/{pid}/maps") as f:
            if "libcatflap.so" in f.read():
                return True
    return False


BASH = 'read go; exec 3<>/dev/tcp/127.0.0.1/$0; printf "%s\\n" "$go" >&3; read back <&3; echo "$back"'


@pytest.mark.parametrize("gone", [False, True], ids=["replaced", "removed"])
def test_the_first_socket_comes_afterwards(installed, gone):
    """A process that had only the preload starts the new files, or finds none and stays on the kernel."""
    with installed.echo(strict=not gone) as (program, port):
        words = [flap.need("bash", "bash"), "-c", BASH, str(port)]
        with installed.program(words, Talker, strict=False) as speaker:
            until(lambda: maps_preload(speaker), "preload", program=speaker)
            installed.remove() if gone else installed.replace()
            speaker.say(b"words\n")
            result = speaker.wait(20)
            assert (result.status, result.stdout, result.stderr) == (0, b"words\n", b""), str(result)
            assert ("staying on the kernel" in result.log) <= gone, str(result)
        assert program.wait(20).status == 0
