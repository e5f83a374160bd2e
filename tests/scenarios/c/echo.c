/* server PORT: gives back what each connection brings, one after the other. client PORT: sends its standard input and
 * prints what comes. The same in several kinds of program that Catflap can't serve:
 *
 * -DRAW      every system call by an instruction of its own, as Go makes them; with -nostdlib without any libc
 * -DRING     after the first bytes by an io_uring
 * -DSANDBOX  with a seccomp filter, before the first byte */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef SANDBOX
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#endif

#ifdef RAW
static long raw(long n, long a, long b, long c, long d, long e)
{
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e;
    long r;
    __asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
    return r;
}
#define PADDED(n, a, b, c, d, e, ...) raw(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e))
#define CALL(name, ...) PADDED(SYS_##name, __VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define FORK() raw(SYS_fork, 0, 0, 0, 0, 0)
#else
#define CALL(name, ...) name(__VA_ARGS__)
#define FORK() fork()
#endif

enum { PLAIN = 100 }; /* bytes before the ring */

#ifdef RING
#define MUST(call) (call)
#include "ring.h"

static struct ring ring;
static bool ringed, refused;

static void start_ring(void)
{
    if (!ringed && !refused && !(ringed = make_ring(&ring))) {
        refused = true;
        CALL(write, 2, "no io_uring\n", 12);
    }
}
#define GET(fd, buf, n) (ringed ? done_by_ring(&ring, IORING_OP_READ, fd, buf, n) : CALL(read, fd, buf, n))
#define PUT(fd, buf, n) (ringed ? done_by_ring(&ring, IORING_OP_WRITE, fd, buf, n) : CALL(write, fd, buf, n))
#else
static void start_ring(void) {}
#define GET(fd, buf, n) CALL(read, fd, buf, n)
#define PUT(fd, buf, n) CALL(write, fd, buf, n)
#endif

static void forbid(void)
{
#ifdef SANDBOX
    static const unsigned allowed[] = {SYS_read, SYS_write, SYS_accept, SYS_shutdown, SYS_close, SYS_wait4,
                                       SYS_exit_group};
    enum { COUNT = sizeof allowed / sizeof *allowed };
    struct sock_filter code[2 * COUNT + 2], *p = code;
    *p++ = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (int i = 0; i < COUNT; i++) {
        *p++ = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed[i], 0, 1);
        *p++ = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    *p++ = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    struct sock_fprog filter = {(unsigned short)(p - code), code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0))
        _exit(3);
#endif
}

/* Everything from one to the other, until the end. */
static int copy(int from, int to)
{
    static char buf[65536];
    long n, moved = 0;
    while ((n = GET(from, buf, sizeof buf)) > 0) {
        for (long at = 0, r; at < n; at += r)
            if ((r = PUT(to, buf + at, (unsigned)(n - at))) <= 0)
                return 1;
        if ((moved += n) > PLAIN)
            start_ring();
    }
    return n != 0;
}

static int served(int listener)
{
    for (;;) {
        int fd = (int)CALL(accept, listener, NULL, NULL);
        if (fd < 0 || copy(fd, fd) != 0)
            return 1;
        CALL(close, fd);
    }
}

int main(int argc, char **argv)
{
    unsigned port = 0;
    if (argc != 3)
        return 2;
    for (const char *p = argv[2]; *p; p++)
        port = port * 10 + (unsigned)(*p - '0');
    struct sockaddr_in name;
    name.sin_family = AF_INET;
    name.sin_port = (uint16_t)(port >> 8 | port << 8);
    name.sin_addr.s_addr = 0x0100007f;
    int fd = (int)CALL(socket, AF_INET, SOCK_STREAM, 0);
    if (argv[1][0] == 's') {
        if (CALL(bind, fd, (void *)&name, sizeof name) || CALL(listen, fd, 5))
            return 1;
        forbid();
        return served(fd);
    }
    if (CALL(connect, fd, (void *)&name, sizeof name))
        return 1;
    if (FORK() == 0) {
        forbid();
        int status = copy(0, fd);
        CALL(shutdown, fd, SHUT_WR);
        return status;
    }
    forbid();
    int status = copy(fd, 1);
    CALL(wait4, -1, NULL, 0, NULL);
    return status;
}

#if defined RAW && defined BARE
__asm__(".globl _start\n_start:\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall begin\n");
__attribute__((used, noreturn)) static void begin(long *stack)
{
    raw(SYS_exit_group, main((int)stack[0], (char **)stack + 1), 0, 0, 0, 0);
    __builtin_unreachable();
}
#endif
