"""An sshd with its own keys and configuration on a port of 127.0.0.1, and the clients that reach it."""

import contextlib
import functools
import os
import shutil
import subprocess
import tempfile

import flap
from roles import check_host, patience, until

UNPRIVILEGED = "www-data"
SERVER = """
Port {port}
ListenAddress 127.0.0.1
HostKey {keys}/host
PidFile none
AuthorizedKeysFile {keys}/user.pub
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
MaxStartups 100
Subsystem sftp internal-sftp
Match User {unprivileged}
    ForceCommand internal-sftp
"""
CLIENT = """
Host *
HostName 127.0.0.1
Port {port}
IdentityFile {keys}/user
IdentitiesOnly yes
UserKnownHostsFile /dev/null
GlobalKnownHostsFile /dev/null
StrictHostKeyChecking no
BatchMode yes
LogLevel ERROR
"""


@functools.lru_cache(1)
def keys():
    """Folder of a host's key and a user's, made once; the public one may be read by the user who logs in."""
    folder = tempfile.mkdtemp(prefix="flap-keys-")
    os.chmod(folder, 0o755)
    for name in ("host", "user"):
        argv = [flap.need("ssh-keygen", "openssh-client"), "-q", "-t", "ed25519", "-N", "", "-f", f"{folder}/{name}"]
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)
    return folder


def forget():
    """Remove the folder of keys()."""
    if keys.cache_info().currsize:
        shutil.rmtree(keys())
        keys.cache_clear()


class Sshd:
    """A running server; `config` is the file for its clients' -F."""

    def __init__(self, program, port, folder, pair):
        self.program = program
        self.port = port
        self.folder = folder
        self.config = os.path.join(folder, "ssh_config")
        self.pair = pair

    def client(self, tool, *words, stdin=None, cwd=None):
        """A running ssh, scp or sftp."""
        argv = [flap.need(tool, "openssh-client"), "-F", self.config, *map(str, words)]
        options = {"stdin": stdin, "cwd": cwd, "timeout": patience(self.pair, 25)}
        return flap.Program(argv, self.pair.client, pure=self.pair.pure, **options)

    def run(self, tool, *words, **options):
        """(status, stdout, stderr) of a client that has ended."""
        with self.client(tool, *words, **options) as program:
            result = program.wait(patience(self.pair, 25) + 10)
        assert not result.timed_out, str(result)
        return result.status, result.stdout, result.stderr

    def sessions(self):
        """Process ids of the server's connections."""
        return self.program.family()[1:]


@contextlib.contextmanager
def sshd(folder, pair, *options):
    """A server; its `options` may be -r, which serves connections in forks that execute nothing anew."""
    if not os.getuid():
        os.makedirs("/run/sshd", 0o755, exist_ok=True)  # the unprivileged part's root; there without its service too
    port = flap.free_port()
    values = {"port": port, "keys": keys(), "unprivileged": UNPRIVILEGED}
    for name, text in (("sshd_config", SERVER), ("ssh_config", CLIENT)):
        with open(os.path.join(folder, name), "w") as f:
            f.write(text.format(**values))
    argv = [flap.need("sshd", "openssh-server"), "-D", "-e", "-f", os.path.join(folder, "sshd_config"), *options]
    with flap.Program(argv, pair.server, pure=pair.pure, timeout=patience(pair, 60)) as program:
        until(lambda: b"Server listening" in program.read("err"), "listener", program=program)
        check_host(program.pid, pair.server, pair.pure)
        yield Sshd(program, port, str(folder), pair)
