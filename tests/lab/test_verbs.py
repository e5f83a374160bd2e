"""libfabric's verbs provider on the guest's RDMA device: Debian's own programs, then c/fabric.c."""

import pytest
from guest import ADDRESS, LISTENING

PORT_OF_FI_PINGPONG = 47592


def test_provider_is_listed(lab):
    said = lab("fi_info -p verbs")
    assert "domain: rxe0" in said and "type: FI_EP_MSG" in said


@pytest.mark.parametrize(("provider", "kind"), [("verbs", "msg"), ("verbs;ofi_rxm", "rdm")])
def test_fabric_ping_pong(lab, provider, kind):
    options = f"-p '{provider}' -e {kind} -d rxe0 -I 20 -S 4096 -c"
    # rxm asks for a completion queue for 256 peers unless told of fewer: more than rdma_rxe's 32,767 entries
    said = lab(f"""{LISTENING}
        export FI_UNIVERSE_SIZE=16
        fi_pingpong {options} &
        listening {PORT_OF_FI_PINGPONG}
        fi_pingpong {options} {ADDRESS}
        wait $!
    """)
    assert [line.split()[:2] for line in said.splitlines() if line.startswith("4k ")] == [["4k", "20"]] * 2


def test_echo(lab, fabric):
    assert lab(f"{fabric} echo {ADDRESS}") == "100 messages came back\n"


def test_remote_write_and_read(lab, fabric):
    said = lab(f"{fabric} remote {ADDRESS}").splitlines()
    assert said == ["what was written is there, and nothing beside it", "what was read is right"]


def test_stream(lab, fabric):
    """In messages of 1 MiB, every byte of which is looked at."""
    said = lab(f"{fabric} stream {ADDRESS} {1 << 30}", seconds=900)
    assert said.startswith(f"{1 << 30} bytes came whole")
