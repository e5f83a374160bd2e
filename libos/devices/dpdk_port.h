/* A port, for the C files that see into it. */
#ifndef CATFLAP_DPDK_PORT_H
#define CATFLAP_DPDK_PORT_H

#include "dpdk.h"

#include "libos/raw.h"

#include <pthread.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#define BURST 64

enum { LOOKED_INTO = 1, HELD = 3 }; /* what a port is held for: for receiving, for all */

struct port {
    bool taken, client, started;
    bool lends; /* the driver has copied what it sends when it returns: frames are lent to it where they lie */
    uint16_t id;
    int bell;
    char name[128];
    struct rte_mempool *in, *out;
    _Atomic int held, receiving, sending, armed, ending;
    uint32_t back, next, count; /* of `frames`: given back, handed out, there */
    uint32_t waiting; /* of `ahead`, that nobody has asked for yet */
    uint32_t largest;
    uint8_t *joined; /* room for a burst of frames that came in several parts */
    struct rte_mbuf *frames[BURST], *ahead[BURST], *leaving[BURST];
    pthread_t watch;
};

static inline void dpdk_leave(_Atomic int *busy) { atomic_store_explicit(busy, 0, memory_order_release); }

bool dpdk_enter(struct port *p, _Atomic int *busy, int unless);
bool dpdk_look(struct port *p);
bool dpdk_up(struct port *p);

#endif
