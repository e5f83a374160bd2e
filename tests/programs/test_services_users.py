"""Programs that leave their root or their user after their start, and those started as another user: sudo and cron."""

import contextlib
import os
import shlex
import tempfile

import flap
import pytest
import pythons
from material import content
from roles import DEFAULT, every, listens, until
from services import SIZE, asker, command, echo, echoer, finish, reasons, talk
from talkers import Talker, conversation
from upgrades import carried

AUTO = DEFAULT["auto"]
PEER_UID = "CATFLAP_KERNEL_PEER_UID"


@pytest.fixture
def jail():
    """An empty root."""
    with tempfile.TemporaryDirectory(prefix="flap-jail-") as folder:
        os.chmod(folder, 0o755)
        yield folder


@contextlib.contextmanager
def ends(pair, server, client):
    """(echo, talker), both with options of socat's that change them once they are connected, or before (-early)."""

    def words(port):
        program, where, target = echoer(port)
        return [program, where + server, target]

    with echo(pair, words=words) as (program, port):
        argv = [*command(pair.client, pure=pair.pure), *asker(port)]
        argv[-1] += client
        with Talker(argv, "kernel", pair) as speaker:
            yield program, speaker


def changed(pair, server, client, rings=True, why=()):
    with ends(pair, server, client) as (program, speaker):
        seen = conversation(pair, speaker, content(SIZE), program, rings=rings)
        if pair.server == "auto" and not rings:
            assert carried(program) == carried(speaker) == 0
            told = [reasons(program), reasons(speaker)]
            assert told == [{name} if libos == "auto" else set() for name, libos in zip(why, pair[:2], strict=True)]
        finish(speaker, program)
        return seen


@every(sample=True, catnip=False)
def test_another_root(agree, roles, jail):
    """Connected, then in an empty root: what is needed of our files was read before."""
    agree(lambda folder, pair: changed(pair, f",chroot={jail}", f",chroot={jail}"), roles)


@every(catnip=False)
def test_another_root_and_user(agree, roles, jail):
    """Both ends' sockets are root's, and neither end is root any more: no proof of whom they talk to."""
    leave = f",chroot={jail},setgid=1001,setuid=1001"
    agree(lambda folder, pair: changed(pair, leave, leave, False, (PEER_UID, PEER_UID)), roles)


@pytest.mark.parametrize("users", [(1001, 1001), (1001, 1002)], ids=["same", "different"])
def test_new_sockets_of_another_user(users):
    server, client = (f",setgid-early={user},setuid-early={user}" for user in users)
    same = users[0] == users[1]
    changed(AUTO, server, client, same, () if same else (PEER_UID, PEER_UID))


def test_one_end_changes():
    with ends(AUTO, ",setgid=1001,setuid=1001", "") as (program, speaker):
        conversation(AUTO, speaker, content(SIZE), program, rings=False)
        assert carried(program) == carried(speaker) == 0 and reasons(program) == {PEER_UID}
        finish(speaker, program)


DROPPING = """
import os, socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
first, _ = listener.accept()
def serve(connection, until):
    while data := connection.recv(65536):
        connection.sendall(data)
        if data.endswith(until): return
serve(first, b"drop")
os.setgroups([]); os.setgid(1001); os.setuid(1001)
serve(first, b"next")
second, _ = listener.accept()
serve(second, b"last")
serve(first, b"end")
"""


@every(mixed=False, catnip=False)
def test_a_server_that_drops_its_privileges(roles):
    """What was in rings stays there; what it accepts afterwards is another user's."""
    port = flap.free_port()
    argv = [pythons.same(), "-c", DROPPING, str(port)]
    with flap.Program(argv, roles.server, pure=roles.pure) as program:
        until(lambda: listens(port), "listener", program=program)
        with Talker(asker(port), roles.client, roles) as first:
            conversation(roles, first, content(SIZE), program)
            first.exchange(b"drop")
            before = carried(program)
            first.exchange(content(SIZE) + b"next")
            with Talker(asker(port), roles.client, roles) as second:
                for n in range(50):
                    second.exchange(content(100 + n))
                if roles.server == "auto":
                    assert carried(program) - before >= 2 * SIZE
                    assert reasons(program) == {"upgraded", PEER_UID}
                second.exchange(b"last")
                first.exchange(b"end")
                for end in (first, second):
                    end.hang_up()
                    result = end.wait(20)
                    assert (result.status, result.stdout, result.stderr) == (0, end.sent, b""), str(result)
        assert program.wait(20).status == 0


# --- sudo ---
def sudo(*words):
    return [flap.need("sudo", "sudo"), "-n", "-u", "nobody", *words]


def test_sudo_scrubs_the_environment():
    """What `catflap run` in front of a root's sudo puts there sudo takes away, and Catflap, which is in sudo itself,
    puts there again (docs/configuration.md); behind sudo it is there in any case.
    """
    words = ["sh", "-c", 'echo "$LD_PRELOAD" "$CATFLAP_LIBOS"']
    assert flap.run(sudo(*words), env={"LD_PRELOAD": "", "CATFLAP_LIBOS": "catnap"}).stdout == b" \n"
    for line in ([*command("catnap"), *sudo(*words)], sudo(*command("catnap"), *words)):
        assert flap.run(line).stdout.decode().split() == [flap.PRELOAD, "catnap"]


def test_sudo_in_front_of_catflap():
    talk(AUTO, sudo(), sudo())


def test_sudo_from_one_end_only():
    """Then the two are two users."""
    talk(AUTO, sudo(), (), rings=False, data=content(60_000))


# --- cron ---
@pytest.mark.parametrize("way", ["run", "preload"])
def test_cron(tmp_path, way):
    """A job has an environment of five names: `catflap run` needs none of them, a preload goes into the table."""
    job, out = tmp_path / "job", tmp_path / "out"
    (tmp_path / "in").write_bytes(content(SIZE))
    # the machine's own tables are out of sight
    hide = ["mount -t tmpfs none /etc/cron.d", "mount -t tmpfs none /run", "mount -t tmpfs none /var/spool/cron"]
    hide += ["mkdir /var/spool/cron/crontabs", "mount --bind /dev/null /etc/crontab", f"cp {job} /etc/cron.d/flap"]
    hide += ["chmod 644 /etc/cron.d/flap", f"exec {flap.need('cron', 'cron')} -f"]
    with echo(AUTO) as (program, port):
        words = asker(port) if way == "preload" else [*command("auto"), *asker(port)]
        preload = f"LD_PRELOAD={flap.PRELOAD}\nCATFLAP_LIBOS=auto\nCATFLAP_WORTH=1\n" if way == "preload" else ""
        feed = f"cat {tmp_path}/in; while [ ! -e {tmp_path}/enough ]; do echo more; sleep 0.02; done"
        line = f"({feed}) | {shlex.join(words)} > {out}".replace("%", r"\%")  # cron's own sign
        job.write_text(f"{preload}@reboot root {line}\n")
        with flap.Program([flap.need("unshare", "util-linux"), "-m", "sh", "-c", " && ".join(hide)]) as cron:
            until(lambda: carried(program), "bytes in rings", program=cron)
            (tmp_path / "enough").touch()
            until(lambda: program.process.poll() is not None, "end", program=cron)
            data = until(lambda: (text := out.read_bytes()).endswith(b"more\n") and text, "answer", program=cron)
    turns = (len(data) - SIZE) // len(b"more\n")
    assert data == content(SIZE) + b"more\n" * turns
