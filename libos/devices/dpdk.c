/* DPDK's ports for libos/devices/dpdk.py, by functions that are mostly inline ones: rte_ethdev.h, rte_mbuf.h. */
#define _GNU_SOURCE
#include "dpdk_port.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <rte_bus_vdev.h>
#include <rte_dev.h>
#include <rte_errno.h>

#define PORTS 16
#define RING 1024
#define RECEIVED 4095 /* frames that there is memory for: a ring, what is handed out, and what waits at drivers */
#define SENT 2047
#define FEW (4 * BURST - 1) /* where drivers keep none */
#define LINK_WAIT 200 /* ms */
#define LEAST 50000 /* ns between two looks for a sleeper, and the most, while nothing comes */
#define MOST 1000000
#define AGAIN 20000000 /* ns between two attempts to find a peer */

/* A port that is to be opened, and what it is then (dpdk_library.py). */
struct wish {
    char name[1024];
    uint64_t mtu, bell;
    uint64_t port;
    uint8_t mac[8];
    char driver[32];
};

static struct port ports[PORTS];
static pthread_mutex_t control = PTHREAD_MUTEX_INITIALIZER;

static void wait_for(_Atomic int *busy)
{
    while (atomic_load(busy))
        raw_syscall(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
}

void dpdk_hold(void)
{
    pthread_mutex_lock(&control);
    for (int i = 0; i < PORTS; i++)
        atomic_store(&ports[i].held, HELD);
    for (int i = 0; i < PORTS; i++) {
        wait_for(&ports[i].receiving);
        wait_for(&ports[i].sending);
    }
}

void dpdk_release(void)
{
    for (int i = 0; i < PORTS; i++)
        atomic_store(&ports[i].held, 0);
    pthread_mutex_unlock(&control);
}

static void silence(struct port *p)
{
    uint64_t n;
    raw_syscall(SYS_read, p->bell, (long)&n, sizeof n, 0, 0, 0);
}

/* 1: the bell rings when something comes. 0: it is there. */
EXPORT int catflap_dpdk_arm(struct port *p, uintptr_t unused)
{
    (void)unused;
    bool found = false;
    if (dpdk_enter(p, &p->receiving, LOOKED_INTO)) { /* else the watch looks */
        found = dpdk_look(p);
        dpdk_leave(&p->receiving);
    }
    if (!found)
        atomic_store(&p->armed, 1);
    return !found;
}

EXPORT int catflap_dpdk_disarm(struct port *p, uintptr_t unused)
{
    (void)unused;
    atomic_store(&p->armed, 0);
    silence(p);
    return 0;
}

/* A client whose peer has gone, or is not there yet, looks for it. */
static void find_peer(struct port *p)
{
    dpdk_hold();
    if (!p->started || !dpdk_up(p)) {
        if (p->started)
            rte_eth_dev_stop(p->id);
        p->started = rte_eth_dev_start(p->id) == 0;
    }
    dpdk_release();
}

/* Drivers of this kind tell nobody of what comes. While somebody sleeps, this thread looks, seldomer and seldomer. */
static void *watch(void *argument)
{
    struct port *p = argument;
    long rest = LEAST, since = 0;
    prctl(PR_SET_TIMERSLACK, 1000);
    while (!atomic_load(&p->ending)) {
        struct timespec time = {0, rest};
        raw_syscall(SYS_nanosleep, (long)&time, 0, 0, 0, 0, 0);
        since += rest;
        rest = 2 * rest < MOST ? 2 * rest : MOST;
        if (atomic_load(&p->armed) == 1 && pthread_mutex_trylock(&control) == 0) {
            atomic_store(&p->held, LOOKED_INTO);
            wait_for(&p->receiving);
            bool found = dpdk_look(p);
            atomic_store(&p->held, 0);
            pthread_mutex_unlock(&control);
            int once = 1;
            if (found && atomic_compare_exchange_strong(&p->armed, &once, 2)) {
                uint64_t one = 1;
                raw_syscall(SYS_write, p->bell, (long)&one, sizeof one, 0, 0, 0);
                rest = LEAST;
            }
        }
        if (p->client && since >= AGAIN) {
            since = 0;
            if (!p->started || !dpdk_up(p))
                find_peer(p);
        }
    }
    return NULL;
}

static int undo(struct port *p, int r)
{
    struct rte_eth_dev_info info;
    dpdk_hold();
    if (p->name[0]) {
        if (p->started)
            rte_eth_dev_stop(p->id);
        struct rte_device *device = rte_eth_dev_info_get(p->id, &info) == 0 ? info.device : NULL;
        while (p->back < p->count)
            rte_pktmbuf_free(p->frames[p->back++]);
        while (p->waiting)
            rte_pktmbuf_free(p->ahead[--p->waiting]);
        rte_eth_dev_close(p->id);
        if (device)
            rte_dev_remove(device);
    }
    rte_mempool_free(p->in);
    rte_mempool_free(p->out);
    if (p->joined && p->joined != MAP_FAILED)
        munmap(p->joined, (size_t)BURST * p->largest);
    p->joined = NULL;
    p->in = p->out = NULL;
    p->back = p->next = p->count = 0;
    p->started = p->client = false;
    p->name[0] = 0;
    dpdk_release();
    p->taken = false;
    return r;
}

static struct rte_mempool *pool(const char *kind, int i, unsigned n, uint32_t largest)
{
    char name[RTE_MEMPOOL_NAMESIZE];
    snprintf(name, sizeof name, "%s%d", kind, i);
    /* what was given back last is taken first: it is still in the cache */
    uint16_t room = (uint16_t)(RTE_PKTMBUF_HEADROOM + RTE_MAX(largest, 2048u));
    return rte_pktmbuf_pool_create_by_ops(name, n, 0, 0, room, SOCKET_ID_ANY, "stack");
}

/* Whether a driver copies what it sends before it returns. */
static bool copies(const char *driver, const char *text)
{
    if (strcmp(driver, "net_memif") == 0)
        return !strstr(text, "zero-copy=yes");
    return strcmp(driver, "net_af_packet") == 0 || strcmp(driver, "net_vhost") == 0;
}

/* What the driver is told. Who begins a memif lays out its buffers, of 2048 bytes each: a frame is to lie in one. */
static const char *told(const struct wish *w, char text[static sizeof w->name + 32])
{
    unsigned size = RTE_ALIGN_CEIL((unsigned)w->mtu + RTE_ETHER_HDR_LEN, 64u);
    bool more = size > 2048 && strncmp(w->name, "net_memif", 9) == 0 && !strstr(w->name, "bsize=");
    sprintf(text, "%s", w->name);
    if (more)
        sprintf(text + strlen(text), ",bsize=%u%s", size, strstr(w->name, "rsize=") ? "" : ",rsize=8");
    return text;
}

static int open_port(void *argument)
{
    struct wish *w = argument;
    struct port *p = ports;
    struct rte_eth_dev_info info;
    struct rte_eth_conf conf = {0};
    uint16_t receives = RING, sends = RING;
    struct rte_ether_addr mac;
    char text[sizeof w->name + 32];
    int r;
    while (p < ports + PORTS && p->taken)
        p++;
    if (p == ports + PORTS)
        return -EMFILE;
    p->taken = true;
    p->bell = (int)w->bell;
    atomic_store(&p->armed, 0);
    atomic_store(&p->ending, 0);
    p->largest = (uint32_t)w->mtu + RTE_ETHER_HDR_LEN;
    /* before there is a device: virtio-user tells its peer of memory that is added, and waits, also for one in this process */
    bool few = strncmp(w->name, "net_memif", 9) == 0 && !strstr(w->name, "zero-copy=yes"); /* it has memory of its own */
    unsigned part = p->largest > 2048 ? 2 : 1; /* of the memory that there is without huge pages */
    p->in = pool("in", (int)(p - ports), few ? FEW : RECEIVED / part, p->largest);
    p->out = pool("out", (int)(p - ports), few ? FEW : SENT / part, p->largest);
    if (!p->in || !p->out)
        return undo(p, -rte_errno);
    p->joined = mmap(NULL, (size_t)BURST * p->largest, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p->joined == MAP_FAILED)
        return undo(p, -ENOMEM);
    if ((r = rte_dev_probe(told(w, text))) < 0)
        return undo(p, r);
    snprintf(p->name, sizeof p->name, "%.*s", (int)strcspn(w->name, ","), w->name);
    if ((r = rte_eth_dev_get_port_by_name(p->name, &p->id)) < 0 || (r = rte_eth_dev_info_get(p->id, &info)) < 0) {
        p->name[0] = 0;
        return undo(p, r);
    }
    bool memif = strcmp(info.driver_name, "net_memif") == 0;
    p->client = memif && !strstr(w->name, "role=server");
    /* memif says that it has 1518 bytes for a frame, and has any number of buffers for one */
    p->lends = copies(info.driver_name, w->name);
    if (p->lends && rte_pktmbuf_alloc_bulk(p->out, p->leaving, BURST))
        return undo(p, -ENOMEM);
    conf.rxmode.mtu = memif ? RTE_MIN((uint32_t)w->mtu, (uint32_t)RTE_ETHER_MTU) : (uint32_t)w->mtu;
    if ((r = rte_eth_dev_configure(p->id, 1, 1, &conf)) < 0 ||
        (r = rte_eth_dev_adjust_nb_rx_tx_desc(p->id, &receives, &sends)) < 0 ||
        (r = rte_eth_rx_queue_setup(p->id, 0, receives, (unsigned)rte_eth_dev_socket_id(p->id), NULL, p->in)) < 0 ||
        (r = rte_eth_tx_queue_setup(p->id, 0, sends, (unsigned)rte_eth_dev_socket_id(p->id), NULL)) < 0)
        return undo(p, r);
    r = rte_eth_dev_start(p->id);
    p->started = r == 0;
    if (r < 0 && !p->client)
        return undo(p, r);
    rte_eth_allmulticast_enable(p->id);
    if ((r = rte_eth_macaddr_get(p->id, &mac)) < 0)
        return undo(p, r);
    for (int ms = 0; ms < LINK_WAIT && p->client && p->started && !dpdk_up(p); ms++)
        raw_syscall(SYS_poll, 0, 0, 1, 0, 0, 0);
    dpdk_hold();
    dpdk_look(p); /* of memif, a server sends into what its client has laid out by looking */
    dpdk_release();
    if ((r = pthread_create(&p->watch, NULL, watch, p)))
        return undo(p, -r);
    pthread_setname_np(p->watch, "catflap-dpdk");
    w->port = (uintptr_t)p;
    memcpy(w->mac, mac.addr_bytes, 6);
    snprintf(w->driver, sizeof w->driver, "%s", info.driver_name);
    return 0;
}

/* 0, or why it can't be. */
EXPORT int catflap_dpdk_open(struct wish *wish)
{
    return dpdk_aside(open_port, wish);
}

static int close_port(void *argument)
{
    struct port *p = argument;
    atomic_store(&p->ending, 1);
    pthread_join(p->watch, NULL);
    return undo(p, 0);
}

EXPORT int catflap_dpdk_close(struct port *p)
{
    return dpdk_aside(close_port, p);
}
