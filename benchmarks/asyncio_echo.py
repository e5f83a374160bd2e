"""Echo by asyncio's streams, as a program: `asyncio_echo.py server PORT`, `asyncio_echo.py client PORT COUNT`.

The client prints the nanoseconds of COUNT round trips of 64 B, one a line.
"""

import asyncio
import sys
import time

SIZE = 64


async def answer(reader, writer):
    try:
        while True:
            writer.write(await reader.readexactly(SIZE))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def serve(port):
    server = await asyncio.start_server(answer, "127.0.0.1", port)
    await server.serve_forever()


async def ask(port, count):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    message = bytes(SIZE)
    took = []
    for turn in range(-count // 10 - 100, count):  # what goes first warms up
        before = time.perf_counter_ns()
        writer.write(message)
        await reader.readexactly(SIZE)
        if turn >= 0:
            took.append(time.perf_counter_ns() - before)
    writer.close()
    print("\n".join(map(str, took)))


if __name__ == "__main__":
    if sys.argv[1] == "server":
        asyncio.run(serve(int(sys.argv[2])))
    else:
        asyncio.run(ask(int(sys.argv[2]), int(sys.argv[3])))
