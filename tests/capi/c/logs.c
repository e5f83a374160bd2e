/* Logs of Cattree, if there is a volume ($CATTREE, $CATTREE_SHARED); else what the calls say without one. Ended by a second life: the program
 * calls itself, by `again`, and finds what was acknowledged. */
#include "check.h"
#include <demi/storage.h>
#include <sys/wait.h>

static demi_sgarray_t filled(size_t size, int byte)
{
    demi_sgarray_t sga = demi_sgaalloc(size);
    IS(sga.sga_numsegs, 1);
    memset(sga.sga_segs[0].sgaseg_buf, byte, size);
    return sga;
}

static void expect_filled(demi_sgarray_t sga, size_t size, int byte)
{
    const unsigned char *at = sga.sga_segs[0].sgaseg_buf;
    IS(sga.sga_numsegs, 1);
    IS(sga.sga_segs[0].sgaseg_len, size);
    for (size_t i = 0; i < size; i++)
        IS(at[i], byte);
    OK(demi_sgafree(&sga));
}

static void expect_bounds(int qd, int64_t first, int64_t end)
{
    int64_t from, to;
    OK(demi_bounds(qd, &from, &to));
    IS(from, first);
    IS(to, end);
}

static const size_t SIZES[] = {1, 64, 511, 4095, 4096, 4097, 10000, 65536, 65537, 500000};
enum { COUNT = sizeof SIZES / sizeof *SIZES };

static int64_t total(void)
{
    int64_t sum = 0;
    for (int i = 0; i < COUNT; i++)
        sum += (int64_t)SIZES[i];
    return sum;
}

static void sizes(int qd)
{
    for (int i = 0; i < COUNT; i++)
        expect_filled(popped(qd), SIZES[i], i);
    expect_filled(popped(qd), 0, 0);
}

static void without(void)
{
    int qd;
    OK(demi_queue(&qd, 4));
    int64_t at;
    demi_qtoken_t qt;
    IS(demi_open(&qd, "log", O_CREAT), ENOTSUP);
    IS(demi_unlink("log"), ENOTSUP);
    size_t size;
    IS(demi_names("", NULL, 0, &size), ENOTSUP);
    IS(demi_bounds(qd, &at, &at), EINVAL);
    IS(demi_pread(&qt, qd, 1, 0), EINVAL);
    IS(demi_lseek(499, 0, SEEK_SET, &at), EBADF);
}

/* Many at a time, of several logs, in their order; a close gives up only what has not gone out. */
static void crowd(void)
{
    enum { LOGS = 5, EACH = 300 };
    int logs[LOGS];
    demi_qtoken_t qts[LOGS][EACH];
    for (int i = 0; i < LOGS; i++) {
        char name[20];
        snprintf(name, sizeof name, "crowd %d", i);
        OK(demi_open(&logs[i], name, O_CREAT | O_TRUNC));
    }
    for (int n = 0; n < EACH; n++)
        for (int i = 0; i < LOGS; i++) {
            demi_sgarray_t sga = filled((size_t)(n * 7 % 300 + 1), n & 127);
            OK(demi_push(&qts[i][n], logs[i], &sga));
            OK(demi_sgafree(&sga));
        }
    for (int i = 0; i < LOGS; i++)
        for (int n = 0; n < EACH; n++)
            IS(result_of(qts[i][n]).qr_opcode, DEMI_OPC_PUSH);
    for (int i = 0; i < LOGS; i++) {
        for (int n = 0; n < EACH; n++)
            expect_filled(popped(logs[i]), (size_t)(n * 7 % 300 + 1), n & 127);
        OK(demi_close(logs[i]));
    }
}

static void listing(void)
{
    char room[64];
    size_t size;
    OK(demi_names("crowd ", room, sizeof room, &size));
    IS(size, 40);
    IS(memcmp(room, "crowd 0\0crowd 1\0crowd 2\0crowd 3\0crowd 4", 40), 0);
    OK(demi_names("crowd ", room, 40, &size));
    memset(room, 'x', sizeof room);
    IS(demi_names("crowd ", room, 39, &size), ERANGE);
    IS(size, 40);
    IS(room[0], 'x');
    IS(demi_names("", NULL, 0, &size), ERANGE);
    IS(size, 44);
    OK(demi_names("none", NULL, 0, &size));
    IS(size, 0);
    IS(demi_names("", NULL, 1, &size), EINVAL);
    IS(demi_names((const char *)1, room, sizeof room, &size), EINVAL);
}

struct writer {
    pthread_t thread;
    int qd, number;
};

static void *write_some(void *given)
{
    struct writer *writer = given;
    for (int n = 0; n < 100; n++) {
        demi_sgarray_t sga = filled(100, writer->number);
        push_all(writer->qd, sga);
    }
    return NULL;
}

/* Threads that each wait for their own, to one log and to logs of their own, and one that opens and closes meanwhile. */
static void threads(void)
{
    enum { MANY = 8 };
    struct writer writers[MANY];
    int64_t from, to;
    int shared, other;
    OK(demi_open(&shared, "shared", O_CREAT | O_TRUNC));
    for (int i = 0; i < MANY; i++) {
        char name[20];
        snprintf(name, sizeof name, "own %d", i);
        writers[i] = (struct writer){.qd = shared, .number = i};
        if (i & 1)
            OK(demi_open(&writers[i].qd, name, O_CREAT | O_TRUNC));
        pthread_create(&writers[i].thread, NULL, write_some, &writers[i]);
    }
    for (int i = 0; i < 20; i++) {
        OK(demi_open(&other, "other", O_CREAT));
        OK(demi_bounds(shared, &from, &to));
        IS(from, 0);
        IS(to % 100, 0);
        OK(demi_close(other));
    }
    for (int i = 0; i < MANY; i++)
        pthread_join(writers[i].thread, NULL);
    expect_bounds(shared, 0, 100 * 100 * MANY / 2);
    for (int i = 0; i < MANY; i++)
        if (i & 1) {
            expect_bounds(writers[i].qd, 0, 100 * 100);
            OK(demi_close(writers[i].qd));
        }
    OK(demi_close(shared));
}

/* A socket and a log in one wait. */
static void together(void)
{
    struct both ends = connected();
    int log, at;
    demi_qresult_t qr;
    OK(demi_open(&log, "together", O_CREAT | O_TRUNC));
    for (int i = 0; i < 20; i++) {
        demi_sgarray_t sga = filled(500, i);
        demi_qtoken_t qts[2];
        OK(demi_pop(&qts[0], ends.peer));
        OK(demi_push(&qts[1], log, &sga));
        OK(demi_wait_any(&qr, &at, qts, 2, &LONG));
        IS(at, 1);
        IS(qr.qr_opcode, DEMI_OPC_PUSH);
        push_all(ends.client, sga);
        qr = result_of(qts[0]);
        IS(qr.qr_opcode, DEMI_OPC_POP);
        OK(demi_push(&qts[1], log, &qr.qr_value.sga)); /* what came by the wire, as it is */
        IS(result_of(qts[1]).qr_opcode, DEMI_OPC_PUSH);
        OK(demi_sgafree(&qr.qr_value.sga));
    }
    expect_bounds(log, 0, 20000);
    OK(demi_close(log));
    OK(demi_close(ends.client));
    OK(demi_close(ends.peer));
    OK(demi_close(ends.server));
}

static void names(int qd)
{
    int other;
    int64_t at;
    demi_qtoken_t qt;
    IS(demi_open(&other, "none", 0), EINVAL);
    IS(demi_open(&other, "", O_CREAT), EINVAL);
    IS(demi_open(&other, "log", O_APPEND), EINVAL);
    IS(demi_unlink("none"), EINVAL);
    OK(demi_open(&other, "a/b", O_CREAT));
    push_all(other, array("here"));
    OK(demi_rename("a/b", "c"));
    IS(demi_open(&other, "a/b", 0), EINVAL);
    expect(other, "here");
    OK(demi_lseek(other, -2, SEEK_END, &at));
    IS(at, 2);
    expect(other, "re");
    IS(demi_lseek(other, 5, SEEK_SET, &at), EINVAL);
    OK(demi_pread(&qt, other, 100, 1));
    demi_qresult_t qr = result_of(qt);
    IS(qr.qr_value.sga.sga_segs[0].sgaseg_len, 3);
    IS(memcmp(qr.qr_value.sga.sga_segs[0].sgaseg_buf, "ere", 3), 0);
    OK(demi_sgafree(&qr.qr_value.sga));
    OK(demi_ftruncate(other, 6));
    expect_bounds(other, 0, 6);
    OK(demi_truncate(other, 3));
    expect_bounds(other, 3, 6);
    OK(demi_lseek(other, 3, SEEK_SET, &at));
    expect(other, "e");
    IS(demi_truncate(other, 7), EINVAL);
    OK(demi_unlink("c"));
    push_all(other, array("more"));
    expect_bounds(other, 3, 10);
    OK(demi_close(other));
    IS(demi_open(&other, "c", 0), EINVAL);
    demi_sgarray_t large = demi_sgaalloc(600000);
    OK(demi_push(&qt, qd, &large));
    IS(failure_of(qt), EINVAL);
    OK(demi_sgafree(&large));
    struct sockaddr_in address = local(1);
    large = array("x");
    IS(demi_pushto(&qt, qd, &large, (struct sockaddr *)&address, sizeof address), EINVAL);
    OK(demi_sgafree(&large));
}

static void forked(int qd)
{
    demi_qtoken_t qt, before;
    demi_sgarray_t sga = array("y");
    OK(demi_push(&before, qd, &sga));
    pid_t child = fork();
    if (!child) {
        alarm(20);
        IS(failure_of(before), ECANCELED);
        OK(demi_push(&qt, qd, &sga));
        IS(failure_of(qt), ENODEV);
        IS(demi_open(&qd, "log", 0), ENOTSUP);
        OK(demi_close(qd));
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    IS(status, 0);
    IS(result_of(before).qr_opcode, DEMI_OPC_PUSH);
    OK(demi_sgafree(&sga));
}

int main(int argc, char **argv)
{
    int qd;
    begin(argc, argv);
    if (!getenv("CATTREE") && !getenv("CATTREE_SHARED")) {
        without();
        return 0;
    }
    if (argc > 2) {
        OK(demi_open(&qd, "log", 0));
        expect_bounds(qd, 0, total() + 1);
        for (int i = 0; i < COUNT; i++)
            expect_filled(popped(qd), SIZES[i], i);
        expect(qd, "y");
        return 0;
    }
    uint64_t live = demi_count(DEMI_LIVE_OBJECTS);
    OK(demi_open(&qd, "log", O_CREAT));
    expect_filled(popped(qd), 0, 0);
    for (int i = 0; i < COUNT; i++)
        push_all(qd, filled(SIZES[i], i));
    expect_bounds(qd, 0, total());
    sizes(qd);
    crowd();
    listing();
    threads();
    together();
    names(qd);
    forked(qd);
    IS(demi_count(DEMI_LIVE_OBJECTS), live);
    execl("/proc/self/exe", argv[0], argv[1], "again", (char *)NULL);
    return 1;
}
