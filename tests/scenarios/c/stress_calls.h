/* One data call of the stress test on one direction of a connection: any there is, with what it brought checked. */
#ifndef STRESS_CALLS_H
#define STRESS_CALLS_H

#include "stress_bytes.h"

enum { BIGGEST = 16 << 20, VECTORS = 8 };
enum mode { BLOCKING, NONBLOCKING, DONTWAIT }; /* DONTWAIT: a blocking descriptor that is never allowed to sleep */

/* What the watcher prints of a lane; shared by forked processes. */
struct row {
    _Atomic uint64_t offset, since_ms;
    const char *_Atomic call;
    _Atomic int pid, thread, ended, fd;
};

/* One direction of a connection, as one process uses it. */
struct lane {
    int connection, direction, fd;
    enum mode mode;
    bool inward;
    uint64_t key, offset, total;
    uint64_t stop;   /* the process itself goes no further */
    bool short_ends; /* the peer may die or leave before `total` */
    bool until_end;  /* the end of the stream has to be seen */
    uint64_t smallest, biggest;
    int pace; /* pauses: 0 none, 1 microseconds, 2 milliseconds */
    uint64_t slept_us, calls, moved_us;
    bool done, loud; /* loud: an announced readiness, EAGAIN would be a lie */
    bool patient;    /* the last call was told not to wait: the next one waits */
    int end_error;   /* how the stream ended: 0 end or all bytes moved, or an errno */
    struct dice dice;
    unsigned char *buffer;
    int file; /* memfd for sendfile */
    off_t used;
    struct row *row;
};

static int stress_connections;
static bool stress_strict;  /* no signals rain and nobody is stopped: no call falls short of its promise */
static _Atomic bool broken; /* one report is enough */
static uint64_t stress_calls_before_big = 3000;
static _Atomic uint64_t stress_calls;
static _Atomic int64_t stress_crash_at = -1; /* this process dies at its so many-th call */
static void crash(void);

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

__attribute__((format(printf, 2, 3))) static void break_off(struct lane *l, const char *format, ...)
{
    char text[300];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    if (atomic_exchange(&broken, true))
        for (;;)
            pause();
    say("BROKEN connection %d direction %d offset %llu of %llu fd %d mode %d by %s: %s", l->connection, l->direction,
        (unsigned long long)l->offset, (unsigned long long)l->total, l->fd, l->mode, l->row->call ? l->row->call : "none", text);
}

__attribute__((noreturn)) static void give_up(void)
{
    _exit(8);
}

static void verify(struct lane *l, const unsigned char *got, size_t n)
{
    size_t good = first_wrong(l->key, l->offset, got, n);
    if (good == n)
        return;
    char wanted[33], have[33];
    unsigned char right[16];
    size_t shown = n - good < 16 ? n - good : 16;
    content(l->key, l->offset + good, right, shown);
    hex(wanted, right, shown);
    hex(have, got + good, shown);
    break_off(l, "byte %zu of %zu (offset %llu) is wrong: %s, not %s", good, n, (unsigned long long)(l->offset + good), have,
              wanted);
    say_origin(stress_connections, l->connection, l->direction, l->offset + good, got + good, n - good);
    give_up();
}

static void rest(struct lane *l)
{
    if (!l->pace || !one_in(&l->dice, 4) || l->slept_us > 300000)
        return;
    uint64_t us = l->pace == 1 ? sized(&l->dice, 1, 500) : sized(&l->dice, 500, 8000);
    struct timespec t = {0, (long)us * 1000};
    l->slept_us += us;
    syscall(SYS_nanosleep, &t, NULL);
}

static void begun(struct lane *l, const char *call)
{
    if ((int64_t)atomic_fetch_add(&stress_calls, 1) == stress_crash_at)
        crash();
    l->row->call = call;
    l->row->since_ms = (uint64_t)now_ms();
    l->calls++;
}

/* Cut `n` bytes at `buffer` into segments, some of them of nothing. */
static int segments(struct lane *l, struct iovec *iov, unsigned char *buffer, size_t n)
{
    int count = 1 + (int)roll(&l->dice, VECTORS), i = 0;
    for (; i < count - 1 && n; i++) {
        size_t part = one_in(&l->dice, 6) ? 0 : (size_t)sized(&l->dice, 1, n);
        iov[i] = (struct iovec){buffer, part};
        buffer += part;
        n -= part;
    }
    iov[i++] = (struct iovec){buffer, n};
    return i;
}

static size_t next_size(struct lane *l)
{
    uint64_t high = l->calls > stress_calls_before_big ? BIGGEST : l->biggest;
    return (size_t)sized(&l->dice, l->calls > stress_calls_before_big ? high / 64 : l->smallest, high);
}

/* At most so many bytes are asked for where more would never come. */
static size_t left_of(const struct lane *l, size_t n)
{
    uint64_t limit = l->stop < l->total ? l->stop : l->total, left = limit > l->offset ? limit - l->offset : 0;
    return left && n > left ? (size_t)left : n;
}

/* One receiving call. A count, 0 at the end, or -errno; the count has been checked, the lane moved on. */
static ssize_t take(struct lane *l)
{
    static const char *const names[] = {"read", "readv", "recv", "recvfrom", "recvmsg", "recv WAITALL", "recvmsg WAITALL",
                                        "recv PEEK", "recvmsg PEEK", "recv DONTWAIT", "recvmsg DONTWAIT"};
    static const int flags_of[] = {0, 0, 0, 0, 0, MSG_WAITALL, MSG_WAITALL, MSG_PEEK, MSG_PEEK, MSG_DONTWAIT, MSG_DONTWAIT};
    size_t n = next_size(l);
    int kind = (int)roll(&l->dice, l->mode == BLOCKING && l->patient ? 9 : 11);
    if (l->mode == DONTWAIT && kind < 4)
        kind = 9 + (kind & 1);
    int flags = flags_of[kind] | (l->mode == DONTWAIT ? MSG_DONTWAIT : 0);
    struct iovec iov[VECTORS + 1];
    struct msghdr message = {.msg_iov = iov};
    struct sockaddr_storage from;
    socklen_t length = sizeof from;
    unsigned char *to = l->buffer + roll(&l->dice, 64);
    if (flags & MSG_WAITALL || kind == 7 || kind == 8)
        n = left_of(l, n);
    message.msg_iovlen = (size_t)segments(l, iov, to, n);
    begun(l, names[kind]);
    ssize_t r;
    if (kind == 0)
        r = read(l->fd, to, n);
    else if (kind == 1)
        r = readv(l->fd, iov, (int)message.msg_iovlen);
    else if (kind == 3)
        r = recvfrom(l->fd, to, n, flags, (struct sockaddr *)&from, &length);
    else if (kind == 4 || kind == 6 || kind == 8 || kind == 10)
        r = recvmsg(l->fd, &message, flags);
    else
        r = recv(l->fd, to, n, flags);
    if (r < 0)
        r = -errno;
    l->patient = r == -EAGAIN;
    if (r > (ssize_t)n) {
        break_off(l, "%zd bytes where %zu were asked for", r, n);
        give_up();
    }
    if (r > 0)
        verify(l, to, (size_t)r);
    if (r == -EAGAIN && l->mode == BLOCKING && !(flags & MSG_DONTWAIT)) {
        break_off(l, "EAGAIN on a blocking descriptor");
        give_up();
    }
    if (r > 0 && flags & MSG_WAITALL && l->mode == BLOCKING && stress_strict && !l->short_ends && (size_t)r < n) {
        break_off(l, "MSG_WAITALL brought %zd of %zu", r, n);
        give_up();
    }
    if (flags & MSG_PEEK) {
        if (r > 0)
            l->loud = true; /* what was seen is there */
        return r > 0 ? -EINTR : r;
    }
    if (r > 0)
        l->offset += (uint64_t)r;
    return r;
}

/* One sending call of at most what is left. */
static ssize_t give(struct lane *l)
{
    static const char *const names[] = {"write", "writev", "send", "sendto", "sendmsg", "sendfile", "sendfile offset",
                                        "send DONTWAIT", "sendmsg DONTWAIT"};
    size_t n = left_of(l, next_size(l));
    int kind = (int)roll(&l->dice, l->mode == BLOCKING && l->patient ? 7 : 9);
    int flags = MSG_NOSIGNAL | (kind >= 7 || l->mode == DONTWAIT ? MSG_DONTWAIT : 0);
    if (l->mode == DONTWAIT && (kind < 2 || kind == 5 || kind == 6))
        kind = 7;
    struct iovec iov[VECTORS + 1];
    struct msghdr message = {.msg_iov = iov};
    unsigned char *from = l->buffer + roll(&l->dice, 64);
    if (kind == 5 || kind == 6)
        n = n > 1 << 20 ? 1 << 20 : n;
    content(l->key, l->offset, from, n);
    message.msg_iovlen = (size_t)segments(l, iov, from, n);
    off_t at = l->used;
    if (kind == 5 || kind == 6) {
        /* pages on their way must not change: each call has its own */
        if (at > 32 << 20)
            MUST(ftruncate(l->file, at = 0));
        MUST(syscall(SYS_pwrite64, l->file, from, n, at));
        l->used = at + (off_t)(n + 4095) / 4096 * 4096;
        MUST(lseek(l->file, kind == 5 ? at : 0, SEEK_SET));
    }
    begun(l, names[kind]);
    ssize_t r;
    if (kind == 0)
        r = write(l->fd, from, n);
    else if (kind == 1)
        r = writev(l->fd, iov, (int)message.msg_iovlen);
    else if (kind == 3)
        r = sendto(l->fd, from, n, flags, NULL, 0);
    else if (kind == 4 || kind == 8)
        r = sendmsg(l->fd, &message, flags);
    else if (kind == 5 || kind == 6)
        r = sendfile(l->fd, l->file, kind == 6 ? &at : NULL, n);
    else
        r = send(l->fd, from, n, flags);
    if (r < 0)
        r = -errno;
    l->patient = r == -EAGAIN;
    if (r > (ssize_t)n || (r == 0 && n)) {
        break_off(l, "%zd bytes sent of %zu", r, n);
        give_up();
    }
    if (r == -EAGAIN && l->mode == BLOCKING && !(flags & MSG_DONTWAIT)) {
        break_off(l, "EAGAIN on a blocking descriptor");
        give_up();
    }
    if (r > 0 && (size_t)r < n && l->mode == BLOCKING && !(flags & MSG_DONTWAIT) && stress_strict && !l->short_ends) {
        break_off(l, "a blocking call sent %zd of %zu", r, n);
        give_up();
    }
    if (r > 0)
        l->offset += (uint64_t)r;
    return r;
}

static void ended(struct lane *l, int error)
{
    l->done = true;
    l->end_error = error;
    l->row->ended = 1;
    say("%s connection %d direction %d at %llu: %s, moved %llu us, ended %llu us", l->inward ? "received" : "sent",
        l->connection, l->direction, (unsigned long long)l->offset, name_of(error),
        (unsigned long long)l->moved_us, (unsigned long long)now_us());
}

/* Whether the lane is over: as far as it should go, and no end of the stream to be seen. */
static bool settled(struct lane *l)
{
    uint64_t limit = l->stop < l->total ? l->stop : l->total;
    if (!l->done && l->offset >= limit && !(l->inward && l->until_end && l->stop > l->total))
        ended(l, 0);
    return l->done;
}

/* One step of a lane: 1 when something moved (or ended), 0 when it would have to wait. */
static int step(struct lane *l)
{
    if (settled(l))
        return 0;
    rest(l);
    bool loud = l->loud;
    ssize_t r = l->inward ? take(l) : give(l);
    if (r == -EAGAIN && loud && l->mode != BLOCKING) {
        break_off(l, "EAGAIN where readiness was announced or bytes had been seen");
        give_up();
    }
    if (r != -EINTR)
        l->loud = false;
    l->row->offset = l->offset;
    if (r > 0)
        l->moved_us = now_us();
    if (r == -EAGAIN)
        return 0;
    if (r == -EINTR || (r > 0 && l->offset <= l->total))
        return 1;
    if (r > 0)
        break_off(l, "bytes beyond the end of the stream");
    else if (l->short_ends && (r == 0 || r == -ECONNRESET || r == -EPIPE)) {
        ended(l, (int)-r);
        return 1;
    } else if (r == 0 && l->inward && l->offset == l->total && l->until_end) {
        ended(l, 0);
        return 1;
    } else
        break_off(l, "%s", r ? name_of((int)-r) : "the end of the stream, too early");
    give_up();
}

#endif
