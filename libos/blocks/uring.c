/* io_uring for libos/blocks/uring.py, by liburing, whose functions are mostly inline ones: io_uring(7), io_uring_prep_write(3). */
#include <liburing.h>
#include <stdint.h>
#include <stdlib.h>

#define EXPORT __attribute__((visibility("default")))

struct request {
    uint64_t operation, fd, offset, address, length, flags, tag;
};

enum { WRITE, WRITE_FIXED, READ, FLUSH };

EXPORT int catflap_uring_open(struct io_uring **ring, uintptr_t entries, uintptr_t flags)
{
    int r = -12; /* ENOMEM */
    *ring = calloc(1, sizeof **ring);
    if (*ring && (r = io_uring_queue_init((unsigned)entries, *ring, (unsigned)flags)) < 0) {
        free(*ring);
        *ring = NULL;
    }
    return r < 0 ? r : (*ring)->ring_fd;
}

/* One piece of memory, that requests then name as WRITE_FIXED. */
EXPORT int catflap_uring_register(struct io_uring *ring, uintptr_t address, uintptr_t length)
{
    struct iovec memory = {(void *)address, length};
    return io_uring_register_buffers(ring, &memory, 1);
}

/* 1, or 0 when the queue is full. `address` of a WRITE is an array of `length` iovecs. */
EXPORT int catflap_uring_queue(struct io_uring *ring, const struct request *r)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
    int fd = (int)r->fd;
    if (!sqe)
        return 0;
    if (r->operation == WRITE)
        io_uring_prep_writev2(sqe, fd, (const struct iovec *)r->address, (unsigned)r->length, r->offset, (int)r->flags);
    else if (r->operation == WRITE_FIXED) {
        io_uring_prep_write_fixed(sqe, fd, (const void *)r->address, (unsigned)r->length, r->offset, 0);
        sqe->rw_flags = (int)r->flags;
    } else if (r->operation == READ)
        io_uring_prep_read(sqe, fd, (void *)r->address, (unsigned)r->length, r->offset);
    else
        io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
    io_uring_sqe_set_data64(sqe, r->tag);
    return 1;
}

EXPORT int catflap_uring_submit(struct io_uring *ring, uintptr_t least)
{
    return least ? io_uring_submit_and_wait(ring, (unsigned)least) : io_uring_submit(ring);
}

/* 1 with the tag and the result of a finished request; 0 when there is none. */
EXPORT int catflap_uring_completion(struct io_uring *ring, uint64_t *done)
{
    struct io_uring_cqe *cqe;
    if (io_uring_peek_cqe(ring, &cqe) != 0 || !cqe)
        return 0;
    done[0] = cqe->user_data;
    done[1] = (uint64_t)(int64_t)cqe->res;
    io_uring_cqe_seen(ring, cqe);
    return 1;
}

EXPORT int catflap_uring_close(struct io_uring *ring, uintptr_t unused)
{
    (void)unused;
    io_uring_queue_exit(ring);
    free(ring);
    return 0;
}
