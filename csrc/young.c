/* TCP sockets that are only counted. Most connections are too short to be worth a description, or even an interpreter; so a
 * new one stays the kernel's, its uses counted in the entry of its number, until it has earned more or the program does with
 * it what the kernel can't be left alone with. It is taken then only while no thread is inside the kernel with it, and no other
 * process has it. */
#include "trap.h"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <netinet/in.h>
#include <sys/mman.h>

/* An entry: birth number, uses, threads inside, lent to a child, being taken, accepted, YOUNG. */
enum { ACCEPTED = 4, BUSY = 8, LENT = 16, BIRTH = 37 };
#define INSIDE ((uintptr_t)1 << 5)
#define INSIDES ((uintptr_t)0xfff << 5)
#define USE ((uintptr_t)1 << 17)
#define USES ((uintptr_t)0xfffff << 17)
#define LEFT ((uintptr_t)CATFLAP_KERNEL_LEFT << 2 | 1)

bool young_ever;           /* there has been one */
unsigned long young_worth; /* uses that earn a description; 0: every socket gets one at once */

/* What a process shares with its children: how many sockets were born; and for each that is lent, by its birth number, how many
 * processes have it, and which was the last child while the kernel can be asked about that. What is not known is shared for ever. */
enum { LOANS = 4095 };
static struct family { _Atomic uint64_t births, loans[LOANS]; } *family;
#define LOAN(e) (&family->loans[((e) >> BIRTH) % LOANS])
#define HOLDERS(e, n) ((e) >> BIRTH << BIRTH | (n))
#define PID ((uint64_t)1 << 10)
#define PIDS ((uint64_t)0x7ffffff << 10)

/* By number: the one epoll set (and 1) that has it, and for what, while there is no host to be told. */
enum { MEMBERS = 256 };
static struct member { _Atomic int set; struct epoll_event event; } members[MEMBERS];
static _Atomic uint64_t sets; /* the low bits of their numbers */

void young_start(unsigned long worth)
{
    family = mmap(NULL, sizeof *family, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    young_worth = family == MAP_FAILED ? 0 : worth;
}

bool young_begin(int fd, bool accepted)
{
    entry_t *at = descriptor_entry(fd, true);
    if (!at)
        return false;
    young_ever = true;
    if (fd < MEMBERS)
        members[fd].set = 0;
    atomic_store(at, (atomic_fetch_add(&family->births, 1) + 1) << BIRTH | (accepted ? ACCEPTED : 0) | YOUNG);
    return true;
}

/* Whether another process has it, of which the kernel is asked where that is the last child (kcmp(2)). */
static bool shared(int fd, uintptr_t e)
{
    uint64_t n = e & LENT ? atomic_load(LOAN(e)) : HOLDERS(e, 1);
    int error = errno;
    if ((n & ~PIDS) == HOLDERS(e, 2) && n & PIDS) {
        long other = syscall(SYS_kcmp, boot_pid, (n & PIDS) / PID, KCMP_FILE, fd, fd);
        n -= other > 0 || (other < 0 && (errno == EBADF || errno == ESRCH));
    }
    errno = error;
    return (n & ~PIDS) != HOLDERS(e, 1);
}

/* A process more has it (1), or one less (-1), or this one hands it on, who knows where (0); or this is the last `child`. False
 * when they are not counted. */
static bool lend(int fd, uintptr_t e, int more, bool child)
{
    uint64_t me = (uint64_t)boot_pid * PID, n = atomic_load(LOAN(e)), to;
    do {
        bool counted = n >> BIRTH == e >> BIRTH, fresh = more > 0 && !(counted ? shared(fd, e | LENT) : e & LENT);
        if (!counted && !fresh)
            return false;
        to = fresh ? HOLDERS(e, 2) : child ? (n & ~PIDS) | me : n + (uint64_t)more - ((n & PIDS) == me ? me : 0);
    } while (!atomic_compare_exchange_strong(LOAN(e), &n, to));
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
    else if ((reason = SLOW(t, adopt, fd, e & ACCEPTED ? 0 : AF_INET, type, (e & USES) / USE, NULL)))
        descriptor_bind(fd, NULL, (int)reason);
    if (fd < MEMBERS && members[fd].set && lookup(fd) && ops.sets) {
        int ep = members[fd].set - 1, op = EPOLL_CTL_MOD | epoll_set_mark(ep);
        HOT(t, interest, lookup(fd), ep, op, fd, &members[fd].event);
    }
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
        if ((e & USES) / USE + 1 < young_worth || e & INSIDES || shared(fd, e) || !grow(fd, at, e))
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
        if (e & INSIDES || shared(fd, e) || !grow(fd, at, e))
            young_ends(fd, CATFLAP_KERNEL_LEFT);
    return lookup(fd);
}

/* It is the kernel's from now on, and why; 0: its number is closed. */
void young_ends(int fd, int reason)
{
    entry_t *at = descriptor_entry(fd, false);
    for (uintptr_t e; ((e = settled(at)) & 3) == YOUNG;)
        if (atomic_compare_exchange_strong(at, &e, reason ? (uintptr_t)reason << 2 | 1 : 0) && e & LENT)
            lend(fd, e, reason || e & INSIDES ? 0 : -1, false);
}

/* What becomes of all of them. BEFORE_FORK: a description, where there is a host or a set that the child has too. FORKING: others
 * are lent. Nothing is waited for, since this thread may have the GIL: what is just taken stays the parent's. FORKED, in the child
 * (`set`: the kernel can be asked about it): what is not lent other threads have made meanwhile. SET_LEAVES our sight: only the
 * kernel can tell of its members. ENDING: whoever else has them may be alone now. */
void young_all(enum young_moment moment, int set)
{
    bool any = moment == SET_LEAVES ? atomic_load(&sets) >> (set & 63) & 1 : young_ever;
    int top = any ? atomic_load(&descriptor_top) : 0;
    for (int fd = 0; fd < top; fd++) {
        entry_t *at = descriptor_entry(fd, false);
        uintptr_t e = entry(fd);
        int in = fd < MEMBERS ? members[fd].set : 0;
        if ((e & 3) != YOUNG)
            continue;
        bool lent = moment == FORKING && !(e & BUSY) && lend(fd, e, !in, false) && !in;
        while (moment == FORKING && (e & 3) == YOUNG && !(e & BUSY))
            if (atomic_compare_exchange_strong(at, &e, lent ? e | LENT : LEFT))
                break;
        if (moment == BEFORE_FORK && !shared(fd, e) && (in || atomic_load(&host_state) == STATE_UP))
            young_grow(fd);
        else if (moment == FORKED)
            atomic_store(at, e & LENT && !(e & BUSY) && (!set || lend(fd, e, 0, true)) ? e & ~INSIDES : LEFT);
        else if (moment == ENDING ? e & LENT && !in_vfork_child() : moment == SET_LEAVES && in && in == set + 1)
            young_ends(fd, moment == ENDING ? 0 : CATFLAP_KERNEL_LEFT);
    }
}

/* epoll_ctl(2) on one that may stay young; false when it may not, and the call is not made: with a host, for edges and the like,
 * or in a second set. */
bool young_member(int ep, int op, int fd, struct epoll_event *event, int *answer)
{
    bool kept = op != EPOLL_CTL_DEL;
    int set = 0;
    if (fd >= MEMBERS || (kept && (atomic_load(&host_state) == STATE_UP || unmapped(event) || event->events >> 28 ||
                                   (!atomic_compare_exchange_strong(&members[fd].set, &set, ep + 1) && set != ep + 1))))
        return false;
    atomic_fetch_or(&sets, 1ull << (ep & 63));
    uint64_t birth = young_enter(fd);
    if (birth && (*answer = next.epoll_ctl(ep, op, fd, event)) == 0)
        kept ? (void)(members[fd].event = *event) : (void)(members[fd].set = 0);
    young_leave(fd, birth);
    return birth;
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
