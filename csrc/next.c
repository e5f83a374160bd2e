/* Resolution of the next definitions. All of it in one early pass (dlsym may allocate); a trap that is called before our
 * constructor ran finds a stub that resolves the table first, so the fast path never asks whether that has happened. */
#include "trap.h"

#include <dlfcn.h>

static bool resolve(void);

/* The kernel would answer ENOSYS for a call that this libc does not have. */
static long missing(void)
{
    errno = ENOSYS;
    return -1;
}

#define TRAP(result, name, params, args, fd)                                                                           \
    static result early_##name params                                                                                  \
    {                                                                                                                  \
        return resolve() ? next.name args : (result)missing();                                                         \
    }
#define TRAP_VARIADIC(result, name, params, args, fd, last)                                                            \
    static result early_##name params                                                                                  \
    {                                                                                                                  \
        va_list ap;                                                                                                    \
        va_start(ap, last);                                                                                            \
        long arg = va_arg(ap, long);                                                                                   \
        va_end(ap);                                                                                                    \
        return resolve() ? next.name args : (result)missing();                                                         \
    }
#include "traps.def"
#undef TRAP

struct next_table next = {
#define TRAP(result, name, params, args, fd) .name = early_##name,
#include "traps.def"
#undef TRAP
};

/* False when called from inside itself: an allocator that dlsym calls may read a file, and gets ENOSYS this once. */
static bool resolve(void)
{
    static __thread bool resolving;
    if (resolving)
        return false;
    resolving = true;
    void *found;
#define TRAP(result, name, params, args, fd)                                                                           \
    found = dlsym(RTLD_NEXT, #name);                                                                                   \
    next.name = (__typeof__(next.name))(found ? found : (void *)missing);
#include "traps.def"
#undef TRAP
    resolving = false;
    return true;
}

__attribute__((constructor(101))) static void resolve_early(void) { resolve(); }
