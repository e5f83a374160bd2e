/* Connections of libfabric's verbs provider: messages with a window, and memory that the other side may read and write. */
#pragma once

#include <rdma/fabric.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_eq.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_rma.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    SIZE = 1 << 20, /* of the largest message, and of what is shown */
    WINDOW = 8,     /* messages on their way at a time */
    GUARD = 4096,   /* bytes on either side of what is shown */
};
#define PORT "7471"

/* An operation, and how it ended: `error` is libfabric's, 0 for none, `cause` the provider's; `size` is what came. */
struct work {
    bool done;
    int error, cause;
    size_t size;
};

/* What each side tells the other of what it shows. */
struct offer {
    uint64_t address, key;
};

struct link {
    struct fid_ep *end;
    struct fid_mr *memory_region, *shown_region;
    char *incoming, *outgoing; /* WINDOW messages each */
    char *shown;               /* SIZE bytes */
    struct work received[WINDOW], sent[WINDOW];
    bool sending[WINDOW];
    unsigned next;      /* of the messages received */
    struct offer offer; /* the target's */
};

enum direction { WRITE, READ };

static struct fi_info *info;
static struct fid_fabric *fabric;
static struct fid_eq *events;
static struct fid_pep *listener;
static struct fid_domain *domain;
static struct fid_cq *completions;

static void die(const char *what, long error)
{
    fprintf(stderr, "fabric: %s: %s\n", what, fi_strerror((int)labs(error)));
    exit(1);
}

static void must(const char *what, long result)
{
    if (result < 0)
        die(what, result);
}

#define REQUIRE(condition) require(condition, #condition)

static void require(bool right, const char *what)
{
    if (!right) {
        fprintf(stderr, "fabric: wrong: %s\n", what);
        exit(1);
    }
}

/* Words that follow from `seed` and their place. */
static uint64_t word(uint64_t seed, size_t place)
{
    return (seed + place + 1) * 0x9e3779b97f4a7c15;
}

static void fill(char *memory, size_t size, uint64_t seed)
{
    for (size_t i = 0; i < size / 8; i++)
        ((uint64_t *)memory)[i] = word(seed, i);
}

static bool holds(const char *memory, size_t size, uint64_t seed)
{
    uint64_t differences = 0;
    for (size_t i = 0; i < size / 8; i++)
        differences |= ((const uint64_t *)memory)[i] ^ word(seed, i);
    return !differences;
}

/* Is what lies on either side of what is shown as it was made? */
static bool guarded(const struct link *link)
{
    return holds(link->shown - GUARD, GUARD, 0) && holds(link->shown + SIZE, GUARD, 0);
}

static void open_fabric(const char *address, uint64_t flags)
{
    struct fi_eq_attr attributes = {.wait_obj = FI_WAIT_UNSPEC};
    struct fi_info *hints = fi_allocinfo();
    hints->caps = FI_MSG | FI_RMA;
    hints->ep_attr->type = FI_EP_MSG;
    hints->domain_attr->mr_mode = FI_MR_LOCAL | FI_MR_ALLOCATED | FI_MR_PROV_KEY | FI_MR_VIRT_ADDR;
    hints->addr_format = FI_SOCKADDR_IN;
    hints->fabric_attr->prov_name = strdup("verbs");
    must("fi_getinfo", fi_getinfo(FI_VERSION(1, 17), address, PORT, flags, hints, &info));
    fi_freeinfo(hints);
    must("fi_fabric", fi_fabric(info->fabric_attr, &fabric, NULL));
    must("fi_eq_open", fi_eq_open(fabric, &attributes, &events, NULL));
}

static void open_domain(struct fi_info *from)
{
    struct fi_cq_attr attributes = {.format = FI_CQ_FORMAT_MSG, .wait_obj = FI_WAIT_UNSPEC, .size = 256};
    must("fi_domain", fi_domain(fabric, from, &domain, NULL));
    must("fi_cq_open", fi_cq_open(domain, &attributes, &completions, NULL));
}

static void open_initiator(const char *address)
{
    open_fabric(address, 0);
    open_domain(info);
}

/* When this returns, connections may come. */
static void open_target(const char *address)
{
    open_fabric(address, FI_SOURCE);
    must("fi_passive_ep", fi_passive_ep(fabric, info, &listener, NULL));
    must("fi_pep_bind", fi_pep_bind(listener, &events->fid, 0));
    must("fi_listen", fi_listen(listener));
}

/* Waits for an event and what comes with it. */
static void await_event(uint32_t wanted, struct fi_eq_cm_entry *entry, size_t size)
{
    uint32_t event;
    ssize_t result;
    do {
        event = 0;
        result = fi_eq_sread(events, &event, entry, size, -1, 0);
        if (result == -FI_EAVAIL) {
            struct fi_eq_err_entry error = {0};
            fi_eq_readerr(events, &error, 0);
            die("event", error.err);
        }
        if (result != -FI_EAGAIN && result != -FI_EINTR)
            must("fi_eq_sread", result);
    } while (result < 0 || event == FI_SHUTDOWN); /* an earlier connection has ended, as it should */
    REQUIRE(event == wanted);
}

/* Waits for the end of an operation; its error. */
static int await(struct work *work)
{
    while (!work->done) {
        struct fi_cq_msg_entry entry = {0};
        struct fi_cq_err_entry error = {0};
        ssize_t count = fi_cq_sread(completions, &entry, 1, NULL, -1);
        if (count == -FI_EAGAIN || count == -FI_EINTR)
            continue;
        if (count == -FI_EAVAIL) {
            count = fi_cq_readerr(completions, &error, 0);
            entry.op_context = error.op_context;
        }
        must("a completion", count);
        *(struct work *)entry.op_context = (struct work){true, error.err, error.prov_errno, entry.len};
    }
    return work->error;
}

static void finish(const char *what, struct work *work)
{
    int error = await(work);
    if (error)
        die(what, error);
}

static void expect(struct link *link, unsigned place)
{
    link->received[place] = (struct work){0};
    must("fi_recv", fi_recv(link->end, link->incoming + (size_t)place * SIZE, SIZE, fi_mr_desc(link->memory_region), 0,
                            &link->received[place]));
}

static void make_link(struct link *link, struct fi_info *from)
{
    enum { MESSAGES = WINDOW * SIZE };
    *link = (struct link){.incoming = aligned_alloc(GUARD, 2 * MESSAGES + 2 * GUARD + SIZE)};
    link->outgoing = link->incoming + MESSAGES;
    link->shown = link->outgoing + MESSAGES + GUARD;
    fill(link->shown - GUARD, GUARD, 0);
    fill(link->shown + SIZE, GUARD, 0);
    must("fi_mr_reg", fi_mr_reg(domain, link->incoming, 2 * MESSAGES, FI_SEND | FI_RECV | FI_READ | FI_WRITE, 0, 0, 0,
                                &link->memory_region, NULL));
    must("fi_mr_reg", fi_mr_reg(domain, link->shown, SIZE, FI_REMOTE_READ | FI_REMOTE_WRITE, 0, 1, 0,
                                &link->shown_region, NULL));
    must("fi_endpoint", fi_endpoint(domain, from, &link->end, NULL));
    must("fi_ep_bind", fi_ep_bind(link->end, &events->fid, 0));
    must("fi_ep_bind", fi_ep_bind(link->end, &completions->fid, FI_TRANSMIT | FI_RECV));
    must("fi_enable", fi_enable(link->end));
    for (unsigned place = 0; place < WINDOW; place++)
        expect(link, place);
}

/* Room for an event with an offer behind it. */
union greeting {
    struct fi_eq_cm_entry entry;
    char room[sizeof(struct fi_eq_cm_entry) + sizeof(struct offer)];
};

static void accept_link(struct link *link)
{
    union greeting greeting;
    await_event(FI_CONNREQ, &greeting.entry, sizeof greeting);
    if (!domain)
        open_domain(greeting.entry.info);
    make_link(link, greeting.entry.info);
    struct offer offer = {(uint64_t)(uintptr_t)link->shown, fi_mr_key(link->shown_region)};
    must("fi_accept", fi_accept(link->end, &offer, sizeof offer));
    fi_freeinfo(greeting.entry.info);
    await_event(FI_CONNECTED, &greeting.entry, sizeof greeting);
}

static void connect_link(struct link *link)
{
    union greeting greeting;
    make_link(link, info);
    must("fi_connect", fi_connect(link->end, info->dest_addr, NULL, 0));
    await_event(FI_CONNECTED, &greeting.entry, sizeof greeting);
    memcpy(&link->offer, greeting.entry.data, sizeof link->offer);
}

static void close_link(struct link *link)
{
    fi_close(&link->end->fid);
    fi_close(&link->memory_region->fid);
    fi_close(&link->shown_region->fid);
    free(link->incoming);
}

/* The next message; it stays until it is released. */
static char *take(struct link *link, size_t *size)
{
    unsigned place = link->next % WINDOW;
    finish("receiving", &link->received[place]);
    *size = link->received[place].size;
    return link->incoming + (size_t)place * SIZE;
}

static void release(struct link *link)
{
    expect(link, link->next++ % WINDOW);
}

/* Begins to send the first `size` bytes of the outgoing message `place`. */
static void put(struct link *link, unsigned place, size_t size)
{
    link->sent[place] = (struct work){0};
    link->sending[place] = true;
    must("fi_send", fi_send(link->end, link->outgoing + (size_t)place * SIZE, size, fi_mr_desc(link->memory_region), 0,
                            &link->sent[place]));
}

/* All that was put is sent. */
static void flush(struct link *link)
{
    for (unsigned place = 0; place < WINDOW; place++)
        if (link->sending[place]) {
            finish("sending", &link->sent[place]);
            link->sending[place] = false;
        }
}

/* A word, which says nothing but that this side is ready. */
static void say(struct link *link)
{
    put(link, WINDOW - 1, 8);
    flush(link);
}

static void hear(struct link *link)
{
    size_t size;
    take(link, &size);
    release(link);
}

/* Writes the first outgoing message to `address` on the other side, or reads it from there: why it failed, or NULL. */
static const char *remote(struct link *link, enum direction direction, uint64_t address, uint64_t key)
{
    struct work work = {0};
    void *desc = fi_mr_desc(link->memory_region);
    if (direction == WRITE)
        must("fi_write", fi_write(link->end, link->outgoing, SIZE, desc, 0, address, key, &work));
    else
        must("fi_read", fi_read(link->end, link->outgoing, SIZE, desc, 0, address, key, &work));
    return await(&work) ? fi_cq_strerror(completions, work.cause, NULL, NULL, 0) : NULL;
}
