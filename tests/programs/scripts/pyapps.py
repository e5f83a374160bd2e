"""Applications for Python's web servers: `asgi`, `wsgi`, and aiohttp's as a program (PORT).

POST and PUT are sent back; /size/N has N bytes that depend on N alone; /pieces/N comes in N pieces; /pid says whose it
is.
"""

import os
import random
import sys


def content(size):
    return random.Random(size).randbytes(size)


def page(path):
    """(status, pieces of the body) of a GET."""
    kind, _, number = path.strip("/").partition("/")
    if kind == "size":
        return 200, [content(int(number))]
    if kind == "pieces":
        return 200, [b"piece %d\n" % n for n in range(int(number))]
    if kind == "pid":
        return 200, [b"%d" % os.getpid()]
    return 404, [b"no such page\n"]


async def asgi(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    status, pieces = page(scope["path"])
    if scope["method"] in ("POST", "PUT"):
        status, pieces, more = 200, [], True
        while more:
            message = await receive()
            pieces.append(message.get("body", b""))
            more = message.get("more_body")
    headers = [(b"content-length", b"%d" % sum(map(len, pieces)))] if len(pieces) < 300 else []
    await send({"type": "http.response.start", "status": status, "headers": headers})
    for piece in pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def wsgi(environ, start_response):
    status, pieces = page(environ["PATH_INFO"])
    if environ["REQUEST_METHOD"] in ("POST", "PUT"):
        status, pieces = 200, [environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))]
    headers = [("Content-Length", str(sum(map(len, pieces))))] if len(pieces) < 300 else []
    start_response("200 OK" if status == 200 else "404 Not Found", headers)
    return pieces


def serve(port):
    from aiohttp import web

    async def handle(request):
        status, pieces = page(request.path)
        if request.method in ("POST", "PUT"):
            return web.Response(body=await request.read())
        if len(pieces) < 300:
            return web.Response(body=b"".join(pieces), status=status)
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
        return response

    application = web.Application(client_max_size=1 << 30)
    application.router.add_route("*", "/{path:.*}", handle)
    web.run_app(application, host="127.0.0.1", port=port, print=None)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
