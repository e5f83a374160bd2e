"""forked.py SCRIPT ROLE ADDRESS PORT ...: the script, in a child of a process that has opened its network."""

import os
import runpy
import socket
import sys

socket.if_nameindex()
child = os.fork()
if child == 0:
    del sys.argv[0]
    sys.path.insert(0, os.path.dirname(sys.argv[0]))
    runpy.run_path(sys.argv[0], run_name="__main__")
    sys.exit()
_, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status))
