"""Echo over TCP that logs each message, durably, before it answers.

    python examples/logged_echo.py PORT FILE --libos catnap
    python examples/logged_echo.py PORT FILE --libos catloop
    python examples/logged_echo.py PORT FILE --libos catnip --segment NAME
    python examples/logged_echo.py PORT FILE --libos catmint

Network and storage are in one wait, and a message goes from one to the other as the array that it came in. Its clients
are those of `echo.py`.
"""

import os
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from examples.common import options
from examples.serving import bound, started
from libos.errors import Fail
from libos.factory import native
from libos.pdpix import ACCEPT, FAILED, POP

LOG = "messages"


def serve(net, store, address):
    """Each connection has one operation in flight: a pop; a push to the log of what it brought; a push back."""
    log = store.open(LOG, create=True)
    listener = bound(net, socket.SOCK_STREAM, address)
    waiting = net.wait_set()
    waiting.add(net.accept(listener))
    logging = {}  # by qtoken of the push to the log: whose message it is, and the message
    while True:
        result = waiting.wait()
        if result.opcode == ACCEPT:
            waiting.add(net.pop(result.value))
            waiting.add(net.accept(listener))
        elif result.qd == listener:
            raise result.error
        elif result.qtoken in logging:
            qd, message = logging.pop(result.qtoken)
            if result.opcode == FAILED:
                net.close(qd)
                net.sgafree(message)
                raise result.error  # nothing is answered that is not on the device
            waiting.add(net.push(qd, message))
            net.sgafree(message)  # the push keeps it until it is done
        elif result.opcode == POP and len(result.sga):
            token = store.push(log, result.sga)
            logging[token] = result.qd, result.sga
            waiting.add(token)
        elif result.opcode in (POP, FAILED):
            if result.sga is not None:
                net.sgafree(result.sga)
            net.close(result.qd)
        else:
            waiting.add(net.pop(result.qd))


def main():
    chosen = options.logged_echo(__doc__)
    net = started(chosen)
    try:
        serve(net, native("cattree", path=chosen.file, beside=net), chosen.address)
    except Fail as fail:
        sys.exit(str(fail))


if __name__ == "__main__":
    main()
