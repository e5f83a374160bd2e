"""datagrams.py HOST PORT: an asyncio echo server of datagrams; datagrams.py HOST PORT COUNT: a client of one."""

import asyncio
import hashlib
import random
import signal
import sys

SIZES = (1, 512, 1472, 9000, 65507)


class Echo(asyncio.DatagramProtocol):
    """Sends every datagram back to where it came from."""

    def __init__(self):
        self.count = 0

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.count += 1
        self.transport.sendto(data, address)


class Inbox(asyncio.DatagramProtocol):
    """Received datagrams, in order."""

    def __init__(self):
        self.queue = asyncio.Queue()

    def datagram_received(self, data, address):
        self.queue.put_nowait(data)


async def serve(loop, host, port):
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    transport, echo = await loop.create_datagram_endpoint(Echo, local_addr=(host, port))
    print("ready", flush=True)
    await stop.wait()
    transport.close()
    print(echo.count)


async def ask(loop, host, port, count):
    """One datagram at a time, there and back."""
    transport, inbox = await loop.create_datagram_endpoint(Inbox, remote_addr=(host, port))
    seen = hashlib.sha256()
    for n in range(count):
        data = random.Random(n).randbytes(SIZES[n % len(SIZES)])
        transport.sendto(data)
        answer = await asyncio.wait_for(inbox.queue.get(), 20)
        assert answer == data
        seen.update(answer)
    transport.close()
    print(count, seen.hexdigest())


async def main(host, port, count=None):
    loop = asyncio.get_running_loop()
    if count is None:
        await serve(loop, host, int(port))
    else:
        await ask(loop, host, int(port), int(count))


asyncio.run(main(*sys.argv[1:]))
