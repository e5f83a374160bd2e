/* client --LIBOS PORT: 500 echoes of a server that may be any program; prints how many went through shared memory. */
#include "c/check.h"

int main(int argc, char **argv)
{
    struct sockaddr_in address = local(atoi(argv[2]));
    demi_qtoken_t qt;
    int qd;
    begin(argc, argv);
    OK(demi_socket(&qd, AF_INET, SOCK_STREAM, 0));
    OK(demi_connect(&qt, qd, (struct sockaddr *)&address, sizeof address));
    IS(result_of(qt).qr_opcode, DEMI_OPC_CONNECT);
    for (int i = 0; i < 500; i++) {
        push_all(qd, array("hello"));
        expect(qd, "hello");
    }
    printf("%lu\n", (unsigned long)demi_count(DEMI_RINGS));
    OK(demi_close(qd));
    return end();
}
