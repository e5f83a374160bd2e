/* without [LIBRARY]: a program that can't have our interpreter, and goes on. FAKE and RUNS: the Python that it has. */
#include "c/check.h"

#include <dlfcn.h>

#ifdef FAKE
const char *Py_GetVersion(void) { return FAKE " (main)"; }
int Py_IsInitialized(void) { return RUNS; }
#endif

int main(int argc, char **argv)
{
    struct demi_args args = {1, argv, NULL};
    int qd;
    if (argc > 1 && !dlopen(argv[1], RTLD_NOW | RTLD_LOCAL))
        return 1;
    IS(demi_init(&args), ENOSYS);
    IS(demi_init(&args), ENOSYS);
    IS(demi_queue(&qd, 1), ENOSYS);
    puts("goes on");
    return 0;
}
