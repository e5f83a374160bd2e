"""The kernel is the oracle: each scenario's transcript on the kernel and under each libOS is the same, errno for errno.

By default each scenario runs compiled under catnap (plain build) and auto (fortified build), a fixed sample in
interpreted mode (`-m pure_sample`), and a smaller one under Catmint. FLAP_MATRIX=full runs every combination.
"""

import os
import re

import catmints
import flap
import pytest

# scenario -> seconds, where the usual limit is too short
SLOW = {"twenty_thousand_descriptors": 60}
LIMIT = 20
# the process that ends such a scenario has opened no socket itself, or may not write here any more
HOSTLESS = {
    "sigpipe_kills",
    "overflow_is_caught",
    "exit_beside_spinning_threads",
    "exit_in_a_thread",
    "main_thread_ends_first",
    "another_user",
    "interrupted_while_busy",
}
# a build without _FORTIFY_SOURCE would test nothing
ALWAYS_FORTIFIED = {"fortify"}
SAMPLE = {
    "stream": {"echo_blocking", "echo_nonblocking", "partial_reads", "half_close", "sigpipe_handled"},
    "connect": {"refused_nonblocking", "listen_and_accept", "names"},
    "messages": {"vectors", "peek", "wait_all", "files_to_sockets"},
    "timeouts": {"receive_timeout", "send_timeout"},
    "datagram": {"unconnected", "many_datagrams"},
    "options": {"table_of_connection", "wrong_lengths"},
    "readiness": {"mixed_poll", "mixed_select", "poll_events"},
    "epoll": {"level", "edge", "closing_members", "changed_while_waiting"},
    "descriptors": {"copies_share", "dup2_over", "closed_behind_our_back", "passed_to_a_child"},
    "signals": {"interrupted", "restarted", "handler_writes_to_a_socket", "jumps_out_of_recv"},
    "cancel": {"cancelled_while_waiting", "shutdown_wakes", "close_under_recv"},
    "threads": {"small_stack", "first_calls_at_once", "six_accept_on_one_listener"},
    "processes": {"both_sides_share", "accept_then_fork_server", "fork_beside_a_blocked_thread", "daemonised_server"},
    "exec": {"new_image_uses_connection", "vfork_child_closes_and_copies"},
    "ends": {"ways_to_end", "handlers_at_exit"},
    "others": {"bad_numbers"},
    "raw": {"data", "readiness", "copies"},
    "aliases": {"names_with_underscores"},
    "sleepers": {"shutdown_wakes_a_writer", "exclusive_refusals"},
    "carried": {"peek_for_all", "control_data_of_a_stream"},
}

# of those, a few under Catmint in every run, by shm and by tcp;ofi_rxm
MINT_SAMPLE = {
    "stream": {"echo_blocking", "half_close"},
    "messages": {"peek", "files_to_sockets"},
    "epoll": {"edge", "changed_while_waiting"},
    "cancel": {"shutdown_wakes"},
    "processes": {"both_sides_share"},
    "lineage": {"interrupted_while_busy"},
    "goodbye": {"full_and_a_goodbye"},
}

# not under Catmint: there bytes that their reader has not taken when their sender leaves can't go back to the kernel
# for a reader that leaves too (docs/catmint.md)
UNRETURNED = {"kernel_ring", "plain_image_reads_what_an_ended_sender_left"}

# scenarios that auto leaves to the kernel: without a stream, or on the numbers of stdio
DATAGRAMS = {"table_of_udp", "readers_of_one_datagram_socket", "low_numbers"}


# scenarios in which no connection is used: auto only counts what its sockets do
UNUSED = {
    "bind_errors",
    "close_on_exec",
    "socket_errors",
    "table_of_listener",
    "table_of_tcp",
    "table_of_tcp_v6",
    "times",
}

# scenarios whose connections are not used before, so that auto leaves them on the kernel: what differs there
# (docs/differences.md), and options that leave a connection in use without a window, on the kernel too
COLD = {"bad_addresses", "closed_behind_our_back", "truncate_and_more", "table_of_connection", "taken_by_a_child"}

# a child of vfork may run no Python, so that interpreted, an upgraded connection can't leave there
COLD_INTERPRETED = {"new_image_uses_connection"}


# a number of a new descriptor, and that of one in an event
NUMBER = re.compile(r"^(\w+\(.*\) -> |  )\d+(?=$|: )")


def transcript(result, libos):
    """Lines. tcp;ofi_rxm opens descriptors of its own, later than Catmint can give them high numbers."""
    lines = result.stdout.decode().splitlines()
    made = ("socket(", "epoll_create", "accept", "dup", "fcntl(", "open", "memfd_create(", "  ")
    if libos != "catmint-tcp":
        return lines
    return [NUMBER.sub(r"\g<1>N", line) if line.startswith(made) else line for line in lines]


def families():
    """All but those of files, which are about no sockets (test_files.py)."""
    names = sorted(name[:-2] for name in os.listdir(flap.SOURCES) if name.endswith(".c") and name != "files.c")
    return [name for name in names if flap.scenarios(name + ".c")]


def cells():
    """(family, scenario, libos, interpreted, fortified) of this run, as pytest parameters."""
    chosen = []
    for family in families():
        for scenario in flap.scenarios(family + ".c"):
            sampled = scenario in SAMPLE.get(family, ())
            combinations = [("catnap", False, False), ("auto", False, False)]
            if flap.FULL:
                combinations = [
                    (libos, p, f) for libos in ("catnap", "auto") for p in (False, True) for f in (False, True)
                ]
                if scenario not in UNRETURNED:
                    combinations += [(libos, p, False) for libos in flap.FABRICS for p in (False, True)]
            elif sampled:
                combinations += [("catnap", True, False), ("auto", True, False)]
            if not flap.FULL and scenario in MINT_SAMPLE.get(family, ()):
                combinations += [(libos, False, False) for libos in flap.FABRICS]
            for libos, pure, fortified in combinations:
                title = f"{family}.{scenario}-{libos}{'-pure' if pure else ''}{'-fortified' if fortified else ''}"
                marks = [pytest.mark.pure_sample] if pure and sampled else []
                chosen.append(pytest.param(family, scenario, libos, pure, fortified, id=title, marks=marks))
    return chosen


@pytest.mark.parametrize(("family", "scenario", "libos", "pure", "fortified"), cells())
def test_agrees_with_kernel(preload, oracle, family, scenario, libos, pure, fortified):
    limit = SLOW.get(scenario, LIMIT)
    fortified = fortified or family in ALWAYS_FORTIFIED
    cold = scenario in COLD or (pure and scenario in COLD_INTERPRETED)
    warm = {"SCENARIO_WARM": "1"} if libos != "catnap" and not cold else {}
    if libos in flap.FABRICS:
        catmints.need(libos)
    expected = oracle(family + ".c", scenario, limit, family in ALWAYS_FORTIFIED, warm)
    program = flap.compiled(family + ".c", fortify=fortified)
    result = flap.run([program, scenario], libos, pure=pure, timeout=limit * (3 if pure else 1), env=warm)
    assert not result.timed_out, f"hangs under {libos}:\n{result}"
    assert transcript(result, libos) == transcript(expected, libos), str(result)
    assert result.status == expected.status, str(result)
    assert result.stderr == expected.stderr
    assert result.orphans == expected.orphans, str(result)
    hostless = family == "datagram" or scenario in DATAGRAMS | UNUSED | COLD
    if result.status == 0 and scenario not in HOSTLESS and not (libos != "catnap" and hostless):
        assert result.host and result.host[-1] == "1", f"this run stayed on the kernel:\n{result}"


@pytest.mark.parametrize(("family", "scenario"), [(f, s) for f in SAMPLE for s in sorted(SAMPLE[f])])
def test_agrees_when_every_use_is_worth_it(preload, oracle, family, scenario):
    """Connections that are Catloop's from their first use on, and not upgraded before the scenario begins."""
    limit = SLOW.get(scenario, LIMIT)
    expected = oracle(family + ".c", scenario, limit, False, {})
    result = flap.run([flap.compiled(family + ".c"), scenario], "auto", timeout=limit, env={"CATFLAP_WORTH": "1"})
    assert not result.timed_out, str(result)
    assert result.stdout.decode().splitlines() == expected.stdout.decode().splitlines(), str(result)
    assert (result.status, result.stderr, result.orphans) == (expected.status, expected.stderr, expected.orphans)


def test_connections_of_a_program_with_a_ring(preload):
    """Its operations can't be seen: what was upgraded leaves, and later connections stay on the kernel (reason 14)."""
    env = {"SCENARIO_WARM": "1", "CATFLAP_VERBOSE": "1"}
    result = flap.run([flap.compiled("raw.c"), "kernel_ring"], "auto", env=env)
    if b"no io_uring" in result.stdout:
        pytest.skip("io_uring is forbidden here")
    assert len(re.findall(r"stays on the kernel: descriptor, reason \d+ 14", result.log)) == 2, str(result)


# what is known to differ once the bytes go through shared memory (docs/differences.md): (kernel's line, ours)
IN_USE = [
    ("messages", "truncate_and_more", {"readable(p[1], 20) -> 0"}, {"readable(p[1], 20) -> 1"}),
    ("descriptors", "closed_behind_our_back", {"send(q[0], buf, 4, 0) -> -1 EBADF"}, {"send(q[0], buf, 4, 0) -> 4"}),
    (
        "lineage",
        "taken_by_a_child",
        {"child exited 0", "recv(p[0], buf, 5, MSG_DONTWAIT) -> 5"},
        {"child exited 1", "recv(p[0], buf, 5, MSG_DONTWAIT) -> -1 EAGAIN"},
    ),
]


@pytest.mark.parametrize(("family", "scenario", "kernels", "ours"), IN_USE, ids=lambda value: str(value)[:20])
def test_known_differences_of_a_connection_in_use(preload, oracle, family, scenario, kernels, ours):
    warm = {"SCENARIO_WARM": "1"}
    expected = oracle(family + ".c", scenario, LIMIT, False, warm).stdout.decode().splitlines()
    result = flap.run([flap.compiled(family + ".c"), scenario], "auto", env=warm)
    found = result.stdout.decode().splitlines()
    assert len(found) == len(expected)
    pairs = [(a, b) for a, b in zip(expected, found, strict=True) if a != b]
    assert {a for a, _ in pairs} == kernels and {b for _, b in pairs} == ours


def test_bad_addresses_of_a_connection_in_use(preload):
    result = flap.run([flap.compiled("messages.c"), "bad_addresses"], "auto", env={"SCENARIO_WARM": "1"})
    assert result.status == 128 + 11
