/* TCP sockets that are only counted. Most connections are too short to be worth a description, or even an interpreter; so a
 * new one stays the kernel's, its uses counted in the entry of its number, until it has earned more or the program does with
 * it what the kernel can't be left alone with. It is taken then only while no thread is inside the kernel with it. */
#include "trap.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/syscall.h>
#include <time.h>

/* An entry: birth number, uses, threads inside, being taken, accepted, YOUNG. */
enum { ACCEPTED = 4, BUSY = 8, BIRTH = 40 };
#define INSIDE ((uintptr_t)1 << 4)
#define INSIDES ((uintptr_t)0xfff << 4)
#define USE ((uintptr_t)1 << 16)
#define USES ((uintptr_t)0xffffff << 16)

bool young_ever;              /* there has been one */
unsigned long young_worth;    /* uses that earn a description; 0: every socket gets one at once */
static _Atomic uintptr_t births;

bool young_begin(int fd, bool accepted)
{
    entry_t *at = descriptor_entry(fd, true);
    if (!at)
        return false;
    young_ever = true;
    atomic_store(at, (atomic_fetch_add(&births, 1) + 1) << BIRTH | (accepted ? ACCEPTED : 0) | YOUNG);
    return true;
}

/* The entry, once no other thread is just taking it. */
static uintptr_t settled(entry_t *at)
{
    uintptr_t e;
    int error = errno;
    while (((e = at ? atomic_load(at) : 0) & 3) == YOUNG && e & BUSY)
        syscall(SYS_nanosleep, &(struct timespec){0, 20000}, NULL);
    errno = error;
    return e;
}

/* What becomes of the entry `e` that this thread has made busy. */
static void take(struct thread *t, int fd, entry_t *at, uintptr_t e)
{
    int protocol = 0, flags = next.fcntl(fd, F_GETFL), type = SOCK_STREAM | (flags & O_NONBLOCK ? SOCK_NONBLOCK : 0);
    socklen_t size = sizeof protocol;
    int64_t reason;
    if (flags < 0 || next.getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) != 0 || protocol != IPPROTO_TCP)
        descriptor_bind(fd, NULL, 0); /* closed behind our back, and given away again */
    else if (t->guard || t->outsider || (atomic_load(&host_state) == STATE_UP && in_vfork_child()))
        atomic_store(at, e);
    else if (!host_ready())
        descriptor_bind(fd, NULL, atomic_load(&kernel_reason) ? atomic_load(&kernel_reason) : CATFLAP_KERNEL_LEFT);
    else if ((reason = SLOW(t, adopt, fd, e & ACCEPTED ? 0 : AF_INET, type, (e & USES) / USE, 0)))
        descriptor_bind(fd, NULL, (int)reason);
}

/* False when nothing has changed. Inside, so that no handler of this thread meets what it has made busy. */
static bool grow(int fd, entry_t *at, uintptr_t e)
{
    int error = errno;
    struct thread *t = enter();
    if (atomic_compare_exchange_strong(at, &e, e | BUSY))
        take(t, fd, at, e);
    leave(t);
    errno = error;
    return atomic_load(at) != e;
}

/* Before a call that the kernel makes: counted, and this thread with it. 0: it is young no more, else for young_leave(). */
uint64_t young_enter(int fd)
{
    entry_t *at = descriptor_entry(fd, false);
    for (uintptr_t e; ((e = settled(at)) & 3) == YOUNG;)
        if ((e & USES) / USE + 1 < young_worth || e & INSIDES || !grow(fd, at, e))
            if (atomic_compare_exchange_strong(at, &e, e + INSIDE + ((e & USES) == USES ? 0 : USE)))
                return 1ull << 32 | e >> BIRTH;
    return 0;
}

void young_leave(int fd, uint64_t birth)
{
    entry_t *at = descriptor_entry(fd, false);
    uintptr_t e = settled(at);
    while ((e & 3) == YOUNG && (1ull << 32 | e >> BIRTH) == birth && e & INSIDES)
        if (atomic_compare_exchange_strong(at, &e, e - INSIDE))
            return;
}

/* The description of a young socket, made now; NULL when it is the kernel's for good. */
void *young_grow(int fd)
{
    entry_t *at = descriptor_entry(fd, false);
    for (uintptr_t e; ((e = settled(at)) & 3) == YOUNG;)
        if (e & INSIDES || !grow(fd, at, e))
            young_left(fd);
    return lookup(fd);
}

/* It goes where we can't follow. */
void young_left(int fd)
{
    entry_t *at = descriptor_entry(fd, false);
    for (uintptr_t e; ((e = settled(at)) & 3) == YOUNG;)
        atomic_compare_exchange_strong(at, &e, CATFLAP_KERNEL_LEFT << 2 | 1);
}

/* A child will share them: with a description while the host can give it, or with the kernel alone. Where the forking thread
 * has the GIL already nothing is waited for: what is just taken stays the parent's. */
void young_forking(bool waits)
{
    int top = young_ever ? atomic_load(&descriptor_top) : 0;
    for (int fd = 0; fd < top; fd++) {
        uintptr_t e = entry(fd);
        if ((e & 3) == YOUNG && waits && atomic_load(&host_state) == STATE_UP)
            young_grow(fd);
        else if ((e & 3) == YOUNG && !(e & BUSY))
            atomic_compare_exchange_strong(descriptor_entry(fd, false), &e, CATFLAP_KERNEL_LEFT << 2 | 1);
    }
}

/* In the child: what other threads have made meanwhile. */
void young_forked(void)
{
    int top = young_ever ? atomic_load(&descriptor_top) : 0;
    for (int fd = 0; fd < top; fd++)
        if (young(fd))
            descriptor_bind(fd, NULL, CATFLAP_KERNEL_LEFT);
}

/* Calls that wait for several descriptors: counted on each of them. */
void stays_begin(struct stays *s, int fd)
{
    uint64_t birth;
    if (likely(!young(fd)))
        return;
    if (s->n == STAYS)
        young_grow(fd);
    else if ((birth = young_enter(fd)))
        s->at[s->n++] = (struct stay){fd, birth};
}

void stays_end(struct stays *s)
{
    for (unsigned i = 0; i < s->n; i++)
        young_leave(s->at[i].fd, s->at[i].birth);
}
