"""sshd with ssh and scp: privilege separation, some MB each way, forwarded ports."""

import os
import re
import socket
import threading

import flap
import pytest
import pythons
import served
from material import content, sha
from roles import SCRIPTS, Roles, every, listens, patience, until
from sshserver import UNPRIVILEGED, forget, sshd

# a process of its own program for each connection, as ever; or a fork that goes on with the connection as it has it
EXECUTED, FORKED = pytest.param((), id="executed"), pytest.param(("-r",), id="forked")
MB5 = 5_000_000


@pytest.fixture(scope="module", autouse=True)
def no_keys_left():
    yield
    forget()


def commands(folder, pair, *options):
    """A command's status and output, some MB through `cat` and back, and copies each way by scp."""
    (folder / "up").write_bytes(content(MB5))
    with sshd(folder, pair, *options) as server:
        seen = [server.run("ssh", "x", "echo out; echo err >&2; exit 3")]
        status, output, errors = server.run("ssh", "x", "cat", stdin=content(2_000_000))
        seen.append((status, sha(output), errors))
        seen.append(server.run("scp", folder / "up", f"x:{folder}/there"))
        seen.append(server.run("scp", f"x:{folder}/there", folder / "back"))
        assert output == content(2_000_000)
        assert (folder / "there").read_bytes() == (folder / "back").read_bytes() == content(MB5)
        if flap.FULL:
            seen += [server.run("scp", "-O", folder / "up", f"x:{folder}/old"), sha((folder / "old").read_bytes())]
        until(lambda: not server.sessions(), "end of the sessions", program=server.program)
        return seen


@pytest.mark.parametrize("options", [EXECUTED, FORKED] if flap.FULL else [EXECUTED])
@every()
def test_commands_and_copies(agree, roles, options):
    seen = agree(commands, roles, *options)
    assert seen[0] == (3, b"out\n", b"err\n") and seen[2:4] == [(0, b"", b"")] * 2, seen


class Echo(threading.Thread):
    """Sends back what comes, over the kernel, for one connection after the other."""

    def __init__(self):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                while data := connection.recv(65536):
                    connection.sendall(data)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, error, trace):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.join(10)


def forwarded(folder, pair, user, *options):
    """What comes back through a forwarded port, of a session as `user`, and what `ssh -N` leaves."""
    port, go = flap.free_port(), folder / "go"
    words = ["-N", "-L", f"127.0.0.1:{port}:127.0.0.1:%d", f"{user}@x"]
    with Echo() as echo, sshd(folder, pair, *options) as server:
        words[2] = words[2] % echo.port
        with server.client("ssh", *words) as ssh:
            until(lambda: listens(port), "forwarded port", program=ssh)
            argv = [pythons.same(), os.path.join(SCRIPTS, "forwarded.py"), str(port), str(go)]
            with flap.Program(argv, pair.client, pure=pair.pure, timeout=patience(pair, 25)) as client:
                until(lambda: b"reached" in client.read("out"), "ping-pong", program=client)
                # its client and ssh are both the client's
                served.upgraded(Roles(pair.client, pair.client, pair.pure), port)
                go.touch()
                result = client.wait(30)
                seen = result.status, result.stdout, result.stderr
            return seen, re.sub(rb".*\n", b"", ssh.read("err"))


@pytest.mark.parametrize("options", [EXECUTED, FORKED] if flap.FULL else [FORKED])
@every()
def test_forwarded_port(agree, roles, options):
    (status, output, errors), _ = agree(forwarded, roles, "root", *options)
    assert (status, errors) == (0, b"") and output.endswith(b" True\n"), output


def unprivileged(folder, pair, *options):
    """A session of a user without a shell, who may only copy: the server's process gives its rights away."""
    (folder / "up").write_bytes(content(MB5))
    with sshd(folder, pair, *options) as server:
        there = f"/tmp/flap-{server.port}"
        batch = f"-get /absent\nput up {there}\nget {there} down\nrm {there}\n"
        status, output, errors = server.run("sftp", "-b", "-", f"{UNPRIVILEGED}@x", stdin=batch.encode(), cwd=folder)
        port = str(server.port).encode()
        assert status == 0, (output, errors, server.program.read("err"))
        assert (folder / "down").read_bytes() == content(MB5)
        return status, output.replace(port, b"PORT"), errors


@pytest.mark.parametrize("options", [EXECUTED, FORKED] if flap.FULL else [EXECUTED])
@every()
@pytest.mark.skipif(os.getuid() != 0, reason="it takes root to give rights away")
def test_privileges_given_away(agree, roles, options):
    status, _, errors = agree(unprivileged, roles, *options)
    assert status == 0 and errors == b'File "/absent" not found.\r\n', errors


REASONS = {"executed": ("inherited", ()), "forked": ("CATFLAP_KERNEL_LEFT", ("-r",))}


@pytest.mark.parametrize("how", REASONS)
def test_why_a_session_stays_on_the_kernel(tmp_path, how):
    """A connection is handed to a new program, or a part of the server has used it that may make few system calls."""
    reason, options = REASONS[how]
    go = tmp_path / "go"
    command = f"for i in $(seq 100); do echo $i; sleep 0.005; done; until [ -e {go} ]; do sleep 0.02; done; cat"
    with sshd(tmp_path, served.BOTH, *options) as server:
        with server.client("ssh", "x", command, stdin=b"end") as ssh:
            until(lambda: b"100\n" in ssh.read("out"), "hundred lines", program=ssh)
            assert {row.name or row.state for row in served.rows(server.port) if row.program == "sshd"} == {reason}
            assert served.reasons(ssh.pid) <= {"CATFLAP_KERNEL_PEER_PLAIN", "meeting"}
            go.touch()
            assert ssh.wait(20).stdout.endswith(b"100\nend")
