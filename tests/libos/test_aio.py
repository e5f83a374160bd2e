"""asyncio code on libOSes: streams, protocols, a web server on two of them at once."""

import asyncio
import contextlib
import os
import socket
import threading
import time

import aiohttp
import aiohttp.web
import catmints
import pytest

from libos import layout, raw
from libos.aio import Loop
from libos.catnip_native import CatnipLibOS
from libos.errors import Fail, Kind
from libos.factory import native
from libos.sgarray import SGArray
from libos.stack_native import StackLibOS

HOST = "127.0.0.1"
SEGMENT = f"aio-{os.getpid()}"
SIZES = (0, 1, 100_000, 3_000_000)


def made(name):
    if name in catmints.KINDS:
        return catmints.made(name)
    if name == "catnip":
        return native(name, segment=SEGMENT)
    return native(name, worth=1) if name == "catloop" else native(name)


@contextlib.contextmanager
def loop_of(*arguments):
    loop = Loop(*arguments)
    asyncio.set_event_loop(loop)
    try:
        yield loop
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
        asyncio.set_event_loop(None)


@pytest.fixture(params=["catnap", "catloop", "catnip", *catmints.KINDS])
def loop(request):
    libos = made(request.param)
    with loop_of(libos) as loop:
        yield loop
    ended(libos)


def ended(*liboses):
    """They have given everything back."""
    for libos in liboses:
        if isinstance(libos, StackLibOS):
            libos.shut()
        assert libos.heap.live() == 0


def run(loop, coroutine, timeout=20):
    return loop.run_until_complete(asyncio.wait_for(coroutine, timeout))


def port_of(server):
    return server.sockets[0].getsockname()[1]


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


def test_streams(loop):
    async def talk():
        server = await asyncio.start_server(echo, HOST, 0)
        async with server:
            reader, writer = await asyncio.open_connection(HOST, port_of(server))
            assert writer.get_extra_info("peername") == (HOST, port_of(server))
            for i in range(100):
                writer.write(b"line %d\n" % i)
                assert await reader.readline() == b"line %d\n" % i
            writer.write_eof()
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()
        await server.wait_closed()

    run(loop, talk())


def test_more_than_fits_waits_for_room(loop):
    content = bytes(range(256)) * (4000 if isinstance(loop.libos, CatnipLibOS) else 40000)

    async def talk():
        server = await asyncio.start_server(echo, HOST, 0)
        reader, writer = await asyncio.open_connection(HOST, port_of(server))

        async def send():
            for at in range(0, len(content), 100_000):
                writer.write(content[at : at + 100_000])
                await writer.drain()
            writer.write_eof()

        sending = asyncio.create_task(send())
        got = await reader.read()
        await sending
        assert got == content
        writer.close()
        server.close()
        await server.wait_closed()

    run(loop, talk())


@pytest.mark.parametrize("loop", ["catnap", "catloop"], indirect=True)
def test_plain_clients_are_served(loop):
    """Sockets of another thread, some of which vanish."""
    done = threading.Event()

    def client(port):
        for i in range(10):
            with socket.create_connection((HOST, port), 5) as sock:
                sock.sendall(b"question %d" % i)
                if i % 2:
                    assert sock.recv(100) == b"question %d" % i
        done.set()

    async def serve():
        server = await asyncio.start_server(echo, HOST, 0)
        threading.Thread(target=client, args=(port_of(server),), daemon=True).start()
        while not done.is_set():
            await asyncio.sleep(0.01)
        server.close()
        await server.wait_closed()

    run(loop, serve())


def test_a_refused_connection(loop):
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        port = sock.getsockname()[1]
        with pytest.raises(ConnectionRefusedError):
            run(loop, asyncio.open_connection(HOST, port))


def test_a_port_in_use(loop):
    async def twice():
        async with await asyncio.start_server(echo, HOST, 0) as server:
            with pytest.raises(OSError, match="in use"):
                await asyncio.start_server(echo, HOST, port_of(server))

    run(loop, twice())


def test_a_connection_that_is_reset(loop):
    """What asyncio code catches is raised, whether the kernel or a stack of ours has heard of it."""

    async def refuse(reader, writer):
        writer.transport.abort()

    async def talk():
        async with await asyncio.start_server(refuse, HOST, 0) as server:
            reader, writer = await asyncio.open_connection(HOST, port_of(server))
            with pytest.raises(ConnectionError):
                for _ in range(1000):
                    writer.write(bytes(100_000))
                    await writer.drain()
                    await asyncio.sleep(0.001)
            writer.close()

    run(loop, talk())


def test_what_a_socket_says_of_itself(loop):
    async def talk():
        async with await asyncio.start_server(echo, HOST, 0) as server:
            _, writer = await asyncio.open_connection(HOST, port_of(server))
            sock = writer.get_extra_info("socket")
            assert sock.family == socket.AF_INET and sock.type == socket.SOCK_STREAM
            assert (sock.fileno() == -1) == isinstance(loop.libos, CatnipLibOS)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            writer.close()
            await writer.wait_closed()

    run(loop, talk())


def test_qtokens_are_awaited_and_taken_back(loop):
    libos = loop.libos

    async def wait():
        qd = libos.queue()
        popping = asyncio.create_task(loop.completion(libos, libos.pop(qd)))
        await asyncio.sleep(0)
        assert (await loop.completion(libos, libos.push(qd, SGArray.of(b"element")))).value == 7
        with (await popping).sga as sga:
            assert bytes(sga) == b"element"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(loop.completion(libos, libos.pop(qd)), 0.05)
        await loop.completion(libos, libos.push(qd, SGArray.of(b"stays")))
        with (await loop.completion(libos, libos.pop(qd))).sga as sga:
            assert bytes(sga) == b"stays"
        with pytest.raises(Fail) as caught:
            await loop.completion(libos, 1 << 40)
        assert caught.value.kind is Kind.INVALID
        libos.close(qd)

    run(loop, wait())


async def page(request):
    return aiohttp.web.Response(body=bytes(int(request.match_info["size"])))


async def upload(request):
    return aiohttp.web.Response(text=str(len(await request.read())))


async def started(application, port):
    runner = aiohttp.web.AppRunner(application)
    await runner.setup()
    await aiohttp.web.TCPSite(runner, HOST, port, reuse_address=True).start()
    return runner


def free_port():
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        return sock.getsockname()[1]


def in_rings(libos):
    """Bytes that rings have carried for the connections that a libOS has open."""
    return sum(raw.load(queue.loop.end + layout.TAIL) for queue in libos.device.loops)


async def fetch(addresses, sizes, then=lambda: None):
    """What one session of clients sees of each server, and what `then` says before it ends."""
    seen = []
    async with aiohttp.ClientSession() as session:
        for host, port in addresses:
            for size in sizes:
                async with session.get(f"http://{host}:{port}/page/{size}") as answer:
                    seen.append((answer.status, len(await answer.read())))
                async with session.post(f"http://{host}:{port}/upload", data=bytes(size)) as answer:
                    seen.append((answer.status, int(await answer.text())))
        return seen, then()


def application():
    made = aiohttp.web.Application(client_max_size=1 << 24)
    made.add_routes([aiohttp.web.get("/page/{size}", page), aiohttp.web.post("/upload", upload)])
    return made


@pytest.mark.parametrize("client", ["kernel", "catloop"])
def test_a_web_server_on_two_liboses_at_once(client):
    """aiohttp as it is: one application, a port on each; clients on the kernel, or on Catloop in the same loop."""
    ports = free_port(), free_port()
    catloop, catnap = made("catloop"), made("catnap")

    async def serve():
        runner = await started(application(), ports[0])
        await aiohttp.web.TCPSite(runner, HOST, ports[1]).start()
        fetching = fetch([(HOST, port) for port in ports], SIZES * 5, lambda: in_rings(catloop))
        seen = await (asyncio.to_thread(asyncio.run, fetching) if client == "kernel" else fetching)
        await runner.cleanup()
        return seen

    with loop_of(catloop, {ports[1]: catnap}) as loop:
        seen, carried = run(loop, serve(), 60)
    assert seen == [(200, size) for size in SIZES for _ in range(2)] * 10
    assert carried > 10_000_000 if client == "catloop" else carried == 0
    assert catloop.counters["completed"] > 100 and catnap.counters["completed"] > 100
    assert catloop.heap.live() == catnap.heap.live() == 0


@pytest.mark.parametrize("other", ["catnip", *catmints.KINDS])
def test_a_web_server_on_catloop_and_another_at_once(other):
    """The same application; its clients are on another host, or endpoint, in a loop of another thread."""
    ports = free_port(), free_port()
    catloop, here, there = made("catloop"), made(other), made(other)
    sizes = (0, 1, 100_000)

    def ask():
        with loop_of(native("catnap"), {ports[1]: there}) as loop:
            return run(loop, fetch([(HOST, ports[0]), (here.address, ports[1])], sizes), 60)

    async def serve():
        runner = await started(application(), ports[0])
        await aiohttp.web.TCPSite(runner, here.address, ports[1]).start()
        seen, _ = await asyncio.to_thread(ask)
        await runner.cleanup()
        return seen

    with loop_of(catloop, {ports[1]: here}) as loop:
        assert run(loop, serve(), 60) == [(200, size) for size in sizes for _ in range(2)] * 2
    assert all(libos.counters["completed"] > 10 for libos in (catloop, here, there))
    ended(catloop, here, there)


@pytest.mark.parametrize("other", ["catnip", *catmints.KINDS])
def test_a_loop_that_sleeps_hears_of_what_comes(other):
    """The keeper, which looks after a program that computes, takes nothing from a loop that waits."""
    here, there = made(other), made(other)

    async def late(reader, writer):
        while line := await reader.readline():
            await asyncio.sleep(0.05)
            writer.write(line)
        writer.close()

    async def talk(port):
        reader, writer = await asyncio.open_connection(here.address, port)
        for i in range(10):
            time.sleep(0.02)
            writer.write(b"%d\n" % i)
            assert await asyncio.wait_for(reader.readline(), 5) == b"%d\n" % i
        writer.close()

    def ask(port):
        with loop_of(there) as loop:
            run(loop, talk(port))

    async def serve():
        async with await asyncio.start_server(late, here.address, 0) as server:
            await asyncio.to_thread(ask, port_of(server))

    with loop_of(here) as loop:
        run(loop, serve())
    ended(here, there)


@pytest.mark.parametrize("other", ["catnip", *catmints.KINDS])
def test_a_socket_that_stands_for_a_queue(other):
    """One that nobody takes over goes, and its connection with it; TLS is not to be had."""
    here, there = made(other), made(other)

    async def leave(port):
        for options in ({}, {"ssl": True, "server_hostname": "host"}):
            with socket.socket() as sock:
                sock.setblocking(False)
                await asyncio.get_running_loop().sock_connect(sock, (here.address, port))
                assert len(there.queues) == 1
                if options:
                    with pytest.raises(OSError, match="not supported"):
                        await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=sock, **options)
            del sock
            assert not there.queues

    def ask(port):
        with loop_of(there) as loop:
            run(loop, leave(port))

    async def serve():
        async with await asyncio.start_server(echo, here.address, 0) as server:
            await asyncio.to_thread(ask, port_of(server))

    with loop_of(here) as loop:
        run(loop, serve())
    ended(here, there)
