"""Logs of Cattree from C: what was acknowledged is there, for whoever opens the volume next."""

from pathlib import Path

import pytest

from libos.factory import native

C = Path(__file__).with_name("c")


@pytest.mark.parametrize("libos", ["catnap", "catloop"])
def test_logs(run, tmp_path, libos):
    volume = tmp_path / "volume"
    run(C / "logs.c", libos, CATTREE=str(volume))
    store = native("cattree", path=str(volume))
    logs = store.logs()
    assert logs["log"] == (0, 653938) and logs["together"] == (0, 20000) and "c" not in logs
    assert [logs[f"own {i}"] for i in (1, 3, 5, 7)] == [(0, 10000)] * 4
    qd, seen = store.open("shared"), [0] * 8
    for _ in range(400):
        with store.wait(store.pop(qd)).sga as sga:
            element = bytes(sga)
            assert element == element[:1] * 100
            seen[element[0]] += 1
    assert seen == [100, 0] * 4
    store.shut()
