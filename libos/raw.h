/* Raw memory order and raw kernel entry for the compiled modules: inlined where they are called.
 * The interpreted twins of these functions are in raw_ctypes.py; raw.pxd names both. */
#ifndef CATFLAP_RAW_H
#define CATFLAP_RAW_H

#include <stdint.h>
#include <string.h>

static inline uint64_t raw_load(uintptr_t a) { return __atomic_load_n((uint64_t *)a, __ATOMIC_ACQUIRE); }
static inline uint32_t raw_load32(uintptr_t a) { return __atomic_load_n((uint32_t *)a, __ATOMIC_ACQUIRE); }
static inline void raw_store(uintptr_t a, uint64_t v) { __atomic_store_n((uint64_t *)a, v, __ATOMIC_RELEASE); }
static inline void raw_store32(uintptr_t a, uint32_t v) { __atomic_store_n((uint32_t *)a, v, __ATOMIC_RELEASE); }

/* Each returns the value before the operation. */
static inline uint64_t raw_fetch_or(uintptr_t a, uint64_t v) { return __atomic_fetch_or((uint64_t *)a, v, __ATOMIC_SEQ_CST); }
static inline uint64_t raw_fetch_and(uintptr_t a, uint64_t v) { return __atomic_fetch_and((uint64_t *)a, v, __ATOMIC_SEQ_CST); }
static inline uint64_t raw_fetch_add(uintptr_t a, uint64_t v) { return __atomic_fetch_add((uint64_t *)a, v, __ATOMIC_SEQ_CST); }

static inline int raw_compare_exchange(uintptr_t a, uint64_t expected, uint64_t desired)
{
    return __atomic_compare_exchange_n((uint64_t *)a, &expected, desired, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static inline void raw_copy(uintptr_t d, uintptr_t s, uint64_t n) { memcpy((void *)d, (const void *)s, n); }

/* A word with bit n set, 0 <= n < 64, and a word's complement: plain integers differ between the two modes here. */
static inline uint64_t raw_bit(uint64_t n) { return 1ull << n; }
static inline uint64_t raw_not(uint64_t v) { return ~v; }

/* Index of the lowest set bit; v is not 0 (Lemire's iteration stands on this one instruction). */
static inline int raw_ctz(uint64_t v) { return __builtin_ctzll(v); }

/* How many bits v needs, and how many of them are set. */
static inline int raw_width(uint64_t v) { return v ? 64 - __builtin_clzll(v) : 0; }
static inline int raw_population(uint64_t v) { return __builtin_popcountll(v); }

/* A system call that no preload can see: result or -errno, as the kernel gives it. Never a cancellation point. */
static inline long raw_syscall(long n, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long r;
    __asm__ volatile("syscall"
                     : "=a"(r)
                     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return r;
}

#endif
