"""streams.py HOST PORT: an asyncio echo server; streams.py HOST PORT CLIENTS: as many clients of one, at once."""

import asyncio
import hashlib
import random
import signal
import sys


async def serve(host, port):
    """Echo each connection until its end; on SIGTERM say how many there were and how many bytes."""
    totals = {"connections": 0, "bytes": 0}

    async def echo(reader, writer):
        totals["connections"] += 1
        while data := await reader.read(65536):
            totals["bytes"] += len(data)
            writer.write(data)
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with await asyncio.start_server(echo, host, port):
        await stop.wait()
    print(totals["connections"], totals["bytes"])


async def ask(host, port, number):
    """Send lines and a block, half-close, and return the digest of what came back; every byte must be ours."""
    reader, writer = await asyncio.open_connection(host, port)
    seen = hashlib.sha256()
    for n in range(20):
        line = b"client %d line %d\n" % (number, n)
        writer.write(line)
        answer = await reader.readline()
        assert answer == line, (answer, line)
        seen.update(answer)
    block = random.Random(number).randbytes(50_000 + 10_000 * (number % 20))
    writer.write(block)
    writer.write_eof()
    answer = await reader.read()
    assert answer == block
    seen.update(answer)
    writer.close()
    await writer.wait_closed()
    return seen.hexdigest()


async def main(host, port, clients=None):
    if clients is None:
        return await serve(host, int(port))
    digests = await asyncio.gather(*(ask(host, int(port), n) for n in range(int(clients))))
    for number, digest in enumerate(digests):
        print(number, digest)


asyncio.run(main(*sys.argv[1:]))
