/* The lazy start of the host: environment read once, the host library loaded and its interpreter started at the first
 * call that concerns us, fork hooks, the end of life. Whatever fails here leaves the program on the kernel. */
#include "trap.h"
#include "before_python.h"

_Atomic int host_state = STATE_OFF;
_Atomic int kernel_reason = CATFLAP_KERNEL_AUTO;
bool streams_only; /* no datagram socket can be the host's: not worth starting it for one */
bool networked;    /* there may be a network of the program's own */
struct catflap_ops ops;

static struct {
    int (*start)(struct catflap_ops *, const struct catflap_services *, const char *);
    int (*thread)(void);
    void (*thread_end)(void);
    int64_t (*fork_before)(void);
    void (*fork_after)(int);
} host;

static char log_path[PATH_MAX];
static int verbose;
int boot_pid;
static const char *boot_error;

int64_t host_thread_begin(void) { return host.thread(); }

void host_thread_end(void)
{
    struct thread *t = self;
    slow_call(t, (void *)host.thread_end, 0, 0, 0, 0, 0);
}

/* One line to the log, by raw system calls, nothing kept open: the program's descriptor numbers stay its own. */
void log_text(const char *line)
{
    if (!log_path[0])
        return;
    int error = errno;
    long fd = syscall(SYS_openat, AT_FDCWD, log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
    if (fd >= 0) {
        syscall(SYS_write, fd, line, strlen(line));
        syscall(SYS_close, fd);
    }
    errno = error;
}

char *number(char *p, unsigned v)
{
    if (v > 9)
        p = number(p, v / 10);
    *p++ = (char)('0' + v % 10);
    return p;
}

/* "catflap[pid]: WHAT a b" when verbose. */
void log_line(const char *what, int a, int b)
{
    if (verbose < 1 || !log_path[0])
        return;
    char line[256], *p = number(stpcpy(line, "catflap["), (unsigned)syscall(SYS_getpid));
    p = number(stpcpy(stpncpy(stpcpy(p, "]: "), what, 150), " "), (unsigned)a);
    strcpy(number(stpcpy(p, " "), (unsigned)b), "\n");
    log_text(line);
}

static void die(void)
{
    int up = STATE_UP;
    atomic_compare_exchange_strong(&host_state, &up, STATE_DEAD);
}

static void own_thread(void) { (self ? self : thread_join())->guard++; }
static const struct catflap_services services = {CATFLAP_ABI, descriptor_bind, grace_begin, grace_passed, die, log_text, own_thread};

static bool is_set(const char *name)
{
    const char *value = getenv(name);
    return value && *value;
}

/* What pthread_atfork(3) is made of: glibc's alone, so that another libc, which lacks it, can load this library. */
int __register_atfork(void (*)(void), void (*)(void), void (*)(void), void *) __attribute__((weak));

/* A fork that libc makes for itself, as forkpty(3) does; fork() has been here before (trap_process.c). */
static void forked_inside(void) { young_all(FORKING, 0); }

static void forked_child(void)
{
    bool same = (int)syscall(SYS_getppid) == boot_pid; /* namespace of process ids */
    boot_pid = (int)syscall(SYS_getpid);
    young_all(FORKED, same);
}

__attribute__((constructor(102))) static void read_environment(void)
{
    const char *libos = getenv("CATFLAP_LIBOS"), *path = getenv("CATFLAP_LOG"), *level = getenv("CATFLAP_VERBOSE");
    if (path && strlen(path) < sizeof log_path)
        strcpy(log_path, path);
    verbose = level ? atoi(level) : 0;
    if (libos && strcmp(libos, "kernel") == 0) {
        atomic_store(&kernel_reason, CATFLAP_KERNEL_ASKED);
    } else if (!__register_atfork) {
        atomic_store(&kernel_reason, CATFLAP_KERNEL_OTHER_LIBC);
    } else {
        bool streams = !libos || !*libos || strcmp(libos, "auto") == 0 || strcmp(libos, "catloop") == 0 ||
                       strcmp(libos, "catmint") == 0;
        streams_only = streams && !is_set("CATFLAP_CONFIG");
        networked = is_set("CATFLAP_CONFIG") || (libos && strcmp(libos, "catnip") == 0);
        if (streams_only && !is_set("CATFLAP_PURE") && !is_set("CATFLAP_HOOK") && !is_set("CATFLAP_DEBUG"))
            young_start(is_set("CATFLAP_WORTH") ? strtoul(getenv("CATFLAP_WORTH"), NULL, 10) : 32);
        if (is_set("CATFLAP_STORAGE") && is_set("CATFLAP_MOUNT"))
            mount_begin(getenv("CATFLAP_MOUNT"));
        if (young_worth || mounted) {
            boot_pid = (int)syscall(SYS_getpid);
            __register_atfork(forked_inside, NULL, forked_child, NULL);
        }
        atomic_store(&kernel_reason, 0);
        atomic_store(&host_state, STATE_COLD);
    }
}

/* The last exit hook: from here on traps are C only. The interpreter of a C program is never finalised. */
__attribute__((destructor)) static void at_end(void)
{
    tell_peers();
    die();
}

static int fail(int reason, const char *what)
{
    boot_error = what;
    return reason;
}

static int load(void)
{
    if (!room_for_host())
        return fail(CATFLAP_KERNEL_BOOT_FAILED, "too little address space (ulimit -v) for the host");
    Dl_info info;
    static char root[PATH_MAX + 64];
    if (!dladdr((void *)load, &info) || !realpath(info.dli_fname, root))
        return fail(CATFLAP_KERNEL_NO_HOST, "the preload can't find its own path");
    char *slash = strrchr(root, '/');
    strcpy(slash, "/libcatflap_host.so");
    /* beside the host library lies a one-line file that names the Python it was built for and its library */
    static char note[PATH_MAX + 64], text[PATH_MAX + 64];
    strcpy(note, root);
    strcpy(note + strlen(note) - 3, ".txt");
    long fd = syscall(SYS_openat, AT_FDCWD, note, O_RDONLY | O_CLOEXEC, 0);
    long n = fd >= 0 ? syscall(SYS_read, fd, text, sizeof text - 1) : -1;
    if (fd >= 0)
        syscall(SYS_close, fd);
    char *library = n > 0 ? strchr(text, ' ') : NULL;
    if (!library)
        return fail(CATFLAP_KERNEL_NO_HOST, "libcatflap_host.so is not installed beside libcatflap.so");
    *library++ = 0;
    library[strcspn(library, "\n")] = 0;
    const char *other = other_python(text);
    if (other)
        return fail(CATFLAP_KERNEL_OTHER_PYTHON, other);
    /* extension modules of the standard library expect the interpreter's names to be global */
    if (!dlsym(RTLD_DEFAULT, "Py_GetVersion") && !dlopen(library, RTLD_NOW | RTLD_GLOBAL))
        return fail(CATFLAP_KERNEL_NO_HOST, dlerror());
    void *handle = dlopen(root, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        return fail(CATFLAP_KERNEL_NO_HOST, dlerror());
#define FIND(name) *(void **)&host.name = dlsym(handle, "catflap_host_" #name)
    FIND(start), FIND(thread), FIND(thread_end), FIND(fork_before), FIND(fork_after);
    if (!host.start || !host.fork_after)
        return fail(CATFLAP_KERNEL_NO_HOST, "libcatflap_host.so is of another version");
    strrchr(root, '/')[0] = 0; /* .../interpose */
    strrchr(root, '/')[0] = 0; /* the folder that holds our packages */
    int reason = host.start(&ops, &services, root);
    if (!reason || reason == CATFLAP_KERNEL_ASKED || reason == CATFLAP_KERNEL_AUTO)
        return reason; /* the configuration's choice, nothing to report */
    return fail(reason, reason == CATFLAP_KERNEL_OTHER_PYTHON ? "a subinterpreter's thread was the first" : "the interpreter did not start, see the log");
}

static void after_fork_parent(void) { after_fork_trap(false); }
static void after_fork_child(void) { after_fork_trap(true); }

static int64_t boot(void)
{
    int reason = load();
    if (reason) {
        atomic_store(&kernel_reason, reason);
        if (!boot_error)
            return reason;
        char line[512], *end = stpncpy(stpcpy(line, "catflap: staying on the kernel: "), boot_error, 400);
        strcpy(end, "\n");
        log_text(line);
        strcpy(end, "; try: catflap doctor\n");
        const char *run = getenv("CATFLAP_RUN_PID");
        if (verbose >= 0 && run && atoi(run) == getpid() && isatty(2))
            syscall(SYS_write, 2, line, strlen(line));
        return reason;
    }
    __register_atfork(before_fork_trap, after_fork_parent, after_fork_child, NULL);
    return 0;
}

bool host_ready(void)
{
    int state = atomic_load(&host_state);
    if (likely(state == STATE_UP))
        return !bypass();
    if (state == STATE_OFF || state == STATE_DEAD)
        return false;
    struct thread *t = self ? self : thread_join();
    if (t->guard || t->outsider)
        return false;
    state = STATE_COLD;
    if (!atomic_compare_exchange_strong(&host_state, &state, STATE_BOOTING)) {
        /* another thread boots: wait for it, bounded, since what it needs might be held by this one */
        for (int turns = 0; turns < 2000 && atomic_load(&host_state) == STATE_BOOTING; turns++)
            syscall(SYS_nanosleep, &(struct timespec){0, 1000000}, NULL);
        return atomic_load(&host_state) == STATE_UP;
    }
    boot_pid = (int)syscall(SYS_getpid);
    int64_t reason = slow_call(t, (void *)boot, 0, 0, 0, 0, 0);
    atomic_store(&host_state, reason ? STATE_OFF : STATE_UP);
    return !reason;
}

/* True in a child of vfork, which shares our memory with its parent: it must not change a byte of it. */
bool in_vfork_child(void) { return boot_pid != (int)syscall(SYS_getpid); }

/* --- fork: the GIL is taken before, so that the child gets an interpreter at rest --- */

void before_fork_trap(void)
{
    struct thread *t = self ? self : thread_join();
    if (t->outsider)
        return;
    if (t->forking++ == 0) {
        uint64_t all = ~0ull; /* a handler must not jump out while the GIL is ours */
        syscall(SYS_rt_sigprocmask, SIG_BLOCK, &all, &t->fork_mask, 8);
    }
    if (t->forking == 1 && !t->guard && !t->outsider && atomic_load(&host_state) == STATE_UP && slow_call(t, (void *)host.fork_before, 0, 0, 0, 0, 0))
        t->forking |= 1 << 16; /* the GIL is ours */
    if ((t->forking & 0xffff) == 1 && !t->guard && ops.sets && atomic_load(&host_state) == STATE_UP) {
        HOT(t, forking, 0, 0, 0, 0, 0);
        t->forking |= 1 << 17; /* and so are the locks of the sets */
    }
}

void after_fork_trap(bool child)
{
    struct thread *t = self;
    if (t->outsider) { /* it can't take the GIL, so its child gets no interpreter at rest */
        ops.forks++;
        if (child)
            die();
        return;
    }
    if (child && (t->forking & 0xffff) == 1) {
        boot_pid = (int)syscall(SYS_getpid);
        thread_forked();
    }
    if ((t->forking & 0xffff) == 1 && t->forking >> 17) {
        if (!child) /* the child's Python lets go of its own */
            HOT(t, forking, 1, 0, 0, 0, 0);
        t->forking &= ~(1 << 17);
    }
    if ((t->forking & 0xffff) == 1 && t->forking >> 16) {
        t->forking &= 0xffff;
        slow_call(t, (void *)host.fork_after, child, 0, 0, 0, 0);
    }
    if (--t->forking == 0) {
        ops.forks++; /* descriptions made before are shared with another process from now on */
        syscall(SYS_rt_sigprocmask, SIG_SETMASK, &t->fork_mask, NULL, 8);
    }
}
