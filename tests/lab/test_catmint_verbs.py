"""Catmint on the guest's RDMA device, by libfabric's verbs provider."""

import flap
from guest import ADDRESS, LISTENING

PORT = 7000
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


def test_messages(lab, tmp_path):
    """To 1 MiB, the large ones read by the other end from where they lie."""
    (tmp_path / "pdpix.py").write_text(PDPIX % (ADDRESS, PORT, PORT))
    said = lab(f"""{LISTENING}
        cd {flap.ROOT}
        export FI_UNIVERSE_SIZE=16 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH={flap.ROOT}
        .venv/bin/python {tmp_path}/pdpix.py server &
        listening {PORT}
        .venv/bin/python {tmp_path}/pdpix.py client
        wait $!
    """)
    assert said.split() == ["1", "1000", "5000", str(1 << 20)]
