/* A hostile peer in shared memory: `scribble victim SECONDS`, `scribble honest PORT SECONDS`, `scribble evil PORT SECONDS
 * SEED`.
 *
 * The victim answers everything it gets, by threads on one port and by an epoll loop on another, and prints both ports. Its
 * calls have time-outs. The honest peer knows every byte; the evil one writes random words to random places of what it
 * shares with the victim, while it talks to it, and starts afresh many times a second. Whatever must not be is a line
 * with BROKEN. */
#define OWN_MAIN
#include "scenario.h"

enum { ROOM = 8192, PATIENCE = 100, TOO_LONG = 4000, REGIONS = 8 };
static uint64_t dice, over_at, *scribbled; /* the last: shared with the attacks */

static uint64_t roll(uint64_t n)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return dice % n;
}

static bool over(void)
{
    return (uint64_t)now_ms() >= over_at;
}

static void timed(int fd, int ms)
{
    struct timeval t = {ms / 1000, ms % 1000 * 1000};
    MUST(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
    MUST(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t));
    MUST(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)));
}

/* --- the victim --- */
static void within(const char *what, int64_t since)
{
    int64_t took = now_ms() - since;
    if (took > TOO_LONG)
        say("BROKEN: %s took %lld ms", what, (long long)took);
}

static void *answering(void *argument)
{
    int fd = (int)(intptr_t)argument, silent = 0;
    char buf[ROOM];
    timed(fd, PATIENCE);
    while (silent < 10 && !over()) {
        int64_t since = now_ms();
        ssize_t r = recv(fd, buf, 1 + (size_t)(since * 37 % ROOM), 0);
        within("recv", since);
        if (r == 0 || (r < 0 && errno != EAGAIN))
            break;
        silent = r < 0 ? silent + 1 : 0;
        for (ssize_t sent = 0; sent < r && silent < 10;) {
            since = now_ms();
            ssize_t w = send(fd, buf + sent, (size_t)(r - sent), MSG_NOSIGNAL);
            within("send", since);
            if (w < 0 && errno != EAGAIN)
                silent = 10;
            silent = w < 0 ? silent + 1 : 0;
            sent += w > 0 ? w : 0;
        }
    }
    int64_t since = now_ms();
    close(fd);
    within("close", since);
    return NULL;
}

static void *by_threads(void *listener)
{
    struct pollfd one = {(int)(intptr_t)listener, POLLIN, 0};
    pthread_t thread;
    while (!over())
        if (poll(&one, 1, PATIENCE) == 1) {
            int fd = accept(one.fd, NULL, NULL);
            if (fd >= 0 && pthread_create(&thread, NULL, answering, (void *)(intptr_t)fd) == 0)
                pthread_detach(thread);
        }
    return NULL;
}

/* What was read and not yet answered, by descriptor. */
static struct {
    size_t n;
    char bytes[ROOM];
} owed[1024];

static void give_up(int fd)
{
    int64_t since = now_ms();
    close(fd);
    within("close", since);
}

static void answer_one(int ep, int fd, uint32_t events)
{
    int64_t since = now_ms();
    ssize_t r = owed[fd].n ? (ssize_t)owed[fd].n : recv(fd, owed[fd].bytes, ROOM, 0);
    if (r > 0) {
        ssize_t w = send(fd, owed[fd].bytes, (size_t)r, MSG_NOSIGNAL);
        if (w < 0 && errno == EAGAIN)
            w = 0;
        if (w >= 0) {
            memmove(owed[fd].bytes, owed[fd].bytes + w, (size_t)(r - w));
            owed[fd].n = (size_t)(r - w);
            struct epoll_event e = {r > w ? EPOLLOUT : EPOLLIN, {.fd = fd}};
            epoll_ctl(ep, EPOLL_CTL_MOD, fd, &e);
        }
        r = w;
    } else if (r < 0 && errno == EAGAIN && !(events & (EPOLLERR | EPOLLHUP)))
        r = 1;
    within("an answer", since);
    if (r < 0 || (r == 0 && !owed[fd].n))
        give_up(fd);
}

static void by_events(int listener)
{
    int ep = (int)MUST(epoll_create1(0));
    struct epoll_event e = {EPOLLIN, {.fd = listener}}, all[64];
    MUST(epoll_ctl(ep, EPOLL_CTL_ADD, listener, &e));
    while (!over()) {
        int64_t since = now_ms();
        int n = epoll_wait(ep, all, 64, PATIENCE);
        within("epoll_wait", since);
        for (int i = 0; i < n; i++) {
            int fd = all[i].data.fd;
            if (fd != listener) {
                answer_one(ep, fd, all[i].events);
                continue;
            }
            fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
            if (fd < 0 || fd >= 1024)
                continue;
            owed[fd].n = 0;
            timed(fd, PATIENCE);
            e = (struct epoll_event){EPOLLIN, {.fd = fd}};
            epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
        }
    }
}

static void victim(void)
{
    int a = listening(AF_INET, 64), b = listening(AF_INET, 64);
    pthread_t thread;
    say("ports %d %d", port_of(a), port_of(b));
    MUST(-pthread_create(&thread, NULL, by_threads, (void *)(intptr_t)a));
    by_events(b);
    pthread_join(thread, NULL);
}

/* --- the honest peer --- */
static void honest(int port)
{
    int fd = dialled(AF_INET, port);
    char out[ROOM], in[ROOM];
    uint64_t at = 0;
    timed(fd, TOO_LONG);
    while ((uint64_t)now_ms() + 500 < over_at) {
        size_t n = 1 + (size_t)roll(roll(2) ? 100 : ROOM);
        fill(out, n, at, 5);
        if (!send_all(fd, out, n) || !recv_all(fd, in, n)) {
            say("BROKEN: the honest connection ended at %llu with %s", (unsigned long long)at, name_of(errno));
            return;
        }
        if (!matches(in, n, at, 5)) {
            say("BROKEN: a byte was changed after %llu", (unsigned long long)at);
            return;
        }
        at += n;
    }
    say("exchanged %llu", (unsigned long long)at);
}

/* --- the evil peer --- */
struct region {
    uint64_t *words;
    size_t n;
};

static int find_pairs(struct region *found)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    int n = 0;
    unsigned long from, to;
    while (maps && n < REGIONS && fgets(line, sizeof line, maps))
        if (strstr(line, "memfd:catflap-pair") && sscanf(line, "%lx-%lx", &from, &to) == 2)
            found[n++] = (struct region){(uint64_t *)from, (to - from) / 8};
    if (maps)
        fclose(maps);
    return n;
}

static uint64_t strange(uint64_t now)
{
    static const uint64_t words[] = {0, 1, 2, 63, 64, 1023, 1024, 4095, 1 << 18, 1 << 22, 1u << 31, 1ull << 61};
    switch (roll(8)) {
    case 0: return words[roll(sizeof words / sizeof *words)];
    case 1: return now + roll(16);
    case 2: return now - roll(16);
    case 3: return now ^ 1ull << roll(64);
    case 4: return now ^ 3ull << 62;
    case 5: return now + (1 << 22) - roll(3);
    case 6: return ~0ull - roll(4);
    default: return dice * 0x9E3779B97F4A7C15ull;
    }
}

static void *scribbling(void *rate)
{
    struct region all[REGIONS];
    for (;;) {
        int n = find_pairs(all);
        for (int i = 0; n && i < 2000; i++) {
            struct region *r = &all[roll((uint64_t)n)];
            /* mostly where control words are: the page of bits, and the headers of the first slots */
            static const size_t pages[] = {0, 2, 2, 2, 2, 4, 4, 6};
            size_t page = roll(8) ? pages[roll(8)] : (size_t)roll(64), at = page * 512 + (size_t)roll(roll(8) ? 128 : 512);
            volatile uint64_t *word = &r->words[at < r->n ? at : (size_t)roll(r->n)];
            uint64_t now = *word;
            *word = strange(now);
            *scribbled += 1;
            if (roll((uint64_t)(intptr_t)rate) == 0)
                nap_ms((int)roll(3));
        }
        if (!n)
            nap_ms(1);
    }
    return NULL;
}

static void one_attack(int port)
{
    static const int rates[] = {2, 20, 500};
    char buf[ROOM], c = 'w';
    pthread_t thread;
    int fd = dialled(AF_INET, port), calm = (int)roll(60);
    timed(fd, 50);
    for (int i = 0; i < 60; i++) {
        if (i == calm)
            pthread_create(&thread, NULL, scribbling, (void *)(intptr_t)rates[roll(3)]);
        if (send(fd, &c, 1, MSG_NOSIGNAL) != 1 || recv(fd, &c, 1, 0) != 1)
            break;
    }
    for (int i = 0, n = (int)roll(400); i < n; i++) {
        size_t size = 1 + (size_t)roll(roll(2) ? 64 : ROOM);
        if (roll(2))
            send(fd, buf, size, MSG_NOSIGNAL | (roll(2) ? MSG_DONTWAIT : 0));
        else
            recv(fd, buf, size, roll(4) ? MSG_DONTWAIT : 0);
        if (roll(100) == 0 && roll(2))
            shutdown(fd, (int)roll(3));
        if (roll(100) == 0) {
            close(fd);
            fd = dialled(AF_INET, port);
            timed(fd, 50);
        }
    }
    if (roll(2))
        close(fd);
}

/* Every attack is a process of its own: what it garbles of itself may kill it. */
static void evil(int port)
{
    scribbled = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (unsigned attacks = 0;; attacks++) {
        if (over()) {
            say("attacks %u words %llu", attacks, (unsigned long long)*scribbled);
            return;
        }
        uint64_t seed = roll(UINT64_MAX) | 1;
        int child = (int)MUST(fork());
        if (child == 0) {
            dice = seed;
            ualarm(300000, 0);
            one_attack(port);
            _exit(0);
        }
        waitpid(child, NULL, 0);
    }
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    bool first = strcmp(argv[1], "victim") == 0;
    int port = atoi(argv[2]);
    dice = argc > 4 ? strtoull(argv[4], NULL, 0) * 2 + 1 : 77;
    over_at = (uint64_t)now_ms() + (uint64_t)(atof(argv[first ? 2 : 3]) * 1000);
    signal(SIGPIPE, SIG_IGN);
    if (first)
        victim();
    else if (strcmp(argv[1], "honest") == 0)
        honest(port);
    else
        evil(port);
    say("end");
    note_host();
    return 0;
}
