"""python3 -m http.server: in the Python that Catflap shares, and in others, which stay on the kernel."""

import os
import re
import signal

import flap
import pytest
import pythons
from material import content, sha
from roles import DEFAULT, check_host, every, listens, patience, until
from webclients import Client, curl, described
from webserver import publish

SINCE = "If-Modified-Since: Sat, 01 Jan 2028 00:00:00 GMT"
SIZES = (0, 1, 65537, 1_000_001)
HOSTS = pytest.mark.parametrize("host", ["127.0.0.1", "::1"], ids=["ipv4", "ipv6"])
OTHERS = list(pythons.others().values())
FETCH = """
import concurrent.futures, hashlib, sys, urllib.request
def fetch(size):
    with urllib.request.urlopen(f"{sys.argv[1]}/{size}", timeout=30) as answer:
        return size, answer.status, hashlib.sha256(answer.read()).hexdigest()
with concurrent.futures.ThreadPoolExecutor(4) as pool:
    for row in pool.map(fetch, sys.argv[2:] * 6):
        print(*row)
"""


def session(folder, pair, python, host):
    """What curl and urllib get, what the server prints when it is interrupted, and its log."""
    for size in SIZES:
        publish(folder, size)
    port = flap.free_port()
    url = f"http://[{host}]:PORT" if ":" in host else f"http://{host}:PORT"
    # whoever started the tests may ignore SIGINT
    argv = ["/usr/bin/env", "--default-signal=INT", python, "-m", "http.server", "--bind", host, str(port)]
    root = os.path.join(folder, "root")
    limit = patience(pair, 60)
    ours = python == pythons.same()
    seen = []
    options = {"pure": pair.pure, "cwd": root, "timeout": limit, "strict": ours}
    with flap.Program(argv, pair.server, **options) as server:
        until(lambda: listens(port), "listener", program=server)
        if ours:
            check_host(server.pid, pair.server, pair.pure)
        elif pair.server == "catnap":
            stays(server)
        client = Client(folder, pair, port)
        files = [word for size in SIZES for word in ("-o", size, f"{url}/{size}")]
        seen.append((curl(client, *files), client.files()))
        seen.append((curl(client, "-Z", *files), client.files()))
        seen.append(curl(client, f"{url}/"))
        for words in (["-I"], ["-H", SINCE], ["-X", "POST", "-d", "x"]):
            status, output, errors = curl(client, *words, "-o", "/dev/null", "-w", "%{http_code}", f"{url}/1")
            seen.append((status, output, errors))
        seen.append(curl(client, "-f", f"{url}/absent"))
        seen.append(client.run(python, "-c", FETCH, url, *SIZES, strict=ours))
        os.kill(server.pid, signal.SIGINT)
        result = server.wait(20)
    log = re.sub(rb"\[[^]]*\] ", b"", result.stderr).splitlines()
    return seen, (result.status, result.stdout.replace(b"%d" % port, b"PORT"), sorted(log))


def check_answers(seen):
    assert seen[0] == ((0, b"", b""), described(*SIZES))
    rows = [(str(size), "200", sha(content(size))) for size in SIZES] * 6
    assert seen[-1] == (0, "".join(" ".join(row) + "\n" for row in rows).encode(), b"")


@HOSTS
@every(sample=True, mint=True)
def test_shared_interpreter(agree, roles, host):
    seen, (status, output, log) = agree(session, roles, pythons.same(), host)
    check_answers(seen)
    assert status == 0 and output.endswith(b"\nKeyboard interrupt received, exiting.\n")
    assert sum(b'"GET /1 HTTP/1.1" 200' in line for line in log) == 2 + 6


def stays(server):
    """It runs on the kernel, Catflap's host was not loaded into it, and the log says why."""
    with open(f"/proc/{server.pid}/maps") as f:
        mapped = f.read()
    assert "libcatflap.so" in mapped and "libcatflap_host" not in mapped, mapped
    assert server.log().count("staying on the kernel: another Python version lives in this process\n") == 1


@pytest.mark.skipif(not OTHERS, reason="no Python of another minor version is installed")
@pytest.mark.parametrize("python", OTHERS if flap.FULL else OTHERS[-1:], ids=os.path.basename)
def test_other_version_stays_on_the_kernel(agree, python):
    """Server and client in another Python: not a byte and not a word of their output differs."""
    seen, (status, output, _) = agree(session, DEFAULT["catnap"], python, "127.0.0.1")
    check_answers(seen)
    assert status == 0 and output.endswith(b"\nKeyboard interrupt received, exiting.\n")
