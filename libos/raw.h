/* Raw memory order and raw kernel entry for the compiled modules: inlined where they are called.
 * The interpreted twins of these functions are in raw_ctypes.py; raw.pxd names both. */
#ifndef CATFLAP_RAW_H
#define CATFLAP_RAW_H

#include <errno.h>
#include <linux/sockios.h>
#include <asm/ioctls.h>
#include <linux/tcp.h>
#include <poll.h>
#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h> /* glibc 2.32 */
#endif
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

static inline uint64_t raw_load(uintptr_t a) { return __atomic_load_n((uint64_t *)a, __ATOMIC_ACQUIRE); }
static inline uint32_t raw_load32(uintptr_t a) { return __atomic_load_n((uint32_t *)a, __ATOMIC_ACQUIRE); }
static inline void raw_store(uintptr_t a, uint64_t v) { __atomic_store_n((uint64_t *)a, v, __ATOMIC_RELEASE); }
static inline void raw_store32(uintptr_t a, uint32_t v) { __atomic_store_n((uint32_t *)a, v, __ATOMIC_RELEASE); }

/* Each returns the value before the operation, and orders memory as raw_fence does. */
static inline uint64_t raw_fetch_or(uintptr_t a, uint64_t v) { return __atomic_fetch_or((uint64_t *)a, v, __ATOMIC_SEQ_CST); }
static inline uint64_t raw_fetch_and(uintptr_t a, uint64_t v) { return __atomic_fetch_and((uint64_t *)a, v, __ATOMIC_SEQ_CST); }
static inline uint64_t raw_fetch_add(uintptr_t a, uint64_t v) { return __atomic_fetch_add((uint64_t *)a, v, __ATOMIC_SEQ_CST); }

static inline uint64_t raw_exchange(uintptr_t a, uint64_t v) { return __atomic_exchange_n((uint64_t *)a, v, __ATOMIC_SEQ_CST); }

static inline int raw_compare_exchange(uintptr_t a, uint64_t expected, uint64_t desired)
{
    return __atomic_compare_exchange_n((uint64_t *)a, &expected, desired, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* The same of a word that no other process has: while there is one thread, without the bus lock, which waits for all stores
 * before it. One instruction: a signal handler comes before or after it. */
static inline int raw_compare_exchange_own(uintptr_t a, uint64_t expected, uint64_t desired)
{
#if __has_include(<sys/single_threaded.h>)
    if (__libc_single_threaded) {
        unsigned char done;
        __asm__ volatile("cmpxchg %3, %1" : "=@ccz"(done), "+m"(*(uint64_t *)a), "+a"(expected) : "r"(desired) : "memory");
        return done;
    }
#endif
    return raw_compare_exchange(a, expected, desired);
}

/* The line at `a` is going to be read: have it come from the other core meanwhile. */
static inline void raw_prefetch(uintptr_t a) { __builtin_prefetch((const void *)a); }

/* The line at `a` is going to be written: have it taken from the other core meanwhile. No processor faults on it. */
static inline void raw_claim(uintptr_t a) { __asm__ volatile("prefetchw %0" ::"m"(*(const char *)a)); }

static inline void raw_copy(uintptr_t d, uintptr_t s, uint64_t n) { memcpy((void *)d, (const void *)s, n); }

/* A word with bit n set, 0 <= n < 64, and a word's complement: plain integers differ between the two modes here. */
static inline uint64_t raw_bit(uint64_t n) { return 1ull << n; }
static inline uint64_t raw_not(uint64_t v) { return ~v; }

/* Index of the lowest set bit; v is not 0 (Lemire's iteration stands on this one instruction). */
static inline int raw_ctz(uint64_t v) { return __builtin_ctzll(v); }

/* Between publishing and looking whether the other side sleeps, and its mirror image there (C11 seq_cst fence). */
static inline void raw_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

/* One turn of a spin. */
static inline void raw_pause(void) { __builtin_ia32_pause(); }

/* Nanoseconds of CLOCK_MONOTONIC, by the vDSO. */
static inline int64_t raw_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}
/* How many bits v needs, and how many of them are set. */
static inline int raw_width(uint64_t v) { return v ? 64 - __builtin_clzll(v) : 0; }
static inline int raw_population(uint64_t v) { return __builtin_popcountll(v); }

/* Functions of a program, by their address. */
static inline int raw_call2(uintptr_t f, uintptr_t a, uintptr_t b) { return ((int (*)(uintptr_t, uintptr_t))f)(a, b); }
static inline int raw_call3(uintptr_t f, uintptr_t a, uintptr_t b, uintptr_t c)
{
    return ((int (*)(uintptr_t, uintptr_t, uintptr_t))f)(a, b, c);
}

/* Where the bytes of a memoryview lie; 0 when they don't lie side by side (a macro: who uses it has Python.h). */
#define raw_view_at(view) \
    (PyBuffer_IsContiguous(PyMemoryView_GET_BUFFER(view), 'C') ? (uintptr_t)PyMemoryView_GET_BUFFER(view)->buf : 0)

/* The bytes at an address, as a memoryview. */
#define raw_memory(a, n) PyMemoryView_FromMemory((char *)(a), (Py_ssize_t)(n), PyBUF_WRITE)

/* A system call that no preload can see: result or -errno, as the kernel gives it. Never a cancellation point. */
static inline long raw_syscall(long n, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long r;
    __asm__ volatile("syscall"
                     : "=a"(r)
                     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return r;
}

/* Whether process `pid` has ended, reaped or not (pidfd_open(2)). */
static inline int raw_ended(long pid)
{
    long fd = raw_syscall(SYS_pidfd_open, pid, 0, 0, 0, 0, 0);
    struct pollfd on = {.fd = (int)fd, .events = POLLIN};
    if (fd < 0)
        return fd == -ESRCH;
    long r = raw_syscall(SYS_poll, (long)&on, 1, 0, 0, 0, 0);
    raw_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
    return r == 1;
}

/* Whether process `pid`, forked from this one, has executed another program: it had a word at `at` that never changes. Where
 * it can't be looked into, no (process_vm_readv(2)). */
static inline int raw_replaced(long pid, uintptr_t at)
{
    uint64_t word = 0;
    struct iovec here = {&word, sizeof word}, there = {(void *)at, sizeof word};
    long r = raw_syscall(SYS_process_vm_readv, pid, (long)&here, 1, (long)&there, 1, 0);
    return r == -EFAULT || (r == sizeof word && word != raw_load(at));
}

/* How many threads of the machine run or want to, this one among them (proc(5), /proc/loadavg); 0 when nobody says. */
static inline int raw_running(void)
{
    char text[64] = {0};
    long fd = raw_syscall(SYS_open, (long)"/proc/loadavg", 02000000 /* O_CLOEXEC */, 0, 0, 0, 0);
    if (fd < 0)
        return 0;
    raw_syscall(SYS_read, fd, (long)text, sizeof text - 1, 0, 0, 0);
    raw_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
    int n = 0, spaces = 0;
    for (const char *p = text; *p && *p != '/'; p++) {
        if (*p == ' ')
            spaces++;
        else if (spaces == 3)
            n = n * 10 + (*p - '0');
    }
    return n;
}

/* Nanoseconds that the calling thread has waited for a core since it began (proc(5), schedstat); -1 where nobody counts. */
static inline long long raw_waited(void)
{
    char text[64] = {0};
    long fd = raw_syscall(SYS_open, (long)"/proc/thread-self/schedstat", 02000000 /* O_CLOEXEC */, 0, 0, 0, 0);
    if (fd < 0)
        return -1;
    long r = raw_syscall(SYS_read, fd, (long)text, sizeof text - 1, 0, 0, 0);
    raw_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
    const char *p = r > 0 ? strchr(text, ' ') : NULL;
    long long n = 0;
    if (!p)
        return -1;
    while (*++p >= '0' && *p <= '9')
        n = n * 10 + (*p - '0');
    return n;
}

/* What poll(2) says of one descriptor at this moment. */
static inline int raw_polled(long fd, int events)
{
    struct pollfd on = {.fd = (int)fd, .events = (short)events};
    return raw_syscall(SYS_poll, (long)&on, 1, 0, 0, 0, 0) == 1 ? on.revents : 0;
}

/* Stream positions of a TCP socket by TCP_INFO (tcp(7), linux/tcp.h): payload bytes the kernel has taken from this process,
 * or given to it. -1 when the connection isn't established or the two readings of the latter disagree. */
static inline long raw_tcp_info(long fd, struct tcp_info *info)
{
    uint32_t length = sizeof *info;
    if (raw_syscall(SYS_getsockopt, fd, 6, TCP_INFO, (long)info, (long)&length, 0) != 0)
        return -1;
    return length >= offsetof(struct tcp_info, tcpi_bytes_retrans) + 8 && info->tcpi_state == 1 ? 0 : -1;
}

static inline long raw_kernel_sent(long fd)
{
    struct tcp_info info;
    if (raw_tcp_info(fd, &info) != 0)
        return -1;
    return (long)(info.tcpi_bytes_sent - info.tcpi_bytes_retrans + info.tcpi_notsent_bytes);
}

static inline long raw_kernel_received(long fd)
{
    struct tcp_info before, after;
    int unread = 0;
    if (raw_tcp_info(fd, &before) != 0 || raw_syscall(SYS_ioctl, fd, SIOCINQ, (long)&unread, 0, 0, 0) != 0 ||
        raw_tcp_info(fd, &after) != 0 || before.tcpi_bytes_received != after.tcpi_bytes_received)
        return -1;
    return (long)(after.tcpi_bytes_received - (uint64_t)unread);
}

#endif
