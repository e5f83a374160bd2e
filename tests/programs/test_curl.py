"""curl as a client of nginx and of a Python server: files, statuses, output and errors as on the kernel."""

from material import content, sha
from roles import every
from webclients import Client, curl, described, receipt, uploads
from webserver import SIZES, nginx

LOCAL = ("http://127.0.0.1:PORT", "http://[::1]:PORT")
FACTS = "%{http_code} %{size_download} %{num_connects} %{exitcode}\\n"


def downloads(folder, pair):
    """Whole files on one connection, heads, ranges, slowly, by name, and what fails."""
    seen = []
    with nginx(folder, pair) as server:
        client = Client(folder, pair, server.port)
        for base in LOCAL:
            words = [word for size in SIZES for word in ("-o", size, f"{base}/{size}")]
            seen.append((curl(client, "-w", FACTS, *words), client.files()))
            seen.append(curl(client, "-o", "/dev/null", "-w", FACTS, "-I", f"{base}/65536"))
            for wanted in ("0-99", "-5", "1000000-", "5-1"):
                seen.append(curl(client, "-r", wanted, "-w", FACTS, "-o", "range", f"{base}/1000001"))
                seen.append(client.files())
            seen.append(curl(client, "-f", f"{base}/absent"))
        seen.append((curl(client, "--limit-rate", "2M", "-o", "1000001", f"{LOCAL[0]}/1000001"), client.files()))
        seen.append((curl(client, "-O", "http://localhost:PORT/65537"), client.files()))
    seen.append(curl(client, f"{LOCAL[0]}/1"))
    return seen


@every(sample=True)
def test_downloads(agree, roles):
    seen = agree(downloads, roles)
    (status, facts, errors), files = seen[0]
    assert (status, errors, files) == (0, b"", described(*SIZES))
    assert facts.splitlines() == [b"200 %d %d 0" % (size, size == 0) for size in SIZES], "one connection for all"
    assert seen[-2][1] == described(65537) and seen[-3][1] == described(1_000_001)
    assert seen[-1][0] == 7, "nobody listens any more"


def parallel(folder, pair):
    """Forty transfers at once."""
    with nginx(folder, pair, sizes=range(100_000, 100_040)) as server:
        client = Client(folder, pair, server.port)
        words = ["-Z", "--parallel-max", "20", "-o", "#1", f"{LOCAL[0]}/[100000-100039]"]
        return curl(client, *words), client.files()


@every(sample=True, catnip=True, mint=True)
def test_parallel(agree, roles):
    result, files = agree(parallel, roles)
    assert result == (0, b"", b"") and files == described(*range(100_000, 100_040))


def resumed(folder, pair):
    """A file of which a part, nothing or all is there."""
    seen = []
    with nginx(folder, pair, sizes=(1_000_001,)) as server:
        client = Client(folder, pair, server.port)
        for there in (400_000, 0, 1_000_001):
            client.put("1000001", content(1_000_001)[:there])
            words = ["-C", "-", "-o", "1000001", "-w", "%{http_code} %{size_download}", f"{LOCAL[0]}/1000001"]
            seen.append((curl(client, *words)[:2], client.files()))
    return seen


@every()
def test_resume(agree, roles):
    seen = agree(resumed, roles)
    assert seen[0] == ((0, b"206 600001"), described(1_000_001))


def uploaded(folder, pair, host, sizes):
    """POST and PUT of several sizes, from a file, from stdin in chunks, in parallel; and a server that misbehaves."""
    seen = []
    with uploads(pair, host.strip("[]")) as port:
        client = Client(folder, pair, port)
        base = f"http://{host}:PORT"
        for size in sizes:
            data = content(size)
            client.put("data", data)
            seen.append((curl(client, "--data-binary", "@data", f"{base}/post"), receipt("POST", "/post", data)))
            seen.append((curl(client, "-T", "data", f"{base}/put"), receipt("PUT", "/put", data)))
            seen.append((curl(client, "-T", "-", f"{base}/put", stdin=data), receipt("PUT", "/put", data)))
        for n in range(12):
            client.put(f"part{n}", content(200_000 + n))
        status, output, errors = curl(client, "-Z", "-T", "{%s}" % ",".join(f"part{n}" for n in range(12)), f"{base}/")
        # in the order in which they end
        output = b"".join(sorted(output.splitlines(True)))
        expected = sorted(receipt("PUT", f"/part{n}", content(200_000 + n)) for n in range(12))
        seen.append(((status, output, errors), b"".join(expected)))
        failures = [curl(client, f"{base}/{name}") for name in ("cut", "reset", "pieces")]
        return seen, [(status, sha(output), errors) for status, output, errors in failures]


@every(sample=True)
def test_uploads(agree, roles):
    seen, failures = agree(uploaded, roles, "127.0.0.1", (0, 1, 1000, 70_000, 5_000_000))
    for answer, expected in seen:
        assert answer == (0, expected, b"")
    # CURLE_PARTIAL_FILE, CURLE_RECV_ERROR or CURLE_GOT_NOTHING
    assert [status for status, _, _ in failures] in ([18, 56, 0], [18, 52, 0])
    assert failures[2][1] == sha(b"".join(b"x" * n for n in range(1, 400)))


@every()
def test_uploads_ipv6(agree, roles):
    seen, _ = agree(uploaded, roles, "[::1]", (1, 5_000_000))
    for answer, expected in seen:
        assert answer == (0, expected, b"")
