/* libfabric for libos/fabric/libfabric.py: its calls are inline functions over tables of methods. fi_endpoint(3), fi_cq(3),
 * fi_mr(3), fi_av(3). Every call returns 0 or more, or a negative number. */
#include <rdma/fabric.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_eq.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_rma.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

enum { PIECES = 4, BATCH = 16, NOBODY = -1, ADDRESS = 256, PEERS = 65536 };
enum { IDLE = 64 }; /* peers that `shm` may know and nobody needs; it has room for 256 */
enum { RECEIVED = 1, SENT, WRITTEN, READ }; /* structs.pxd, as what follows */
enum { OK, GONE, CANCELED, DENIED, TOO_LONG };
enum { MAY_READ = 1, MAY_WRITE = 2 };
enum { SOURCE = 4, PATIENT = 8 };

struct piece {
    uint64_t address, length, region;
};

struct request {
    uint64_t operation, peer, pieces, count, remote, key, context;
};

struct memory {
    uint64_t address, length, access; /* access 0: of our own requests */
};

struct completion {
    uint64_t context, length;
    uint32_t operation, status, peer, pad;
};

struct operation {
    struct fi_context2 theirs; /* first: the fabric names it */
    struct operation *next; /* while it is free */
    uint64_t context, peer;
    uint32_t operation, out;
};

struct window {
    struct fid_mr *mr;
    uint64_t base;
    size_t next; /* free one, while it is free itself */
};

struct peer {
    char name[ADDRESS + 1];
    unsigned length; /* 0: nobody has this number */
    int idle; /* forgotten, and still known to the provider */
};

struct endpoint {
    struct fi_info *info;
    struct fid_fabric *fabric;
    struct fid_domain *domain;
    struct fid_av *av;
    struct fid_cq *cq;
    struct fid_ep *ep;
    struct operation *operations, *free, *failed;
    size_t count;
    struct window *windows;
    size_t room, unused;
    int descriptor, tells; /* tells: who sent a message */
    struct peer *peers; /* by their numbers, of which `numbers` have ever been given */
    size_t numbers, idle;
    const char *files; /* where peers of `shm` have theirs */
    struct peer own;
};

/* What poll(2) can wait on is not in every provider: without it nothing ever rings. */
static int open_queue(struct endpoint *e)
{
    struct fi_cq_attr attr = {.size = e->count, .format = FI_CQ_FORMAT_MSG, .wait_obj = FI_WAIT_FD};
    int r = fi_cq_open(e->domain, &attr, &e->cq, NULL);
    if (r == 0)
        return fi_control(&e->cq->fid, FI_GETWAIT, &e->descriptor);
    attr.wait_obj = FI_WAIT_NONE;
    return fi_cq_open(e->domain, &attr, &e->cq, NULL);
}

EXPORT int catflap_fabric_close(struct endpoint *e, uintptr_t unused)
{
    (void)unused;
    if (e->ep)
        fi_close(&e->ep->fid);
    for (size_t i = 0; i < e->room; i++)
        if (e->windows[i].mr)
            fi_close(&e->windows[i].mr->fid);
    if (e->cq)
        fi_close(&e->cq->fid);
    if (e->av)
        fi_close(&e->av->fid);
    if (e->domain)
        fi_close(&e->domain->fid);
    if (e->fabric)
        fi_close(&e->fabric->fid);
    if (e->info)
        fi_freeinfo(e->info);
    free(e->operations);
    free(e->windows);
    free(e->peers);
    free(e);
    return 0;
}

/* An endpoint of a provider on an interface, by its address, or on what the provider takes by itself (""). */
EXPORT int catflap_fabric_open(struct endpoint **made, const char *provider, const char *node)
{
    struct endpoint *e = calloc(1, sizeof *e);
    struct fi_info *hints = fi_allocinfo();
    int r = -FI_ENOMEM;
    if (!e || !hints)
        goto out;
    e->descriptor = -1;
    e->files = strcmp(provider, "shm") == 0 ? "/dev/shm/" : NULL;
    e->tells = !e->files; /* which says that it was peer 0, when it is one that we have not named */
    hints->caps = FI_MSG | FI_RMA | FI_SEND | FI_RECV | FI_READ | FI_WRITE | FI_REMOTE_READ | FI_REMOTE_WRITE;
    hints->mode = FI_CONTEXT | FI_CONTEXT2;
    hints->ep_attr->type = FI_EP_RDM;
    hints->domain_attr->mr_mode = FI_MR_LOCAL | FI_MR_VIRT_ADDR | FI_MR_ALLOCATED | FI_MR_PROV_KEY | FI_MR_ENDPOINT;
    hints->domain_attr->threading = FI_THREAD_DOMAIN;
    hints->domain_attr->resource_mgmt = FI_RM_ENABLED;
    hints->tx_attr->msg_order = hints->rx_attr->msg_order = FI_ORDER_SAS;
    hints->fabric_attr->prov_name = strdup(provider);
    r = fi_getinfo(FI_VERSION(1, 14), *node ? node : NULL, NULL, *node ? FI_SOURCE : 0, hints, &e->info);
    if (r == 0)
        e->tells = e->tells && e->info->caps & FI_SOURCE;
    if (r == 0)
        r = fi_fabric(e->info->fabric_attr, &e->fabric, NULL);
    if (r == 0)
        r = fi_domain(e->fabric, e->info, &e->domain, NULL);
    if (r == 0) {
        struct fi_av_attr attr = {.type = FI_AV_TABLE};
        r = fi_av_open(e->domain, &attr, &e->av, NULL);
    }
    if (r == 0) {
        e->count = e->info->tx_attr->size + e->info->rx_attr->size;
        e->operations = calloc(e->count, sizeof *e->operations);
        r = e->operations ? open_queue(e) : -FI_ENOMEM;
    }
    for (size_t i = 0; r == 0 && i < e->count; i++) {
        e->operations[i].next = e->free;
        e->free = &e->operations[i];
    }
    if (r == 0)
        r = fi_endpoint(e->domain, e->info, &e->ep, NULL);
    if (r == 0)
        r = fi_ep_bind(e->ep, &e->av->fid, 0);
    if (r == 0)
        r = fi_ep_bind(e->ep, &e->cq->fid, FI_TRANSMIT | FI_RECV);
    if (r == 0)
        r = fi_enable(e->ep);
out:
    if (hints)
        fi_freeinfo(hints);
    if (r != 0 && e)
        catflap_fabric_close(e, 0);
    *made = r == 0 ? e : NULL;
    return r;
}

/* What it can do: capabilities, receives, requests, pieces, the descriptor of the bell, the longest message to inject. */
EXPORT int catflap_fabric_limits(struct endpoint *e, int64_t *limits)
{
    size_t pieces = e->info->tx_attr->iov_limit < PIECES ? e->info->tx_attr->iov_limit : PIECES;
    limits[0] = PATIENT | (e->tells ? SOURCE : 0);
    limits[1] = (int64_t)e->info->rx_attr->size;
    limits[2] = (int64_t)e->info->tx_attr->size;
    limits[3] = (int64_t)pieces;
    limits[4] = e->descriptor;
    limits[5] = (int64_t)e->info->tx_attr->inject_size;
    return 0;
}

/* Our address: its length. */
EXPORT int catflap_fabric_address(struct endpoint *e, char *address, uintptr_t room)
{
    size_t length = sizeof e->own.name - 1;
    int r = fi_getname(&e->ep->fid, e->own.name, &length);
    if (r != 0 || length > room)
        return r < 0 ? r : -FI_ETOOSMALL;
    e->own.length = (unsigned)length;
    memcpy(address, e->own.name, length);
    return (int)length;
}

/* Whether bytes from elsewhere can be an address of the kind that we have ourselves. */
static int possible(const struct endpoint *e, const char *address, size_t length)
{
    if (length == 0 || length > ADDRESS)
        return 0;
    if (strncmp(e->own.name, "fi_", 3) != 0)
        return length == e->own.length && memcmp(address, e->own.name, 2) == 0;
    for (size_t i = 0; i < length; i++) /* a name, ended by a zero */
        if ((address[i] == 0) != (i == length - 1) || address[i] < 0)
            return 0;
    return strncmp(address, "fi_", 3) == 0;
}

/* Have the provider forget who is idle. `shm` numbers peers anew when one comes back, and the peer, as long as it lives, goes
 * on with its old number: so only those go whose files are gone. */
static void sweep(struct endpoint *e)
{
    char path[ADDRESS + 16];
    for (size_t i = 0; e->idle && i < e->numbers; i++) {
        struct peer *p = &e->peers[i];
        fi_addr_t number = i;
        if (!p->length || !p->idle)
            continue;
        if (e->files && strchr(p->name, '/')) {
            snprintf(path, sizeof path, "%s%s", e->files, strrchr(p->name, '/') + 1);
            if (access(path, F_OK) == 0)
                continue;
        }
        fi_av_remove(e->av, &number, 1, 0);
        p->length = 0;
        p->idle = 0;
        e->idle--;
    }
}

static int remember(struct endpoint *e, size_t number, const char *address, size_t length)
{
    if (number >= e->numbers) {
        struct peer *more = realloc(e->peers, (number + 1) * sizeof *more);
        if (!more)
            return 0;
        memset(more + e->numbers, 0, (number + 1 - e->numbers) * sizeof *more);
        e->peers = more;
        e->numbers = number + 1;
    }
    memcpy(e->peers[number].name, address, length);
    e->peers[number].name[length] = 0;
    e->peers[number].length = (unsigned)length;
    return 1;
}

/* The number of a peer, the same each time. */
EXPORT int catflap_fabric_peer(struct endpoint *e, const char *address, uintptr_t length)
{
    char name[ADDRESS + 1] = {0};
    fi_addr_t number;
    if (!possible(e, address, length))
        return -1;
    for (size_t i = 0; i < e->numbers; i++)
        if (e->peers[i].length == length && memcmp(e->peers[i].name, address, length) == 0) {
            e->idle -= (size_t)e->peers[i].idle;
            e->peers[i].idle = 0;
            return (int)i;
        }
    if (e->idle >= IDLE)
        sweep(e);
    memcpy(name, address, length);
    if (fi_av_insert(e->av, name, 1, &number, 0, NULL) != 1 || number >= PEERS)
        return -1;
    return remember(e, number, address, length) ? (int)number : -1;
}

/* Nothing more is sent to it, and what is out is not wanted any more. */
EXPORT int catflap_fabric_forget(struct endpoint *e, uintptr_t peer)
{
    for (size_t i = 0; i < e->count; i++)
        if (e->operations[i].out && e->operations[i].operation != RECEIVED && e->operations[i].peer == peer)
            fi_cancel(&e->ep->fid, &e->operations[i].theirs);
    if (peer < e->numbers && e->peers[peer].length && !e->peers[peer].idle) {
        e->peers[peer].idle = 1;
        e->idle++;
    }
    if (!e->files)
        sweep(e);
    return 0;
}

static int grow(struct endpoint *e)
{
    size_t room = e->room ? e->room * 2 : 64;
    struct window *more = realloc(e->windows, room * sizeof *more);
    if (!more)
        return -FI_ENOMEM;
    e->windows = more;
    for (size_t i = e->room; i < room; i++)
        more[i] = (struct window){.next = i + 1};
    e->unused = e->room;
    e->room = room;
    return 0;
}

/* Memory for requests of ours or, with some access, for a peer's: the number of its region or window. */
EXPORT int catflap_fabric_register(struct endpoint *e, const struct memory *m)
{
    struct window *w;
    uint64_t access = FI_SEND | FI_RECV | FI_READ | FI_WRITE, key = 0;
    uint64_t mode = (uint64_t)e->info->domain_attr->mr_mode;
    size_t number, bytes = e->info->domain_attr->mr_key_size;
    int r;
    if (e->unused == e->room && (r = grow(e)) != 0)
        return r;
    number = e->unused;
    w = &e->windows[number];
    if (m->access)
        access = (m->access & MAY_READ ? FI_REMOTE_READ : 0) | (m->access & MAY_WRITE ? FI_REMOTE_WRITE : 0);
    /* a key that nobody can guess, where the choice is ours */
    if (!(mode & FI_MR_PROV_KEY) && getrandom(&key, bytes < 8 ? bytes : 8, 0) < 0)
        return -FI_EOTHER;
    r = fi_mr_reg(e->domain, (void *)m->address, m->length, access, 0, key, 0, &w->mr, NULL);
    if (r == 0 && mode & FI_MR_ENDPOINT) {
        r = fi_mr_bind(w->mr, &e->ep->fid, 0);
        if (r == 0)
            r = fi_mr_enable(w->mr);
        if (r != 0)
            fi_close(&w->mr->fid);
    }
    if (r != 0) {
        w->mr = NULL;
        return r;
    }
    w->base = mode & FI_MR_VIRT_ADDR ? m->address : 0;
    e->unused = w->next;
    return (int)number;
}

EXPORT int catflap_fabric_deregister(struct endpoint *e, uintptr_t number)
{
    struct window *w = &e->windows[number];
    int r = fi_close(&w->mr->fid);
    w->mr = NULL;
    w->next = e->unused;
    e->unused = number;
    return r;
}

/* What a peer needs to know of a window: the address of its first byte, and its key. */
EXPORT int catflap_fabric_named(struct endpoint *e, uintptr_t number, uint64_t *name)
{
    name[0] = e->windows[number].base;
    name[1] = fi_mr_key(e->windows[number].mr);
    return 0;
}

/* 1, or 0 where the queue is full. */
EXPORT int catflap_fabric_ask(struct endpoint *e, const struct request *q)
{
    const struct piece *pieces = (const struct piece *)q->pieces;
    struct iovec memory[PIECES];
    void *descriptions[PIECES];
    struct operation *o = e->free;
    size_t length = 0;
    ssize_t r;
    if (!o || q->count > PIECES)
        return 0;
    for (size_t i = 0; i < q->count; i++) {
        memory[i] = (struct iovec){(void *)pieces[i].address, pieces[i].length};
        descriptions[i] = fi_mr_desc(e->windows[pieces[i].region].mr);
        length += pieces[i].length;
    }
    o->context = q->context;
    o->operation = (uint32_t)q->operation;
    o->peer = q->peer;
    if (q->operation == SENT) {
        struct fi_msg msg = {memory, descriptions, q->count, q->peer, o, 0};
        r = fi_sendmsg(e->ep, &msg, FI_COMPLETION);
    } else {
        struct fi_rma_iov remote = {q->remote, length, q->key};
        struct fi_msg_rma msg = {memory, descriptions, q->count, q->peer, &remote, 1, o, 0};
        /* a write that only has left would be called done though the peer refuses it */
        r = q->operation == READ ? fi_readmsg(e->ep, &msg, FI_COMPLETION)
                                 : fi_writemsg(e->ep, &msg, FI_COMPLETION | FI_DELIVERY_COMPLETE);
    }
    if (r == -FI_EAGAIN)
        return 0;
    e->free = o->next;
    o->out = r == 0;
    if (r < 0) { /* it is completed already: by a failure */
        o->next = e->failed;
        e->failed = o;
    }
    return 1;
}

/* A receive: 1, or 0 where the queue is full. */
EXPORT int catflap_fabric_receive(struct endpoint *e, const struct piece *p, uint64_t context)
{
    struct operation *o = e->free;
    if (!o)
        return 0;
    o->context = context;
    o->operation = RECEIVED;
    if (fi_recv(e->ep, (void *)p->address, p->length, fi_mr_desc(e->windows[p->region].mr), FI_ADDR_UNSPEC, o) != 0)
        return 0;
    e->free = o->next;
    o->out = 1;
    return 1;
}

/* A short message, of which nothing more is heard: 1, or 0. */
EXPORT int catflap_fabric_inject(struct endpoint *e, uintptr_t peer, const struct piece *p)
{
    return fi_inject(e->ep, (void *)p->address, p->length, peer) == 0;
}

static void finish(struct endpoint *e, struct operation *o, struct completion *d, uint32_t status, size_t length, fi_addr_t peer)
{
    *d = (struct completion){o->context, o->operation == RECEIVED ? length : 0, o->operation, status, (uint32_t)NOBODY, 0};
    if (o->operation == RECEIVED && e->tells && peer != FI_ADDR_NOTAVAIL)
        d->peer = (uint32_t)peer;
    o->out = 0;
    o->next = e->free;
    e->free = o;
}

static uint32_t status_of(int error)
{
    switch (error) {
    case FI_ECANCELED: return CANCELED;
    case FI_EACCES: case FI_EPERM: case FI_EKEYREJECTED: case FI_EINVAL: case FI_EFAULT: case FI_EIO: return DENIED;
    case FI_ETRUNC: case FI_ETOOSMALL: case FI_EMSGSIZE: return TOO_LONG;
    default: return GONE;
    }
}

/* How many completions there were. */
EXPORT int catflap_fabric_poll(struct endpoint *e, struct completion *completions, uintptr_t limit)
{
    struct fi_cq_msg_entry entries[BATCH];
    fi_addr_t peers[BATCH];
    uintptr_t n = 0;
    while (e->failed && n < limit) {
        struct operation *o = e->failed;
        e->failed = o->next;
        finish(e, o, &completions[n++], GONE, 0, FI_ADDR_NOTAVAIL);
    }
    while (n < limit) {
        size_t want = limit - n < BATCH ? limit - n : BATCH;
        ssize_t r = e->tells ? fi_cq_readfrom(e->cq, entries, want, peers) : fi_cq_read(e->cq, entries, want);
        if (r == -FI_EAVAIL) {
            struct fi_cq_err_entry error = {0};
            if (fi_cq_readerr(e->cq, &error, 0) != 1)
                break;
            if (error.op_context)
                finish(e, error.op_context, &completions[n++], status_of(error.err), error.len, FI_ADDR_NOTAVAIL);
            continue;
        }
        if (r <= 0)
            break;
        for (ssize_t i = 0; i < r; i++)
            finish(e, entries[i].op_context, &completions[n++], OK, entries[i].len, e->tells ? peers[i] : FI_ADDR_NOTAVAIL);
        if ((size_t)r < want)
            break;
    }
    return (int)n;
}

/* 1: whoever sleeps on the descriptor will be woken. */
EXPORT int catflap_fabric_arm(struct endpoint *e, uintptr_t unused)
{
    struct fid *queue = &e->cq->fid;
    (void)unused;
    return e->descriptor >= 0 && fi_trywait(e->fabric, &queue, 1) == 0;
}
