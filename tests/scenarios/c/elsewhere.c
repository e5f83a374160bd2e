/* In LD_PRELOAD: a program's loopback is a wire. What it binds to 127.0.0.1 or ::1 is bound to all addresses; what it connects or
 * sends to there goes to the host that has bound the port last; the names that it is told are loopback's again. So programs, and
 * tests, that know loopback alone have their ends on two machines.
 *
 * FLAP_WIRE is a folder where each port is a link that names its host: N, for the Nth address of 10.77.0.0/16 and fd77::/112.
 * FLAP_HOST is the program's own; 1 is the kernel's, whose programs reach each other over loopback.
 *
 * Catflap's own calls come by here too, and are none of the program's: its descriptors have high numbers, and what Python does
 * for a program's call it does on a stack of its own. */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NETWORK = 0x0a4d0000, HOSTS = 0xffff, LOOPBACK = 0x7f000001, HIGH = 960 };
static char folder[256];
static int own;
static char moved[HIGH]; /* descriptors that were bound to loopback: 2 to an IPv4 address in one of IPv6 */

union name {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_storage room;
};

__attribute__((constructor)) static void begin(void)
{
    const char *wire = getenv("FLAP_WIRE"), *host = getenv("FLAP_HOST");
    if (wire && host && strlen(wire) < sizeof folder - 16) {
        strcpy(folder, wire);
        own = atoi(host);
    }
}

/* Whether the program makes a call, on this descriptor. */
static bool programs(int fd)
{
    static __thread char *bottom;
    static __thread size_t size;
    char *here = __builtin_frame_address(0);
    pthread_attr_t attributes;
    if (!own || fd >= HIGH)
        return false;
    int error = errno;
    if (!bottom && pthread_getattr_np(pthread_self(), &attributes) == 0) {
        pthread_attr_getstack(&attributes, (void **)&bottom, &size);
        pthread_attr_destroy(&attributes);
    }
    errno = error;
    return here >= bottom && here < bottom + size;
}

#define NEXT(name)                                                                                                     \
    static __typeof__(name) *next;                                                                                     \
    if (!next)                                                                                                         \
    next = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static uint32_t *v4_of(union name *n)
{
    if (n->any.sa_family == AF_INET)
        return &n->in.sin_addr.s_addr;
    bool mapped = n->any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&n->in6.sin6_addr);
    return mapped ? (uint32_t *)(n->in6.sin6_addr.s6_addr + 12) : NULL;
}

/* A copy of a name; false where it is none of loopback's. */
static bool loopback(int fd, union name *n, const struct sockaddr *name, socklen_t size)
{
    if (!programs(fd) || (uintptr_t)name < 65536 || size < sizeof n->in || size > sizeof *n || (name->sa_family != AF_INET && name->sa_family != AF_INET6))
        return false;
    if (name->sa_family == AF_INET6 && size < sizeof n->in6)
        return false;
    memset(n, 0, sizeof *n);
    memcpy(n, name, size);
    uint32_t *v4 = v4_of(n);
    return v4 ? *v4 == htonl(LOOPBACK) : IN6_IS_ADDR_LOOPBACK(&n->in6.sin6_addr);
}

static void link_of(char *path, const union name *n)
{
    snprintf(path, 300, "%s/%u", folder, ntohs(n->in.sin_port)); /* where it is in both families */
}

/* The name of the host that a port of loopback is at. */
static bool there(int fd, union name *n, const struct sockaddr *name, socklen_t size)
{
    char path[300], host[16] = {0};
    int error = errno;
    if (!loopback(fd, n, name, size))
        return false;
    link_of(path, n);
    int number = readlink(path, host, sizeof host - 1) > 0 ? atoi(host) : own;
    errno = error;
    if (number == own)
        return false;
    uint32_t *v4 = v4_of(n);
    if (v4)
        *v4 = htonl(NETWORK | (uint32_t)number);
    else
        memcpy(n->in6.sin6_addr.s6_addr, (uint8_t[16]){0xfd, 0x77, [14] = (uint8_t)(number >> 8), (uint8_t)number}, 16);
    return true;
}

/* Who has a port. */
static void note(const union name *n, int number)
{
    char path[300], host[16];
    int error = errno;
    link_of(path, n);
    snprintf(host, sizeof host, "%d", number);
    unlink(path);
    (void)!symlink(host, path);
    errno = error;
}

enum whose { PEER, MINE, SENDER };

/* The program is told of a name. It may send to a sender by that, and by no other way. */
static void told(int fd, enum whose whose, struct sockaddr *name, const socklen_t *size)
{
    union name *n = (union name *)name;
    if (!programs(fd) || !name || !size || *size < sizeof n->in || (name->sa_family == AF_INET6 && *size < sizeof n->in6))
        return;
    uint32_t *v4 = v4_of(n);
    uint8_t *octets = n->in6.sin6_addr.s6_addr;
    int number = 0, all = whose == MINE && fd >= 0 ? moved[fd] : 0;
    if (v4 && (ntohl(*v4) & ~HOSTS) == NETWORK)
        number = (int)(ntohl(*v4) & HOSTS);
    else if (name->sa_family == AF_INET6 && !v4 && octets[0] == 0xfd && octets[1] == 0x77)
        number = octets[14] << 8 | octets[15];
    if (number && whose == SENDER)
        note(n, number);
    if (v4 ? number || (all && !*v4) : 0)
        *v4 = htonl(LOOPBACK);
    else if (name->sa_family == AF_INET6 && !v4 && (number || (all && IN6_IS_ADDR_UNSPECIFIED(&n->in6.sin6_addr))))
        memcpy(octets, all == 2 ? (uint8_t[16]){[10] = 255, 255, 127, 0, 0, 1} : in6addr_loopback.s6_addr, 16);
}

/* Whoever connects to the port of a socket that was bound comes here. */
static void known(int fd)
{
    union name n = {0};
    socklen_t size = sizeof n;
    static __typeof__(getsockname) *asked;
    if (!asked)
        asked = (__typeof__(getsockname) *)dlsym(RTLD_NEXT, "getsockname");
    if (asked(fd, &n.any, &size) == 0 && (n.any.sa_family == AF_INET || n.any.sa_family == AF_INET6) && n.in.sin_port)
        note(&n, own);
}

int bind(int fd, const struct sockaddr *name, socklen_t size)
{
    NEXT(bind);
    union name n;
    bool all = loopback(fd, &n, name, size);
    bool mapped = all && n.any.sa_family == AF_INET6 && v4_of(&n);
    if (all && n.any.sa_family == AF_INET)
        n.in.sin_addr.s_addr = 0;
    else if (all) {
        n.in6.sin6_addr = in6addr_any;
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){!mapped}, sizeof(int));
    }
    int r = next(fd, all ? &n.any : name, size);
    if (r == 0 && programs(fd)) {
        moved[fd] = (char)(all + mapped);
        known(fd);
    }
    return r;
}

int connect(int fd, const struct sockaddr *name, socklen_t size)
{
    NEXT(connect);
    union name n;
    return next(fd, there(fd, &n, name, size) ? &n.any : name, size);
}

#define TELLS(name, whose, params, args)                                                                            \
    int name params                                                                                                    \
    {                                                                                                                  \
        NEXT(name);                                                                                                    \
        int r = next args;                                                                                             \
        if (r >= 0)                                                                                                    \
            told(fd, whose, addr, size);                                                                               \
        return r;                                                                                                      \
    }
TELLS(accept, PEER, (int fd, struct sockaddr *addr, socklen_t *size), (fd, addr, size))
TELLS(accept4, PEER, (int fd, struct sockaddr *addr, socklen_t *size, int flags), (fd, addr, size, flags))
TELLS(getsockname, MINE, (int fd, struct sockaddr *addr, socklen_t *size), (fd, addr, size))
TELLS(getpeername, PEER, (int fd, struct sockaddr *addr, socklen_t *size), (fd, addr, size))

ssize_t recvfrom(int fd, void *at, size_t n, int flags, struct sockaddr *addr, socklen_t *size)
{
    NEXT(recvfrom);
    ssize_t r = next(fd, at, n, flags, addr, size);
    if (r >= 0)
        told(fd, SENDER, addr, size);
    return r;
}

ssize_t __recvfrom_chk(int fd, void *at, size_t n, size_t room, int flags, struct sockaddr *addr, socklen_t *size)
{
    return recvfrom(fd, at, n > room ? room : n, flags, addr, size);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    NEXT(recvmsg);
    ssize_t r = next(fd, message, flags);
    if (r >= 0)
        told(fd, SENDER, message->msg_name, &message->msg_namelen);
    return r;
}

ssize_t sendto(int fd, const void *at, size_t n, int flags, const struct sockaddr *name, socklen_t size)
{
    NEXT(sendto);
    union name other;
    return next(fd, at, n, flags, there(fd, &other, name, size) ? &other.any : name, size);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    NEXT(sendmsg);
    union name n;
    if ((uintptr_t)message < 65536 || !there(fd, &n, message->msg_name, message->msg_namelen))
        return next(fd, message, flags);
    struct msghdr other = *message;
    other.msg_name = &n;
    return next(fd, &other, flags);
}

int sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags)
{
    unsigned i = 0;
    for (ssize_t r; i < n && (r = sendmsg(fd, &messages[i].msg_hdr, flags)) >= 0; i++)
        messages[i].msg_len = (unsigned)r;
    return i || !n ? (int)i : -1;
}

int recvmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags, struct timespec *timeout)
{
    NEXT(recvmmsg);
    int r = next(fd, messages, n, flags, timeout);
    for (int i = 0; i < r; i++)
        told(fd, SENDER, messages[i].msg_hdr.msg_name, &messages[i].msg_hdr.msg_namelen);
    return r;
}
