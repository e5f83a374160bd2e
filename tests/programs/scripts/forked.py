"""forked.py ROLE ADDRESS PORT ...: abroad.py, in a child of a process that has opened its network."""

import os
import runpy
import socket
import sys

socket.if_nameindex()
child = os.fork()
if child == 0:
    runpy.run_path(os.path.join(os.path.dirname(__file__), "abroad.py"), run_name="__main__")
    sys.exit()
_, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status))
