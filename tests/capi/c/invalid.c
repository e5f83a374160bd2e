/* Each call with what it must refuse, and by which errno. */
#pragma GCC diagnostic ignored "-Wnonnull"
#include "check.h"

static struct sockaddr_in somewhere;
#define ADDRESS (struct sockaddr *)&somewhere, sizeof somewhere

static void before_the_start(void)
{
    int qd;
    demi_qtoken_t qt;
    demi_qresult_t qr;
    demi_sgarray_t sga = demi_sgaalloc(64);
    struct demi_args no_words = {1, NULL, NULL}, no_count = {0, (char *const[]){"x", NULL}, NULL};
    char *unknown[] = {"x", NULL};
    struct demi_args other = {1, unknown, NULL};
    IS(sga.sga_numsegs, 0);
    IS(demi_socket(&qd, AF_INET, SOCK_STREAM, 0), ENOSYS);
    IS(demi_pop(&qt, 500), ENOSYS);
    IS(demi_wait(&qr, 1, NULL), ENOSYS);
    IS(demi_init(NULL), EINVAL);
    IS(demi_init(&no_words), EINVAL);
    IS(demi_init(&no_count), EINVAL);
    char *was = getenv("LIBOS");
    was = was ? strdup(was) : NULL;
    setenv("LIBOS", "catdog", 1);
    IS(demi_init(&other), EINVAL);
    if (was)
        setenv("LIBOS", was, 1);
    else
        unsetenv("LIBOS");
}

static void sockets(void)
{
    int qd, memory;
    socklen_t size = sizeof somewhere;
    demi_qtoken_t qt;
    IS(demi_socket(NULL, AF_INET, SOCK_STREAM, 0), EINVAL);
    IS(demi_socket(&qd, AF_UNIX, SOCK_STREAM, 0), ENOTSUP);
    IS(demi_socket(&qd, AF_INET, SOCK_RAW, 0), ENOTSUP);
    IS(demi_socket(&qd, -1, -1, -1), ENOTSUP);
    IS(demi_queue(NULL, 1), EINVAL);
    IS(demi_queue(&memory, 0), EINVAL);
    IS(demi_queue(&memory, 1 << 30), EINVAL);
    OK(demi_queue(&memory, 1));
    OK(demi_socket(&qd, AF_INET, SOCK_STREAM, 0));

    IS(demi_bind(-1, ADDRESS), EBADF);
    IS(demi_bind(memory, ADDRESS), EINVAL);
    IS(demi_bind(qd, NULL, sizeof somewhere), EINVAL);
    IS(demi_bind(qd, (struct sockaddr *)&somewhere, 3), EINVAL);
    IS(demi_listen(-1, 1), EBADF);
    IS(demi_listen(memory, 1), EINVAL);
    IS(demi_listen(qd, 1), EDESTADDRREQ);
    IS(demi_accept(&qt, qd), EINVAL);
    OK(demi_bind(qd, ADDRESS));
    IS(demi_bind(qd, ADDRESS), EINVAL);
    IS(demi_listen(qd, 0), EINVAL);
    IS(demi_listen(qd, -1), EINVAL);
    OK(demi_listen(qd, 1));
    IS(demi_listen(qd, 1), EADDRINUSE);
    IS(demi_accept(NULL, qd), EINVAL);
    IS(demi_accept(&qt, -1), EBADF);
    IS(demi_accept(&qt, memory), EINVAL);
    IS(demi_pop(&qt, qd), EINVAL);
    IS(demi_connect(&qt, -1, ADDRESS), EBADF);
    IS(demi_connect(&qt, memory, ADDRESS), EINVAL);
    IS(demi_connect(&qt, qd, ADDRESS), EOPNOTSUPP);
    IS(demi_connect(NULL, qd, ADDRESS), EINVAL);
    IS(demi_connect(&qt, qd, NULL, 16), EINVAL);
    IS(demi_connect(&qt, qd, (struct sockaddr *)&somewhere, (socklen_t)-1), EINVAL);

    int other;
    struct sockaddr_in taken;
    OK(demi_getsockname(qd, (struct sockaddr *)&taken, &size));
    OK(demi_socket(&other, AF_INET, SOCK_STREAM, 0));
    IS(demi_bind(other, (struct sockaddr *)&taken, size), EADDRINUSE);
    IS(demi_getpeername(other, (struct sockaddr *)&taken, &size), ENOTCONN);
    IS(demi_getpeername(-1, (struct sockaddr *)&taken, &size), EBADF);
    IS(demi_getpeername(memory, (struct sockaddr *)&taken, &size), EINVAL);
    IS(demi_getpeername(other, NULL, &size), EINVAL);
    OK(demi_close(other));
    OK(demi_close(qd));
    OK(demi_close(memory));
    IS(demi_close(qd), EBADF);
    IS(demi_close(-1), EBADF);
    IS(demi_close(0), EBADF);
}

static void options(void)
{
    int qd, yes = 1;
    struct linger linger = {1, 0};
    socklen_t size = sizeof linger;
    OK(demi_socket(&qd, AF_INET, SOCK_STREAM, 0));
    OK(demi_setsockopt(qd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
    linger.l_onoff = 7;
    OK(demi_getsockopt(qd, SOL_SOCKET, SO_LINGER, &linger, &size));
    IS(linger.l_onoff, 1);
    OK(demi_setsockopt(qd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes));
    IS(demi_setsockopt(-1, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), EBADF);
    IS(demi_setsockopt(-1, -1, -1, NULL, 0), EBADF);
    IS(demi_setsockopt(qd, SOL_SOCKET, SO_LINGER, NULL, sizeof linger), EINVAL);
    IS(demi_setsockopt(qd, SOL_SOCKET, SO_LINGER, &linger, 0), EINVAL);
    IS(demi_setsockopt(qd, SOL_SOCKET, SO_LINGER, &linger, 1), EINVAL);
    IS(demi_setsockopt(qd, SOL_SOCKET, SO_RCVBUF, &yes, sizeof yes), ENOPROTOOPT);
    IS(demi_setsockopt(qd, -1, SO_LINGER, &linger, sizeof linger), ENOTSUP);
    IS(demi_getsockopt(qd, SOL_SOCKET, SO_LINGER, NULL, &size), EINVAL);
    IS(demi_getsockopt(qd, SOL_SOCKET, SO_LINGER, &linger, NULL), EINVAL);
    IS(demi_getsockopt(qd, SOL_SOCKET, -1, &linger, &size), ENOPROTOOPT);
    IS(demi_getsockopt(-1, SOL_SOCKET, SO_LINGER, &linger, &size), EBADF);
    OK(demi_close(qd));
}

static void arrays(void)
{
    int qd;
    demi_qtoken_t qt;
    demi_sgarray_t sga = array("good"), bad, null = {0};
    char outside[64] = "on the stack";
    OK(demi_queue(&qd, 4));
    IS(demi_push(&qt, -1, &sga), EBADF);
    IS(demi_push(NULL, qd, &sga), EINVAL);
    IS(demi_push(&qt, qd, NULL), EINVAL);
    IS(demi_push(&qt, qd, &null), EINVAL);
    IS(demi_pushto(&qt, -1, &sga, ADDRESS), EBADF);
    IS(demi_pushto(&qt, qd, &sga, ADDRESS), EINVAL);
    IS(demi_pushto(&qt, qd, NULL, NULL, 0), EINVAL);
#define BAD(change) bad = sga, change, demi_push(&qt, qd, &bad)
    IS((BAD(bad.sga_segs[0].sgaseg_len = 0)), EINVAL);
    IS((BAD(bad.sga_segs[0].sgaseg_len = 65)), EINVAL); /* its buffer has 64 */
    IS((BAD(bad.sga_segs[0].sgaseg_len = UINT32_MAX)), EINVAL);
    IS((BAD(bad.sga_numsegs = 0)), EINVAL);
    IS((BAD(bad.sga_numsegs = DEMI_SGARRAY_MAXSIZE + 1)), EINVAL);
    IS((BAD(bad.sga_numsegs = 2)), EINVAL); /* the second is nobody's */
    IS((BAD(bad.sga_numsegs = UINT32_MAX)), EINVAL);
    IS((BAD(bad.sga_segs[0].sgaseg_buf = NULL)), EINVAL);
    IS((BAD(bad.sga_segs[0].sgaseg_buf = outside)), EINVAL);
    IS((BAD(bad.sga_segs[0].sgaseg_buf = (void *)UINTPTR_MAX)), EINVAL);
    IS((BAD(bad.sga_segs[0].sgaseg_buf = (char *)sga.sga_segs[0].sgaseg_buf + 61)), EINVAL);
    IS((BAD(bad.sga_segs[1] = null.sga_segs[0])), 0); /* beyond its segments: nobody looks */
    char anywhere[sizeof sga + 1]; /* the struct is packed: it may lie at an odd address */
    demi_qtoken_t other;
    memcpy(anywhere + 1, &sga, sizeof sga);
    OK(demi_push(&other, qd, (demi_sgarray_t *)(anywhere + 1)));
    IS(result_of(other).qr_opcode, DEMI_OPC_PUSH);
    OK(demi_sgafree(&sga));
    IS(result_of(qt).qr_opcode, DEMI_OPC_PUSH);
    IS(demi_push(&qt, qd, &sga), EINVAL); /* freed */
    expect(qd, "good");
    expect(qd, "good");

    IS(demi_sgaalloc(0).sga_numsegs, 0);
    IS(demi_sgaalloc((1 << 20) + 1).sga_numsegs, 0);
    IS(demi_sgaalloc(SIZE_MAX).sga_numsegs, 0);
    IS(demi_sgaalloc(0).sga_buf == NULL, 1);
    IS(demi_sgafree(NULL), EINVAL);
    IS(demi_sgafree(&null), EINVAL);
    IS(demi_sgafree(&sga), EINVAL);
    bad = null;
    bad.sga_numsegs = 1;
    bad.sga_segs[0].sgaseg_buf = outside;
    IS(demi_sgafree(&bad), EINVAL);
    OK(demi_close(qd));
}

static void waits(void)
{
    int qd, offset, n;
    demi_qtoken_t qts[2] = {0, 0};
    demi_qresult_t qr;
    const struct timespec wrong = {0, 1000000000}, negative = {-1, 0};
    OK(demi_queue(&qd, 4));
    OK(demi_pop(&qts[0], qd));
    IS(demi_pop(NULL, qd), EINVAL);
    IS(demi_pop(&qts[1], -1), EBADF);
    IS(demi_wait(&qr, 0, NULL), EINVAL);
    IS(demi_wait(&qr, (demi_qtoken_t)-1, NULL), EINVAL);
    IS(demi_wait(&qr, qts[0] + 1, NULL), EINVAL);
    IS(demi_wait(NULL, qts[0], NULL), EINVAL);
    IS(demi_wait(&qr, qts[0], &wrong), EINVAL);
    IS(demi_wait(&qr, qts[0], &negative), EINVAL);
    IS(demi_wait_any(&qr, &offset, qts, 0, NULL), EINVAL);
    IS(demi_wait_any(&qr, &offset, qts, -1, NULL), EINVAL);
    IS(demi_wait_any(&qr, &offset, NULL, 1, NULL), EINVAL);
    IS(demi_wait_any(&qr, NULL, qts, 1, NULL), EINVAL);
    IS(demi_wait_any(NULL, &offset, qts, 1, NULL), EINVAL);
    IS(demi_wait_any(&qr, &offset, qts, 2, NULL), EINVAL); /* the second is not live */
    IS(demi_wait_next_n(&qr, 0, &n, NULL), EINVAL);
    IS(demi_wait_next_n(NULL, 1, &n, NULL), EINVAL);
    IS(demi_wait_next_n(&qr, 1, NULL, NULL), EINVAL);
    push_all(qd, array("x"));
    qr = result_of(qts[0]);
    OK(demi_sgafree(&qr.qr_value.sga));
    IS(demi_wait(&qr, qts[0], NULL), EINVAL); /* used */
    OK(demi_pop(&qts[0], qd));
    OK(demi_close(qd));
    IS(failure_of(qts[0]), ECANCELED);
    IS(demi_pop(&qts[0], qd), EBADF);
}

int main(int argc, char **argv)
{
    somewhere = local(0);
    before_the_start();
    begin(argc, argv);
    struct demi_args again = {argc, argv, NULL};
    IS(demi_init(&again), EEXIST);
    sockets();
    options();
    arrays();
    waits();
    return end();
}
