/* What Catmint's queues are to a program in C: elements that stay whole, pushes that outlive their arrays, who is no peer. */
#include "c/check.h"

#include <sys/wait.h>

static uint8_t byte_at(size_t i) { return (uint8_t)(i * 7 + (i >> 8)); }

/* An array of `size` bytes in `count` segments, the last of which has the rest. */
static demi_sgarray_t pattern(size_t size, uint32_t count)
{
    demi_sgarray_t sga = {0};
    size_t at = 0;
    for (uint32_t k = 0; k < count; k++) {
        size_t part = k + 1 < count ? size / count : size - at;
        demi_sgarray_t one = demi_sgaalloc(part);
        IS(one.sga_numsegs, 1);
        for (size_t i = 0; i < part; i++)
            ((uint8_t *)one.sga_segs[0].sgaseg_buf)[i] = byte_at(at + i);
        sga.sga_segs[sga.sga_numsegs++] = one.sga_segs[0];
        at += part;
    }
    return sga;
}

/* The next element has `size` bytes, those from `at` on. */
static void element(int qd, size_t at, size_t size)
{
    demi_sgarray_t sga = popped(qd);
    IS(sga.sga_numsegs, 1);
    IS(sga.sga_segs[0].sgaseg_len, size);
    for (size_t i = 0; i < size; i++)
        if (((uint8_t *)sga.sga_segs[0].sgaseg_buf)[i] != byte_at(at + i))
            IS(i, -1);
    OK(demi_sgafree(&sga));
}

static void they_stay_whole(void)
{
    static const size_t sizes[] = {1, 64, 1023, 1024, 1025, 4096, 4097, 300000, 1 << 20};
    struct both ends = connected();
    for (uint32_t count = 1; count <= 2; count++)
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
            if (sizes[k] >= count) {
                push_all(ends.client, pattern(sizes[k], count));
                element(ends.peer, 0, sizes[k]);
            }
    close_all(ends);
}

static void what_is_too_long_comes_as_several(void)
{
    enum { MIB = 1 << 20, REST = 5 };
    struct both ends = connected();
    demi_qtoken_t qt;
    demi_sgarray_t sga = pattern(3 * MIB + REST, 7); /* pieces that lie in two segments are gathered */
    OK(demi_push(&qt, ends.client, &sga));
    OK(demi_sgafree(&sga));
    for (size_t k = 0; k < 3; k++)
        element(ends.peer, k * MIB, MIB);
    element(ends.peer, 3 * MIB, REST);
    IS(result_of(qt).qr_opcode, DEMI_OPC_PUSH);
    close_all(ends);
}

/* More than may be on the way: they wait in their order, and each is complete some time. */
static void many_at_once(void)
{
    enum { COUNT = 300 };
    struct both ends = connected();
    static demi_qtoken_t qts[COUNT];
    for (size_t k = 0; k < COUNT; k++) {
        demi_sgarray_t sga = pattern(k % 3 ? k + 1 : 5000 + k, 1);
        OK(demi_push(&qts[k], ends.client, &sga));
        OK(demi_sgafree(&sga));
    }
    for (size_t k = 0; k < COUNT; k++)
        element(ends.peer, 0, k % 3 ? k + 1 : 5000 + k);
    for (size_t k = 0; k < COUNT; k++)
        IS(result_of(qts[k]).qr_opcode, DEMI_OPC_PUSH);
    close_all(ends);
}

static void who_closes_with_something_unread_resets(void)
{
    struct both ends = connected();
    demi_qtoken_t popping, pushing;
    push_all(ends.client, array("read"));
    push_all(ends.client, array("unread"));
    expect(ends.peer, "read"); /* and the other one has come with it */
    OK(demi_close(ends.peer));
    OK(demi_pop(&popping, ends.client));
    IS(failure_of(popping), ECONNRESET);
    demi_sgarray_t sga = array("late");
    OK(demi_push(&pushing, ends.client, &sga));
    IS(failure_of(pushing), ECONNRESET);
    OK(demi_sgafree(&sga));
    OK(demi_close(ends.client));
    OK(demi_close(ends.server));
}

static void who_listens_is_not_catmint(void)
{
    struct sockaddr_in address = local(0);
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), qd;
    demi_qtoken_t qt;
    OK(bind(listener, (struct sockaddr *)&address, size));
    OK(listen(listener, 1));
    OK(getsockname(listener, (struct sockaddr *)&address, &size));
    OK(demi_socket(&qd, AF_INET, SOCK_STREAM, 0));
    OK(demi_connect(&qt, qd, (struct sockaddr *)&address, size));
    int other = accept(listener, NULL, NULL);
    IS(write(other, "220 hello\r\n", 11), 11);
    IS(failure_of(qt), ECONNREFUSED);
    OK(close(other));
    OK(close(listener));
    OK(demi_close(qd));
}

/* A child has nothing of it, and its parent loses nothing. */
static void a_child(void)
{
    struct both ends = connected();
    demi_qtoken_t qt;
    int qd, status;
    pid_t pid = fork();
    if (pid == 0) {
        alarm(20);
        OK(demi_pop(&qt, ends.client));
        IS(failure_of(qt), ENOTCONN);
        IS(demi_socket(&qd, AF_INET, SOCK_STREAM, 0), ENOTSUP);
        OK(demi_queue(&qd, 4));
        push_all(qd, array("memory"));
        expect(qd, "memory");
        close_all(ends);
        exit(0);
    }
    IS(waitpid(pid, &status, 0), pid);
    IS(status, 0);
    push_all(ends.client, array("still there"));
    expect(ends.peer, "still there");
    close_all(ends);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    they_stay_whole();
    what_is_too_long_comes_as_several();
    many_at_once();
    who_closes_with_something_unread_resets();
    who_listens_is_not_catmint();
    a_child();
    return end();
}
