/* fork after demi_init: the child has a libOS that works, with the parent's queues; what was under way is the parent's. */
#include "check.h"

#include <sys/wait.h>

static int rings;

/* A child that has to come to its end. */
static pid_t child_of(void (*what)(struct both), struct both ends)
{
    pid_t pid = fork();
    if (pid == 0) {
        alarm(30);
        what(ends);
        _exit(0);
    }
    return pid;
}

static void ends_well(pid_t pid)
{
    int status;
    IS(waitpid(pid, &status, 0), pid);
    IS(status, 0);
}

static void talk(struct both ends, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        push_all(ends.client, array("ping"));
        expect(ends.peer, "ping");
        push_all(ends.peer, array("pong"));
        expect(ends.client, "pong");
    }
}

static void everything_works(struct both ends)
{
    int qd;
    demi_qtoken_t qt;
    demi_qresult_t qr;
    struct demi_args args = {1, (char *[]){"child", NULL}, NULL};
    IS(demi_init(&args), EEXIST);
    OK(demi_queue(&qd, 4));
    push_all(qd, array("memory"));
    expect(qd, "memory");
    OK(demi_pop(&qt, qd));
    IS(demi_wait(&qr, qt, &SHORT), ETIMEDOUT); /* asleep on its own epoll set */
    OK(demi_close(qd));
    IS(failure_of(qt), ECANCELED);
    struct both own = connected();
    talk(own, 60);
    OK(demi_pop(&qt, own.peer));
    IS(demi_wait(&qr, qt, &SHORT), ETIMEDOUT);
    push_all(own.client, array("late"));
    qr = result_of(qt);
    IS(qr.qr_opcode, DEMI_OPC_POP);
    OK(demi_sgafree(&qr.qr_value.sga));
    close_all(own);
    (void)ends;
}

static void uses_the_parents(struct both ends)
{
    talk(ends, 100);
    close_all(ends);
}

static void a_connection_in_turns(void)
{
    struct both ends = connected();
    talk(ends, 300); /* on Catloop it is in rings by now */
    IS(demi_count(DEMI_RINGS) > 0, rings);
    ends_well(child_of(uses_the_parents, ends));
    talk(ends, 100);
    ends_well(child_of(uses_the_parents, ends));
    talk(ends, 100);
    OK(demi_close(ends.client));
    expect(ends.peer, "");
    OK(demi_close(ends.peer));
    OK(demi_close(ends.server));
}

static demi_qtoken_t under_way, complete, in_memory;

static void is_the_parents(struct both ends)
{
    demi_qresult_t qr;
    IS(failure_of(under_way), ECANCELED);
    IS(failure_of(in_memory), ECANCELED);
    OK(demi_wait(&qr, complete, &LOOK)); /* a copy of the result */
    IS(qr.qr_opcode, DEMI_OPC_PUSH);
    demi_qtoken_t qt;
    OK(demi_pop(&qt, ends.client));
    IS(demi_wait(&qr, qt, &SHORT), ETIMEDOUT);
    OK(demi_close(ends.client));
    IS(failure_of(qt), ECANCELED);
}

static void what_is_under_way(void)
{
    struct both ends = connected();
    int qd;
    demi_sgarray_t sga = array("x");
    OK(demi_queue(&qd, 1));
    OK(demi_pop(&under_way, ends.peer));
    OK(demi_push(&complete, qd, &sga));
    OK(demi_sgafree(&sga));
    expect(qd, "x");
    OK(demi_pop(&in_memory, qd));
    ends_well(child_of(is_the_parents, ends));
    demi_qresult_t qr;
    OK(demi_wait(&qr, complete, &LOOK));
    push_all(ends.client, array("hello"));
    qr = result_of(under_way);
    IS(qr.qr_opcode, DEMI_OPC_POP);
    OK(demi_sgafree(&qr.qr_value.sga));
    push_all(qd, array("y"));
    qr = result_of(in_memory);
    IS(qr.qr_opcode, DEMI_OPC_POP);
    OK(demi_sgafree(&qr.qr_value.sga));
    OK(demi_close(qd));
    close_all(ends);
}

static void serves_one(struct both ends)
{
    demi_qtoken_t qt;
    OK(demi_accept(&qt, ends.server));
    int qd = result_of(qt).qr_value.ares.qd;
    for (int i = 0; i < 200; i++) {
        expect(qd, "question");
        push_all(qd, array("answer"));
    }
    expect(qd, "");
    OK(demi_close(qd));
}

/* Children that accept from one listener of the parent. */
static void servers(void)
{
    enum { CHILDREN = 3 };
    struct sockaddr_in address;
    struct both ends = {.server = listening(&address)};
    pid_t pids[CHILDREN];
    for (int i = 0; i < CHILDREN; i++)
        pids[i] = child_of(serves_one, ends);
    for (int i = 0; i < CHILDREN; i++) {
        int qd;
        demi_qtoken_t qt;
        OK(demi_socket(&qd, AF_INET, SOCK_STREAM, 0));
        OK(demi_connect(&qt, qd, (struct sockaddr *)&address, sizeof address));
        IS(result_of(qt).qr_opcode, DEMI_OPC_CONNECT);
        for (int k = 0; k < 200; k++) {
            push_all(qd, array("question"));
            expect(qd, "answer");
        }
        OK(demi_close(qd));
    }
    for (int i = 0; i < CHILDREN; i++)
        ends_well(pids[i]);
    OK(demi_close(ends.server));
}

static int stop;

static void *sleeper(void *qt)
{
    demi_qresult_t qr;
    OK(demi_wait(&qr, *(demi_qtoken_t *)qt, NULL));
    IS(qr.qr_ret, ECANCELED);
    return NULL;
}

static void *talker(void *unused)
{
    struct both ends = connected();
    while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE))
        talk(ends, 10);
    close_all(ends);
    return unused;
}

static void forks_again(struct both ends)
{
    everything_works(ends);
    ends_well(child_of(everything_works, ends));
}

/* Wherever the parent's other threads are: asleep, or in the middle of an operation. */
static void among_threads(void)
{
    enum { FORKS = 10 };
    int qds[2];
    demi_qtoken_t qts[2];
    pthread_t threads[4];
    struct both none = {0};
    for (int i = 0; i < 2; i++) {
        OK(demi_queue(&qds[i], 1));
        OK(demi_pop(&qts[i], qds[i]));
        OK(pthread_create(&threads[i], NULL, sleeper, &qts[i]));
        OK(pthread_create(&threads[2 + i], NULL, talker, NULL));
    }
    usleep(50000);
    for (int i = 0; i < FORKS; i++)
        ends_well(child_of(i == FORKS / 2 ? forks_again : everything_works, none));
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < 2; i++)
        OK(demi_close(qds[i]));
    for (int i = 0; i < 4; i++)
        OK(pthread_join(threads[i], NULL));
}

int main(int argc, char **argv)
{
    struct both none = {0};
    begin(argc, argv);
    rings = strcmp(argv[1], "--catloop") == 0;
    ends_well(child_of(everything_works, none));
    a_connection_in_turns();
    what_is_under_way();
    servers();
    among_threads();
    everything_works(none);
    return end();
}
