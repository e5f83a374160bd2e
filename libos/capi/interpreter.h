/* What libdemikernel.so calls in libdemikernel_python.so, whose one symbol is a struct of these. */
#pragma once

struct interpreter {
    /* Start an interpreter, or share the program's; packages are in `root`. NULL, or what went wrong. */
    const char *(*start)(const char *root);
    /* Make the libOS; `take` hears where each call is. 0 or an errno. */
    int (*boot)(int argc, char *const argv[], const char *root, void (*take)(const char *call, void *address));
    void (*fork_before)(void);
    void (*fork_after)(int child);
    /* The process ends. */
    void (*leave)(void);
};
