/* Another library in LD_PRELOAD: wraps calls that we trap too, and uses sockets in its constructor, before main. */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static ssize_t (*next_recv)(int, void *, size_t, int);
static int (*next_socket)(int, int, int);
static ssize_t (*next_read)(int, void *, size_t);
static ssize_t (*next_write)(int, const void *, size_t);
static int calls_of_recv, calls_of_socket;
static long bytes_read, bytes_written; /* of TCP sockets */

int socket(int domain, int type, int protocol)
{
    if (!next_socket)
        *(void **)&next_socket = dlsym(RTLD_NEXT, "socket");
    calls_of_socket++;
    return next_socket(domain, type, protocol);
}

ssize_t recv(int fd, void *buf, size_t n, int flags)
{
    if (!next_recv)
        *(void **)&next_recv = dlsym(RTLD_NEXT, "recv");
    calls_of_recv++;
    return next_recv(fd, buf, n, flags);
}

static long carried(int fd, ssize_t n)
{
    int protocol = 0;
    socklen_t size = sizeof protocol;
    return n > 0 && getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) == 0 && protocol == IPPROTO_TCP ? n : 0;
}

ssize_t read(int fd, void *buf, size_t n)
{
    if (!next_read)
        *(void **)&next_read = dlsym(RTLD_NEXT, "read");
    ssize_t r = next_read(fd, buf, n);
    bytes_read += carried(fd, r);
    return r;
}

ssize_t write(int fd, const void *buf, size_t n)
{
    if (!next_write)
        *(void **)&next_write = dlsym(RTLD_NEXT, "write");
    ssize_t r = next_write(fd, buf, n);
    bytes_written += carried(fd, r);
    return r;
}

__attribute__((constructor)) static void early(void)
{
    char buf[8] = "";
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    int fine = fd >= 0 && bind(fd, (void *)&a, len) == 0 && getsockname(fd, (void *)&a, &len) == 0 &&
               sendto(fd, "early", 5, 0, (void *)&a, len) == 5 && recv(fd, buf, 8, 0) == 5 && strcmp(buf, "early") == 0;
    close(fd);
    setenv("FLAP_EARLY", fine ? "fine" : "broken", 1);
}

__attribute__((destructor)) static void late(void)
{
    const char *path = getenv("FLAP_WRAPPER");
    FILE *out = path ? fopen(path, "a") : NULL;
    if (out) {
        fprintf(out, "early %s, recv %d, socket %d, read %ld, written %ld\n", getenv("FLAP_EARLY"), calls_of_recv,
                calls_of_socket, bytes_read, bytes_written);
        fclose(out);
    }
}
