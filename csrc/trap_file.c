/* Files under the mount prefix. They are the kernel's, and so is every call on them; the host is told of those that make a file
 * durable, and of those that may change bytes which it has made so. Without a prefix that is one branch, and nothing else. */
#include "trap.h"

bool mounted;
static char prefix[PATH_MAX];
static size_t length;

void mount_begin(const char *path)
{
    mounted = realpath(path, prefix) && prefix[1];
    length = strlen(prefix);
}

/* Whether the file of a number lies there: the kernel knows, whatever name it was opened by. */
static bool below(int fd)
{
    char link[32], path[length + 1];
    int error = errno;
    *number(stpcpy(link, "/proc/self/fd/"), (unsigned)fd) = 0;
    bool there = syscall(SYS_readlink, link, path, length + 1) == (long)length + 1 && path[length] == '/';
    errno = error;
    return there && memcmp(path, prefix, length) == 0;
}

int64_t file_told(int fd, int what, int64_t value)
{
    int64_t error = errno, r = CATFLAP_STALE;
    if (!(self && self->guard) && !in_vfork_child() && host_ready()) {
        struct thread *t = enter();
        r = what == CATFLAP_SYNC ? HOT(t, sync, fd, value, 0, 0, 0) : CATFLAP_ATTEND;
        r = r == CATFLAP_ATTEND ? SLOW(t, file, fd, what, value, 0, 0) : r;
        leave(t);
    }
    errno = (int)error;
    return r;
}

/* `stdio`: by stdio, whose own calls on it nobody sees. */
static int opened(int fd, int stdio)
{
    if (unlikely(mounted) && fd >= 0 && below(fd))
        file_told(fd, CATFLAP_OPENED, stdio);
    return fd;
}

/* Declared with C names of their own: libc's are variadic. */
EXPORT int open_trap(const char *path, int flags, long mode) __asm__("open");
int open_trap(const char *path, int flags, long mode) { return opened(next.open(path, flags, mode), 0); }
EXPORT int openat_trap(int dir, const char *path, int flags, long mode) __asm__("openat");
int openat_trap(int dir, const char *path, int flags, long mode) { return opened(next.openat(dir, path, flags, mode), 0); }
ENTRY(int, creat, (const char *path, mode_t mode), return opened(next.creat(path, mode), 0))
ENTRY(int, __open_2, (const char *path, int flags), return opened(next.__open_2(path, flags), 0))
ENTRY(int, __openat_2, (int dir, const char *path, int flags), return opened(next.__openat_2(dir, path, flags), 0))

EXPORT FILE *fopen(const char *path, const char *mode)
{
    FILE *file = next.fopen(path, mode);
    if (unlikely(mounted) && file)
        opened(fileno(file), 1);
    return file;
}

#define SYNC(name, data)                                                                                               \
    EXPORT int name(int fd)                                                                                            \
    {                                                                                                                  \
        if (likely(!mounted) || !(file_marked(fd) || (!entry(fd) && below(fd))))                                       \
            return next.name(fd);                                                                                      \
        pthread_testcancel();                                                                                          \
        int64_t r = file_told(fd, CATFLAP_SYNC, data);                                                                 \
        return r == CATFLAP_STALE ? next.name(fd) : (int)result(r);                                                    \
    }
SYNC(fsync, 0)
SYNC(fdatasync, 1)

/* Which file that was does not matter: the host looks after those that it keeps. */
#define RENAMED(name, params, args)                                                                                    \
    EXPORT int name params                                                                                             \
    {                                                                                                                  \
        int r = next.name args;                                                                                        \
        if (unlikely(mounted) && r == 0 && atomic_load(&host_state) == STATE_UP)                                       \
            file_told(-1, CATFLAP_MOVED, 0);                                                                           \
        return r;                                                                                                      \
    }
RENAMED(rename, (const char *from, const char *to), (from, to))
RENAMED(renameat, (int dir, const char *from, int other, const char *to), (dir, from, other, to))
RENAMED(renameat2, (int dir, const char *from, int other, const char *to, unsigned flags), (dir, from, other, to, flags))

#define THEN_TOLD(type, name, params, args, when, what, value)                                                         \
    EXPORT type name params                                                                                            \
    {                                                                                                                  \
        type r = next.name args;                                                                                       \
        if (unlikely(mounted) && r >= 0 && file_marked(fd) && (when))                                                  \
            file_told(fd, what, value);                                                                                \
        return r;                                                                                                      \
    }
THEN_TOLD(int, ftruncate, (int fd, off_t size), (fd, size), true, CATFLAP_RESIZED, size)
THEN_TOLD(int, fallocate, (int fd, int mode, off_t offset, off_t n), (fd, mode, offset, n), mode & ~1 /* FALLOC_FL_KEEP_SIZE */, CATFLAP_RESIZED, 0)
THEN_TOLD(off_t, lseek, (int fd, off_t offset, int whence), (fd, offset, whence), offset || whence != SEEK_CUR, CATFLAP_MOVED, r)
THEN_TOLD(ssize_t, pwrite, (int fd, const void *buf, size_t n, off_t offset), (fd, buf, n, offset), true, CATFLAP_MOVED, offset)
THEN_TOLD(ssize_t, pwritev, (int fd, const struct iovec *iov, int n, off_t offset), (fd, iov, n, offset), true, CATFLAP_MOVED, offset)
