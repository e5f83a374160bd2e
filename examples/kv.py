"""A key-value store for unmodified redis clients.

    python examples/kv.py server PORT [--libos catnap]

Then `redis-cli -p PORT`, or `redis-benchmark -p PORT -t ping,set,get -P 16`.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from examples.common import options
from examples.common.store import Session, Store
from examples.serving import Server, started


def main():
    chosen = options.kv(__doc__, libos=True)
    store = Store()
    Server(started(chosen), chosen.address, lambda: Session(store)).run()


if __name__ == "__main__":
    main()
