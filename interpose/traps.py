"""Every libc function that the preload traps, by its declaration; C's tables of them are made of it.

`emit(path)` writes traps.def, one line each for the X-macros of who includes it: TRAP (result, name, parameters,
arguments, descriptor), TRAP_VARIADIC with the last fixed parameter too, TRAP_PLAIN where that is all there is to be
said of the trap (csrc/trap_leave.c); whoever does not care gets both as a TRAP. And, for csrc/trap_syscall.c, the macro
SYSCALLS: of the traps that syscall(2) asks for.
"""

import re

DECLARATIONS = """
# sockets: trap_socket.c
int socket(int domain, int type, int protocol)
int bind(int fd, const struct sockaddr *addr, socklen_t len)
int listen(int fd, int backlog)
int accept(int fd, struct sockaddr *addr, socklen_t *len)
int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
int connect(int fd, const struct sockaddr *addr, socklen_t len)
int shutdown(int fd, int how)
int getsockname(int fd, struct sockaddr *addr, socklen_t *len)
int getpeername(int fd, struct sockaddr *addr, socklen_t *len)
int getsockopt(int fd, int level, int name, void *val, socklen_t *len)
int setsockopt(int fd, int level, int name, const void *val, socklen_t len)
# data: trap_io.c
ssize_t read(int fd, void *buf, size_t n)
ssize_t write(int fd, const void *buf, size_t n)
ssize_t readv(int fd, const struct iovec *iov, int cnt)
ssize_t writev(int fd, const struct iovec *iov, int cnt)
ssize_t recv(int fd, void *buf, size_t n, int flags)
ssize_t send(int fd, const void *buf, size_t n, int flags)
ssize_t recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *addr, socklen_t *len)
ssize_t sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *addr, socklen_t len)
ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
ssize_t sendfile(int out, int in, off_t *offset, size_t n)
ssize_t __read_chk(int fd, void *buf, size_t n, size_t room)
ssize_t __recv_chk(int fd, void *buf, size_t n, size_t room, int flags)
ssize_t __recvfrom_chk(int fd, void *buf, size_t n, size_t room, int flags, struct sockaddr *addr, socklen_t *len)
# readiness: trap_ready.c
int poll(struct pollfd *fds, nfds_t n, int timeout)
int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t room)
int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask, size_t room)
int select(int n, fd_set *r, fd_set *w, fd_set *e, struct timeval *timeout)
int pselect(int n, fd_set *r, fd_set *w, fd_set *e, const struct timespec *timeout, const sigset_t *mask)
int epoll_ctl(int ep, int op, int fd, struct epoll_event *event)
int epoll_wait(int ep, struct epoll_event *events, int n, int timeout)
int epoll_pwait(int ep, struct epoll_event *events, int n, int timeout, const sigset_t *mask)
int epoll_pwait2(int ep, struct epoll_event *events, int n, const struct timespec *timeout, const sigset_t *mask)
# descriptors: trap_descriptor.c
int close(int fd)
int dup(int fd)
int dup2(int fd, int to)
int dup3(int fd, int to, int flags)
int fcntl(int fd, int cmd, ...)
int ioctl(int fd, unsigned long request, ...)
int close_range(unsigned first, unsigned last, int flags)
void closefrom(int first)
int fclose(FILE *file)
# files: trap_file.c
int open(const char *path, int flags, ...)
int openat(int dir, const char *path, int flags, ...)
int creat(const char *path, mode_t mode)
int __open_2(const char *path, int flags)
int __openat_2(int dir, const char *path, int flags)
FILE *fopen(const char *path, const char *mode)
int fsync(int fd)
int fdatasync(int fd)
int ftruncate(int fd, off_t size)
int fallocate(int fd, int mode, off_t offset, off_t n)
off_t lseek(int fd, off_t offset, int whence)
ssize_t pwrite(int fd, const void *buf, size_t n, off_t offset)
ssize_t pwritev(int fd, const struct iovec *iov, int n, off_t offset)
int rename(const char *from, const char *to)
int renameat(int dir, const char *from, int other, const char *to)
int renameat2(int dir, const char *from, int other, const char *to, unsigned flags)
# interfaces: trap_interfaces.c
int getifaddrs(struct ifaddrs **list)
unsigned if_nametoindex(const char *name)
char *if_indextoname(unsigned index, char name[IF_NAMESIZE])
struct if_nameindex *if_nameindex(void)
# processes: trap_process.c
pid_t fork(void)
void _exit(int status)
# places where we can't follow: trap_leave.c, trap_exec.c
FILE *fdopen(int fd, const char *mode)
int vdprintf(int fd, const char *format, va_list ap)
int __vdprintf_chk(int fd, int flag, const char *format, va_list ap)
int sendmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags)
int recvmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags, struct timespec *timeout)
ssize_t preadv2(int fd, const struct iovec *iov, int cnt, off_t offset, int flags)
ssize_t pwritev2(int fd, const struct iovec *iov, int cnt, off_t offset, int flags)
ssize_t splice(int in, off64_t *in_offset, int out, off64_t *out_offset, size_t n, unsigned flags)
ssize_t copy_file_range(int in, off64_t *in_offset, int out, off64_t *out_offset, size_t n, unsigned flags)
int aio_read(struct aiocb *block)
int aio_write(struct aiocb *block)
int lio_listio(int mode, struct aiocb *const list[], int n, struct sigevent *event)
int posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *actions, int fd, int to)
int execve(const char *path, char *const argv[], char *const envp[])
int execvpe(const char *file, char *const argv[], char *const envp[])
int fexecve(int fd, char *const argv[], char *const envp[])
int execveat(int dir, const char *path, char *const argv[], char *const envp[], int flags)
int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions, \
const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions, \
const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
int chroot(const char *path)
int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
# calls that go round libc: trap_syscall.c
long syscall(long n, long a, long b, long c, long d, long e, long f)
# signals: trap_signal.c
int sigaction(int sig, const struct sigaction *act, struct sigaction *old)
sighandler_t signal(int sig, sighandler_t handler)
"""
# the descriptor that goes back to the kernel before the call
BLOCK = "unmapped(block) ? -1 : block->aio_fildes"
PLAIN = {
    "fdopen": "fd",
    "vdprintf": "fd",
    "__vdprintf_chk": "fd",
    "preadv2": "fd",
    "pwritev2": "fd",
    "copy_file_range": "out",
    "aio_read": BLOCK,
    "aio_write": BLOCK,
    "posix_spawn_file_actions_adddup2": "fd",
}
# by the system call: when its trap has something to do, in the words of csrc/trap_syscall.c
OURS = ("read write readv writev recvfrom sendto recvmsg recvmmsg sendfile shutdown accept accept4 connect bind listen "
        "getsockname getpeername getsockopt setsockopt")  # fmt: skip
FILES = ("open openat creat fsync fdatasync lseek ftruncate fallocate pwrite64 pwritev copy_file_range "
         "rename renameat renameat2")  # fmt: skip
SYSCALLS = {
    **dict.fromkeys(OURS.split(), "OURS"),
    **dict.fromkeys(("sendmsg", "sendmmsg"), "MANY"),  # they may pass a descriptor of ours on
    **dict.fromkeys(("close_range", "poll", "select"), "TOP"),
    **dict.fromkeys(("epoll_wait", "epoll_pwait", "epoll_pwait2"), "SET"),
    **dict.fromkeys(("dup2", "dup3"), "OURS || known((int)b) || SET || epoll_set_is_marked((int)b)"),
    **dict.fromkeys(FILES.split(), "mounted"),
    **dict.fromkeys(("execve", "execveat"), "true"),
    "ioctl": "OURS || networked",
    "fcntl": "(b == F_SETFL || b == F_DUPFD || b == F_DUPFD_CLOEXEC) && (OURS || SET)",
    "close": "OURS || descriptor_reason(fd) == CATFLAP_OWN || SET",
    "dup": "OURS || SET",
    "epoll_ctl": "known((int)c) || epoll_set_is_marked((int)c)",
}
# two say how much of the time is left, as libc's do not
SYSCALLS_TIMED = {
    "ppoll": ("MANY && !(c && unmapped(c))", "timed(n, a, b, c, d, (void *)c, 0)"),
    "pselect6": ("MANY && !(e && unmapped(e)) && !(f && unmapped(f))", "timed(n, a, b, c, d, (void *)e, f)"),
}
# libc's other names of what is trapped reach the same traps
OTHER_NAMES = {
    "preadv64v2": "preadv2",
    "pwritev64v2": "pwritev2",
    "aio_read64": "aio_read",
    "aio_write64": "aio_write",
    "lio_listio64": "lio_listio",
    "sendfile64": "sendfile",
    "fcntl64": "fcntl",
    "_Exit": "_exit",
    "bsd_signal": "signal",
    "ssignal": "signal",
    "_IO_fdopen": "fdopen",
    "_IO_fclose": "fclose",
    "_IO_fopen": "fopen",
    "__open64": "open",
    "__lseek": "lseek",
    "__pwrite64": "pwrite",
    "__open64_2": "__open_2",
    "__openat64_2": "__openat_2",
}
for name in "read write send connect poll select open close dup2 fcntl fork sigaction".split():
    OTHER_NAMES[f"__{name}"] = name
for name in "open openat creat fopen ftruncate fallocate lseek pwrite pwritev".split():
    OTHER_NAMES[f"{name}64"] = name
HEAD = """#ifndef TRAP_VARIADIC
#define TRAP_VARIADIC(result, name, params, args, fd, last) TRAP(result, name, params, args, fd)
#endif
#ifndef TRAP_PLAIN
#define TRAP_PLAIN TRAP
#endif
"""
TAIL = """#undef TRAP_VARIADIC
#undef TRAP_PLAIN
"""


def name_of(parameter):
    """The name of a C parameter: its last word, before any brackets."""
    return "arg" if parameter == "..." else re.search(r"(\w+)(\[\w*\])?$", parameter)[1]


def row(declaration):
    """The line of traps.def for a C declaration."""
    result, name, parameters = re.fullmatch(r"(.*?)(\w+)\((.*)\)", declaration).groups()
    named = [] if parameters == "void" else [name_of(parameter) for parameter in parameters.split(", ")]
    macro, more = ("TRAP_PLAIN", PLAIN[name]) if name in PLAIN else ("TRAP", "none")
    if "..." in parameters:
        macro, more = "TRAP_VARIADIC", f"none, {named[-2]}"
    return f"{macro}({result.strip()}, {name}, ({parameters}), ({', '.join(named)}), {more})\n"


def asked(name):
    """How the trap of a system call is called: with its arguments a, b, c and so on, as its parameters want them."""
    name = name.removesuffix("64")
    declaration = next(line for line in declarations() if re.search(rf"\b{name}\(", line))
    casts = []
    for letter, parameter in zip("abcdef", re.search(r"\((.*)\)", declaration)[1].split(", "), strict=False):
        kind = re.sub(r"\w+(\[\w*\])?$", lambda found: "*" if found[1] else "", parameter).strip()
        casts.append(letter if parameter == "..." else f"({kind}){letter}")
    return f"{name}({', '.join(casts)})"


def names():
    """The names of all traps."""
    return [re.search(r"(\w+)\(", line)[1] for line in declarations()]


def declarations():
    return [line for line in DECLARATIONS.splitlines() if line and not line.startswith("#")]


def emit(path):
    """Write traps.def to `path`."""
    with open(path, "w") as file:
        file.write(HEAD + "".join(row(line) for line in declarations()) + TAIL)
        calls = SYSCALLS_TIMED | {name: (when, asked(name)) for name, when in SYSCALLS.items()}
        rows = "".join(f" \\\n    C({name}, {when}, {call})" for name, (when, call) in calls.items())
        file.write(f"#ifndef SYSCALLS\n#define SYSCALLS(C){rows}\n#endif\n")
