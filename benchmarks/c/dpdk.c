/* Frames by DPDK's own calls, as testpmd sends them: two processes, each with a port of its driver's, both looking all the time.
 *   dpdk PORT pong|ping|sink|source SIZE COUNT [FRAME]
 * PORT: DPDK's text of a virtual device. Of SIZE bytes are the messages, each cut into frames of FRAME bytes (1514) at most. `pong`
 * answers each of COUNT messages with another, `ping` asks and prints the nanoseconds of each round trip; `source` sends COUNT
 * messages, `sink` takes them and prints the nanoseconds from the first frame to the last. The first two say "up" when they are.
 * Nobody touches what is in a frame but its first bytes. */
#include <sched.h>

#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "net.h"

enum { BURST = 32, RING = 1024, MBUFS = 8191, LEAST = 60 };
static uint16_t port;
static struct rte_mempool *pool;

static void open_port(const char *text, uint32_t frame)
{
    struct rte_eth_conf conf = {0};
    struct rte_eth_dev_info info;
    char core[24], *words[] = {"dpdk", "--no-telemetry", "--no-huge", "--no-shconf", "-m", "128", "--no-pci", "--log-level=lib.*:error",
                               "--lcores", core, "--vdev", (char *)text};
    cpu_set_t set;
    int first = 0;
    sched_getaffinity(0, sizeof set, &set);
    while (!CPU_ISSET(first, &set))
        first++;
    snprintf(core, sizeof core, "0@%d", first);
    if (rte_eal_init(sizeof words / sizeof *words, words) < 0 || rte_eth_dev_count_avail() != 1)
        exit(1);
    pool = rte_pktmbuf_pool_create("frames", MBUFS, 256, 0, (uint16_t)(RTE_PKTMBUF_HEADROOM + RTE_MAX(frame, 2048u)), SOCKET_ID_ANY);
    if (!pool || rte_eth_dev_info_get(port, &info) || rte_eth_dev_configure(port, 1, 1, &conf) ||
        rte_eth_rx_queue_setup(port, 0, RING, 0, NULL, pool) || rte_eth_tx_queue_setup(port, 0, RING, 0, NULL))
        exit(1);
    while (rte_eth_dev_start(port)) /* a client's server is to come */
        usleep(10000);
}

static void wait_for_peer(void)
{
    struct rte_eth_link link = {0};
    while (rte_eth_link_get_nowait(port, &link) || !link.link_status)
        usleep(1000);
    struct rte_mbuf *none;
    rte_eth_rx_burst(port, 0, &none, 0); /* of memif, a server sends into what its client has laid out by looking */
    usleep(100000);
}

/* Wait until `size` bytes more are there than were asked for before. */
static void take(size_t size)
{
    static size_t ahead;
    struct rte_mbuf *found[BURST];
    while (ahead < size) {
        uint16_t n = rte_eth_rx_burst(port, 0, found, BURST);
        for (uint16_t i = 0; i < n; i++)
            ahead += rte_pktmbuf_pkt_len(found[i]);
        if (n)
            rte_pktmbuf_free_bulk(found, n);
    }
    ahead -= size;
}

static void give(size_t size, uint32_t frame)
{
    struct rte_mbuf *made[BURST];
    for (size_t left = size; left;) {
        uint16_t n = (uint16_t)RTE_MIN((left + frame - 1) / frame, (size_t)BURST);
        while (rte_pktmbuf_alloc_bulk(pool, made, n))
            rte_eth_tx_burst(port, 0, NULL, 0); /* it gives back what it has sent */
        for (uint16_t i = 0; i < n; i++) {
            struct rte_ether_hdr *head = rte_pktmbuf_mtod(made[i], struct rte_ether_hdr *);
            memset(&head->dst_addr, 255, sizeof head->dst_addr);
            head->ether_type = 0xb588;
            made[i]->data_len = (uint16_t)RTE_MIN(left, (size_t)frame);
            made[i]->pkt_len = made[i]->data_len;
            left -= made[i]->data_len;
        }
        for (uint16_t sent = 0; sent < n;)
            sent = (uint16_t)(sent + rte_eth_tx_burst(port, 0, made + sent, (uint16_t)(n - sent)));
    }
}

int main(int argc, char **argv)
{
    if (argc < 5)
        return 2;
    const char *role = argv[2];
    size_t size = strtoul(argv[3], NULL, 10);
    long count = atol(argv[4]);
    uint32_t frame = argc > 5 ? (uint32_t)atoi(argv[5]) : 1514;
    uint64_t *took = calloc((size_t)count, sizeof *took);
    if (size < LEAST || frame < LEAST || count < 1 || !took)
        return 2;
    open_port(argv[1], frame);
    bool near = strcmp(role, "ping") == 0 || strcmp(role, "source") == 0;
    if (!near)
        puts("up"), fflush(stdout);
    wait_for_peer();
    if (strcmp(role, "pong") == 0)
        for (long i = 0; i < count; i++)
            take(size), give(size, frame);
    else if (strcmp(role, "ping") == 0) {
        for (long i = 0; i < count; i++) {
            uint64_t before = now();
            give(size, frame), take(size);
            took[i] = now() - before;
        }
        for (long i = count / 10; i < count; i++) /* what goes first warms up */
            printf("%lu\n", (unsigned long)took[i]);
    } else if (strcmp(role, "source") == 0)
        for (long i = 0; i < count; i++)
            give(size, frame);
    else {
        take(size);
        uint64_t before = now();
        take((size_t)(count - 1) * size);
        printf("%lu\n", (unsigned long)(now() - before));
    }
    fflush(stdout);
    usleep(near ? 200000 : 50000); /* the last frames are the other end's */
    _exit(0);
}
