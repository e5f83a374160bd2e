/* More descriptors than most programs ever see, and threads that close each other's at random moments. */
#include "scenario.h"
#include <sys/random.h>

enum { PAIRS = 9970, STEP = 100, ROOM = 20000 };

static int ends[PAIRS][2];

static bool room(void)
{
    struct rlimit limit = {ROOM, ROOM}, had;
    MUST(getrlimit(RLIMIT_NOFILE, &had));
    if (had.rlim_max > ROOM)
        limit.rlim_max = had.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

/* Each end sends its number; what arrives, by one set that holds them all. */
static long all_numbers(int set)
{
    struct epoll_event events[512];
    long sum = 0, arrived = 0;
    for (int i = 0; i < PAIRS; i++)
        for (int side = 0; side < 2; side++) {
            int32_t number = 2 * i + side + 1;
            MUST(send(ends[i][side], &number, sizeof number, 0));
        }
    while (arrived < 2 * PAIRS) {
        int n = (int)MUST(epoll_wait(set, events, 512, 10000));
        if (!n)
            break;
        for (int k = 0; k < n; k++, arrived++) {
            int32_t number;
            int fd = ends[events[k].data.u32 / 2][events[k].data.u32 % 2];
            if (recv(fd, &number, sizeof number, MSG_DONTWAIT) == sizeof number)
                sum += number;
        }
    }
    return sum;
}

SCENARIO(twenty_thousand_descriptors)
{
    if (!room()) {
        say("not so many here");
        return;
    }
    int listener = listening(AF_INET, 64), port = port_of(listener), set = (int)MUST(epoll_create1(0)), high = 0;
    for (int i = 0; i < PAIRS; i++) {
        ends[i][0] = dialled(AF_INET, port);
        ends[i][1] = (int)MUST(accept(listener, NULL, NULL));
        if (i % STEP == 0 && getenv("SCENARIO_WARM"))
            warm_up(ends[i]);
        for (int side = 0; side < 2; side++) {
            struct epoll_event e = {.events = EPOLLIN, .data.u32 = (uint32_t)(2 * i + side)};
            MUST(epoll_ctl(set, EPOLL_CTL_ADD, ends[i][side], &e));
            high = ends[i][side] > high ? ends[i][side] : high;
        }
    }
    CHECK(high >= 2 * PAIRS);
    for (int turn = 0; turn < 2; turn++)
        SAY(all_numbers(set));

    static struct pollfd polled[2 * PAIRS];
    for (int i = 0; i < 2 * PAIRS; i++)
        polled[i] = (struct pollfd){ends[i / 2][i % 2], POLLIN, 0};
    SAY(poll(polled, 2 * PAIRS, 0));
    for (int i = 0; i < PAIRS; i += STEP)
        MUST(send(ends[i][0], "x", 1, 0));
    SAY(poll(polled, 2 * PAIRS, 1000) > 0);
    for (int i = 0; i < PAIRS; i += STEP) {
        char c;
        MUST(recv(ends[i][1], &c, 1, 0));
    }

    int last = ends[PAIRS - 1][0];
    fflush(stdout);
    int child = (int)MUST(fork());
    if (child == 0) {
        SAY(send(last, "from the child", 14, 0));
        _exit(0);
    }
    reap(child);
    char text[32];
    SAY(recv(ends[PAIRS - 1][1], text, sizeof text, 0));

    /* half of them go at once; their peers hear of it */
    int low = ends[PAIRS / 2][0];
    SAY(close_range((unsigned)low, ~0u, 0));
    SAY(send(last, "x", 1, 0));
    int left = 0, whole = 0;
    for (int i = 0; i < PAIRS; i++) {
        left += fcntl(ends[i][0], F_GETFD) >= 0 && fcntl(ends[i][1], F_GETFD) >= 0;
        char c = 0;
        whole += i < PAIRS / 2 && send(ends[i][1], "y", 1, 0) == 1 && recv(ends[i][0], &c, 1, 0) == 1 && c == 'y';
    }
    CHECK(left == PAIRS / 2 && whole == PAIRS / 2);
    int p[2];
    tcp_pair(p);
    SAY(send(p[0], "again", 5, 0));
    SAY(recv(p[1], text, sizeof text, 0));
}

enum { SLOTS = 40, CLOSERS = 6, MILLISECONDS = 1500, NUMBERS = 900 };

static struct {
    int listener, port, set;
    _Atomic int slots[SLOTS];
    _Atomic long sent, received, made;
    _Atomic bool over;
    _Atomic int at_work;
} race;

static unsigned dice(unsigned *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 10;
}

/* What was in the slot is closed by whoever takes it out; others may be using its number at that moment. */
static void put(unsigned slot, int fd)
{
    int old = atomic_exchange(&race.slots[slot % SLOTS], fd);
    if (old >= 0)
        close(old);
}

static void connect_one(unsigned *seed)
{
    struct timeval soon = {0, 2000};
    struct name a = loopback(AF_INET, race.port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof soon);
    if (connect(fd, &a.any, a.len) == 0)
        race.made++;
    put(dice(seed), fd);
    if ((fd = accept4(race.listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
        put(dice(seed), fd);
}

static void one_call(int fd, unsigned *seed)
{
    char bytes[300];
    struct iovec parts[2] = {{bytes, 100}, {bytes + 100, 200}};
    struct pollfd polled[2] = {{fd, POLLIN | POLLOUT, 0}, {race.slots[dice(seed) % SLOTS], POLLIN, 0}};
    struct epoll_event event = {.events = EPOLLIN | (dice(seed) % 2 ? EPOLLET : 0)}, events[8];
    int number;
    long n = 0;
    memset(bytes, 'b', sizeof bytes);
    switch (dice(seed) % 14) {
    case 0:
    case 1:
        n = send(fd, bytes, 1 + dice(seed) % 300, MSG_DONTWAIT | MSG_NOSIGNAL);
        race.sent += n > 0 ? n : 0;
        break;
    case 2:
    case 3:
        n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
        race.received += n > 0 ? n : 0;
        break;
    case 4:
        n = read(fd, bytes, sizeof bytes);
        race.received += n > 0 ? n : 0;
        break;
    case 5:
        n = writev(fd, parts, 2);
        race.sent += n > 0 ? n : 0;
        break;
    case 6:
        n = readv(fd, parts, 2);
        race.received += n > 0 ? n : 0;
        break;
    case 7:
        poll(polled, 2, 1);
        break;
    case 8:
        epoll_ctl(race.set, dice(seed) % 2 ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, fd, &event);
        break;
    case 9:
        epoll_wait(race.set, events, 8, (int)(dice(seed) % 2));
        break;
    case 10:
        ioctl(fd, FIONREAD, &number);
        fcntl(fd, F_GETFL);
        break;
    case 11:
        put(dice(seed), fcntl(fd, F_DUPFD_CLOEXEC, 3));
        break;
    case 12:
        dup2(fd, race.slots[dice(seed) % SLOTS]);
        break;
    default:
        if (dice(seed) % 4 == 0)
            shutdown(fd, (int)(dice(seed) % 3));
        put(dice(seed), -1);
    }
}

static void closer(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;
    while (!race.over) {
        if (dice(&seed) % 8 == 0)
            connect_one(&seed);
        int fd = race.slots[dice(&seed) % SLOTS];
        if (fd > race.set)
            one_call(fd, &seed);
    }
    race.at_work--;
}

SCENARIO(closes_at_random)
{
    static struct worker workers[CLOSERS];
    struct timeval soon = {0, 2000};
    uint32_t seed;
    int before[2], p[2];
    tcp_pair(before);
    signal(SIGPIPE, SIG_IGN);
    MUST(getrandom(&seed, sizeof seed, 0));
    fprintf(stderr, getenv("SCENARIO_SEED") ? "seed %u\n" : "", seed);
    for (int i = 0; i < SLOTS; i++)
        race.slots[i] = -1;
    race.listener = listening(AF_INET, 64);
    race.port = port_of(race.listener);
    nonblocking(race.listener, true);
    MUST(setsockopt(race.listener, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon));
    MUST(setsockopt(race.listener, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof soon));
    race.set = (int)MUST(epoll_create1(0));
    race.at_work = CLOSERS;
    for (int i = 0; i < CLOSERS; i++)
        begin(&workers[i], closer, (void *)(uintptr_t)(seed + (unsigned)i * 7919));
    nap_ms(MILLISECONDS);
    race.over = true;
    /* a socket that lost its time-outs to another's close may still be waited for */
    for (int turns = 0; race.at_work && turns < 5000; turns++) {
        for (int fd = race.set + 1; fd < NUMBERS; fd++)
            shutdown(fd, SHUT_RDWR);
        nap_ms(1);
    }
    CHECK(race.at_work == 0);
    for (int i = 0; i < CLOSERS; i++)
        join(&workers[i]);
    CHECK(race.made > 50 && race.sent > 1000);
    for (int fd = race.set + 1; fd < NUMBERS; fd++) {
        char bytes[4096];
        for (long n; (n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0;)
            race.received += n;
    }
    CHECK(race.received <= race.sent);
    for (int fd = race.set + 1; fd < NUMBERS; fd++)
        close(fd);
    int left = 0;
    for (int fd = 0; fd < NUMBERS; fd++)
        left += fcntl(fd, F_GETFD) >= 0;
    SAY(left);
    struct epoll_event events[8];
    SAY(epoll_wait(race.set, events, 8, 0));
    /* who had nothing to do with it, and who comes after it */
    warm_up(before);
    tcp_pair(p);
    warm_up(p);
    SAY(send(p[0], "still here", 10, 0));
    char text[32];
    show("received", text, recv(p[1], text, sizeof text, 0));
}
