"""dnsmasq with names of its own, asked by dig and by a Python, directly and through another dnsmasq."""

import contextlib
import os
import re
import subprocess

import flap
import pytest
import pythons
from roles import SCRIPTS, bound, check_host, every, listens, patience, until
from upgrades import check_carried

COUNT = 60  # the server answers a hundred questions over one connection
MANY = 200  # addresses of one name: more than a datagram holds
QUESTIONS = ["host3.test", "many.test", "six.test AAAA", "text.test TXT", "-x 10.0.0.7", "no.test", "alias.test"]
WAYS = {"datagrams": [], "connections": ["+tcp"]}
SETTINGS = ["--keep-in-foreground", "--log-facility=-", "--conf-file=/dev/null", "--pid-file", "--no-resolv"]
SETTINGS += ["--user=root", "--bind-interfaces", "--listen-address=127.0.0.1"]


@contextlib.contextmanager
def dnsmasq(folder, pair, *words, libos=None):
    """(program, port) of a dnsmasq."""
    port = flap.free_port()
    argv = [flap.need("dnsmasq", "dnsmasq-base"), *SETTINGS, f"--port={port}", *words]
    with flap.Program(argv, libos or pair.server, pure=pair.pure, timeout=patience(pair, 60)) as program:
        until(lambda: listens(port) and bound(port), "listener", program=program)
        check_host(program.pid, libos or pair.server, pair.pure)
        yield program, port


@contextlib.contextmanager
def known(folder, pair):
    """A dnsmasq that knows names by a file of hosts."""
    hosts = [f"10.0.0.{n} host{n}.test" for n in range(COUNT)]
    hosts += [f"10.1.0.{n} many.test" for n in range(MANY)] + ["fd00::6 six.test"]
    path = folder / "hosts"
    path.write_text("\n".join(hosts) + "\n")
    words = ["--no-hosts", f"--addn-hosts={path}", "--local=/test/", "--cname=alias.test,host5.test"]
    with dnsmasq(folder, pair, *words, "--txt-record=text.test," + "text " * 40) as (program, port):
        until(lambda: b"names" in program.read("err"), "names", program=program)
        yield program, port


def asked(folder, pair, port, *servers):
    """What a client is told that asks everything by datagrams, then over one connection."""
    argv = [pythons.same(), os.path.join(SCRIPTS, "names.py"), str(port), str(COUNT)]
    limit = patience(pair, 30)
    with flap.Program(argv, pair.client, pure=pair.pure, timeout=limit, stdin=subprocess.PIPE) as client:
        until(lambda: client.read("out").endswith(b"all\n"), "answers", limit, program=client)
        check_carried(pair, client, *servers, least=COUNT * 20)
        client.process.stdin.close()
        result = client.wait(20)
    assert (result.status, result.stderr) == (0, b""), str(result)
    return result.stdout.splitlines()


def names(folder, pair, forwarded):
    """What is told of names by the server that knows them, or by another one that asks it."""
    with contextlib.ExitStack() as stack:
        server, port = stack.enter_context(known(folder, pair))
        if forwarded:
            words = "--no-hosts", "--cache-size=0", f"--server=127.0.0.1#{port}"
            server, port = stack.enter_context(dnsmasq(folder, pair, *words))
        # two servers reach each other also where the client reaches none by rings
        return asked(folder, pair, port, *([server] if pair.server == pair.client else []))


@every(sample=True)
@pytest.mark.parametrize("forwarded", [False, True] if flap.FULL else [False])
def test_names(agree, roles, forwarded):
    lines = agree(names, roles, forwarded)
    assert len(lines) == 2 * (COUNT + 5) + 1


def dug(folder, pair, way):
    """What dig prints of each question, without times and numbers that it makes up."""
    answers = []
    with known(folder, pair) as (_, port):
        for question in QUESTIONS:
            argv = [
                flap.need("dig", "bind9-dnsutils"),
                "@127.0.0.1",
                "-p",
                str(port),
                "+tries=1",
                "+time=10",
                *WAYS[way],
            ]
            result = flap.run([*argv, *question.split()], pair.client, pure=pair.pure, timeout=patience(pair, 30))
            assert (result.status, result.stderr) == (0, b""), str(result)
            text = re.sub(rb", id: \d+|#\d+|-p \d+|;; (Query time|WHEN|COOKIE).*|; COOKIE.*", b"", result.stdout)
            # addresses of one name come in turns
            answers.append(sorted(text.splitlines()))
    return answers


@every()
@pytest.mark.parametrize("way", WAYS if flap.FULL else ["datagrams"])
def test_dig(agree, roles, way):
    answers = agree(dug, roles, way)
    assert sum(b"10.1.0." in line for line in answers[1]) == MANY
