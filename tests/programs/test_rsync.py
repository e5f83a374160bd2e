"""rsync over ssh and with its daemon: trees copied both ways, and brought up to date by what differs."""

import contextlib
import os
import re

import flap
import pytest
from material import content, sha
from roles import every, listens, patience, until
from sshserver import forget, sshd

CONFIGURATION = """
port = {port}
address = 127.0.0.1
use chroot = no
uid = {uid}
gid = {gid}
pid file = {folder}/rsyncd.pid
[tree]
path = {folder}/there
read only = no
"""


@pytest.fixture(scope="module", autouse=True)
def no_keys_left():
    yield
    forget()


@contextlib.contextmanager
def over_ssh(folder, pair):
    with sshd(folder, pair) as server:
        yield f"x:{folder}/there/", ["-e", f"ssh -F {server.config}"]


@contextlib.contextmanager
def by_daemon(folder, pair):
    """rsync --daemon, which forks for each connection."""
    port = flap.free_port()
    (folder / "rsyncd.conf").write_text(
        CONFIGURATION.format(port=port, folder=folder, uid=os.getuid(), gid=os.getgid())
    )
    argv = [flap.need("rsync", "rsync"), "--daemon", "--no-detach", f"--config={folder}/rsyncd.conf"]
    with flap.Program(argv, pair.server, pure=pair.pure, timeout=patience(pair, 60)) as program:
        until(lambda: listens(port), "listener", program=program)
        yield f"rsync://127.0.0.1:{port}/tree/", []


WAYS = {"ssh": over_ssh, "daemon": by_daemon}


def tree(folder):
    """{path below a folder: what is in it}."""
    found = {}
    for where, _, names in os.walk(folder):
        for path in (os.path.join(where, name) for name in names):
            with open(path, "rb") as f:
                found[os.path.relpath(path, folder)] = sha(f.read())
    return found


def fill(folder):
    for n in range(120):
        (folder / f"d{n % 7}").mkdir(parents=True, exist_ok=True)
        (folder / f"d{n % 7}" / f"f{n}").write_bytes(content(n * 137))
    (folder / "large").write_bytes(content(5_000_000))


def session(folder, pair, way):
    """Up, changed and up again, down: each tree, and which files were sent."""
    here, there, back = (folder / name for name in ("here", "there", "back"))
    fill(here)
    there.mkdir()

    def copy(source, target, *words):
        argv = [flap.need("rsync", "rsync"), "-rt", "--delete", "--no-motd", "--out-format=%o %n %l", *words]
        limit = patience(pair, 25)
        result = flap.run([*argv, *options, str(source), str(target)], pair.client, pure=pair.pure, timeout=limit)
        assert not result.timed_out, str(result)
        # whether a folder's time has changed depends on the moment
        files = [line for line in result.stdout.splitlines() if not re.search(rb"/ \d+$", line)]
        return result.status, sorted(files), result.stderr

    with WAYS[way](folder, pair) as (remote, options):
        seen = [copy(f"{here}/", remote)]
        assert tree(here) == tree(there)
        with open(here / "large", "r+b") as f:
            f.seek(2_000_000)
            f.write(b"changed")
        os.utime(here / "large", (1, 1))
        (here / "d3" / "f3").unlink()
        seen += [copy(f"{here}/", remote, "--no-whole-file"), copy(remote, f"{back}/", "-z")]
        assert tree(here) == tree(there) == tree(back)
        return seen


@pytest.mark.parametrize("way", WAYS if flap.FULL else ["daemon"])
@every()
def test_trees(agree, roles, way):
    seen = agree(session, roles, way)
    assert [status for status, *_ in seen] == [0, 0, 0] and {errors for *_, errors in seen} == {b""}, seen
    assert seen[1][1] == [b"del. d3/f3 0", b"send large 5000000"], seen[1]
