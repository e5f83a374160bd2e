"""Ends in different containers: name spaces of their own for all but the network, roots and users of their own."""

import shutil
import subprocess

import flap
import pytest
from material import content
from roles import DEFAULT, every, until
from services import SIZE, asker, box, carried, command, confined, echo, finish, leaf, network, talk, talker
from talkers import conversation

from shim import why

AUTO = DEFAULT["auto"]
APART = ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
# a root with the distribution's files and none of ours
BARE = ["bwrap", "--ro-bind", "/usr", "/usr", "--ro-bind", "/etc", "/etc", "--dev", "/dev", "--proc", "/proc"]
BARE += [word for name in ("lib", "lib64", "bin", "sbin") for word in ("--symlink", f"usr/{name}", f"/{name}")]
BARE += ["--tmpfs", "/tmp"]


@every(mixed=False, catnip=False)
def test_the_hosts_network(agree, roles):
    """Everything apart but the network, no common /dev/shm: abstract names and the kernel's memory are enough."""
    agree(lambda folder, pair: talk(pair, box(*APART), box(*APART)), roles)


def test_one_in_a_container():
    talk(AUTO, box(*APART))


def test_no_proc():
    room = [*box(), "--tmpfs", "/proc"]
    talk(AUTO, room, room)


@pytest.mark.parametrize("inner", ["root", "mapped"])
def test_user_name_spaces(inner):
    """One user outside is one user, whatever each container calls it."""
    first = ["--unshare-user", *(["--uid", "1000"] if inner == "mapped" else [])]
    talk(AUTO, box(*first, *APART), box("--unshare-user", *APART))


def test_users_that_no_name_space_knows():
    """Two users whom their own name spaces both call nobody are two users."""
    rooms = [[*confined(f"user={user}"), flap.need("unshare", "util-linux"), "-U"] for user in (1001, 1002)]
    talk(AUTO, *rooms, rings=False, why=["CATFLAP_KERNEL_PEER_UID"] * 2, data=content(60_000))


def test_nobody_is_a_user():
    talk(AUTO, confined("user=65534"), confined("user=65534"))


def hears(pid, port):
    """Whether something listens on a port in the network of process `pid`."""
    with open(f"/proc/{pid}/net/tcp") as f:
        return any(f":{port:04X} " in line and " 0A " in line for line in f)


@every(mixed=False, catnip=False)
def test_a_network_that_two_share(roles):
    """As the containers of a pod."""
    with network() as (enter, pid), echo(roles, [*enter, *box(*APART)], waits=False) as (program, port):
        until(lambda: hears(pid, port), "listener", program=program)
        with talker(roles, port, [*enter, *box(*APART)]) as speaker:
            conversation(roles, speaker, content(SIZE), program)
            if roles.server == "auto":  # its addresses are not those of our network
                rows = why.document(str(leaf(program)))["descriptors"]
                assert ["upgraded"] == [row["state"] for row in rows]
            finish(speaker, program)


def test_a_network_of_ones_own():
    """Nobody but its own programs reaches it."""
    with network() as (enter, _), echo(AUTO, enter, waits=False) as (program, port):
        result = flap.run([*command("auto"), *asker(port)], timeout=20)
        assert result.status == 1 and b"Connection refused" in result.stderr, str(result)
        assert carried(program) == 0


def alone(words, libos, preload=flap.PRELOAD):
    """A client of an echo on the kernel, in a room of its own, with the preload in its environment."""
    pair = DEFAULT["catnap"]._replace(server="kernel", client="kernel")
    env = flap.environment(libos, preload=preload)
    with echo(pair) as (program, port):
        argv = [*words, *asker(port)]
        done = subprocess.run(argv, input=content(5000), capture_output=True, env=env, timeout=20)
        assert (done.returncode, done.stdout) == (0, content(5000)), done
        program.wait(10)
        return done.stderr.decode()


def test_a_root_without_our_files():
    """The loader says that it can't preload, and the program runs on the kernel."""
    flap.need("bwrap", "bubblewrap")
    said = alone([*BARE, "--chdir", "/"], "auto")
    assert "cannot be preloaded" in said and said.count("\n") == 1, said


def test_a_root_with_the_preload_alone(tmp_path):
    """Nothing to start: the program runs on the kernel, and the log says why."""
    place, log = tmp_path / "alone", tmp_path / "log"
    place.mkdir()
    shutil.copy(flap.PRELOAD, place)
    log.touch()
    words = [*BARE, "--ro-bind", str(place), "/opt/alone", "--bind", str(log), "/opt/log", "--chdir", "/"]
    words += ["--setenv", "CATFLAP_LOG", "/opt/log", "--unsetenv", "LD_PRELOAD", "/usr/bin/env"]
    assert alone([*words, "LD_PRELOAD=/opt/alone/libcatflap.so"], "catnap") == ""
    assert "libcatflap_host.so is not installed" in log.read_text()
