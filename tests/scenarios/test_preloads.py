"""Other libraries in LD_PRELOAD, before and after ours: wrappers of the same calls, allocators, early constructors."""

import flap
import pytest


@pytest.fixture(scope="module")
def wrapper():
    return flap.compiled("preload_wrapper.c", flags=("-shared", "-fPIC"))


@pytest.fixture(scope="module")
def allocator():
    return flap.compiled("preload_malloc.c", flags=("-shared", "-fPIC"))


def agrees(oracle, source, scenario, **options):
    expected = oracle(source, scenario, 20, False)
    result = flap.run([flap.compiled(source), scenario], "catnap", **options)
    assert result.stdout.decode().splitlines() == expected.stdout.decode().splitlines(), str(result)
    assert (result.status, result.stderr) == (expected.status, expected.stderr), str(result)
    assert result.host[-1] == "1", str(result)
    return result


@pytest.mark.parametrize("pure", [False, pytest.param(True, marks=pytest.mark.pure_sample)])
@pytest.mark.parametrize("order", ["before", "after", "both"])
def test_wrapper(oracle, preload, wrapper, tmp_path, order, pure):
    """One before us sees every call, one behind us disturbs nothing; sockets work in a constructor before ours."""
    options = {"before": [wrapper] if order != "after" else [], "after": [wrapper] if order != "before" else []}
    for scenario in ("peek", "wait_all"):
        report = tmp_path / scenario
        agrees(oracle, "messages.c", scenario, pure=pure, env={"FLAP_WRAPPER": str(report)}, **options)
        counts = report.read_text()
        assert counts.startswith("early fine, recv "), counts
        assert int(counts.split("recv ")[1].split(",")[0]) >= (1 if order == "after" else 4), counts


@pytest.mark.parametrize(
    "scenario",
    [
        ("threads.c", "first_calls_at_once"),
        ("processes.c", "fork_under_traffic"),
        ("stream.c", "bulk_both_ways"),
        ("exec.c", "new_image_uses_connection"),
    ],
)
@pytest.mark.parametrize("order", ["before", "after"])
def test_allocator(oracle, preload, allocator, order, scenario):
    """An allocator that calls dlsym from malloc, during our start and under threads and fork."""
    agrees(oracle, *scenario, **{order: [allocator]})


def test_whole_stack(oracle, preload, wrapper, allocator):
    agrees(oracle, "epoll.c", "mixed", before=[allocator], after=[wrapper])


def test_address_sanitizer(oracle, preload):
    """A program built with the address sanitizer, which wraps recv, read, poll and others itself."""
    for source, scenario in (("messages.c", "vectors"), ("threads.c", "six_accept_on_one_listener")):
        expected = oracle(source, scenario, 20, False)
        program = flap.compiled(source, flags=("-fsanitize=address",), out="asan")
        env = {"ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=0"}
        if scenario == "vectors":  # it checks the scenario's bad vectors before the kernel can
            source, scenario = "messages.c", "message_headers"
            expected = oracle(source, scenario, 20, False)
        result = flap.run([program, scenario], "catnap", env=env, timeout=60)
        assert result.stdout == expected.stdout, str(result)
