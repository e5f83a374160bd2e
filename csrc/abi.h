/* The contract between the preload (C) and the host (Python). cffi parses this very file from the marker on, so below it
 * there is plain C without preprocessor. Change a line here and CATFLAP_ABI goes up. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* --- parsed by cffi from here --- */
enum { CATFLAP_ABI = 9 };

/* What an operation may answer besides a count (>= 0) or a kernel error (-errno). */
enum {
    CATFLAP_SLEEP = -100001, /* a blocked qtoken: make the kernel call yourself, from bare C, then tell ops->woke */
    CATFLAP_WAIT = -100003,  /* sleep on what struct catflap_wait says, from bare C, and ask again */
    CATFLAP_ATTEND = -100004, /* call ops->attend and ask again; of ops->sync: it is ops->file's */
    CATFLAP_STALE = -100002, /* this descriptor is no longer what we took: forget it and ask the kernel */
};

/* One call of the program on its way: what it has done and waits for. Python knows the offsets (libos/layout.py). */
struct catflap_wait {
    uint64_t qtoken;   /* of a blocked operation */
    int64_t done;      /* bytes moved by earlier turns */
    int64_t deadline;  /* CLOCK_MONOTONIC in ns; 0: not looked at yet, INT64_MAX: never */
    uint64_t pending;  /* address of an int that is not 0 while a signal waits to be delivered: stop spinning */
    uint64_t bell;     /* of this thread; 0: it has none yet */
    int64_t fd;        /* WAIT: sleep until poll(2) `events` on this, or the bell, or `timeout` */
    int64_t events;
    int64_t spare;
    int64_t timeout;   /* ns; -1: for ever */
    uint32_t caught;   /* signals caught by this thread when the call began, and those of them without SA_RESTART */
    uint32_t hard;
};

/* Which operation a blocked qtoken stands for. */
enum {
    CATFLAP_POP = 1, CATFLAP_PUSH = 2, CATFLAP_ACCEPT = 3, CATFLAP_CONNECT = 4, CATFLAP_READY = 5,
    CATFLAP_POP_MESSAGE = 6, /* as POP, with a struct msghdr */
};

/* Beside the operation of epoll_ctl(2): a thread may wait for that set in the kernel, and nobody has counted it. */
enum { CATFLAP_UNSEEN = 256 };

/* What becomes of a file that the host may make durable. OPENED, `value` 1: by stdio. SYNC, 1: its data alone; answers 0 when
 * that is done, -errno, or STALE: it is the kernel's to do. MOVED: by a number that does not append something is, or may be,
 * written next at the offset `value`; -1: anywhere; `fd` -1: some file has another name. RESIZED: to `value` bytes, or what is
 * in it may be other bytes now (0). CLOSED: soon. */
enum { CATFLAP_OPENED = 1, CATFLAP_SYNC = 2, CATFLAP_MOVED = 3, CATFLAP_RESIZED = 4, CATFLAP_CLOSED = 5 };

/* Why a descriptor is the kernel's. Stable; docs/reasons.md says what each means. */
enum {
    CATFLAP_KERNEL_AUTO = 1, CATFLAP_KERNEL_ASKED = 2, CATFLAP_KERNEL_NO_HOST = 3, CATFLAP_KERNEL_OTHER_PYTHON = 4,
    CATFLAP_KERNEL_BOOT_FAILED = 5, CATFLAP_KERNEL_STALE = 6, CATFLAP_KERNEL_ADDRESS = 7, CATFLAP_KERNEL_TABLE = 8,
    CATFLAP_KERNEL_PEER_UNKNOWN = 9, CATFLAP_KERNEL_PEER_PLAIN = 10, CATFLAP_KERNEL_PEER_UID = 11,
    CATFLAP_KERNEL_OTHER_VERSION = 12, CATFLAP_KERNEL_NO_MEMORY = 13, CATFLAP_KERNEL_IO_URING = 14,
    CATFLAP_KERNEL_LEFT = 15, CATFLAP_KERNEL_SECCOMP = 16, CATFLAP_KERNEL_OTHER_LIBC = 17,
    CATFLAP_KERNEL_IN_PLACE = 18, CATFLAP_KERNEL_VOLUME = 19, CATFLAP_KERNEL_FABRIC = 20,
    CATFLAP_FILE = 253,      /* whose writers append, as far as is known */
    CATFLAP_LISTENING = 254, /* what it accepts is looked at by itself */
    CATFLAP_OWN = 255,               /* not the program's at all: the host's own descriptor */
};

/* Every function answers as described above. `d` is a description, `qt` where a blocked qtoken is written. */
struct catflap_ops {
    int64_t (*recv)(void *d, uintptr_t buf, uint64_t n, int flags, uintptr_t qt);
    int64_t (*send)(void *d, uintptr_t buf, uint64_t n, int flags, uintptr_t qt);
    int64_t (*recvmsg)(void *d, uintptr_t msg, int flags, uintptr_t qt);
    int64_t (*sendmsg)(void *d, uintptr_t msg, int flags, uintptr_t qt);
    int64_t (*sendfile)(void *d, int in_fd, uintptr_t offset, uint64_t n, uintptr_t qt);
    int64_t (*accept)(void *d, uintptr_t addr, uintptr_t len, int flags, uintptr_t qt);
    int64_t (*connect)(void *d, uintptr_t addr, uint32_t len, uintptr_t qt);
    int64_t (*ready)(int ep, uintptr_t events, int n, uintptr_t qt);
    int64_t (*ready_poll)(uintptr_t fds, uintptr_t handles, uintptr_t copy, uint64_t n, uintptr_t qt);
    int64_t (*handle)(void *d);
    int64_t (*interest)(void *d, int ep, int op, int fd, uintptr_t event);
    int64_t (*set_closed)(int ep);
    int64_t (*nested)(int ep);
    int64_t (*set_copied)(int ep, int to);
    int64_t (*leave)(void *d);
    int64_t (*ended)(void *d);
    int64_t (*pending)(void *d, int outward);
    int64_t (*woke)(uint64_t qtoken, int op, uintptr_t data, int64_t result);
    int64_t (*dropped)(uint64_t qtoken);
    int64_t (*forking)(int done);
    int64_t (*probe)(void *d, int64_t x);
    int64_t (*sync)(int fd, int data_only);
    /* from here on the GIL is taken */
    int64_t (*adopt)(int fd, int domain, int type, uint64_t uses, uintptr_t name);
    int64_t (*attend)(void *d);
    int64_t (*new_bell)(uintptr_t fd);
    int64_t (*free_bell)(int bell);
    int64_t (*bind)(void *d, uintptr_t addr, uint32_t len);
    int64_t (*listen)(void *d, int backlog);
    int64_t (*shutdown)(void *d, int how);
    int64_t (*name)(void *d, int peer, uintptr_t addr, uintptr_t len);
    int64_t (*getsockopt)(void *d, int level, int option, uintptr_t value, uintptr_t len);
    int64_t (*setsockopt)(void *d, int level, int option, uintptr_t value, uint32_t len);
    int64_t (*status)(void *d, int nonblock);
    int64_t (*dup)(void *d, int fd);
    int64_t (*close)(void *d, int fd);
    int64_t (*slept)(void *d);
    int64_t (*interface)(uint64_t request, uintptr_t at, int room);
    int64_t (*file)(int fd, int what, int64_t value);
    int64_t (*probe_gil)(void *d, int64_t x);
    int sets; /* 1: epoll sets are watched by the host */
    uint32_t forks;  /* how often this process has forked or been forked */
    uintptr_t unseen; /* by epoll descriptor, 16 bits each: threads in the kernel's own wait that nobody else counts */
    int guarded; /* interpreted or observed by hooks: call the first group as the second, private stack and all */
};

/* What the preload does for the host. */
struct catflap_services {
    int abi;
    int (*bind)(int fd, void *description, int reason); /* what a descriptor number means; 0 or -1 */
    void (*grace_begin)(void);  /* start of a grace period: threads now inside may still use what is retired */
    int (*grace_passed)(void);  /* 1 when each of them has left */
    void (*die)(void);          /* from now on traps are C only */
    void (*log)(const char *line);
    void (*own_thread)(void); /* the calling thread is the host's: its calls are the kernel's from now on */
};
/* --- to here --- */

/* exported by the host library; 0, or a CATFLAP_KERNEL_* reason */
int catflap_host_start(struct catflap_ops *ops, const struct catflap_services *services, const char *root);
int catflap_host_thread(void);       /* give this thread a Python thread state for life; 0: it had one */
void catflap_host_thread_end(void);  /* and take it back */
int64_t catflap_host_fork_before(void);  /* 1 when it took the GIL */
void catflap_host_fork_after(int child);
