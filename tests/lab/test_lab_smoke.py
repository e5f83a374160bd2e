"""The least of the lab, for continuous integration: the guest starts, its RDMA device works and guards memory."""

from guest import ADDRESS, LISTENING


def test_rdma_device_is_up(lab):
    assert "state ACTIVE" in lab("rdma link show rxe0/1")


def test_verbs_ping_pong(lab):
    said = lab(f"""{LISTENING}
        ibv_rc_pingpong -d rxe0 -g 1 -n 100 &
        listening 18515
        ibv_rc_pingpong -d rxe0 -g 1 -n 100 {ADDRESS}
        wait $!
    """)
    assert said.count("100 iters in ") == 2


def test_wrong_key(lab, fabric):
    """It is refused, breaks the connection that it came by, and changes nothing; other connections go on."""
    *wrongs, after, written, read = lab(f"{fabric} wrong {ADDRESS}").splitlines()
    assert [line.split(": ")[1] for line in wrongs] == ["remote access error"] * 5
    assert after == "nothing has changed"
    assert (written, read) == ("what was written is there, and nothing beside it", "what was read is right")
