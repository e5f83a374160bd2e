/* What is asked before an interpreter, or anything that is linked with one, is loaded into a program. */
#pragma once
#include <dlfcn.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

/* NULL, or why an interpreter of `version` can be neither started nor shared here. */
static const char *other_python(const char *version)
{
    const char *(*get_version)(void) = (const char *(*)(void))dlsym(RTLD_DEFAULT, "Py_GetVersion");
    int (*initialized)(void) = (int (*)(void))dlsym(RTLD_DEFAULT, "Py_IsInitialized");
    if (!get_version || !initialized)
        return NULL;
    const char *theirs = get_version();
    size_t n = strlen(version);
    if (strncmp(theirs, version, n) != 0 || (theirs[n] >= '0' && theirs[n] <= '9'))
        return "another Python version lives in this process";
    return initialized() ? NULL : "this program's own Python is not running yet";
}

/* An interpreter that runs out of memory while it starts aborts or loops; so ask first, under RLIMIT_AS, for more address
 * space than interpreter and heap reserve together. */
static bool room_for_host(void)
{
    size_t size = 3ul << 29;
    void *there = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return there != MAP_FAILED && munmap(there, size) == 0;
}
