/* fabric SCENARIO ADDRESS [BYTES]: two processes and reliable connections of libfabric's "verbs" provider between them
 * (fi_verbs(7), FI_EP_MSG), carried by the RDMA device that has ADDRESS. The target shows a part of its memory; the
 * initiator, its child, acts. Both say what they have seen; the status is 0 when all of it was right. */
#include "links.h"

/* Sizes of the messages that are echoed, bytes. */
static const size_t sizes[] = {8, 64, 4096, 65536, SIZE};
enum { SIZES = sizeof sizes / sizeof *sizes, ROUNDS = 20 * SIZES };

static void echo_target(struct link *link, uint64_t bytes)
{
    (void)bytes;
    for (int round = 0; round < ROUNDS; round++) {
        size_t size;
        const char *message = take(link, &size);
        memcpy(link->outgoing, message, size);
        release(link);
        put(link, 0, size);
        flush(link);
    }
}

static void echo_initiator(struct link *link, uint64_t bytes)
{
    (void)bytes;
    for (int round = 0; round < ROUNDS; round++) {
        size_t size = sizes[round % SIZES], came;
        fill(link->outgoing, size, round);
        put(link, 0, size);
        flush(link);
        REQUIRE(holds(take(link, &came), size, round) && came == size);
        release(link);
    }
    printf("%d messages came back\n", ROUNDS);
}

/* After each WINDOW messages the target gives its word that as many may come again. */
static void stream_target(struct link *link, uint64_t bytes)
{
    for (uint64_t n = 0; n < bytes / SIZE; n++) {
        size_t size;
        REQUIRE(holds(take(link, &size), SIZE, n * SIZE) && size == SIZE);
        release(link);
        if (n % WINDOW == WINDOW - 1)
            say(link);
    }
    say(link);
}

static void stream_initiator(struct link *link, uint64_t bytes)
{
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (uint64_t n = 0; n < bytes / SIZE; n++) {
        fill(link->outgoing + n % WINDOW * SIZE, SIZE, n * SIZE);
        put(link, n % WINDOW, SIZE);
        if (n % WINDOW == WINDOW - 1) {
            flush(link);
            hear(link);
        }
    }
    flush(link);
    hear(link);
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("%llu bytes came whole in %.1f s\n", (unsigned long long)bytes / SIZE * SIZE,
           (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9);
}

/* What the target shows is written, and, once it has put something else there, read. */
static void remote_target(struct link *link, uint64_t bytes)
{
    (void)bytes;
    hear(link);
    REQUIRE(holds(link->shown, SIZE, 1) && guarded(link));
    puts("what was written is there, and nothing beside it");
    fill(link->shown, SIZE, 2);
    say(link);
    hear(link);
    REQUIRE(holds(link->shown, SIZE, 2) && guarded(link));
}

static void remote_initiator(struct link *link, uint64_t bytes)
{
    (void)bytes;
    fill(link->outgoing, SIZE, 1);
    REQUIRE(!remote(link, WRITE, link->offer.address, link->offer.key));
    say(link);
    hear(link);
    REQUIRE(!remote(link, READ, link->offer.address, link->offer.key));
    REQUIRE(holds(link->outgoing, SIZE, 2));
    puts("what was read is right");
    say(link);
}

/* What must not succeed: changes to the address and the key that the target has offered. */
static const struct {
    const char *what;
    enum direction direction;
    uint64_t beyond, key;
} wrongs[] = {
    {"write with a stale key", WRITE, 0, 1},       {"write with a key of nobody's", WRITE, 0, 0x5500},
    {"write across the end", WRITE, GUARD / 2, 0}, {"read with a stale key", READ, 0, 1},
    {"read across the end", READ, GUARD / 2, 0},
};
enum { WRONGS = sizeof wrongs / sizeof *wrongs };

/* Kept: what is still on its way when a connection is closed may end later. */
static struct link others[WRONGS];

/* Each wrong is done on a connection of its own, which it breaks; `link` goes on. */
static void wrong_target(struct link *link, uint64_t bytes)
{
    for (int i = 0; i < WRONGS; i++) {
        struct link *victim = &others[i];
        accept_link(victim);
        fill(victim->shown, SIZE, 3);
        say(victim);
        hear(link);
        REQUIRE(holds(victim->shown, SIZE, 3) && guarded(victim));
        close_link(victim);
        say(link);
    }
    puts("nothing has changed");
    remote_target(link, bytes);
}

static void wrong_initiator(struct link *link, uint64_t bytes)
{
    for (int i = 0; i < WRONGS; i++) {
        struct link *other = &others[i];
        connect_link(other);
        hear(other);
        fill(other->outgoing, SIZE, 4);
        const char *refusal = remote(other, wrongs[i].direction, other->offer.address + wrongs[i].beyond,
                                     other->offer.key ^ wrongs[i].key);
        printf("%s: %s\n", wrongs[i].what, refusal ? refusal : "done");
        REQUIRE(refusal && holds(other->outgoing, SIZE, 4));
        close_link(other);
        say(link);
        hear(link);
    }
    remote_initiator(link, bytes);
}

static const struct {
    const char *name;
    void (*target)(struct link *link, uint64_t bytes);
    void (*initiator)(struct link *link, uint64_t bytes);
} scenarios[] = {
    {"echo", echo_target, echo_initiator},
    {"stream", stream_target, stream_initiator},
    {"remote", remote_target, remote_initiator},
    {"wrong", wrong_target, wrong_initiator},
};

static pid_t child;

/* A child that has failed has said why. */
static void child_ended(int signal)
{
    int status;
    (void)signal;
    if (waitpid(child, &status, WNOHANG) == child && status)
        _exit(1);
}

int main(int argc, char **argv)
{
    size_t chosen = 0, count = sizeof scenarios / sizeof *scenarios;
    while (chosen < count && argc >= 3 && strcmp(argv[1], scenarios[chosen].name) != 0)
        chosen++;
    if (argc < 3 || chosen == count) {
        fprintf(stderr, "usage: fabric echo|stream|remote|wrong ADDRESS [BYTES]\n");
        return 2;
    }
    uint64_t bytes = argc > 3 ? strtoull(argv[3], NULL, 0) : 0;
    int listening[2];
    char byte;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (pipe(listening))
        return 1;
    signal(SIGCHLD, child_ended);
    struct link link;
    if ((child = fork()) == 0) {
        signal(SIGCHLD, SIG_DFL);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(listening[1]);
        if (read(listening[0], &byte, 1) != 1)
            return 1;
        open_initiator(argv[2]);
        connect_link(&link);
        scenarios[chosen].initiator(&link, bytes);
    } else {
        open_target(argv[2]);
        if (write(listening[1], "", 1) != 1)
            return 1;
        accept_link(&link);
        scenarios[chosen].target(&link, bytes);
        int status;
        signal(SIGCHLD, SIG_DFL);
        if (waitpid(child, &status, 0) == child && status) /* else it was waited for above */
            return 1;
    }
    close_link(&link);
    return 0;
}
