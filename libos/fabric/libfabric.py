"""An endpoint of libfabric: reliable datagrams (FI_EP_RDM) of a provider such as verbs, `tcp;ofi_rxm` or `shm`.

The calls of libfabric are in a small library of their own (libfabric.c), reached by their addresses. The capabilities
say what its providers do differently: `shm` does not look at keys, none of them knows for whom a window was made.
"""

import ctypes

from libos import raw
from libos.errors import Fail, Kind
from libos.fabric import structs
from libos.fabric.fabric import Fabric
from libos.fabric.libfabric_library import Handlers, functions

COMPILED = __file__.endswith(".so")
PEERS = 65536  # as in libfabric.c
LOOK = 1000000  # ns between two looks where the provider has nothing to wait on
SCRATCH = 512  # bytes


class LibFabric(Fabric):
    """Of `provider`, on the interface with the address `node`, or where the provider likes. `scratch`: memory of
    SCRATCH bytes, at a multiple of 8. Raises UNSUPPORTED, DEVICE.
    """

    def __init__(self, provider, scratch, node=""):
        found = functions()
        self.ask_at, self.poll_at, self.arm_at, self.close_at = (
            found["ask"],
            found["poll"],
            found["arm"],
            found["close"],
        )
        self.register_at, self.deregister_at, self.named_at = found["register"], found["deregister"], found["named"]
        self.peer_at, self.forget_at = found["peer"], found["forget"]
        self.receive_at, self.inject_at = found["receive"], found["inject"]
        self.scratch = scratch
        self.endpoint = 0
        provided, place = provider.encode() + b"\0", node.encode() + b"\0"
        with Handlers():
            result = raw.call3(
                found["open"], scratch, raw.view_at(memoryview(provided)), raw.view_at(memoryview(place))
            )
        if result < 0:
            raise Fail(Kind.DEVICE, f"libfabric has no endpoint of {provider!r} here (error {-result})")
        self.endpoint = raw.load(scratch)
        raw.call2(found["limits"], self.endpoint, scratch)
        limits = [raw.load(scratch + 8 * k) for k in range(4)]
        descriptor, injects = raw.load(scratch + 32), raw.load(scratch + 40)
        length = raw.call3(found["address"], self.endpoint, scratch + 64, structs.ADDRESS)
        if length <= 0 or length > structs.ADDRESS:
            raw.call2(self.close_at, self.endpoint, 0)
            raise Fail(Kind.DEVICE, f"addresses of {provider!r} are too long (error {-length})")
        capabilities = limits[0] | (0 if provider == "shm" else structs.ENFORCES)
        Fabric.__init__(self, ctypes.string_at(scratch + 64, length), capabilities, *limits[1:], PEERS)
        self.injects = injects
        self.descriptor = -1 if descriptor >> 63 else descriptor
        self.receives_out = self.requests_out = 0

    def peer(self, address, length):
        return raw.call3(self.peer_at, self.endpoint, address, length)

    def forget(self, peer):
        raw.call2(self.forget_at, self.endpoint, peer)

    def memory(self, address, length, access):
        at = self.scratch
        raw.store(at, address)
        raw.store(at + 8, length)
        raw.store(at + 16, access)
        return raw.call2(self.register_at, self.endpoint, at)

    def register(self, address, length):
        number = self.memory(address, length, 0)
        return number if number >= 0 else -1

    def deregister(self, region):
        raw.call2(self.deregister_at, self.endpoint, region)

    def expose(self, region, address, length, access, peer):
        number = self.memory(address, length, access)
        return number if number >= 0 else -1

    def base(self, window):
        raw.call3(self.named_at, self.endpoint, window, self.scratch)
        return raw.load(self.scratch)

    def key(self, window):
        raw.call3(self.named_at, self.endpoint, window, self.scratch)
        return raw.load(self.scratch + 8)

    def withdraw(self, window):
        raw.call2(self.deregister_at, self.endpoint, window)

    def ask(self, operation, peer, pieces, count, remote, key, context):
        """Queue a request; false where there is no room for it now."""
        at = self.scratch
        raw.store(at, operation)
        raw.store(at + 8, peer)
        raw.store(at + 16, pieces)
        raw.store(at + 24, count)
        raw.store(at + 32, remote)
        raw.store(at + 40, key)
        raw.store(at + 48, context)
        if raw.call2(self.ask_at, self.endpoint, at) == 1:
            return True
        self.refused += 1
        return False

    def post_receive(self, address, length, region, context):
        at = self.scratch + 64
        raw.store(at, address)
        raw.store(at + 8, length)
        raw.store(at + 16, region)
        if self.receives_out == self.receives or raw.call3(self.receive_at, self.endpoint, at, context) != 1:
            self.refused += 1
            return False
        self.receives_out += 1
        return True

    def request(self, operation, peer, pieces, count, remote, key, context):
        if self.requests_out == self.requests:
            self.refused += 1
            return False
        if not self.ask(operation, peer, pieces, count, remote, key, context):
            return False
        self.requests_out += 1
        return True

    def send(self, peer, pieces, count, context):
        return self.request(structs.SENT, peer, pieces, count, 0, 0, context)

    def inject(self, peer, address, length):
        at = self.scratch + 64
        raw.store(at, address)
        raw.store(at + 8, length)
        if raw.call3(self.inject_at, self.endpoint, peer, at) == 1:
            return True
        self.refused += 1
        return False

    def write(self, peer, pieces, count, remote, key, context):
        return self.request(structs.WRITTEN, peer, pieces, count, remote, key, context)

    def read(self, peer, pieces, count, remote, key, context):
        return self.request(structs.READ, peer, pieces, count, remote, key, context)

    def poll(self, completions, limit):
        if self.endpoint == 0:
            return 0
        n = raw.call3(self.poll_at, self.endpoint, completions, limit)
        k = 0
        while k < n:
            d = structs.completion(completions + k * structs.completion_size())
            if d.operation == structs.RECEIVED:
                self.receives_out -= 1
            else:
                self.requests_out -= 1
            if d.status != structs.OK:
                self.failed += 1
            k += 1
        return n

    def deadline(self, now):
        return now + LOOK if self.descriptor < 0 else -1

    def arm(self):
        return self.descriptor < 0 or raw.call2(self.arm_at, self.endpoint, 0) == 1

    def disarm(self):
        pass

    def bell(self):
        return self.descriptor

    def close(self):
        if self.endpoint:
            raw.call2(self.close_at, self.endpoint, 0)
            self.endpoint = 0
