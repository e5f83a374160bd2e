"""No test of CPython's own that passes on the kernel fails under Catflap."""

import os
import re
import sysconfig

import flap
import oracle
import pytest

PACKAGE = "libpython3.11-testsuite"
LIBRARY = os.path.join(sysconfig.get_paths()["stdlib"], "test")
WAITS = ["test_select", "test_epoll", "test_selectors.EpollSelectorTestCase"]
WAITS += [f"test_poll.PollTests.{name}" for name in ("test_poll1", "test_poll3", "test_threaded_poll")]
SOCKETS = [
    f"test_socket.{name}"
    for name in """BasicTCPTest BasicTCPTest2 BasicUDPTest BufferIOTest ContextManagersTest CreateServerFunctionalTest
    FileObjectClassTestCase InheritanceTest InterruptedRecvTimeoutTest InterruptedSendTimeoutTest
    NetworkConnectionAttributesTest NonBlockingTCPTests RecvmsgTCPTest RecvmsgIntoTCPTest
    RecvmsgUDPTest SendmsgTCPTest SendRecvFdsTests TCPCloserTest""".split()
]
LOOPS = [f"test_asyncio.{name}.EPollEventLoopTests" for name in ("test_sendfile", "test_sock_lowlevel")]
WHOLE = ["test_select", "test_poll", "test_epoll", "test_selectors", "test_socket"]


def asyncio_modules():
    folder = os.path.join(LIBRARY, "test_asyncio")
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return [f"test_asyncio.{name[:-3]}" for name in names if re.fullmatch(r"test_(?!windows).*\.py", name)]


@pytest.fixture(scope="session")
def reference():
    """reference(*names, warm): the kernel's own run, made once."""
    assert os.path.exists(flap.PRELOAD), f"{flap.PRELOAD} is missing: python setup.py build_ext --inplace"
    assert os.path.exists(os.path.join(LIBRARY, "test_socket.py")), f"missing: apt-get install {PACKAGE}"
    known = {}

    def ran(*names, warm=False):
        if (names, warm) not in known:
            known[names, warm] = oracle.run("kernel", *names, warm=warm)
        return known[names, warm]

    return ran


def agrees(reference, libos, names, *, warm=False, **options):
    names = [f"test.{name}" for name in names]
    wanted = reference(*names, warm=warm)
    assert wanted.passed() and not wanted.host and not wanted.carried
    differ, ran = oracle.differences(libos, *names, reference=wanted, warm=warm, **options)
    assert not differ, "\n".join(f"{test}: {outcome}\n{text}" for test, (outcome, text) in differ.items())
    return ran


BOTH = pytest.mark.parametrize("libos", ["catnap", "auto"])
FULL = pytest.mark.skipif(not flap.FULL, reason="in the full matrix")


@BOTH
@pytest.mark.parametrize("names", [WAITS, SOCKETS], ids=["waits", "sockets"])
def test_sample(reference, libos, names):
    ran = agrees(reference, libos, names)
    assert ran.host or names is WAITS, "the host was never started"


@pytest.mark.parametrize("names", [SOCKETS, LOOPS], ids=["sockets", "loops"])
def test_sample_in_shared_memory(reference, names):
    """As connections that have been in use: they go through rings, nearly all of them."""
    ran = agrees(reference, "auto", names, warm=True)
    assert ran.host and ran.carried >= 10 and ran.carried >= 0.9 * ran.warmed, (ran.warmed, ran.carried)


@pytest.mark.pure_sample
@pytest.mark.parametrize("warm", [False, True], ids=["fresh", "used"])
@BOTH
def test_sample_interpreted(reference, libos, warm):
    names = ["test_socket.BasicTCPTest", "test_socket.RecvmsgTCPTest", "test_socket.NonBlockingTCPTests"]
    agrees(reference, libos, names, warm=warm, pure=True)


@FULL
@pytest.mark.timeout(600)
@pytest.mark.parametrize("module", [*WHOLE, *asyncio_modules()])
@pytest.mark.parametrize("under", ["catnap", "auto", "auto-worth-32", "auto-used", "catnap-used"])
def test_whole(reference, under, module):
    libos, _, form = under.partition("-")
    agrees(reference, libos, [module], warm=form == "used", worth=32 if form.startswith("worth") else 1)
