"""The command lines of the examples: the same for both twins, but for `--libos` and what belongs to some of them.

An address is (host, port), as PORT or HOST:PORT says. Without a host it is this machine's loopback for a twin on
sockets; on a libOS, whose own address it then is, the host is "".
"""

import argparse
import os
import signal

from examples.common.relay import LONGEST_NAME, MAX_DATAGRAM

HOST = "127.0.0.1"


def number(least, most):
    """An argparse type: an integer within bounds."""

    def parse(text):
        value = int(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{value} is not between {least} and {most}")
        return value

    return parse


def address(host):
    """An argparse type: an address, at `host` if none is given."""
    port = number(0, 65535)

    def parse(text):
        given, _, last = text.rpartition(":")
        return given or host, port(last)

    return parse


def add_libos(parser):
    parser.add_argument("--libos", default="catnap", help="libOS to run on")
    parser.add_argument("--segment", default="default", help="Ethernet segment, for catnip")
    parser.add_argument("--provider", default="shm", help="provider of libfabric, for catmint")
    parser.add_argument("--node", default="", help="address of the provider's interface, for catmint")


def of_libos(chosen):
    """What the libOS of a command line is made with."""
    if chosen.libos == "catnip":
        return {"segment": chosen.segment}
    return {"provider": chosen.provider, "node": chosen.node} if chosen.libos == "catmint" else {}


def client_name(text):
    """An argparse type: the name of a client of the relay, as bytes."""
    name = os.fsencode(text)
    if not 0 < len(name) <= LONGEST_NAME:
        raise argparse.ArgumentTypeError(f"a name has 1 to {LONGEST_NAME} bytes")
    return name


class Roles:
    """A program with several roles. `libos`: whether the program takes one."""

    def __init__(self, doc, libos):
        self.parser = argparse.ArgumentParser(description=doc.split("\n")[0])
        self.roles = self.parser.add_subparsers(dest="role", required=True)
        self.libos = libos

    def add(self, name, words, addresses=1):
        role = self.roles.add_parser(name, help=words)
        if self.libos:
            add_libos(role)
        where = {"type": address("" if self.libos else HOST), "metavar": "[HOST:]PORT"}
        if addresses == 1:
            role.add_argument("address", **where)
        else:
            role.add_argument("addresses", nargs=addresses, **where)
        return role

    def parse(self):
        return parsed(self.parser)


def parsed(parser):
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C is how a server is ended: no traceback
    return parser.parse_args()


def messages(role, count=100, size=64):
    role.add_argument("--count", type=number(1, 10**9), default=count, help="messages to send")
    role.add_argument("--size", type=number(1, 1 << 30), default=size, help="bytes of each")


def echo(doc, libos=False):
    """role: server or client; address; udp; count and size of the client's messages."""
    roles = Roles(doc, libos)
    server = roles.add("server", "send back whatever comes")
    client = roles.add("client", "send messages and check what comes back")
    for role in (server, client):
        role.add_argument("--udp", action="store_true", help="datagrams instead of a stream")
    messages(client)
    options = roles.parse()
    if options.role == "client" and options.udp and options.size > MAX_DATAGRAM:
        roles.parser.error(f"no datagram has more than {MAX_DATAGRAM} bytes")
    return options


def udp_relay(doc, libos=False):
    """role: server, answer or ask; address; name; to, count and size of what asks."""
    roles = Roles(doc, libos)
    roles.add("server", "forward datagrams between clients that are known by name")
    answer = roles.add("answer", "register, and send back whatever comes to whoever sent it")
    ask = roles.add("ask", "register, send messages to a name, and check what comes back")
    for role in (answer, ask):
        role.add_argument("name", type=client_name)
    ask.add_argument("to", type=client_name)
    messages(ask)
    options = roles.parse()
    if options.role == "ask" and options.size + len(max(options.to, options.name, key=len)) + 1 > MAX_DATAGRAM:
        roles.parser.error(f"no datagram has more than {MAX_DATAGRAM} bytes")
    return options


def kv(doc, libos=False):
    """role: server; address."""
    roles = Roles(doc, libos)
    roles.add("server", "a key-value store for redis clients")
    return roles.parse()


def replicated(doc, libos=False):
    """role: replica, load or sum; address or addresses; what the load is."""
    roles = Roles(doc, libos)
    roles.add("replica", "one of the three servers")
    load = roles.add("load", "read-modify-write transactions, as in workload F of YCSB", addresses=3)
    total = roles.add("sum", "the sum of all counters", addresses=3)
    for role in (load, total):
        role.add_argument("--keys", type=number(1, 10**6), default=1000, help="how many there are")
    load.add_argument("--clients", type=number(1, 300), default=4)
    load.add_argument("--transactions", type=number(1, 10**9), default=1000, help="of all clients together")
    load.add_argument("--choice", choices=("zipfian", "uniform"), default="zipfian", help="how keys are chosen")
    load.add_argument("--size", type=number(1, 16), default=1, help="keys in a transaction")
    load.add_argument("--seed", type=int, default=1)
    load.add_argument("--shared", action="store_true", help="others write too: the sum isn't compared")
    return roles.parse()


def logged_echo(doc):
    """address; file, which is made if it is not there."""
    parser = argparse.ArgumentParser(description=doc.split("\n")[0])
    add_libos(parser)
    parser.add_argument("address", type=address(""), metavar="[HOST:]PORT")
    parser.add_argument("file", metavar="FILE", help="file or block device for the log")
    return parsed(parser)


def first_come(doc):
    """addresses: two."""
    parser = argparse.ArgumentParser(description=doc.split("\n")[0])
    add_libos(parser)
    parser.add_argument("addresses", type=address(""), nargs=2, metavar="[HOST:]PORT")
    return parsed(parser)
