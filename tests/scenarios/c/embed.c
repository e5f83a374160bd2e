/* A C program that embeds Python: `embed TIMES CODE [first]` starts it TIMES times and runs CODE in each; with `first` it has a
 * connection, to itself, before. Compiled with -DFAKE=VERSION it is none, and only says that a Python of that version lives in it. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef FAKE
const char *Py_GetVersion(void);
int Py_IsInitialized(void);
const char *Py_GetVersion(void) { return FAKE " (fake)"; }
int Py_IsInitialized(void) { return 1; }
static void Py_Initialize(void) {}
static int PyRun_SimpleStringFlags(const char *code, void *flags) { return !code || flags; }
static int Py_FinalizeEx(void) { return 0; }
#else
void Py_Initialize(void);
int Py_FinalizeEx(void);
int PyRun_SimpleStringFlags(const char *code, void *flags);
#endif

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    if (argc > 3) {
        struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
        socklen_t size = sizeof any;
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        int bound = bind(fd, (struct sockaddr *)&any, size) || getsockname(fd, (struct sockaddr *)&any, &size);
        printf("%d %d %d\n", fd, bound, connect(fd, (struct sockaddr *)&any, size));
        fflush(stdout);
    }
    for (int turn = 0; turn < atoi(argv[1]); turn++) {
        Py_Initialize();
        if (PyRun_SimpleStringFlags(argv[2], NULL))
            return 3;
        printf("finalised %d\n", Py_FinalizeEx());
        fflush(stdout);
    }
#ifdef FAKE
    for (int turn = 0; turn < 1000 && access("GO", F_OK); turn++)
        usleep(20000);
#endif
    return 0;
}
