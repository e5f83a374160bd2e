"""Catmint on the guest's RDMA device, by libfabric's verbs provider: programs for PDPIX, and unmodified ones."""

import flap
from guest import ADDRESS, LISTENING

PORT, ANOTHER = 7000, 7001
# rxm asks for a completion queue for 256 peers unless told of fewer (docs/lab.md)
PROVIDER = f'FI_UNIVERSE_SIZE=16 CATFLAP_PROVIDER="verbs;ofi_rxm" CATFLAP_NODE={ADDRESS}'
SERVER = """
import socket
with socket.create_server(("127.0.0.1", %d)) as listener:
    s = listener.accept()[0]
    while data := s.recv(1 << 20):
        s.sendall(data)
"""
CLIENT = """
import os, socket, subprocess
s = socket.create_connection(("127.0.0.1", %d))
def echo(data):
    s.sendall(data)
    return s.recv(len(data), socket.MSG_WAITALL) == data
def carried():
    said = subprocess.run(["ss", "-tinH", "dport = :%d"], capture_output=True, text=True).stdout
    return [word for word in said.split() if word.startswith("bytes_sent:")]
for _ in range(100):  # until they have met
    before = carried()
    if not all(echo(os.urandom(100)) for _ in range(50)) or (before and carried() == before):
        break
print(len(before) == 1)
print(all(echo(os.urandom(size)) for size in (1, 100, 5000, 300000) for _ in range(10)))
print(carried() == before)
"""
PDPIX = """
import sys
from libos.factory import native
libos = native("catmint", provider="verbs;ofi_rxm", node="%s")
qd = libos.socket(2, 1)
serves = sys.argv[1] == "server"
if serves:
    libos.bind(qd, ("127.0.0.1", %d))
    libos.listen(qd)
    qd = libos.wait(libos.accept(qd)).value
else:
    libos.wait(libos.connect(qd, ("127.0.0.1", %d)))
for size in (1, 1000, 5000, 1 << 20):
    for k in range(10):
        if not serves:
            sga = libos.sgaalloc(size)
            sga.segments[0][:] = bytes([k]) * size
            libos.wait(libos.push(qd, sga))
        came = libos.wait(libos.pop(qd)).sga
        if serves:
            libos.wait(libos.push(qd, came))
        elif bytes(came) != bytes([k]) * size:
            sys.exit("other bytes")
        came.free()
    if not serves:
        print(size)
libos.close(qd)
libos.shut()
"""


def written(tmp_path, **files):
    for name, text in files.items():
        (tmp_path / f"{name}.py").write_text(text)


def test_messages(lab, tmp_path):
    """To 1 MiB, the large ones read by the other end from where they lie."""
    written(tmp_path, pdpix=PDPIX % (ADDRESS, PORT, PORT))
    said = lab(f"""{LISTENING}
        cd {flap.ROOT}
        export FI_UNIVERSE_SIZE=16 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH={flap.ROOT}
        .venv/bin/python {tmp_path}/pdpix.py server &
        listening {PORT}
        .venv/bin/python {tmp_path}/pdpix.py client
        wait $!
    """)
    assert said.split() == ["1", "1000", "5000", str(1 << 20)]


def test_unmodified_programs(lab, tmp_path):
    """Their bytes go by the device, and none by their TCP connection, once they have met."""
    written(tmp_path, server=SERVER % ANOTHER, client=CLIENT % (ANOTHER, ANOTHER))
    said = lab(f"""{LISTENING}
        cd {flap.ROOT}
        export {PROVIDER} CATFLAP_LIBOS=catmint CATFLAP_WORTH=1 PYTHONDONTWRITEBYTECODE=1
        LD_PRELOAD={flap.PRELOAD} .venv/bin/python {tmp_path}/server.py &
        listening {ANOTHER}
        LD_PRELOAD={flap.PRELOAD} .venv/bin/python {tmp_path}/client.py
        wait $!
    """)
    assert said.split() == ["True"] * 3, said
