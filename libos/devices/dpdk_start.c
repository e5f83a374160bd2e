/* DPDK's environment layer, started once in a process, and what it has to say when something can't be. */
#define _GNU_SOURCE
#include "dpdk.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>

struct work {
    int (*work)(void *);
    void *argument;
    int r;
};

static void *run(void *argument)
{
    struct work *w = argument;
    w->r = w->work(w->argument);
    return NULL;
}

/* In a thread of our own: it is pinned to cores, needs a whole stack, and takes no signal. */
int dpdk_aside(int (*work)(void *), void *argument)
{
    struct work w = {work, argument, 0};
    pthread_t thread;
    int r = pthread_create(&thread, NULL, run, &w);
    if (r)
        return -r;
    pthread_join(thread, NULL);
    return w.r;
}

/* The first complaint since it was last asked for is the nearest to the reason. */
static char said[256];

static ssize_t listen_to(void *cookie, const char *text, size_t n)
{
    (void)cookie;
    if (!said[0])
        snprintf(said, sizeof said, "%.*s", (int)n, text);
    return (ssize_t)n;
}

/* What DPDK has complained of, as text at `to`, which has room for `size` bytes. */
EXPORT int catflap_dpdk_said(char *to, uintptr_t size)
{
    snprintf(to, size, "%s", said);
    said[0] = 0;
    return 0;
}

struct arguments {
    int count;
    char **words;
    bool alone;
};

static int begin(void *argument)
{
    struct arguments *a = argument;
    FILE *log = fopencookie(NULL, "w", (cookie_io_functions_t){.write = listen_to});
    if (!log)
        return -ENOMEM;
    setvbuf(log, NULL, _IOLBF, 0);
    rte_openlog_stream(log);
    rte_log_set_global_level(RTE_LOG_ERR);
    dpdk_measures = a->alone;
    int r = rte_eal_init(a->count, a->words) < 0 ? -rte_errno : 0;
    dpdk_measures = false;
    return r;
}

/* `alone`: without any driver. */
EXPORT int catflap_dpdk_start(char **words, uintptr_t count, uintptr_t alone)
{
    struct arguments a = {(int)count, words, alone};
    return dpdk_aside(begin, &a);
}
