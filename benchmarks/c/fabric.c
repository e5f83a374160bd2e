/* Ping-pong of messages over libfabric as it is, fi_inject(3), fi_send(3) and fi_recv(3), each end looking all the time.
 *
 *   fabric pong NAME COUNT SIZE          says "up", then answers COUNT messages
 *   fabric ping NAME COUNT SIZE OTHER    prints the nanoseconds of each round trip
 *
 * NAME and OTHER are endpoints of the provider shm; each is told the other's. */
#include <rdma/fabric.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RECEIVES = 16, LARGEST = 4 << 20, IDLE = 1 << 28 };

static struct fi_info *info;
static struct fid_fabric *fabric;
static struct fid_domain *domain;
static struct fid_av *av;
static struct fid_cq *cq;
static struct fid_ep *ep;
static char buffers[RECEIVES][LARGEST], message[LARGEST];
static struct fi_context2 contexts[RECEIVES], sending;
static int ahead; /* a receive that was completed while a send was waited for: its number and 1 */

static void must(int r, const char *what)
{
    if (r < 0) {
        fprintf(stderr, "%s: %s\n", what, fi_strerror(-r));
        exit(1);
    }
}

static void open_endpoint(const char *name)
{
    struct fi_info *hints = fi_allocinfo();
    struct fi_cq_attr queue = {.format = FI_CQ_FORMAT_MSG, .wait_obj = FI_WAIT_NONE};
    struct fi_av_attr vector = {.type = FI_AV_TABLE};
    hints->caps = FI_MSG;
    hints->mode = FI_CONTEXT | FI_CONTEXT2;
    hints->ep_attr->type = FI_EP_RDM;
    hints->domain_attr->threading = FI_THREAD_DOMAIN;
    hints->fabric_attr->prov_name = strdup("shm");
    must(fi_getinfo(FI_VERSION(1, 14), name, NULL, FI_SOURCE, hints, &info), "fi_getinfo");
    must(fi_fabric(info->fabric_attr, &fabric, NULL), "fi_fabric");
    must(fi_domain(fabric, info, &domain, NULL), "fi_domain");
    must(fi_av_open(domain, &vector, &av, NULL), "fi_av_open");
    must(fi_cq_open(domain, &queue, &cq, NULL), "fi_cq_open");
    must(fi_endpoint(domain, info, &ep, NULL), "fi_endpoint");
    must(fi_ep_bind(ep, &av->fid, 0), "fi_ep_bind");
    must(fi_ep_bind(ep, &cq->fid, FI_TRANSMIT | FI_RECV), "fi_ep_bind");
    must(fi_enable(ep), "fi_enable");
    for (int i = 0; i < RECEIVES; i++)
        must(fi_recv(ep, buffers[i], LARGEST, NULL, FI_ADDR_UNSPEC, &contexts[i]), "fi_recv");
}

static fi_addr_t known(const char *other)
{
    fi_addr_t number;
    if (fi_av_insert(av, other, 1, &number, 0, NULL) != 1)
        must(-FI_EINVAL, "fi_av_insert");
    return number;
}

/* The context of what is completed next. */
static struct fi_context2 *completed(void)
{
    struct fi_cq_msg_entry entry;
    long idle = 0;
    ssize_t r;
    while ((r = fi_cq_read(cq, &entry, 1)) == -FI_EAGAIN)
        if (++idle == IDLE)
            must(-FI_ETIMEDOUT, "nothing more has come");
    must((int)r, "fi_cq_read");
    return entry.op_context;
}

static void send_one(fi_addr_t to, size_t size)
{
    ssize_t r;
    struct fi_cq_msg_entry entry;
    int inject = size <= info->tx_attr->inject_size;
    while ((r = inject ? fi_inject(ep, message, size, to) : fi_send(ep, message, size, NULL, to, &sending)) == -FI_EAGAIN)
        fi_cq_read(cq, &entry, 0);
    must((int)r, "sending");
    while (!inject) {
        struct fi_context2 *context = completed();
        if (context == &sending)
            return;
        ahead = (int)(context - contexts) + 1;
    }
}

static void receive_one(void)
{
    struct fi_context2 *context = ahead ? &contexts[ahead - 1] : completed();
    ahead = 0;
    must(fi_recv(ep, buffers[context - contexts], LARGEST, NULL, FI_ADDR_UNSPEC, context), "fi_recv");
}

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

int main(int argc, char **argv)
{
    if (argc < 6)
        return 2;
    long count = atol(argv[3]);
    size_t size = (size_t)atol(argv[4]);
    if (size > LARGEST)
        return 2;
    open_endpoint(argv[2]);
    if (strcmp(argv[1], "pong") == 0) {
        puts("up");
        fflush(stdout);
        receive_one(); /* the caller is there */
        fi_addr_t peer = known(argv[5]);
        send_one(peer, size);
        for (long i = 0; i < count; i++) {
            receive_one();
            send_one(peer, size);
        }
    } else {
        uint64_t *times = calloc((size_t)count, sizeof *times), before;
        fi_addr_t peer = known(argv[5]);
        send_one(peer, size);
        receive_one();
        before = now();
        for (long i = 0; i < count; i++) {
            send_one(peer, size);
            receive_one();
            uint64_t after = now();
            times[i] = after - before;
            before = after;
        }
        for (long i = 0; i < count; i++)
            printf("%llu\n", (unsigned long long)times[i]);
    }
    fi_close(&ep->fid);
    fi_close(&cq->fid);
    fi_close(&av->fid);
    fi_close(&domain->fid);
    fi_close(&fabric->fid);
    return 0;
}
