"""A datagram relay without I/O: clients are known by address, and reach each other by name.

"hello NAME" registers the sender and is answered "welcome NAME", or "refused NAME" when another address has that name
or the table is full. "NAME\\0payload" goes to NAME's address as "SENDER\\0payload". Everything else is dropped without
a word. A client that has sent nothing for LIFETIME seconds is forgotten.
"""

LIFETIME = 60
MOST_CLIENTS = 1024
LONGEST_NAME = 32
HELLO, WELCOME, REFUSED = b"hello ", b"welcome ", b"refused "
MAX_DATAGRAM = 65507  # bytes of payload, UDP over IPv4


class Client:
    """`heard`: when the last valid datagram came from it, in seconds."""

    __slots__ = ("name", "address", "heard")

    def __init__(self, name, address, heard):
        self.name = name
        self.address = address
        self.heard = heard


class Relay:
    """The table of clients. Both dicts hold the same ones; the one by address is in the order of `heard`."""

    def __init__(self):
        self.by_address = {}
        self.by_name = {}

    def receive(self, datagram, address, now):
        """What to send for a datagram (a memoryview) that came from `address` at `now` seconds.

        Returns (buffers, address), the buffers one datagram together, parts of the one that came among them; or None.
        """
        head = bytes(datagram[: len(HELLO) + LONGEST_NAME + 1])
        name, nul, _ = head.partition(b"\0")
        if nul:
            return self.forwarded(name, datagram[len(name) + 1 :], address, now)
        if head.startswith(HELLO):
            return self.registered(head[len(HELLO) :], len(datagram), address, now)
        return None

    def registered(self, name, size, address, now):
        if not name or len(name) > LONGEST_NAME or size != len(HELLO) + len(name):
            return None
        self.forget(now)
        holder = self.by_name.get(name)
        if holder is not None and holder.address != address:
            return (REFUSED, name), address
        if address not in self.by_address and len(self.by_address) == MOST_CLIENTS:
            return (REFUSED, name), address
        known = self.by_address.pop(address, None)
        if known is not None:
            del self.by_name[known.name]
        self.by_address[address] = self.by_name[name] = Client(name, address, now)
        return (WELCOME, name), address

    def forwarded(self, name, payload, address, now):
        self.forget(now)
        sender, target = self.by_address.get(address), self.by_name.get(name)
        if sender is None:
            return None
        sender.heard = now
        self.by_address[address] = self.by_address.pop(address)
        if target is None or len(sender.name) + 1 + len(payload) > MAX_DATAGRAM:
            return None
        return (sender.name, b"\0", payload), target.address

    def forget(self, now):
        """Those that were silent for too long are no clients any more."""
        while self.by_address:
            oldest = next(iter(self.by_address.values()))
            if now - oldest.heard < LIFETIME:
                break
            del self.by_address[oldest.address]
            del self.by_name[oldest.name]
