"""A key-value store that answers redis' commands PING, SET, GET, DEL, EXISTS, COMMAND and CONFIG GET, without I/O."""

from examples.common import resp

BATCH = 65536  # bytes of answers after which they are sent, before further requests are looked at
SETTINGS = {b"save": b"", b"appendonly": b"no"}  # what redis-benchmark asks for


class Wrong(Exception):
    """What the client asked for can't be answered; says why."""


class Store:
    """The table, and one method for each command: it gets the arguments and returns an encoded answer."""

    def __init__(self):
        self.values = {}
        self.commands = {
            "ping": (self.ping, 0, 1),  # fewest and most arguments
            "set": (self.set, 2, None),
            "get": (self.get, 1, 1),
            "del": (self.delete, 1, None),
            "exists": (self.exists, 1, None),
            "command": (self.command, 0, None),
            "config": (self.config, 1, None),
        }

    def answer(self, request):
        """The encoded answer to a request."""
        word, *arguments = request
        name = word.decode("latin-1")
        try:
            if name.lower() not in self.commands:
                raise Wrong(f"unknown command '{shown(word)[:128]}', with args beginning with: {beginning(arguments)}")
            run, least, most = self.commands[name.lower()]
            if len(arguments) < least or (most is not None and len(arguments) > most):
                raise Wrong(f"wrong number of arguments for '{name.lower()}' command")
            return run(*arguments)
        except Wrong as wrong:
            return resp.error(f"ERR {wrong}")

    def ping(self, message=None):
        return resp.simple("PONG") if message is None else resp.bulk(message)

    def set(self, key, value, *options):
        if options:
            raise Wrong("syntax error")
        self.values[key] = value
        return resp.simple("OK")

    def get(self, key):
        return resp.bulk(self.values.get(key))

    def delete(self, *keys):
        return resp.number(sum(self.values.pop(key, None) is not None for key in keys))

    def exists(self, *keys):
        return resp.number(sum(key in self.values for key in keys))

    def command(self, *arguments):
        return resp.array([])  # clients take it as: nothing is known of the commands

    def config(self, word, *names):
        if word.lower() != b"get":
            raise Wrong(f"unknown subcommand '{shown(word)[:128]}'. Try CONFIG HELP.")
        if not names:
            raise Wrong("wrong number of arguments for 'config|get' command")
        wanted = {name.lower() for name in names}
        return resp.array([text for setting in SETTINGS.items() if setting[0] in wanted for text in setting])


def shown(argument):
    """An argument in an error; as in redis, what follows a zero byte isn't there."""
    return argument.split(b"\0")[0].decode("latin-1")


def beginning(arguments):
    words = ""
    for argument in arguments:
        if len(words) >= 128:
            break
        words += f"'{shown(argument)[: 128 - len(words)]}' "
    return words


class Session:
    """One client of a store: requests in, answers out, in their order. A malformed request is the last one."""

    def __init__(self, store):
        self.store = store
        self.requests = resp.Requests()
        self.ended = False

    def receive(self, data):
        if not self.ended:
            self.requests.receive(data)

    def answers(self):
        """The next answers, a batch at a time: many small requests may have large answers."""
        batch, size = [], 0
        try:
            while not self.ended and size < BATCH and (request := self.requests.next()):
                batch.append(self.store.answer(request))
                size += len(batch[-1])
        except resp.Malformed as malformed:
            batch.append(resp.error(f"ERR Protocol error: {malformed}"))
            self.ended = True
        return b"".join(batch)

    def lost(self):
        """The client is gone; there is nothing to undo."""
