"""wget as a client of nginx and of a Python server: files, statuses and answers as on the kernel."""

import flap
from material import content
from roles import every
from webclients import Client, described, receipt, uploads
from webserver import SIZES, nginx

LISTED = (1, 4095, 65536, 65537, 300_000)


def wget(client, *words):
    argv = [flap.need("wget", "wget"), "-q", "--no-proxy", "--no-hsts", "--tries=1", "--timeout=30", *words]
    return client.run(*argv), client.files()


def downloads(folder, pair):
    """Every file by a list of addresses, IPv4 and IPv6; slowly; to stdout; what is not there; resumed."""
    seen = []
    with nginx(folder, pair) as server:
        client = Client(folder, pair, server.port)
        for host in ("127.0.0.1", "[::1]"):
            client.put("list", "".join(f"http://{host}:{server.port}/{size}\n" for size in SIZES).encode())
            result, files = wget(client, "-i", "list")
            files.pop("list")
            seen.append((result, files))
        base = "http://127.0.0.1:PORT"
        seen.append(wget(client, "--limit-rate=2m", f"{base}/1000001"))
        seen.append(wget(client, "-O", "-", f"{base}/4095"))
        seen.append(wget(client, f"{base}/absent"))
        for there in (400_000, 1_000_001):
            client.put("1000001", content(1_000_001)[:there])
            seen.append(wget(client, "-c", f"{base}/1000001"))
    seen.append(wget(client, f"{base}/1"))
    return seen


@every(sample=True)
def test_downloads(agree, roles):
    seen = agree(downloads, roles)
    ok = (0, b"", b"")
    assert seen[0] == seen[1] == (ok, described(*SIZES))
    assert seen[2] == seen[5] == seen[6] == (ok, described(1_000_001))
    assert seen[3] == ((0, content(4095), b""), {})
    # wget(1): 8 is an error response of the server, 4 a failure of the network
    assert [seen[n][0][0] for n in (4, 7)] == [8, 4]


def recursive(folder, pair):
    """The tree below nginx's own listing."""
    with nginx(folder, pair, sizes=LISTED, extra="autoindex on;") as server:
        client = Client(folder, pair, server.port)
        (status, output, errors), files = wget(client, "-r", "-nH", "-e", "robots=off", "http://127.0.0.1:PORT/")
        return (status, output, errors), files


@every()
def test_recursive(agree, roles):
    result, files = agree(recursive, roles)
    assert result == (0, b"", b"")
    assert {name: facts for name, facts in files.items() if name.isdecimal()} == described(*LISTED)


def posted(folder, pair):
    """Uploads of several sizes."""
    seen = []
    with uploads(pair) as port:
        client = Client(folder, pair, port)
        for size in (1, 70_000, 3_000_000):
            client.put("data", content(size))
            seen.append(wget(client, "-O", "-", "--post-file=data", "http://127.0.0.1:PORT/post")[0])
    return seen


@every()
def test_post(agree, roles):
    expected = [(0, receipt("POST", "/post", content(size)), b"") for size in (1, 70_000, 3_000_000)]
    assert agree(posted, roles) == expected
