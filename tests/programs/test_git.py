"""git over HTTP (nginx and fcgiwrap), over ssh and by its own daemon: clone, push and fetch as on the kernel."""

import contextlib
import os
import shutil
import subprocess

import flap
import pytest
from material import content, sha
from roles import KERNEL, check_host, every, listens, patience, until
from sshserver import forget, sshd
from webserver import nginx

SETTINGS = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    **{
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "n"), ("EMAIL", "e@x"))
    },
    **{f"GIT_{who}_DATE": "2020-01-01T00:00:00Z" for who in ("AUTHOR", "COMMITTER")},
}
LOCATION = """
        client_max_body_size 0;
        client_body_buffer_size 16m;
        fastcgi_max_temp_file_size 0;
        location /git/ {{
            fastcgi_pass 127.0.0.1:{port};
            fastcgi_param SCRIPT_FILENAME {backend};
            fastcgi_param GIT_PROJECT_ROOT {folder};
            fastcgi_param GIT_HTTP_EXPORT_ALL "";
            fastcgi_param HOME {folder};
            fastcgi_param PATH_INFO $uri;
            fastcgi_param QUERY_STRING $query_string;
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param CONTENT_TYPE $content_type;
            fastcgi_param CONTENT_LENGTH $content_length;
            fastcgi_param HTTP_CONTENT_ENCODING $http_content_encoding;
            fastcgi_param HTTP_GIT_PROTOCOL $http_git_protocol;
            fastcgi_param REMOTE_USER someone;
            fastcgi_param REMOTE_ADDR $remote_addr;
        }}
"""


@pytest.fixture(scope="module", autouse=True)
def no_keys_left():
    yield
    forget()


class Git:
    """Runs git in a home of its own."""

    def __init__(self, folder, pair):
        self.folder = str(folder)
        self.pair = pair
        self.env = {**SETTINGS, "HOME": self.folder}
        with open(os.path.join(self.folder, ".gitconfig"), "w") as f:
            f.write("[init]\n\tdefaultBranch = main\n[gc]\n\tauto = 0\n[safe]\n\tdirectory = *\n")

    def own(self, *words, cwd=None):
        """Over the kernel: the test's own."""
        argv = [flap.need("git", "git"), *words]
        env = {**os.environ, **self.env}
        result = subprocess.run(argv, env=env, cwd=cwd or self.folder, stdin=subprocess.DEVNULL, capture_output=True)
        assert result.returncode == 0, result
        return result.stdout

    def run(self, *words, cwd=None, **env):
        """(status, stdout) under the client's libOS; its progress is only asked for when it is a terminal's."""
        argv, limit = [flap.need("git", "git"), *words], patience(self.pair, 25)
        settings = {**self.env, **env}
        result = flap.run(
            argv, self.pair.client, pure=self.pair.pure, env=settings, cwd=cwd or self.folder, timeout=limit
        )
        assert not result.timed_out and result.status == 0, str(result)
        return result.status, result.stdout


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A bare repository that takes pushes: 60 files, one of 2 MB, two commits. It is copied for each session."""
    git = Git(tmp_path_factory.mktemp("git"), KERNEL)
    work, bare = os.path.join(git.folder, "work"), os.path.join(git.folder, "r.git")
    git.own("init", "-q", work)
    for commit in range(2):
        for n in range(30):
            with open(os.path.join(work, f"file{commit * 30 + n}"), "wb") as f:
                f.write(content(2_000_000 if commit + n == 0 else 100 + 11 * n))
        git.own("add", ".", cwd=work)
        git.own("commit", "-q", "-m", f"commit {commit}", cwd=work)
    git.own("clone", "-q", "--bare", work, bare)
    for name, value in (("http.receivepack", "true"), ("daemon.receivepack", "true")):
        git.own("config", name, value, cwd=bare)
    return bare


@contextlib.contextmanager
def over_http(folder, pair):
    """nginx, and fcgiwrap behind it with two processes, both under the server's libOS."""
    port = flap.free_port()
    argv = [flap.need("fcgiwrap", "fcgiwrap"), "-c", "2", "-s", f"tcp:127.0.0.1:{port}"]
    backend = os.path.join(subprocess.check_output(["git", "--exec-path"], text=True).strip(), "git-http-backend")
    extra = LOCATION.format(port=port, backend=backend, folder=folder)
    # it ends by a signal, which it has no handler for
    with flap.Program(argv, pair.server, pure=pair.pure, timeout=patience(pair, 60)) as wrapper:
        until(lambda: listens(port), "listener", program=wrapper)
        check_host(wrapper.pid, pair.server, pair.pure)
        with nginx(folder, pair, sizes=(), extra=extra) as server:
            yield f"{server.url}/git/r.git", {}


@contextlib.contextmanager
def over_ssh(folder, pair):
    with sshd(folder, pair) as server:
        yield f"ssh://x{folder}/git/r.git", {"GIT_SSH_COMMAND": f"ssh -F {server.config}"}


@contextlib.contextmanager
def by_daemon(folder, pair):
    """git daemon, which executes a program with the connection as its standard input and output."""
    port = flap.free_port()
    words = ["daemon", "--reuseaddr", "--listen=127.0.0.1", f"--port={port}", "--export-all", f"--base-path={folder}"]
    env = {**SETTINGS, "HOME": str(folder)}
    argv = [flap.need("git", "git"), *words]
    with flap.Program(argv, pair.server, pure=pair.pure, timeout=patience(pair, 60), env=env) as program:
        until(lambda: listens(port), "listener", program=program)
        yield f"git://127.0.0.1:{port}/git/r.git", {}


WAYS = {"http": over_http, "ssh": over_ssh, "daemon": by_daemon}


def session(folder, pair, way, repository):
    """Clone, push of 3 MB, fetch into a second clone: the commits and files at each end."""
    git = Git(folder, pair)
    shutil.copytree(repository, folder / "git" / "r.git")
    with WAYS[way](folder, pair) as (url, env):
        seen = [git.run("clone", "-q", url, name, **env) for name in ("one", "two")]
        one, two = (os.path.join(str(folder), name) for name in ("one", "two"))
        with open(os.path.join(one, "large"), "wb") as f:
            f.write(content(3_000_000))
        git.own("add", ".", cwd=one)
        git.own("commit", "-q", "-m", "large", cwd=one)
        seen.append(git.run("push", "-q", "origin", "main", cwd=one, **env))
        seen.append(git.run("pull", "-q", "--ff-only", cwd=two, **env))
        seen.append(git.run("ls-remote", url, cwd=two, **env))
    for place in (one, two, folder / "git" / "r.git"):
        git.own("fsck", "--strict", cwd=place)
        seen.append(git.own("rev-parse", "HEAD", cwd=place))
    with open(os.path.join(two, "large"), "rb") as f:
        return seen, sha(f.read())


@pytest.mark.parametrize("way", WAYS if flap.FULL else ["http"])
@every()
def test_clone_push_and_pull(agree, roles, way, repository):
    seen, digest = agree(session, roles, way, repository)
    assert len({*seen[-3:]}) == 1 and digest == sha(content(3_000_000))
