"""The POSIX twin of examples/kv.py: a key-value store for unmodified redis clients.

python examples/posix/kv.py server PORT
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from examples.common import options
from examples.common.store import Session, Store
from examples.posix.serving import Server


def main():
    chosen = options.kv(__doc__)
    store = Store()
    Server(chosen.address, lambda: Session(store)).run()


if __name__ == "__main__":
    main()
