"""The echo server that logs each message before it answers, on each network libOS beside Cattree."""

import subprocess

import catmints
import flap
import pytest
import twins

from examples.common.echoes import message
from libos.factory import native


@pytest.mark.parametrize("name", ["catnap", "catloop", "catnip", *catmints.KINDS])
def test_every_message_is_in_the_log(name, tmp_path):
    path = str(tmp_path / "messages.cattree")
    if name in catmints.KINDS:
        catmints.made(name).shut()  # skipped here where there is none
    argv = twins.command(name, "logged_echo", "0", path)
    server = subprocess.Popen(argv, cwd=flap.ROOT, stdout=subprocess.PIPE)
    try:
        address = twins.line_of(server).removeprefix("listening on ")
        said = twins.run(name, "echo", "client", address, "--count", 20, "--size", 3000)
        assert said == "20 messages of 3000 bytes came back unchanged\n"
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
    store = native("cattree", path=path)
    head, end = store.logs()["messages"]
    assert (head, end) == (0, 60000)
    log, found = store.open("messages"), b""
    while len(found) < end:
        with store.wait(store.pop(log), 5).sga as sga:
            found += bytes(sga)
    assert found == b"".join(message(i, 3000) for i in range(20))
    store.shut()
