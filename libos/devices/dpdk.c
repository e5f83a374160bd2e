/* DPDK's ports for libos/devices/dpdk.py, by functions that are mostly inline ones: rte_ethdev.h, rte_mbuf.h. */
#define _GNU_SOURCE
#include "dpdk.h"

#include "libos/raw.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include <rte_bus_vdev.h>
#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#define PORTS 16
#define BURST 64
#define RING 1024
#define RECEIVED 4095 /* frames that there is memory for: a ring, what is handed out, and what waits at drivers */
#define SENT 2047
#define LINK_WAIT 200 /* ms */
#define LEAST 50000 /* ns between two looks for a sleeper, and the most, while nothing comes */
#define MOST 1000000
#define AGAIN 20000000 /* ns between two attempts to find a peer */
/* ns that a call waits for who holds the port: that one may want malloc, and the call be a signal handler's that interrupts it */
#define PATIENCE 50000000

enum { LOOKED_INTO = 1, HELD = 3 }; /* what a port is held for: for receiving, for all */

struct port {
    bool taken, client, started;
    uint16_t id;
    int bell;
    char name[128];
    struct rte_mempool *in, *out;
    _Atomic int held, receiving, sending, armed, ending;
    uint32_t back, next, count; /* of `frames`: given back, handed out, there */
    uint32_t waiting; /* of `ahead`, that nobody has asked for yet */
    uint32_t largest;
    struct rte_mbuf *frames[BURST], *ahead[BURST];
    pthread_t watch;
};

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

static void leave(_Atomic int *busy) { atomic_store_explicit(busy, 0, memory_order_release); }

/* Begin to receive or to send. False: the port is held, for longer than anybody should. */
static bool enter(struct port *p, _Atomic int *busy, int unless)
{
    int64_t limit = 0;
    while (atomic_exchange(busy, 1), atomic_load_explicit(&p->held, memory_order_relaxed) & unless) {
        leave(busy);
        if (limit == 0)
            limit = raw_now() + PATIENCE;
        else if (raw_now() > limit)
            return false;
        raw_syscall(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
    }
    return true;
}

/* Look ahead, for whoever is about to sleep or does: whether anything is there. Nobody else receives meanwhile. */
static bool look(struct port *p)
{
    if (!p->waiting && p->next == p->count && p->started)
        p->waiting = rte_eth_rx_burst(p->id, 0, p->ahead, BURST);
    return p->waiting || p->next < p->count;
}

/* Up to `limit` entries (address, length) at `entries`: how many, and in the upper half how many others were of no use. */
EXPORT int catflap_dpdk_receive(struct port *p, uint64_t *entries, uintptr_t limit)
{
    uint32_t n = 0, useless = 0;
    if (!enter(p, &p->receiving, LOOKED_INTO))
        return 0;
    while (p->back < p->next)
        rte_pktmbuf_free(p->frames[p->back++]);
    if (p->next == p->count) {
        p->back = p->next = 0;
        if ((p->count = p->waiting)) {
            memcpy(p->frames, p->ahead, p->waiting * sizeof *p->ahead);
            p->waiting = 0;
        } else if (p->started)
            p->count = rte_eth_rx_burst(p->id, 0, p->frames, BURST);
    }
    while (n < limit && p->next < p->count) {
        struct rte_mbuf *m = p->frames[p->next++];
        if ((m->nb_segs > 1 && rte_pktmbuf_linearize(m)) || m->data_len < RTE_ETHER_HDR_LEN || m->data_len > p->largest) {
            useless++;
            continue;
        }
        entries[2 * n] = rte_pktmbuf_mtod(m, uintptr_t);
        entries[2 * n++ + 1] = m->data_len;
    }
    leave(&p->receiving);
    return (int)(useless << 16 | n);
}

static bool up(struct port *p)
{
    struct rte_eth_link link = {0};
    return rte_eth_link_get_nowait(p->id, &link) == 0 && link.link_status;
}

/* 1: the frame was taken; 0: there is no room; -ENETDOWN: there is nobody at the other end. */
EXPORT int catflap_dpdk_transmit(struct port *p, const void *frame, uintptr_t length)
{
    if (!enter(p, &p->sending, HELD & ~LOOKED_INTO))
        return 0;
    int r = p->started ? 0 : -ENETDOWN;
    struct rte_mbuf *m = p->started ? rte_pktmbuf_alloc(p->out) : NULL;
    if (m) {
        m->data_len = (uint16_t)length;
        m->pkt_len = (uint32_t)length;
        memcpy(rte_pktmbuf_mtod(m, void *), frame, length);
        r = rte_eth_tx_burst(p->id, 0, &m, 1);
        if (r == 0) {
            rte_pktmbuf_free(m);
            r = up(p) ? 0 : -ENETDOWN;
        }
    }
    leave(&p->sending);
    return r;
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
    if (enter(p, &p->receiving, LOOKED_INTO)) { /* else the watch looks */
        found = look(p);
        leave(&p->receiving);
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
    if (!p->started || !up(p)) {
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
            bool found = look(p);
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
            if (!p->started || !up(p))
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
    /* each has one who takes out of it and one who puts back at a time, the same */
    uint16_t room = (uint16_t)(RTE_PKTMBUF_HEADROOM + RTE_MAX(largest, 2048u));
    return rte_pktmbuf_pool_create_by_ops(name, n, 0, 0, room, SOCKET_ID_ANY, "ring_sp_sc");
}

static int open_port(void *argument)
{
    struct wish *w = argument;
    struct port *p = ports;
    struct rte_eth_dev_info info;
    struct rte_eth_conf conf = {.rxmode = {.mtu = (uint32_t)w->mtu}};
    uint16_t receives = RING, sends = RING;
    struct rte_ether_addr mac;
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
    p->in = pool("in", (int)(p - ports), RECEIVED, p->largest);
    p->out = pool("out", (int)(p - ports), SENT, p->largest);
    if (!p->in || !p->out)
        return undo(p, -ENOMEM);
    if ((r = rte_dev_probe(w->name)) < 0)
        return undo(p, r);
    snprintf(p->name, sizeof p->name, "%.*s", (int)strcspn(w->name, ","), w->name);
    if ((r = rte_eth_dev_get_port_by_name(p->name, &p->id)) < 0 || (r = rte_eth_dev_info_get(p->id, &info)) < 0) {
        p->name[0] = 0;
        return undo(p, r);
    }
    p->client = strcmp(info.driver_name, "net_memif") == 0 && !strstr(w->name, "role=server");
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
    for (int ms = 0; ms < LINK_WAIT && p->client && p->started && !up(p); ms++)
        raw_syscall(SYS_poll, 0, 0, 1, 0, 0, 0);
    dpdk_hold();
    look(p); /* of memif, a server sends into what its client has laid out by looking */
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
