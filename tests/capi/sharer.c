/* sharer --LIBOS --cattree-shared=VOLUME NAME COUNT: of COUNT pushes to a log, NAME and a number each, says "done N" or "lost N" as
 * they end, and then "end". It leaves at the end of its input. */
#include "c/check.h"
#include <demi/storage.h>

enum { AT_A_TIME = 8 };

int main(int argc, char **argv)
{
    demi_qtoken_t qts[AT_A_TIME];
    int numbers[AT_A_TIME], under_way = 0, pushed = 0, log, at, count = atoi(argv[4]);
    demi_qresult_t qr;
    begin(argc, argv);
    OK(demi_open(&log, "log", O_CREAT));
    puts("here");
    fflush(stdout);
    while (pushed < count || under_way) {
        if (pushed < count && under_way < AT_A_TIME) {
            char line[64];
            snprintf(line, sizeof line, "%s %d\n", argv[3], pushed);
            demi_sgarray_t sga = array(line);
            OK(demi_push(&qts[under_way], log, &sga));
            OK(demi_sgafree(&sga));
            numbers[under_way++] = pushed++;
            continue;
        }
        OK(demi_wait_any(&qr, &at, qts, under_way, NULL));
        if (qr.qr_opcode != DEMI_OPC_PUSH)
            IS(qr.qr_ret, ECONNRESET);
        printf("%s %d\n", qr.qr_opcode == DEMI_OPC_PUSH ? "done" : "lost", numbers[at]);
        fflush(stdout);
        under_way--;
        qts[at] = qts[under_way];
        numbers[at] = numbers[under_way];
    }
    puts("end");
    fflush(stdout);
    while (getchar() != EOF)
        ;
    return end();
}
