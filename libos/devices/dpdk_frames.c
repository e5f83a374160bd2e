/* Frames in and out of a port, in bursts. */
#define _GNU_SOURCE
#include "dpdk_port.h"

/* ns that a call waits for who holds the port: that one may want malloc, and the call be a signal handler's that interrupts it */
#define PATIENCE 50000000

/* Begin to receive or to send. False: the port is held, for longer than anybody should. */
bool dpdk_enter(struct port *p, _Atomic int *busy, int unless)
{
    int64_t limit = 0;
    while (atomic_exchange(busy, 1), atomic_load_explicit(&p->held, memory_order_relaxed) & unless) {
        dpdk_leave(busy);
        if (limit == 0)
            limit = raw_now() + PATIENCE;
        else if (raw_now() > limit)
            return false;
        raw_syscall(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
    }
    return true;
}

/* Look ahead, for whoever is about to sleep or does: whether anything is there. Nobody else receives meanwhile. */
bool dpdk_look(struct port *p)
{
    if (!p->waiting && p->next == p->count && p->started)
        p->waiting = rte_eth_rx_burst(p->id, 0, p->ahead, BURST);
    return p->waiting || p->next < p->count;
}

/* Where the bytes of the `i`th frame lie, one behind the other; 0: it is of no use. */
static uintptr_t laid(struct port *p, uint32_t i, const struct rte_mbuf *m)
{
    if (m->pkt_len < RTE_ETHER_HDR_LEN || m->pkt_len > p->largest)
        return 0;
    return (uintptr_t)rte_pktmbuf_read(m, 0, m->pkt_len, p->joined + (size_t)i * p->largest);
}

/* Up to `limit` entries (address, length) at `entries`: how many, and in the upper half how many others were of no use. */
EXPORT int catflap_dpdk_receive(struct port *p, uint64_t *entries, uintptr_t limit)
{
    uint32_t n = 0, useless = 0;
    if (!dpdk_enter(p, &p->receiving, LOOKED_INTO))
        return 0;
    if (p->back < p->next)
        rte_pktmbuf_free_bulk(p->frames + p->back, p->next - p->back);
    p->back = p->next;
    if (p->next == p->count) {
        p->back = p->next = 0;
        if ((p->count = p->waiting)) {
            memcpy(p->frames, p->ahead, p->waiting * sizeof *p->ahead);
            p->waiting = 0;
        } else if (p->started)
            p->count = rte_eth_rx_burst(p->id, 0, p->frames, BURST);
    }
    while (n < limit && p->next < p->count) {
        const struct rte_mbuf *m = p->frames[p->next];
        uintptr_t at = laid(p, p->next++, m);
        if (!at) {
            useless++;
            continue;
        }
        entries[2 * n] = at;
        entries[2 * n++ + 1] = m->pkt_len;
    }
    dpdk_leave(&p->receiving);
    return (int)(useless << 16 | n);
}

bool dpdk_up(struct port *p)
{
    struct rte_eth_link link = {0};
    return rte_eth_link_get_nowait(p->id, &link) == 0 && link.link_status;
}

/* A frame as the driver wants it, the `i`th of a burst; NULL: there is no memory for it until it has sent others. */
static struct rte_mbuf *wrapped(struct port *p, uint32_t i, const void *frame, uint32_t length)
{
    struct rte_mbuf *m = p->lends ? p->leaving[i] : rte_pktmbuf_alloc(p->out);
    if (!m)
        return NULL;
    if (p->lends) {
        rte_mbuf_refcnt_set(m, 2); /* one is ours: it is not given back to anybody */
        m->buf_addr = (void *)(uintptr_t)frame;
        m->data_off = 0;
        m->buf_len = (uint16_t)length;
    } else
        memcpy(rte_pktmbuf_mtod(m, void *), frame, length);
    m->data_len = (uint16_t)length;
    m->pkt_len = length;
    return p->leaving[i] = m;
}

static bool possible(const struct port *p, uint64_t length) { return length >= RTE_ETHER_HDR_LEN && length <= p->largest; }

/* Send `count` frames, named as by `receive`: how many were taken, and in the upper half how many of no use, or to nobody. */
EXPORT int catflap_dpdk_transmit(struct port *p, const uint64_t *entries, uintptr_t count)
{
    uint32_t sent = 0, useless = 0, all = (uint32_t)count;
    if (!dpdk_enter(p, &p->sending, HELD & ~LOOKED_INTO))
        return 0;
    while (p->started && sent + useless < all) {
        const uint64_t *next = entries + 2 * (sent + useless);
        uint32_t n = 0, left = RTE_MIN(all - sent - useless, (uint32_t)BURST), gone;
        if (!possible(p, next[1])) {
            useless++;
            continue;
        }
        while (n < left && possible(p, next[2 * n + 1]) && wrapped(p, n, (void *)next[2 * n], (uint32_t)next[2 * n + 1]))
            n++;
        gone = n ? rte_eth_tx_burst(p->id, 0, p->leaving, (uint16_t)n) : 0;
        sent += gone;
        if (gone < n && !p->lends)
            rte_pktmbuf_free_bulk(p->leaving + gone, n - gone);
        if (gone < n || n == 0)
            break;
    }
    if (sent + useless < all && (!p->started || !dpdk_up(p)))
        useless = all - sent;
    dpdk_leave(&p->sending);
    return (int)(useless << 16 | sent);
}
