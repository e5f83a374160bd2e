"""LIBRARY PORT GO: an HTTP client, by http.client or aiohttp, that keeps its connections and prints what comes back.

It says "reached" after a hundred messages on one connection, and waits for the file GO.
"""

import asyncio
import hashlib
import http.client
import os
import random
import sys
import time

LARGE = random.Random(7).randbytes(3_000_000)
PAGES = ["/size/0", "/size/1", "/size/65536", "/size/3000000", "/pieces/300", "/absent"]


def told(name, status, body):
    print(name, status, len(body), hashlib.sha256(body).hexdigest()[:16])


def reached(go):
    print("reached", flush=True)
    while not os.path.exists(go):
        time.sleep(0.01)


def plain(port, go):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)

    def ask(method, path, body=None):
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()

    for n in range(100):
        assert ask("POST", "/", b"message %d" % n) == (200, b"message %d" % n)
    reached(go)
    for path in PAGES:
        told(path, *ask("GET", path))
    told("put", *ask("PUT", "/", LARGE))


async def together(port, go):
    import aiohttp

    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", connector=aiohttp.TCPConnector(limit=8)) as session:

        async def ask(method, path, body=None):
            async with session.request(method, path, data=body) as answer:
                return answer.status, await answer.read()

        for n in range(100):
            assert await ask("POST", "/", b"message %d" % n) == (200, b"message %d" % n)
        reached(go)
        for path in PAGES:
            told(path, *await ask("GET", path))
        told("put", *await ask("PUT", "/", LARGE))
        for n, answer in enumerate(await asyncio.gather(*(ask("GET", f"/size/{n * 1000}") for n in range(60)))):
            told(n, *answer)


if __name__ == "__main__":
    library, number, file = sys.argv[1:]
    if library == "aiohttp":
        asyncio.run(together(int(number), file))
    else:
        plain(int(number), file)
