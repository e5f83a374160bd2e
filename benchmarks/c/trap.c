/* Run with LD_PRELOAD="libcatflap.so stub.so": read and recv of a descriptor that is not ours, through the preload and
 * straight into the stub, turn and turn about. `trap LOOPS STUB`: a line per block and figure: name, nanoseconds. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <time.h>

enum { BLOCKS = 24 };
typedef ssize_t (*volatile read_call)(int, void *, size_t);
typedef ssize_t (*volatile recv_call)(int, void *, size_t, int);

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void measure(const char *name, long loops, read_call reading, recv_call receiving)
{
    char buf[64];
    double start = now();
    for (long i = 0; i < loops; i++)
        if ((reading ? reading(0, buf, 64) : receiving(0, buf, 64, 0)) != 64)
            exit(1); /* a system call was made */
    printf("%s %.3f\n", name, (now() - start) / (double)loops);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    long loops = atol(argv[1]);
    void *stub = dlopen(argv[2], RTLD_NOW);
    read_call trapped_read = (read_call)dlsym(RTLD_DEFAULT, "read"), stub_read = (read_call)dlsym(stub, "read");
    recv_call trapped_recv = (recv_call)dlsym(RTLD_DEFAULT, "recv"), stub_recv = (recv_call)dlsym(stub, "recv");
    if (!stub || trapped_read == stub_read || trapped_recv == stub_recv)
        return 1; /* the preload is not in front */
    for (int block = 0; block < BLOCKS; block++) {
        measure("stub_read", loops, stub_read, NULL);
        measure("trap_read", loops, trapped_read, NULL);
        measure("stub_recv", loops, NULL, stub_recv);
        measure("trap_recv", loops, NULL, trapped_recv);
    }
    return 0;
}
