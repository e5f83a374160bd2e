/* Descriptor number -> description. Lock-free, two levels; pages come from the kernel when a number in them is first
 * bound. An entry is a description's address, 0 (nothing known), (reason << 2 | 1): the kernel's, and why, or that of a young
 * socket (young.c). */
#include "trap.h"

_Atomic(entry_t *) descriptor_pages[PAGE_COUNT];
static _Atomic unsigned page_top; /* no page at or above this one has ever been made */
_Atomic int descriptor_top;       /* no number at or above this one has ever been ours */

static entry_t *new_page(unsigned page)
{
    size_t size = sizeof(entry_t) << PAGE_BITS;
    entry_t *entries = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (entries == MAP_FAILED)
        return NULL;
    entry_t *other = NULL;
    if (!atomic_compare_exchange_strong(&descriptor_pages[page], &other, entries)) {
        munmap(entries, size);
        return other;
    }
    unsigned top = atomic_load(&page_top);
    while (top <= page && !atomic_compare_exchange_weak(&page_top, &top, page + 1))
        ;
    return entries;
}

entry_t *descriptor_entry(int fd, bool make)
{
    unsigned page = (unsigned)fd >> PAGE_BITS;
    entry_t *entries = page < PAGE_COUNT ? atomic_load(&descriptor_pages[page]) : NULL;
    if (!entries && make && page < PAGE_COUNT)
        entries = new_page(page);
    int top = atomic_load(&descriptor_top);
    while (entries && make && top <= fd && !atomic_compare_exchange_weak(&descriptor_top, &top, fd + 1))
        ;
    return entries ? &entries[fd & ((1 << PAGE_BITS) - 1)] : NULL;
}

/* Bind a number to a description, or with NULL to the kernel for `reason` (0: nothing known). 0, or -1 beyond the table. */
int descriptor_bind(int fd, void *description, int reason)
{
    entry_t *at = descriptor_entry(fd, description || reason);
    if (!at)
        return description ? -1 : 0;
    uintptr_t kernels = reason ? (uintptr_t)reason << 2 | 1 : 0;
    atomic_store_explicit(at, description ? (uintptr_t)description : kernels, memory_order_release);
    return 0;
}

int descriptor_reason(int fd)
{
    uintptr_t e = entry(fd);
    return (e & 3) == 1 ? (int)(e >> 2) : 0;
}

void *descriptor_forget(int fd)
{
    entry_t *at = descriptor_entry(fd, false);
    uintptr_t e = at ? atomic_exchange(at, 0) : 0;
    return e & 1 ? NULL : (void *)e;
}

bool descriptor_next(unsigned *fd, unsigned last, bool own)
{
    unsigned top = atomic_load(&page_top) << PAGE_BITS;
    for (; *fd <= last && *fd < top; ++*fd) {
        if (!atomic_load(&descriptor_pages[*fd >> PAGE_BITS])) {
            *fd |= (1u << PAGE_BITS) - 1;
            continue;
        }
        if (own ? descriptor_reason((int)*fd) == CATFLAP_OWN : known((int)*fd))
            return true;
    }
    return false;
}
