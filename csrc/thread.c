/* Threads: who is inside, who sleeps on what, private stacks, and grace periods.
 *
 * A thread that enters makes its sequence odd with a plain store; whoever retires a description asks the kernel for a
 * barrier in all threads (membarrier) instead of making every entry pay for one. Records are recycled, never unmapped,
 * so that they can be read while their thread ends. */
#include "trap.h"

#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

#ifndef RECORDS
#define RECORDS (1 << 14) /* threads at a time */
#endif

__thread struct thread *self;
static struct thread records[RECORDS]; /* zero pages until used */
static struct thread outsider = {.outsider = 1};
static _Atomic int record_top;
static _Atomic int barrier_registered;
static pthread_key_t end_key;
static pthread_once_t end_once = PTHREAD_ONCE_INIT;

int64_t host_thread_begin(void);
void host_thread_end(void);

/* Whatever it was doing, it does no more. */
static void outside(struct thread *t)
{
    uint64_t sequence = atomic_load(&t->sequence);
    atomic_store(&t->sequence, sequence + (sequence & 1));
}

static void gone(struct thread *t)
{
    t->depth = t->guard = t->has_state = 0;
    outside(t);
    atomic_store(&t->used, 0);
}

static void bell_close(struct thread *t)
{
    descriptor_bind(t->bell_fd, NULL, 0);
    syscall(SYS_close, t->bell_fd);
}

static void thread_end(void *record)
{
    struct thread *t = record;
    if (t->qtoken && atomic_load(&host_state) == STATE_UP)
        HOT(t, dropped, t->qtoken, 0, 0, 0, 0);
    t->qtoken = 0;
    if (t->bell > 0 && atomic_load(&host_state) == STATE_UP) {
        bell_close(t);
        SLOW(t, free_bell, t->bell, 0, 0, 0, 0);
    }
    t->bell = 0;
    if (t->has_state == 2 && atomic_load(&host_state) == STATE_UP)
        host_thread_end();
    self = NULL;
    gone(t);
}

static void make_key(void) { pthread_key_create(&end_key, thread_end); }

/* The calling thread's record. Never fails: past RECORDS threads all others are one outsider, whose calls are the kernel's. */
struct thread *thread_join(void)
{
    pthread_once(&end_once, make_key);
    int i = 0, free_record = 0;
    while (i < RECORDS && !atomic_compare_exchange_strong(&records[i].used, &free_record, 1)) {
        free_record = 0;
        i++;
    }
    if (i == RECORDS)
        return self = &outsider;
    int top = atomic_load(&record_top);
    while (top <= i && !atomic_compare_exchange_weak(&record_top, &top, i + 1))
        ;
    self = &records[i];
    pthread_setspecific(end_key, self);
    return self;
}

static bool on_alternate_stack(void)
{
    stack_t current;
    return sigaltstack(NULL, &current) == 0 && (current.ss_flags & SS_ONSTACK);
}

/* Called at entry when the record says that an earlier trap has not ended. Either a signal handler interrupted it (then
 * its frame is deeper on the stack than ours) or the program jumped out of it (then it is not). */
void thread_repair(struct thread *t, uintptr_t frame)
{
    bool jumped_inside = t->depth && frame >= t->frame;
    bool jumped_asleep = t->qtoken && frame >= t->sleep_frame;
    if (!(jumped_inside || jumped_asleep) || on_alternate_stack())
        return;
    if (jumped_inside) {
        t->depth = 0;
        outside(t);
    }
    if (jumped_asleep) {
        uint64_t qtoken = t->qtoken;
        t->qtoken = 0;
        HOT(t, dropped, qtoken, 0, 0, 0, 0);
    }
}

/* In a forked child: only this thread is left. */
void thread_forked(void)
{
    int top = atomic_load(&record_top);
    for (int i = 0; i < top; i++) {
        struct thread *t = &records[i];
        if (t->bell > 0) /* our copy: the parent's thread goes on using its own */
            bell_close(t);
        t->bell = 0;
        if (t == self)
            continue;
        t->forking = t->qtoken = 0;
        gone(t);
    }
    atomic_store(&barrier_registered, 0);
}

void grace_begin(void)
{
    if (!atomic_exchange(&barrier_registered, 1))
        syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0)
        sched_yield();
    int top = atomic_load(&record_top);
    for (int i = 0; i < top; i++)
        records[i].seen = atomic_load(&records[i].sequence);
}

int grace_passed(void)
{
    int top = atomic_load(&record_top);
    for (int i = 0; i < top; i++)
        if (&records[i] != self && (records[i].seen & 1) && atomic_load(&records[i].sequence) == records[i].seen)
            return 0;
    return 1;
}

/* Wait until every thread that is inside now has left: bounded, since nobody sleeps inside. */
void grace_wait(void)
{
    grace_begin();
    for (int turns = 0; !grace_passed() && turns < 10000; turns++)
        sched_yield();
}

/* int64_t switch_stack(function, arguments[5], top): call on another stack, unwindable. */
int64_t switch_stack(void *function, const int64_t *arguments, void *top);
__asm__(".text; .type switch_stack, @function\n"
        "switch_stack: .cfi_startproc\n"
        "pushq %rbp; .cfi_def_cfa_offset 16; .cfi_offset %rbp, -16\n"
        "movq %rsp, %rbp; .cfi_def_cfa_register %rbp\n"
        "movq %rdx, %rsp; movq %rdi, %rax; movq %rsi, %r10\n"
        "movq 0(%r10), %rdi; movq 8(%r10), %rsi; movq 16(%r10), %rdx; movq 24(%r10), %rcx; movq 32(%r10), %r8\n"
        "call *%rax\n"
        "movq %rbp, %rsp; popq %rbp; .cfi_def_cfa %rsp, 8; ret\n"
        ".cfi_endproc; .size switch_stack, .-switch_stack\n");

bool map_stack(struct thread *t)
{
    char *base = mmap(NULL, STACK_SIZE + GUARD_SIZE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (base == MAP_FAILED)
        return false;
    mprotect(base, GUARD_SIZE, PROT_NONE);
    t->stack = base;
    return true;
}

int64_t slow_call(struct thread *t, void *function, int64_t a, int64_t b, int64_t c, int64_t d, int64_t e)
{
    int64_t arguments[5] = {a, b, c, d, e};
    int error = errno, cancel;
    if (t->guard)
        return switch_stack(function, arguments, __builtin_frame_address(0) - 512); /* already on the private stack */
    if (!t->stack && !map_stack(t))
        return CATFLAP_STALE;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    t->guard++;
    if (!t->has_state && atomic_load(&host_state) == STATE_UP) {
        int64_t none[5] = {0};
        t->has_state = 1 + (int)switch_stack((void *)host_thread_begin, none, t->stack + GUARD_SIZE + STACK_SIZE - 64);
    }
    int64_t r = switch_stack(function, arguments, t->stack + GUARD_SIZE + STACK_SIZE - 64);
    t->guard--;
    pthread_setcancelstate(cancel, NULL);
    atomic_signal_fence(memory_order_seq_cst);
    if (unlikely(t->deferred && !t->depth))
        signal_deliver(t);
    errno = error;
    return r;
}
