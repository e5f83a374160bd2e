"""PHP-FPM behind nginx: processes that were forked to wait for the same listener and execute themselves anew."""

import contextlib
import os
import re
import signal

import flap
import pytest
import served
from material import content, sha
from roles import check_host, every, listens, patience, until
from webserver import asked, connected, nginx

POOL = """
[global]
error_log = {folder}/fpm.log
log_level = warning
daemonize = no
[tests]
listen = 127.0.0.1:{port}
user = {user}
group = {group}
pm = static
pm.max_children = 3
pm.max_requests = {requests}
"""
SCRIPT = """<?php
if ($_SERVER['REQUEST_METHOD'] == 'POST') {
    $body = file_get_contents('php://input');
    echo strlen($body), ' ', hash('sha256', $body);
} elseif (isset($_GET['pid'])) {
    echo getmypid();
} else {
    readfile(__DIR__ . '/' . intval($_GET['size']));
}
"""
LOCATION = """
        client_max_body_size 0;
        client_body_buffer_size 16m;
        fastcgi_max_temp_file_size 0;
        location ~ [.]php$ {{
            fastcgi_pass pool;
            fastcgi_keep_conn {keep};
            fastcgi_param SCRIPT_FILENAME {folder}/root$fastcgi_script_name;
            fastcgi_param QUERY_STRING $query_string;
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param CONTENT_TYPE $content_type;
            fastcgi_param CONTENT_LENGTH $content_length;
        }}
    }}
    upstream pool {{
        server 127.0.0.1:{port};
        {keepalive}
"""
SIZES = (0, 1, 65537, 3_000_000)


def binary():
    """Path of the server, whose name has its version in it."""
    names = sorted(name for name in os.listdir("/usr/sbin") if re.fullmatch(r"php-fpm\d.*", name))
    return flap.need(names[-1] if names else "php-fpm", "php-fpm")


@contextlib.contextmanager
def fpm(folder, pair, requests=0):
    """PHP-FPM with three processes, each for so many requests, and nginx; without a limit, it keeps connections."""
    port = flap.free_port()
    os.makedirs(folder / "root", exist_ok=True)
    (folder / "root" / "page.php").write_text(SCRIPT)
    user = {"user": "root", "group": "root"} if not os.getuid() else {"user": "", "group": ""}
    (folder / "fpm.conf").write_text(POOL.format(folder=folder, port=port, requests=requests, **user))
    argv = [binary(), "-n", "-F", "-R", "-y", str(folder / "fpm.conf")]
    with flap.Program(argv, pair.server, pure=pair.pure, timeout=patience(pair, 60)) as program:
        until(lambda: listens(port), "listener", program=program)
        check_host(program.pid, pair.server, pair.pure)
        keep = {"keep": "off", "keepalive": ""} if requests else {"keep": "on", "keepalive": "keepalive 2;"}
        extra = LOCATION.format(folder=folder, port=port, **keep)
        with nginx(folder, pair, sizes=SIZES, extra=extra) as server:
            yield program, port, server


def session(folder, pair):
    """Pages and uploads, processes that are replaced after 20 requests, and a reload of the pool in between."""
    with fpm(folder, pair, 20) as (program, port, server), connected(server.port) as connection:
        seen = []
        for turn in range(2):
            for size in SIZES:
                status, _, digest, length = asked(connection, "GET", f"/page.php?size={size}")
                assert (status, digest, length) == (200, sha(content(size)), size)
                connection.request("POST", "/page.php", body=content(size))
                seen.append(connection.getresponse().read())
                assert seen[-1].decode() == f"{size} {sha(content(size))}"
            answers = [asked(connection, "GET", f"/page.php?size={n % 2}")[::3] for n in range(150)]
            assert answers == [(200, n % 2) for n in range(150)]
            if not turn:
                old = program.family()[1:]
                os.kill(program.pid, signal.SIGUSR2)
                until(lambda old=old: not {*old} & {*program.family()}, "new processes", program=program)
                until(lambda: len(program.family()) == 4, "three of them", program=program)
        return seen, re.sub(r"^\[.*?\] ", "", (folder / "fpm.log").read_text(), flags=re.M)


@every(mixed=False)
def test_pages_through_a_reload(agree, roles):
    seen, _ = agree(session, roles)
    assert len(seen) == 2 * len(SIZES)


@pytest.mark.skipif(os.getuid() != 0, reason="nginx and the pool have one user only where root is both")
def test_connections_between_nginx_and_the_pool_are_upgraded(tmp_path):
    pair = served.BOTH
    with fpm(tmp_path, pair) as (_, port, server), connected(server.port) as connection:
        for _ in range(150):
            assert asked(connection, "GET", "/page.php?size=1")[0] == 200
        served.upgraded(pair, port)
        assert asked(connection, "GET", "/page.php?size=3000000")[2] == sha(content(3_000_000))
