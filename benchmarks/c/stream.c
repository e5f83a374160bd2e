/* Bytes in one direction: `stream server PORT` takes them until told to stop; `stream client PORT SIZE BYTES CONNECTIONS`
 * writes BYTES in pieces of SIZE, round robin over the connections, and prints the nanoseconds until the server has them
 * all. One connection is read by a blocking server, several by one with epoll. */
#include "net.h"

enum { ROOM = 1 << 18, MOST = 256 };
static char buf[1 << 20];

static void take(int *fds, uint32_t n, uint64_t left)
{
    if (n == 1) {
        for (ssize_t r; left && (r = read(fds[0], buf, ROOM)) > 0;)
            left -= (uint64_t)r;
        return;
    }
    int ep = epoll_create1(0);
    for (uint32_t i = 0; i < n; i++)
        epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &(struct epoll_event){.events = EPOLLIN, .data.fd = fds[i]});
    while (left) {
        struct epoll_event ready[64];
        int found = epoll_wait(ep, ready, 64, 10000);
        for (int i = 0; i < found; i++) {
            ssize_t r = read(ready[i].data.fd, buf, ROOM);
            if (r <= 0)
                found = 0; /* gone before its time */
            else
                left -= (uint64_t)r;
        }
        if (found <= 0)
            break;
    }
    close(ep);
}

static _Noreturn void serve(const char *where)
{
    int listener = listening(where), fds[MOST];
    for (;;) {
        struct {
            uint64_t bytes;
            uint32_t connections;
        } head;
        uint32_t n = 0;
        fds[n++] = accept(listener, NULL, NULL);
        if (all(fds[0], (char *)&head, sizeof head, false) && head.connections <= MOST) {
            while (n < head.connections)
                fds[n++] = accept(listener, NULL, NULL);
            for (int turn = 0; turn < 2; turn++) { /* the first is the warm-up */
                take(fds, n, turn ? head.bytes : head.bytes / 10);
                if (!all(fds[0], buf, 1, true))
                    break;
            }
        }
        while (n)
            close(fds[--n]);
    }
}

static bool give(int *fds, uint32_t n, size_t size, uint64_t left)
{
    for (uint32_t i = 0; left; i = (i + 1) % n) {
        size_t piece = left < size ? (size_t)left : size;
        if (!all(fds[i], buf, piece, true))
            return false;
        left -= piece;
    }
    for (uint32_t i = 0; i < n; i++)
        no_delay(fds[i], true); /* sends what the kernel still gathers: the end is not to wait for an acknowledgement */
    if (!all(fds[0], buf, 1, false))
        return false;
    for (uint32_t i = 0; i < n; i++)
        no_delay(fds[i], false);
    return true;
}

int main(int argc, char **argv)
{
    int fds[MOST];
    if (argc == 3)
        serve(argv[2]);
    if (argc != 6)
        return 2;
    size_t size = strtoul(argv[3], NULL, 10);
    struct {
        uint64_t bytes;
        uint32_t connections;
    } head = {strtoull(argv[4], NULL, 10), (uint32_t)atoi(argv[5])};
    if (!size || size > sizeof buf || !head.connections || head.connections > MOST)
        return 2;
    for (uint32_t i = 0; i < head.connections; i++)
        fds[i] = connected(argv[2]);
    if (!all(fds[0], (char *)&head, sizeof head, true) || !give(fds, head.connections, size, head.bytes / 10))
        return 1;
    uint64_t before = now();
    if (!give(fds, head.connections, size, head.bytes))
        return 1;
    printf("%lu\n", (unsigned long)(now() - before));
    return 0;
}
