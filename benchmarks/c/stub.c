/* A next library whose calls return at once: what is left is the way through the preload before it. */
#include <sys/types.h>

ssize_t read(int fd, void *buf, size_t n)
{
    (void)fd, (void)buf;
    return (ssize_t)n;
}

ssize_t recv(int fd, void *buf, size_t n, int flags)
{
    (void)fd, (void)buf, (void)flags;
    return (ssize_t)n;
}
