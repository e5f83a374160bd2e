"""A replicated key-value store with transactions, in the manner of TxnStore: three replicas, and a load of YCSB's.

    python examples/replicated.py replica PORT [--libos catnap]
    python examples/replicated.py load PORT PORT PORT [--clients N] [--transactions N] [--choice zipfian|uniform]
    python examples/replicated.py sum PORT PORT PORT

The protocol is in examples/common: replica.py, coordinator.py, workload.py.
"""

import os
import secrets
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from examples.common import options
from examples.common.coordinator import Coordinator, NoQuorum
from examples.common.replica import Replica, Session
from examples.common.workload import Broken, report
from examples.serving import Server, connected, started
from libos.errors import Fail, Kind
from libos.pdpix import POP, PUSH
from libos.sgarray import SGArray

TIMEOUT = 5  # seconds without a word from any replica


class Client:
    """A coordinator, its task, and the qds of its connections by replica."""

    def __init__(self, coordinator, task):
        self.coordinator = coordinator
        self.task = task
        self.qds = {}


class Clients:
    """Clients side by side in one loop."""

    def __init__(self, libos, addresses):
        self.libos = libos
        self.addresses = addresses

    def run(self, tasks):
        """Run tasks, functions of a coordinator, to their end. Raises NoQuorum, Broken."""
        self.waiting = self.libos.wait_set()
        self.clients = {}
        for number, task in enumerate(tasks):
            self.start(Coordinator(secrets.randbits(64), number), task)
        while self.clients:
            try:
                result = self.waiting.wait(TIMEOUT)
            except Fail as fail:
                if fail.kind is not Kind.TIMED_OUT:
                    raise
                self.timed_out()
                continue
            self.completed(result)

    def start(self, coordinator, task):
        client = Client(coordinator, task(coordinator))
        for replica, address in enumerate(self.addresses):
            try:
                client.qds[replica] = connected(self.libos, address)
            except Fail:
                coordinator.lost(replica)
        for replica, qd in client.qds.items():
            self.clients[qd] = client, replica
            self.waiting.add(self.libos.pop(qd))
        self.advance(client)

    def completed(self, result):
        """Something came, or went, or failed; what was pending on a queue that is closed fails as well."""
        data = b""
        if result.opcode == POP:
            with result.sga as sga:
                data = bytes(sga)
        if result.qd not in self.clients or result.opcode == PUSH:
            return
        client, replica = self.clients[result.qd]
        if data:
            client.coordinator.receive(replica, data)
            self.waiting.add(self.libos.pop(result.qd))
        else:
            client.coordinator.lost(replica)
        self.advance(client)

    def advance(self, client):
        """Let a client go on, send what it wants sent, and close what it doesn't need any more."""
        alive = client.coordinator.alive
        try:
            next(client.task)
        except StopIteration:
            alive = [False] * len(alive)
        for replica, data in client.coordinator.to_send():
            self.waiting.add(self.libos.push(client.qds[replica], SGArray.of(data)))
        for replica in [replica for replica in client.qds if not alive[replica]]:
            qd = client.qds.pop(replica)
            del self.clients[qd]
            self.libos.close(qd)

    def timed_out(self):
        for client in {client for client, _ in self.clients.values()}:
            client.coordinator.timed_out()
            self.advance(client)


def main():
    chosen = options.replicated(__doc__, libos=True)
    libos = started(chosen)
    if chosen.role == "replica":
        replica = Replica()
        Server(libos, chosen.address, lambda: Session(replica)).run()
    try:
        report(Clients(libos, chosen.addresses).run, chosen, time.perf_counter)
    except (NoQuorum, Broken) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
