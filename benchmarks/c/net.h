/* What the measuring programs share: addresses on this machine, whole messages, clocks. */
#ifndef NET_H
#define NET_H
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

union address {
    struct sockaddr any;
    struct sockaddr_in tcp;
    struct sockaddr_un unix_;
};

/* `text` is a port of 127.0.0.1, an IPv4 address and a port (10.77.1.1:80), or the path of a Unix socket */
static inline socklen_t address(const char *text, union address *a)
{
    memset(a, 0, sizeof *a);
    if (text[0] == '/') {
        a->unix_.sun_family = AF_UNIX;
        strncpy(a->unix_.sun_path, text, sizeof a->unix_.sun_path - 1);
        return sizeof a->unix_;
    }
    const char *colon = strchr(text, ':');
    char host[16] = "127.0.0.1";
    if (colon && (size_t)(colon - text) < sizeof host) {
        memcpy(host, text, (size_t)(colon - text));
        host[colon - text] = 0;
    }
    a->tcp = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(colon ? colon + 1 : text)),
                                  .sin_addr.s_addr = inet_addr(host)};
    return sizeof a->tcp;
}

/* for questions and answers; a stream goes without, so that the kernel may gather small pieces */
static inline void no_delay(int fd, bool on)
{
    int value = on;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, sizeof value); /* a Unix socket refuses, and needs none */
}

static inline int listening(const char *text)
{
    union address a;
    socklen_t length = address(text, &a);
    int fd = socket(a.any.sa_family, SOCK_STREAM, 0), one = 1;
    if (a.any.sa_family == AF_UNIX)
        unlink(text);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, &a.any, length) || listen(fd, 1024)) {
        perror(text);
        exit(1);
    }
    return fd;
}

static inline int connected(const char *text)
{
    union address a;
    socklen_t length = address(text, &a);
    int fd = socket(a.any.sa_family, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, &a.any, length)) {
        perror(text);
        exit(1);
    }
    return fd;
}

/* all of `n` bytes, on a blocking socket or by trying again and again on another */
static inline bool all(int fd, char *buf, size_t n, bool outward)
{
    for (size_t done = 0; done < n;) {
        ssize_t r = outward ? write(fd, buf + done, n - done) : read(fd, buf + done, n - done);
        if (r > 0)
            done += (size_t)r;
        else if (r == 0 || errno != EAGAIN)
            return false;
    }
    return true;
}

static inline uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static inline uint64_t now(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}
#endif
