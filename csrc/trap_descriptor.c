/* Descriptor numbers: what closes, copies or re-modes one of ours. The real descriptor is always operated on by the
 * kernel; the host keeps its open file descriptions in step. */
#include "trap.h"

#include <linux/sockios.h>

void epoll_set_closed(int ep);
void epoll_set_copied(int ep, int to);

/* The number is about to leave its description. */
void forget(int fd)
{
    epoll_set_closed(fd);
    if (likely(!known(fd)) || in_vfork_child())
        return;
    young_ends(fd, 0);
    if (unlikely(file_marked(fd)))
        file_told(fd, CATFLAP_CLOSED, 0);
    if (!lookup(fd))
        return (void)descriptor_forget(fd);
    int error = errno;
    if (bypass()) /* its description keeps a number too many, and harms nobody */
        return (void)(descriptor_forget(fd), errno = error);
    struct thread *t = enter();
    void *d = descriptor_forget(fd);
    int64_t r = d ? SLOW(t, close, d, fd, 0, 0, 0) : 0;
    leave(t);
    if (r == 1) /* other numbers share it and its queue moved to another one: nobody may still use this */
        grace_wait();
    errno = error;
}

/* `to` is a copy of a descriptor of ours. */
static int copied(int fd, int to)
{
    if (!in_vfork_child())
        epoll_set_copied(fd, to);
    if (unlikely(to >= 0 && to != fd && known(to)))
        forget(to); /* the kernel gives this number away: it was closed behind our back */
    if (to >= 0 && (to <= 2 || in_vfork_child()))
        go_plain(fd); /* for stdio, and for the image that follows */
    if (to >= 0 && (descriptor_reason(fd) == CATFLAP_LISTENING || file_marked(fd)) && !in_vfork_child())
        descriptor_bind(to, NULL, descriptor_reason(fd));
    if (to >= 0 && ours(fd) && !bypass() && !in_vfork_child())
        TELL_OF(fd, SLOW(t, dup, d, to, 0, 0, 0));
    return to;
}

EXPORT int close(int fd)
{
    struct thread *t = self;
    if (unlikely(t && t->guard && lookup(fd))) /* our own Python never closes a program's descriptor by number */
        return next.close(fd);
    if (unlikely(descriptor_reason(fd) == CATFLAP_OWN)) {
        if (!t || !t->guard)
            return (int)result(-EBADF);
        descriptor_bind(fd, NULL, 0);
    }
    forget(fd);
    return next.close(fd);
}

EXPORT int fclose(FILE *file)
{
    forget(fileno(file));
    return next.fclose(file);
}

ENTRY(int, dup, (int fd), return copied(fd, next.dup(fd)))

#define CONCERNS_US(fd) (known(fd) || epoll_set_is_marked(fd))
#define ONTO(name, params, args)                                                                                       \
    EXPORT int name params                                                                                             \
    {                                                                                                                  \
        if (fd == to || !(CONCERNS_US(fd) || CONCERNS_US(to)) || next.fcntl(fd, F_GETFD) < 0)                                           \
            return next.name args;                                                                                     \
        forget(to);                                                                                                    \
        return copied(fd, next.name args);                                                                             \
    }
ONTO(dup2, (int fd, int to), (fd, to))
ONTO(dup3, (int fd, int to, int flags), (fd, to, flags))

static void status(int fd, bool nonblock)
{
    if (lookup(fd) && !bypass() && !in_vfork_child())
        TELL_OF(fd, SLOW(t, status, d, nonblock, 0, 0, 0));
}

/* Declared with C names of their own: libc's are variadic. */
EXPORT int fcntl_trap(int fd, int cmd, long arg) __asm__("fcntl");
int fcntl_trap(int fd, int cmd, long arg)
{
    bool appended = cmd == F_SETFL && unlikely(file_marked(fd)) && !(arg & O_APPEND) && next.fcntl(fd, F_GETFL) & O_APPEND;
    int r = next.fcntl(fd, cmd, arg);
    if (likely(r < 0 || !CONCERNS_US(fd)))
        return r;
    if (cmd == F_SETFL) {
        if (arg & O_ASYNC)
            go_plain(fd); /* only the kernel sends signals */
        status(fd, arg & O_NONBLOCK);
        if (appended)
            file_told(fd, CATFLAP_MOVED, -1);
    }
    else if (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC)
        copied(fd, r);
    return r;
}

EXPORT int ioctl_trap(int fd, unsigned long request, long arg) __asm__("ioctl");
int ioctl_trap(int fd, unsigned long request, long arg)
{
    bool lists = unlikely(networked) && (int)request == SIOCGIFCONF;
    int before = errno, room = lists && !unmapped(arg) ? ((struct ifconf *)arg)->ifc_len : 0;
    int r = next.ioctl(fd, request, arg);
    if (lists && r == 0)
        beyond(request, (void *)arg, room);
    if (unlikely(networked) && r < 0 && errno == ENODEV && (r = (int)result(beyond(request, (void *)arg, 0))) == 0)
        errno = before;
    if (r == 0 && ((int)request == FIONREAD || (int)request == SIOCOUTQ) && lookup(fd) && !bypass()) {
        /* bytes that the kernel does not know of */
        TELL_OF(fd, *(int *)arg += (int)HOT(t, pending, d, (int)request == SIOCOUTQ, 0, 0, 0));
    }
    if (r == 0 && (int)request == FIOASYNC && *(int *)arg)
        go_plain(fd);
    if (r == 0 && (int)request == FIONBIO && lookup(fd))
        status(fd, *(int *)arg != 0);
    return r;
}

/* Forget what a sweep closes, and make it in parts that leave the host's own descriptors out. */
static int sweep(unsigned first, unsigned last, int flags)
{
    int r = 0;
    for (unsigned fd = first; descriptor_next(&fd, last, false); fd++)
        forget((int)fd);
    for (unsigned own = first; r == 0 && first <= last; first = own + 1, own = first) {
        if (!descriptor_next(&own, last, true))
            return next.close_range(first, last, flags);
        if (own > first)
            r = next.close_range(first, own - 1, flags);
    }
    return r;
}

EXPORT int close_range(unsigned first, unsigned last, int flags)
{
    enum { UNSHARE = 2 };
    if (first <= last && !(flags & ~UNSHARE))
        return sweep(first, last, flags);
    return next.close_range(first, last, flags);
}

EXPORT void closefrom(int first)
{
    if (sweep(first < 0 ? 0 : (unsigned)first, ~0u, 0) != 0)
        next.closefrom(first); /* a kernel without close_range */
}
