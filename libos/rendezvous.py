"""How the two ends of a connection of Catmint find each other: by a TCP connection of the kernel.

The caller connects to the listener's address and sends its *card*; the listener answers with its own. A card says what
the fabric is, where, and which endpoint is at this end of the connection. The listener's also names a service, a number
that is good for one connection, and a nonce: the caller's first message, by which the listener knows that who has come
by the fabric is who has come by TCP. Then nothing more is sent by TCP; that the connection is there says that the
other end lives.

A card is one line of words, of which the first names the protocol, the last is a number and the others are in
hexadecimal digits. None of them is trusted.
"""

MARK = b"catmint/1"
LONGEST = 2048  # bytes of a card
ADDRESS = 256  # bytes of the longest address of an endpoint (libos/fabric/fabric.py)
PATIENCE = 5 * 10**9  # ns until a connection has to be there
NONCE = 16  # bytes


class Card:
    """`provider`, `place`: text; `address`: the endpoint's, bytes; `service` and `nonce`: 0 and none of a caller's."""

    def __init__(self, provider, place, address, service=0, nonce=b""):
        self.provider = provider
        self.place = place
        self.address = address
        self.service = service
        self.nonce = nonce

    def line(self):
        names = (self.provider.encode(), self.place.encode(), self.address, self.nonce)
        return b" ".join([MARK, *(name.hex().encode() or b"-" for name in names), b"%d" % self.service]) + b"\n"

    @classmethod
    def of(cls, line):
        """The card that a line is. Raises ValueError."""
        words = line.split()
        if len(words) != 6 or words[0] != MARK:
            raise ValueError("not a card of Catmint's")
        names = (b"" if word == b"-" else bytes.fromhex(word.decode("ascii")) for word in words[1:5])
        provider, place, address, nonce = names
        service = int(words[5])
        if not 0 <= service < 1 << 32 or len(address) > ADDRESS or len(nonce) not in (0, NONCE):
            raise ValueError("a card with impossible numbers")
        return cls(provider.decode(), place.decode(), address, service, nonce)

    def differs(self, other):
        """Why the other's endpoint can't be reached from this one; "" when it can."""
        if self.provider != other.provider:
            return f"its provider is {other.provider!r}, ours is {self.provider!r}"
        if self.place != other.place:
            return f"{self.provider} does not lead there: it is another machine's, container's or user's"
        return ""


class Exchange:
    """Of cards, on a new TCP connection, which does not block. `deadline`: when all has to be done, in ns."""

    def __init__(self, sock, now):
        self.sock = sock
        self.heard = b""
        self.deadline = now + PATIENCE

    def say(self, card):
        """Raises OSError."""
        line = card.line()
        if self.sock.send(line) != len(line):
            raise BlockingIOError("no room for a card on a new connection")

    def card(self):
        """The other's card; None as long as it is not there. Raises ValueError for what is none, OSError."""
        while b"\n" not in self.heard:
            try:
                more = self.sock.recv(LONGEST)
            except BlockingIOError:
                return None
            self.heard += more
            if not more or len(self.heard) > LONGEST or not self.heard.startswith(MARK[: len(self.heard)]):
                raise ValueError("not a card of Catmint's")
        if not self.heard.endswith(b"\n"):
            raise ValueError("more than a card")
        return Card.of(self.heard)
