"""Programs that Catflap can't be in or can't see: they work as on the kernel, and `catflap why` says why."""

import contextlib
import os
import shutil
import subprocess
import sys

import flap
import pytest
import served
from material import content
from roles import every, listens, until
from talkers import Talker, conversation

from shim import why

SIZE = 1_000_000 if flap.FULL else 200_000
BARE = ["-DRAW", "-DBARE", "-static", "-nostdlib"]
# how each is built, and what is said of it: the name of a reason, or words of its meaning
KINDS = {
    "static": (["-static"], "statically linked"),
    "bare": (BARE, "statically linked"),
    "go": (BARE, "Go program"),
    "raw": (["-DRAW"], "system calls of its own"),
    "musl": ([], "CATFLAP_KERNEL_OTHER_LIBC"),
    "musl-static": (["-static"], "statically linked"),
    "setuid": ([], "AT_SECURE"),
    "sandbox": (["-DSANDBOX"], "CATFLAP_KERNEL_SECCOMP"),
    "ring": (["-DRING"], "CATFLAP_KERNEL_IO_URING"),
}
SAMPLE = ("go", "raw", "musl", "setuid", "sandbox", "ring")


def built(kind, folder):
    """Path of the program of this kind."""
    flags, _ = KINDS[kind]
    cc = flap.need("musl-gcc", "musl-tools") if kind.startswith("musl") else None
    path = flap.compiled("echo.c", flags=flags, out=f"echo-{kind}", cc=cc)
    if kind == "go":
        info = folder / "info"
        info.write_bytes(b"\xff Go buildinf:")
        path = shutil.copy(path, folder / "go")
        section = f".go.buildinfo={info}"
        subprocess.run([flap.need("objcopy", "binutils"), "--add-section", section, path], check=True)
    elif kind == "setuid":
        path = shutil.copy(path, folder / "setuid")
        os.chown(path, 65534, 65534)
        os.chmod(path, 0o4755)
    return str(path)


def started(path, libos, words, cls, *options):
    """The program as `catflap run` starts it, from the installation under test."""
    run = [sys.executable, "-m", "shim", "run", "--libos", libos, "--worth", "1", "--"] if libos != "kernel" else []
    return cls([*run, path, *map(str, words)], "kernel", *options, cwd=flap.INSTALLED)


def said(pid):
    """The reason's name and its meaning that `catflap why` gives for a process."""
    about = why.document(str(pid))
    assert about["remedy"] and about["meaning"], about
    # what an io_uring does with a socket of Catnap's, the kernel's own, is well
    rings = about["name"] == "CATFLAP_KERNEL_IO_URING"
    states = {row["state"] for row in about["descriptors"] if row["remote"]}
    assert states <= {"inherited", "kernel", *(["catnap"] if rings else [])}
    return about["name"], about["meaning"]


def told(pair, kind, libos, program):
    """Check what is said of such a program; nothing where Catflap is not asked for."""
    if libos == "kernel":
        return
    expected = KINDS[kind][1]
    if kind == "ring" and b"no io_uring" in program.read("err"):
        return
    name, meaning = said(program.pid)
    assert expected in f"{name} {meaning}"


def exchanged(folder, pair, kind):
    """What an ordinary client hears of such a server, then such a client of an ordinary one."""
    odd, plain, seen = built(kind, folder), flap.compiled("echo.c"), []
    for server_path, client_path in ((odd, plain), (plain, odd)):
        port = flap.free_port()
        with started(server_path, pair.server, ("server", port), flap.Program) as server:
            until(lambda port=port: listens(port), "listener", program=server)
            with started(client_path, pair.client, ("client", port), Talker, pair) as client:
                seen.append(conversation(pair, client, content(SIZE), rings=False))
                program, libos = (server, pair.server) if server_path == odd else (client, pair.client)
                told(pair, kind, libos, program)
                client.hang_up()
                result = client.wait(20)
                refused = result.stderr == b"no io_uring\n"
                assert (result.status, result.orphans) == (0, 0) and (refused or not result.stderr), str(result)
                assert result.stdout == client.sent
    return seen


@pytest.mark.parametrize("kind", KINDS if flap.FULL else SAMPLE)
@every(catnip=False)
def test_echo(agree, roles, kind, tmp_path):
    if kind == "setuid" and (os.geteuid() or os.statvfs(tmp_path).f_flag & os.ST_NOSUID):
        pytest.skip("only root can make such a program, where the file system gives privileges")
    agree(exchanged, roles, kind)


@contextlib.contextmanager
def child_of_shell(libos, path, port):
    """Such a server where it is not `catflap run` that starts it but a program under Catflap."""
    words = ["-c", f"{path} server {port}; exit $?"]
    with started("/bin/sh", libos, words, flap.Program) as program:
        until(lambda: listens(port), "listener", program=program)
        yield program


@pytest.mark.parametrize("kind", ["static", "musl"])
@pytest.mark.parametrize("libos", ["catnap", "auto"])
def test_started_by_a_shell(tmp_path, libos, kind):
    port = flap.free_port()
    with child_of_shell(libos, built(kind, tmp_path), port) as shell:
        with started(flap.compiled("echo.c"), libos, ("client", port), Talker, served.BOTH) as client:
            conversation(served.BOTH, client, content(100_000), rings=False)
            assert KINDS[kind][1] in " ".join(said(shell.family()[-1]))
            assert client.ended() == client.sent
