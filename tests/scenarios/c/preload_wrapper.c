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
static int calls_of_recv, calls_of_socket;

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
        fprintf(out, "early %s, recv %d, socket %d\n", getenv("FLAP_EARLY"), calls_of_recv, calls_of_socket);
        fclose(out);
    }
}
