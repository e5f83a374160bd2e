/* IPv6: streams and datagrams, the names that calls and results have, what belongs to another family. */
#include "check.h"

static struct sockaddr_in6 local6(int port)
{
    return (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
}

static int bound(int type, struct sockaddr_in6 *address)
{
    int qd;
    socklen_t size = sizeof *address;
    *address = local6(0);
    OK(demi_socket(&qd, AF_INET6, type, 0));
    OK(demi_bind(qd, (struct sockaddr *)address, size));
    OK(demi_getsockname(qd, (struct sockaddr *)address, &size));
    IS(size, sizeof *address);
    IS(address->sin6_port != 0, 1);
    return qd;
}

static void same(const struct sockaddr_in6 *found, const struct sockaddr_in6 *expected)
{
    IS(found->sin6_family, AF_INET6);
    IS(found->sin6_port, expected->sin6_port);
    IS(found->sin6_scope_id, expected->sin6_scope_id);
    IS(memcmp(&found->sin6_addr, &expected->sin6_addr, 16), 0);
}

static void streams(int rings)
{
    struct sockaddr_in6 address, here, there;
    socklen_t size = sizeof here;
    demi_qtoken_t accepting, connecting;
    int server = bound(SOCK_STREAM, &address), client;
    OK(demi_listen(server, 4));
    OK(demi_accept(&accepting, server));
    OK(demi_socket(&client, AF_INET6, SOCK_STREAM, 0));
    OK(demi_connect(&connecting, client, (struct sockaddr *)&address, sizeof address));
    IS(result_of(connecting).qr_opcode, DEMI_OPC_CONNECT);
    demi_qresult_t qr = result_of(accepting);
    IS(qr.qr_opcode, DEMI_OPC_ACCEPT);
    int peer = qr.qr_value.ares.qd;
    OK(demi_getsockname(client, (struct sockaddr *)&here, &size));
    IS(qr.qr_value.ares.addr6.sin6_family, AF_INET6);
    there = qr.qr_value.ares.addr6; /* the struct is packed */
    same(&there, &here);
    OK(demi_getpeername(peer, (struct sockaddr *)&there, &size));
    same(&there, &here);
    for (int i = 0; i < 300; i++) {
        push_all(client, array("ping"));
        expect(peer, "ping");
        push_all(peer, array("pong"));
        expect(client, "pong");
    }
    IS(demi_count(DEMI_RINGS) > 0, rings);
    OK(demi_close(client));
    expect(peer, "");
    OK(demi_close(peer));
    OK(demi_close(server));
}

static void datagrams(void)
{
    struct sockaddr_in6 from, to, seen;
    int left = bound(SOCK_DGRAM, &from), right = bound(SOCK_DGRAM, &to);
    demi_qtoken_t qt;
    demi_sgarray_t sga = array("whole"), more = array(" message");
    sga.sga_segs[sga.sga_numsegs++] = more.sga_segs[0];
    OK(demi_pushto(&qt, left, &sga, (struct sockaddr *)&to, sizeof to));
    IS(result_of(qt).qr_opcode, DEMI_OPC_PUSH);
    OK(demi_sgafree(&sga));
    sga = popped(right);
    IS(sga.sga_segs[0].sgaseg_len, 13);
    IS(memcmp(sga.sga_segs[0].sgaseg_buf, "whole message", 13), 0);
    seen = sga.sga_addr6;
    same(&seen, &from);
    OK(demi_sgafree(&sga));
    OK(demi_close(left));
    OK(demi_close(right));
}

static void another_family(void)
{
    struct sockaddr_in v4 = local(0);
    struct sockaddr_in6 v6 = local6(1);
    int four, six, datagram;
    demi_qtoken_t qt;
    demi_sgarray_t sga = array("x");
    OK(demi_socket(&four, AF_INET, SOCK_STREAM, 0));
    OK(demi_socket(&six, AF_INET6, SOCK_STREAM, 0));
    IS(demi_socket(&datagram, AF_INET, SOCK_DGRAM, 0), messages ? ENOTSUP : 0);
    IS(demi_bind(six, (struct sockaddr *)&v4, sizeof v4), EINVAL);
    IS(demi_bind(six, (struct sockaddr *)&v6, sizeof v4), EINVAL);
    IS(demi_bind(four, (struct sockaddr *)&v6, sizeof v6), EINVAL);
    IS(demi_connect(&qt, four, (struct sockaddr *)&v6, sizeof v6), EINVAL);
    IS(demi_connect(&qt, six, (struct sockaddr *)&v4, sizeof v4), EINVAL);
    if (!messages)
        IS(demi_pushto(&qt, datagram, &sga, (struct sockaddr *)&v6, sizeof v6), EINVAL);
    OK(demi_connect(&qt, six, (struct sockaddr *)&v6, sizeof v6)); /* nobody listens there */
    IS(failure_of(qt), ECONNREFUSED);
    OK(demi_sgafree(&sga));
    OK(demi_close(four));
    OK(demi_close(six));
    if (!messages)
        OK(demi_close(datagram));
}

/* Who connects by IPv4 to a listener of both has a mapped address (ipv6(7)). */
static void both(void)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT};
    struct sockaddr_in v4;
    socklen_t size = sizeof address;
    demi_qtoken_t accepting, connecting;
    int server, client;
    OK(demi_socket(&server, AF_INET6, SOCK_STREAM, 0));
    OK(demi_bind(server, (struct sockaddr *)&address, size));
    OK(demi_listen(server, 4));
    OK(demi_getsockname(server, (struct sockaddr *)&address, &size));
    v4 = local(ntohs(address.sin6_port));
    OK(demi_socket(&client, AF_INET, SOCK_STREAM, 0));
    OK(demi_accept(&accepting, server));
    OK(demi_connect(&connecting, client, (struct sockaddr *)&v4, sizeof v4));
    IS(result_of(connecting).qr_opcode, DEMI_OPC_CONNECT);
    demi_qresult_t qr = result_of(accepting);
    struct in6_addr name = qr.qr_value.ares.addr6.sin6_addr;
    IS(IN6_IS_ADDR_V4MAPPED(&name), 1);
    push_all(client, array("four"));
    expect(qr.qr_value.ares.qd, "four");
    OK(demi_close(client));
    OK(demi_close(qr.qr_value.ares.qd));
    OK(demi_close(server));
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    streams(strcmp(argv[1], "--catloop") == 0);
    if (!messages)
        datagrams();
    another_family();
    both();
    return end();
}
