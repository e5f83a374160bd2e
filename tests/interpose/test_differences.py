"""The rows of docs/differences.md, one test each."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "interpose" / "libcatflap.so"
DIFFERENCES = (ROOT / "docs" / "differences.md").read_text()
HEAD = """
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
"""


def run(tmp_path, body, preload, libos="catnap"):
    """(exit status, stdout) of a C program, on the kernel or under a libOS."""
    (tmp_path / "p.c").write_text(HEAD + "int main(void){" + body + "}")
    subprocess.run(["cc", "-w", "-O1", "-o", tmp_path / "p", tmp_path / "p.c"], check=True)
    env = dict(os.environ, CATFLAP_LIBOS=libos, CATFLAP_WORTH="1")
    if preload:
        env["LD_PRELOAD"] = str(LIBRARY)
    done = subprocess.run([tmp_path / "p"], env=env, capture_output=True, text=True, timeout=30)
    return done.returncode, done.stdout


UNMAPPED = """
int fd = socket(AF_INET, SOCK_%s | SOCK_NONBLOCK, 0);
char *gone = mmap(0, 65536, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
munmap(gone, 65536);
struct sockaddr a = {AF_INET}; char b[8]; struct timeval t = {0}; struct timespec s = {0};
socklen_t len = sizeof a;
bind(fd, &a, len);
getsockname(fd, &a, &len);
connect(fd, &a, len);
send(fd, "to itself", 9, MSG_NOSIGNAL);
long r = %s;
printf("%%ld %%s\\n", r, strerrorname_np(errno));
return 0;
"""
READ_BY_TRAPS = {
    "poll": "poll((struct pollfd *)gone, 1, 1)",
    "ppoll": "ppoll((struct pollfd *)gone, 1, &s, 0)",
    "select": "select(fd + 1, (fd_set *)gone, 0, 0, &t)",
    "pselect": "pselect(fd + 1, 0, (fd_set *)gone, 0, &s, 0)",
    "recvfrom": "recvfrom(fd, b, 8, 0, &a, (socklen_t *)gone)",
    "readv": "readv(fd, (struct iovec *)gone, 1)",
    "writev": "writev(fd, (struct iovec *)gone, 1)",
    "sendfile": "sendfile(fd, 0, (off_t *)gone, 1)",
}
# what points to these is passed on without being read
PASSED_ON = {
    "recvmsg": "recvmsg(fd, (struct msghdr *)gone, 0)",
    "sendmsg": "sendmsg(fd, (struct msghdr *)gone, 0)",
    "recv": "recv(fd, gone, 1, 0)",
    "send": "send(fd, gone, 1, MSG_NOSIGNAL)",
    "connect": "connect(fd, (struct sockaddr *)gone, 16)",
    "getsockname": "getsockname(fd, (struct sockaddr *)gone, (socklen_t *)gone)",
}


def unmapped(call):
    """The body of a program that makes `call`, one of the two tables above, with an unmapped address."""
    return UNMAPPED % ("STREAM" if call.startswith("sendfile") else "DGRAM", call)


@pytest.mark.parametrize("name", READ_BY_TRAPS)
def test_an_unmapped_address_that_a_trap_has_to_read(tmp_path, name):
    body = unmapped(READ_BY_TRAPS[name])
    assert run(tmp_path, body, preload=False) == (0, "-1 EFAULT\n")
    status, _ = run(tmp_path, body, preload=True)
    assert status == -signal.SIGSEGV
    low = body.replace("munmap(gone, 65536);", "gone = (char *)8;")
    assert run(tmp_path, low, preload=True) == run(tmp_path, low, preload=False)
    row = next(line for line in DIFFERENCES.splitlines() if "SIGSEGV" in line)
    assert f"`{name}`" in row


def test_an_unmapped_address_for_a_list_of_interfaces(tmp_path):
    """Read where the program may have a network of its own, and nowhere else."""
    body = unmapped("ioctl(fd, SIOCGIFCONF, gone)")
    on_kernel = run(tmp_path, body, preload=False)
    assert on_kernel == run(tmp_path, body, preload=True) == (0, "-1 EFAULT\n")
    far = body.replace("munmap(gone, 65536);", "gone = (char *)0x123456789000;")  # what we map is elsewhere
    assert run(tmp_path, far, True, "catnip")[0] == -signal.SIGSEGV
    low = body.replace("munmap(gone, 65536);", "gone = (char *)8;")
    assert run(tmp_path, low, True, "catnip") == on_kernel


@pytest.mark.parametrize("name", PASSED_ON)
def test_an_unmapped_address_that_no_trap_reads(tmp_path, name):
    body = unmapped(PASSED_ON[name])
    assert run(tmp_path, body, preload=True) == run(tmp_path, body, preload=False)


RESETHAND = """
int fd = socket(AF_INET, SOCK_STREAM, 0);
struct sigaction act = {.sa_handler = (void (*)(int))alarm, .sa_flags = SA_RESETHAND}, old;
sigaction(SIGUSR1, &act, 0);
raise(SIGUSR1);
sigaction(SIGUSR1, 0, &old);
printf("%d\\n", old.sa_handler == SIG_DFL);
return 0;
"""


@pytest.mark.parametrize("preload", [False, True])
def test_a_resethand_handler_is_left_alone(tmp_path, preload):
    assert run(tmp_path, RESETHAND, preload) == (0, "1\n")


VFORK = """
int fd = socket(AF_INET, SOCK_STREAM, 0);
if (vfork() == 0) {
    int mine = socket(AF_INET, SOCK_STREAM, 0);
    close(mine);
    close(fd);
    _exit(mine >= 0 ? 0 : 1);
}
int status; wait(&status);
int one = 1;
printf("%d %d\\n", status, setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
return 0;
"""


@pytest.mark.parametrize("preload", [False, True])
def test_a_vfork_child_changes_nothing_of_its_parent(tmp_path, preload):
    assert run(tmp_path, VFORK, preload) == (0, "0 0\n")


KILLED = """
struct sockaddr_in a = {AF_INET, 0, {htonl(0x7f000001)}}; socklen_t len = sizeof a;
char b[1000] = ""; int empty = 0, taken = 0, l = socket(AF_INET, SOCK_STREAM, 0), fd, r;
bind(l, &a, len); listen(l, 1); getsockname(l, &a, &len);
int child = fork();
if (!child) {
    fd = socket(AF_INET, SOCK_STREAM, 0);
    connect(fd, &a, len);
    for (int i = 0; i < 100; i++) if (recv(fd, b, 1, 0) == 1) send(fd, b, 1, 0);
    %s;
}
fd = accept(l, 0, 0);
for (int i = 0; i < 100; i++) if (send(fd, b, 1, 0) != 1 || recv(fd, b, 1, 0) != 1) return 1;
waitpid(child, 0, 0);
if (%d) while ((r = recv(fd, b, 1, MSG_DONTWAIT)) < 0 && errno == EAGAIN && empty < 1000) { empty++; usleep(50); }
while (send(fd, b, 1000, MSG_DONTWAIT | MSG_NOSIGNAL) == 1000 && taken < 10000) taken++;
printf("%%d %%d\\n", empty, taken);
return 0;
"""


@pytest.mark.parametrize("looks", [0, 1])
def test_a_peer_that_was_killed(tmp_path, looks):
    """It has told nobody; looks into an empty ring ask the spine every 0.2 ms, and so does a full ring."""
    body = KILLED % ("raise(SIGKILL)", looks)
    assert run(tmp_path, body, False) == (0, "0 1\n")
    status, text = run(tmp_path, body, True, "auto")
    empty, taken = map(int, text.split())
    assert status == 0 and empty < 6 and taken < 6000
    assert looks or taken > 1, "the difference is gone"


@pytest.mark.parametrize("way", ["_exit(0)", "exit(0)", "close(fd); pause()"])
def test_a_peer_that_ends_by_itself(tmp_path, way):
    body = (KILLED % (way, 1)).replace("waitpid(child, 0, 0)", "usleep(100000); kill(child, SIGKILL)")
    assert run(tmp_path, body, True, "auto") == run(tmp_path, body, False) == (0, "0 1\n")


def test_every_row_names_a_test_that_exists():
    rows = [line for line in DIFFERENCES.splitlines() if line.startswith("| ")][2:]
    assert rows
    for row in rows:
        named = re.findall(r"`(tests/[\w/.]+)`", row)
        assert named and all((ROOT / name).is_file() for name in named), row
