/* CRC-32C (Castagnoli; RFC 3720, B.4): by the processor's instruction where it has one, else by a table of nibbles.
 * The interpreted twin is checksum_table.py. */
#ifndef CATFLAP_CHECKSUM_H
#define CATFLAP_CHECKSUM_H

#include <stdint.h>
#include <string.h>

__attribute__((target("sse4.2"))) static uint32_t checksum_fast(const unsigned char *p, uint64_t n, uint32_t crc)
{
    uint64_t c = crc, word;
    for (; n >= 8; n -= 8, p += 8) {
        memcpy(&word, p, 8);
        c = __builtin_ia32_crc32di(c, word);
    }
    for (; n; n--)
        c = __builtin_ia32_crc32qi((uint32_t)c, *p++);
    return (uint32_t)c;
}

static uint32_t checksum_slow(const unsigned char *p, uint64_t n, uint32_t crc)
{
    static const uint32_t nibble[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
        0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };
    while (n--) {
        crc ^= *p++;
        crc = nibble[crc & 15] ^ crc >> 4;
        crc = nibble[crc & 15] ^ crc >> 4;
    }
    return crc;
}

static inline uint32_t checksum_crc32c(uintptr_t a, uint64_t n, uint32_t before)
{
    const unsigned char *p = (const unsigned char *)a;
    return ~(__builtin_cpu_supports("sse4.2") ? checksum_fast(p, n, ~before) : checksum_slow(p, n, ~before));
}

#endif
