"""The POSIX twin of examples/replicated.py: a replicated key-value store with transactions, and its load.

python examples/posix/replicated.py replica PORT
python examples/posix/replicated.py load PORT PORT PORT [--clients N] [--transactions N] [--choice zipfian|uniform]
python examples/posix/replicated.py sum PORT PORT PORT
"""

import os
import secrets
import selectors
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from examples.common import options
from examples.common.coordinator import Coordinator, NoQuorum
from examples.common.replica import Replica, Session
from examples.common.workload import Broken, report
from examples.posix.serving import PIECE, Server, connected

TIMEOUT = 5  # seconds without a word from any replica


class Link:
    """One connection: its client, its replica, and what is left to send."""

    def __init__(self, sock, client, replica):
        self.socket = sock
        self.client = client
        self.replica = replica
        self.left = bytearray()

    def fileno(self):
        return self.socket.fileno()


class Client:
    """A coordinator, its task, and its links by replica."""

    def __init__(self, coordinator, task):
        self.coordinator = coordinator
        self.task = task
        self.links = {}


class Clients:
    """Clients side by side in one loop."""

    def __init__(self, addresses):
        self.addresses = addresses

    def run(self, tasks):
        """Run tasks, functions of a coordinator, to their end. Raises NoQuorum, Broken."""
        with selectors.DefaultSelector() as self.selector:
            for number, task in enumerate(tasks):
                self.start(Coordinator(secrets.randbits(64), number), task)
            while self.selector.get_map():
                ready = self.selector.select(TIMEOUT)
                if not ready:
                    self.timed_out()
                for key, events in ready:
                    self.turn(key.fileobj, events)

    def start(self, coordinator, task):
        client = Client(coordinator, task(coordinator))
        for replica, address in enumerate(self.addresses):
            try:
                link = client.links[replica] = Link(connected(address), client, replica)
            except OSError:
                coordinator.lost(replica)
                continue
            self.selector.register(link, selectors.EVENT_READ)
        self.advance(client)

    def turn(self, link, events):
        """Something came, or can be sent, or has failed; one that was closed a moment ago has nothing to say."""
        client = link.client
        if client.links.get(link.replica) is not link:
            return
        try:
            if events & selectors.EVENT_WRITE:
                self.send(link)
            if not events & selectors.EVENT_READ:
                return
            data = link.socket.recv(PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            client.coordinator.receive(link.replica, data)
        else:
            client.coordinator.lost(link.replica)
        self.advance(client)

    def send(self, link):
        """Send what goes; wait to become writable while something is left. Raises OSError."""
        try:
            del link.left[: link.socket.send(link.left)]
        except BlockingIOError:
            pass
        self.selector.modify(link, selectors.EVENT_READ | (selectors.EVENT_WRITE if link.left else 0))

    def advance(self, client):
        """Let a client go on, send what it wants sent, and close what it doesn't need any more."""
        alive = client.coordinator.alive
        try:
            next(client.task)
        except StopIteration:
            alive = [False] * len(alive)
        for replica, data in client.coordinator.to_send():
            link = client.links[replica]
            link.left += data
            try:
                self.send(link)
            except OSError:
                pass  # the next receive says so too
        for replica in [replica for replica in client.links if not alive[replica]]:
            link = client.links.pop(replica)
            self.selector.unregister(link)
            link.socket.close()

    def timed_out(self):
        for client in {key.fileobj.client for key in self.selector.get_map().values()}:
            client.coordinator.timed_out()
            self.advance(client)


def main():
    chosen = options.replicated(__doc__)
    if chosen.role == "replica":
        replica = Replica()
        Server(chosen.address, lambda: Session(replica)).run()
    try:
        report(Clients(chosen.addresses).run, chosen, time.perf_counter)
    except (NoQuorum, Broken) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
