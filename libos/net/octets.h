/* Octets on the wire and in buffers, for the compiled modules of libos.net; the interpreted twins are in octets_ctypes.py. */
#ifndef CATFLAP_OCTETS_H
#define CATFLAP_OCTETS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline unsigned int octets_get8(uintptr_t a) { return *(const uint8_t *)a; }
static inline void octets_put8(uintptr_t a, unsigned int v) { *(uint8_t *)a = (uint8_t)v; }

/* Network byte order, at any alignment. */
static inline unsigned int octets_get16(uintptr_t a)
{
    uint16_t v;
    memcpy(&v, (const void *)a, 2);
    return __builtin_bswap16(v);
}
static inline unsigned int octets_get32(uintptr_t a)
{
    uint32_t v;
    memcpy(&v, (const void *)a, 4);
    return __builtin_bswap32(v);
}
static inline unsigned long long octets_get64(uintptr_t a)
{
    uint64_t v;
    memcpy(&v, (const void *)a, 8);
    return __builtin_bswap64(v);
}
static inline void octets_put16(uintptr_t a, unsigned int v)
{
    uint16_t w = __builtin_bswap16((uint16_t)v);
    memcpy((void *)a, &w, 2);
}
static inline void octets_put32(uintptr_t a, unsigned int v)
{
    uint32_t w = __builtin_bswap32(v);
    memcpy((void *)a, &w, 4);
}
static inline void octets_put64(uintptr_t a, unsigned long long v)
{
    uint64_t w = __builtin_bswap64(v);
    memcpy((void *)a, &w, 8);
}
static inline unsigned long long octets_get48(uintptr_t a)
{
    return (unsigned long long)octets_get16(a) << 32 | octets_get32(a + 2);
}
static inline void octets_put48(uintptr_t a, unsigned long long v)
{
    octets_put16(a, (unsigned int)(v >> 32));
    octets_put32(a + 2, (unsigned int)v);
}

static inline void octets_copy(uintptr_t d, uintptr_t s, long long n) { memcpy((void *)d, (const void *)s, (size_t)n); }
static inline void octets_move(uintptr_t d, uintptr_t s, long long n) { memmove((void *)d, (const void *)s, (size_t)n); }
static inline void octets_zero(uintptr_t d, long long n) { memset((void *)d, 0, (size_t)n); }

/* Sum of the 16-bit words of n octets, an odd one padded with a zero octet, folded to 16 bits and added to `sum`: RFC 1071. The
 * words are added as the machine reads them and swapped once at the end, which section 2(B) there allows. */
static inline unsigned int octets_sum(uintptr_t a, long long n, unsigned int sum)
{
    const uint8_t *p = (const uint8_t *)a;
    uint64_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    for (; n >= 16; n -= 16, p += 16) {
        uint32_t w[4];
        memcpy(w, p, 16);
        s0 += w[0], s1 += w[1], s2 += w[2], s3 += w[3];
    }
    s0 += s1 + s2 + s3;
    for (; n >= 2; n -= 2, p += 2) {
        uint16_t w;
        memcpy(&w, p, 2);
        s0 += w;
    }
    if (n)
        s0 += *p;
    s0 = (s0 & 0xffffffff) + (s0 >> 32);
    s0 = (s0 & 0xffffffff) + (s0 >> 32);
    s0 = (s0 & 0xffff) + (s0 >> 16);
    s0 = (s0 & 0xffff) + (s0 >> 16);
    s0 = __builtin_bswap16((uint16_t)s0) + (uint64_t)sum;
    s0 = (s0 & 0xffff) + (s0 >> 16);
    return (unsigned int)((s0 & 0xffff) + (s0 >> 16));
}

/* The octets, with zero octets behind them up to a multiple of eight, as one large number: what is left of it when it is divided by
 * 2^61 - 1. Any octet that is another gives another remainder. */
static inline unsigned long long octets_remainder(uintptr_t a, long long n)
{
    const uint64_t prime = (1ull << 61) - 1;
    uint64_t rest = 0;
    for (; n > 0; n -= 8, a += 8) {
        uint64_t w = 0;
        memcpy(&w, (const void *)a, n < 8 ? (size_t)n : 8);
        w = __builtin_bswap64(w);
        rest = (rest << 3 & prime) + (rest >> 58) + (w & prime) + (w >> 61);
        rest = (rest & prime) + (rest >> 61);
    }
    return rest >= prime ? rest - prime : rest;
}

#define OCTETS_ROTATE(x, b) ((x) << (b) | (x) >> (64 - (b)))
#define OCTETS_ROUND                                                                                                            \
    do {                                                                                                                        \
        v0 += v1, v2 += v3, v1 = OCTETS_ROTATE(v1, 13) ^ v0, v3 = OCTETS_ROTATE(v3, 16) ^ v2, v0 = OCTETS_ROTATE(v0, 32);       \
        v2 += v1, v0 += v3, v1 = OCTETS_ROTATE(v1, 17) ^ v2, v3 = OCTETS_ROTATE(v3, 21) ^ v0, v2 = OCTETS_ROTATE(v2, 32);       \
    } while (0)

/* SipHash-2-4 of six words under a key of two (Aumasson and Bernstein, 2012). */
static inline unsigned long long octets_hash(unsigned long long k0, unsigned long long k1, unsigned long long a, unsigned long long b,
                                             unsigned long long c, unsigned long long d, unsigned long long e, unsigned long long f)
{
    uint64_t v0 = k0 ^ 0x736f6d6570736575ull, v1 = k1 ^ 0x646f72616e646f6dull;
    uint64_t v2 = k0 ^ 0x6c7967656e657261ull, v3 = k1 ^ 0x7465646279746573ull;
    const uint64_t words[7] = {a, b, c, d, e, f, 48ull << 56};
    for (int i = 0; i < 7; i++) {
        v3 ^= words[i];
        OCTETS_ROUND;
        OCTETS_ROUND;
        v0 ^= words[i];
    }
    v2 ^= 0xff;
    OCTETS_ROUND;
    OCTETS_ROUND;
    OCTETS_ROUND;
    OCTETS_ROUND;
    return v0 ^ v1 ^ v2 ^ v3;
}

/* A quick mix of words for tables; `key` is secret, so that nobody can choose what collides. */
static inline unsigned long long octets_mix(unsigned long long key, unsigned long long a, unsigned long long b, unsigned long long c)
{
    unsigned long long h = (key ^ a) * 0x9e3779b97f4a7c15ull;
    h = (h ^ h >> 29 ^ b) * 0xbf58476d1ce4e5b9ull;
    h = (h ^ h >> 32 ^ c) * 0x94d049bb133111ebull;
    return h ^ h >> 31;
}

#endif
