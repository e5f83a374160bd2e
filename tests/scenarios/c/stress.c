/* Byte streams in every way a program may move them, thrown by a seed: `stress ROLE SEED THEME BYTES CALLS STALL [PORTS]`.
 *
 * Role 1 listens and prints its two ports, role 0 dials them. Both know from the seed how long each connection is and how
 * it ends; how either of them reads and writes is its own affair. Whatever is not as it must be is a line with BROKEN; a
 * stream that has not moved for STALL seconds is one with STALLED for each end that waits. Themes: plain, fork, abrupt,
 * kill (one of the processes dies, by itself or by somebody else), stop (somebody stops and continues them). */
#define OWN_MAIN
#include "stress_turns.h"

enum { MOST = 8 };

static struct connection all[MOST];
static struct row *rows; /* two for each connection, shared with forked children */
static struct turns speakers[MOST];
static struct loop loops[2];
static int stress_role, crash_how, stall_seconds;
static uint64_t stress_bytes;
static bool theme_fork, theme_abrupt, theme_stop, may_rain;
static _Atomic bool over;

static void crash(void)
{
    say("crash at %llu us, way %d", (unsigned long long)now_us(), crash_how);
    if (crash_how == 0)
        syscall(SYS_kill, getpid(), SIGKILL);
    if (crash_how == 1)
        exit(0);
    _exit(0);
}

static struct plan plan_of(int number)
{
    struct dice d = dice_for("plan", (uint64_t)number);
    struct plan p = {.family = one_in(&d, 3) ? AF_INET6 : AF_INET, .forker = -1, .stop = ENDLESS};
    p.turns = one_in(&d, 3);
    for (int i = 0; i < 2; i++) {
        p.total[i] = stress_deadly ? ENDLESS : one_in(&d, 12) ? 0 : sized(&d, 1, stress_bytes);
        p.half[i] = one_in(&d, 2);
    }
    p.ender = (int)roll(&d, 2);
    p.last_turn = (int)sized(&d, 1, 600);
    if (theme_fork && (number == 0 || one_in(&d, 3))) {
        p.turns = true;
        p.last_turn = (int)sized(&d, 60, 600);
        p.forker = (int)roll(&d, 2);
        p.fork_at = (int)roll(&d, 60);
    }
    if (theme_abrupt && (number == 0 || one_in(&d, 2))) {
        p.ending = 1 + (int)roll(&d, 2);
        p.stop = roll(&d, p.total[!p.ender] + 1);
    }
    return p;
}

static void lane(struct lane *l, struct connection *c, int fd, bool inward, enum mode mode)
{
    uint64_t high[] = {64, 4096, 65536, 1 << 20, BIGGEST};
    int direction = inward ? !c->role : c->role;
    *l = (struct lane){
        .connection = c->number,
        .direction = direction,
        .fd = fd,
        .mode = mode,
        .inward = inward,
        .key = key_of(c->number, direction),
        .total = c->plan.total[direction],
        .stop = inward && c->plan.ender == c->role && c->plan.ending != CLEAN ? c->plan.stop : ENDLESS,
        .short_ends = stress_deadly || (c->plan.ending != CLEAN && c->plan.ender != c->role),
        .until_end = inward && (c->plan.half[direction] || c->plan.ender != c->role),
        .smallest = 1,
        .dice = dice_for(inward ? "in" : "out", (uint64_t)(c->role * 1000 + c->number)),
        .row = &rows[c->number * 2 + inward],
    };
    l->biggest = high[roll(&l->dice, 5)];
    l->smallest = one_in(&l->dice, 3) ? l->biggest / 2 : 1;
    l->pace = (int)roll(&l->dice, 3);
    l->buffer = mmap(NULL, BIGGEST + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    l->file = inward ? -1 : (int)MUST(memfd_create("stress", MFD_CLOEXEC));
    l->row->fd = fd;
    l->row->pid = getpid();
}

static void connect_all(const int *ports)
{
    int listeners[2] = {-1, -1};
    for (int i = 0; i < 2 && stress_role == 1; i++)
        listeners[i] = listening(i ? AF_INET6 : AF_INET, MOST);
    if (stress_role == 1)
        say("ports %d %d", port_of(listeners[0]), port_of(listeners[1]));
    for (int i = 0; i < stress_connections; i++) {
        struct connection *c = &all[i];
        struct dice d = dice_for("options", (uint64_t)(stress_role * 1000 + i));
        *c = (struct connection){.number = i, .role = stress_role, .plan = plan_of(i)};
        pthread_mutex_init(&c->lock, NULL);
        int v6 = c->plan.family == AF_INET6, one = 1;
        /* a receive buffer shorter than a segment of the loopback makes the kernel probe its window five times a second */
        int size = (int)sized(&d, 1 << 17, 1 << 20);
        if (stress_role == 1)
            c->fd = (int)MUST(accept(listeners[v6], NULL, NULL));
        else
            c->fd = dialled(c->plan.family, ports[v6]);
        MUST(setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one));
        if (one_in(&d, 4))
            MUST(setsockopt(c->fd, SOL_SOCKET, one_in(&d, 2) ? SO_SNDBUF : SO_RCVBUF, &size, sizeof size));
    }
    for (int i = 0; i < 2 && stress_role == 1; i++)
        MUST(close(listeners[i]));
}

struct driver {
    void *(*main)(void *);
    void *argument;
};

static void *one_writer(void *c)
{
    drive_by_threads(c, 1);
    return NULL;
}

static void *three_writers(void *c)
{
    drive_by_threads(c, 3);
    return NULL;
}

/* Who drives a connection; a loop drives several. */
static int employ(struct driver *drivers)
{
    int n = 0;
    for (int i = 0; i < stress_connections; i++) {
        struct connection *c = &all[i];
        struct dice d = dice_for("style", (uint64_t)(stress_role * 1000 + i));
        enum mode quiet = one_in(&d, 4) ? DONTWAIT : NONBLOCKING;
        int style = (int)roll(&d, 6), fd = c->fd;
        enum mode mode = c->plan.turns ? (one_in(&d, 2) ? BLOCKING : quiet) : style < 3 ? BLOCKING : quiet;
        nonblocking(c->fd, mode == NONBLOCKING);
        if (!c->plan.turns && style == 1)
            fd = (int)MUST(dup(c->fd));
        lane(&c->in, c, c->fd, true, mode);
        lane(&c->out, c, fd, false, mode);
        if (c->plan.turns) {
            speakers[i] = (struct turns){c, all, dice_for("turns", (uint64_t)i), d, stress_bytes, 0, 0, false, false, 0, 0, 0};
            drivers[n++] = (struct driver){turns_main, &speakers[i]};
        } else if (style < 3)
            drivers[n++] = (struct driver){style == 2 ? three_writers : one_writer, c};
        else {
            struct loop *l = &loops[style & 1];
            if (l->count == 0) {
                l->dice = d;
                l->mechanism = (enum mechanism)roll(&d, MECHANISMS);
                drivers[n++] = (struct driver){loop_main, l};
            }
            l->connections[l->count++] = c;
        }
    }
    return n;
}

static void nothing(int signal)
{
    (void)signal;
}

/* Signals with and without SA_RESTART on every thread that works. */
static void *rain_main(void *unused)
{
    struct dice d = dice_for("rain", (uint64_t)stress_role);
    uint64_t longest = sized(&d, 100, 20000);
    while (!over) {
        struct timespec t = {0, (long)sized(&d, 20, longest) * 1000};
        syscall(SYS_nanosleep, &t, NULL);
        int signal = one_in(&d, 2) ? SIGUSR1 : SIGUSR2;
        int thread = rows[roll(&d, (uint64_t)stress_connections * 2)].thread;
        if (one_in(&d, 4))
            syscall(SYS_kill, getpid(), signal);
        else if (thread)
            syscall(SYS_tgkill, getpid(), thread, signal);
    }
    return unused;
}

/* A stream that stands still for too long: both directions of everything that is not over are told. */
static void *watcher_main(void *unused)
{
    uint64_t last = 0, calls = 0;
    sigset_t every;
    sigfillset(&every);
    pthread_sigmask(SIG_BLOCK, &every, NULL); /* the rain would shorten its naps */
    for (int still = 0; !over;) {
        struct timespec t = {0, 100000000};
        syscall(SYS_nanosleep, &t, NULL);
        uint64_t sum = 0;
        for (int i = 0; i < stress_connections * 2; i++)
            sum += rows[i].offset + (uint64_t)rows[i].ended;
        still = sum == last ? still + 1 : 0;
        last = sum;
        if (still == 0)
            calls = stress_calls;
        if (still != stall_seconds * 10 || over)
            continue;
        for (int i = 0; i < stress_connections * 2; i++)
            if (!rows[i].ended)
                say("STALLED connection %d %s at %llu, pid %d thread %d fd %d, in %s", i / 2, i & 1 ? "receiving" : "sending",
                    (unsigned long long)rows[i].offset, rows[i].pid, rows[i].thread, rows[i].fd, rows[i].call);
        say("STALLED after %llu calls that moved nothing", (unsigned long long)(stress_calls - calls));
    }
    return unused;
}

int main(int argc, char **argv)
{
    if (argc < 7)
        return 2;
    stress_role = atoi(argv[1]);
    stress_seed = strtoull(argv[2], NULL, 0);
    theme_fork = strcmp(argv[3], "fork") == 0;
    theme_abrupt = strcmp(argv[3], "abrupt") == 0;
    theme_stop = strcmp(argv[3], "stop") == 0;
    stress_deadly = strcmp(argv[3], "kill") == 0;
    stress_bytes = strtoull(argv[4], NULL, 0);
    stress_calls_before_big = strtoull(argv[5], NULL, 0);
    stall_seconds = atoi(argv[6]);
    int ports[2] = {argc > 7 ? atoi(argv[7]) : 0, argc > 8 ? atoi(argv[8]) : 0};
    struct dice run = dice_for("run", 0), mine = dice_for("mine", (uint64_t)stress_role);
    stress_connections = 1 + (int)roll(&run, MOST);
    if (stress_deadly && one_in(&run, 2) && stress_role == (int)roll(&run, 2)) {
        stress_crash_at = (int64_t)sized(&mine, 1, 2000);
        crash_how = (int)roll(&mine, 3);
    }
    may_rain = one_in(&mine, 3);
    stress_strict = !may_rain && !theme_stop;
    rows = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    handle(SIGPIPE, SIG_IGN, 0);
    handle(SIGUSR1, nothing, SA_RESTART);
    connect_all(ports);
    if (may_rain)
        handle(SIGUSR2, nothing, 0);
    else
        handle(SIGUSR2, nothing, SA_RESTART);
    struct driver drivers[MOST];
    pthread_t threads[MOST], watcher, rain;
    int n = employ(drivers);
    say("running role %d seed %llu: %d connections%s, bytes %llu", stress_role, (unsigned long long)stress_seed,
        stress_connections, may_rain ? " in the rain" : "", (unsigned long long)stress_bytes);
    MUST(-pthread_create(&watcher, NULL, watcher_main, NULL));
    if (may_rain)
        MUST(-pthread_create(&rain, NULL, rain_main, NULL));
    for (int i = 1; i < n; i++)
        MUST(-pthread_create(&threads[i], NULL, drivers[i].main, drivers[i].argument));
    drivers[0].main(drivers[0].argument);
    for (int i = 1; i < n; i++)
        MUST(-pthread_join(threads[i], NULL));
    over = true;
    if (may_rain)
        MUST(-pthread_join(rain, NULL));
    MUST(-pthread_join(watcher, NULL));
    say("end");
    note_host();
    return 0;
}
