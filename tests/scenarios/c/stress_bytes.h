/* The bytes of the stress test: each one follows from the seed, the connection, the direction and the offset, so that one
 * lost, doubled, swapped or changed is seen at once; and the dice that everything else is thrown with. */
#ifndef STRESS_BYTES_H
#define STRESS_BYTES_H

#include "scenario.h"

#define GOLDEN 0x9E3779B97F4A7C15ull
#define ENDLESS (1ull << 50) /* the length of a stream that only a death ends */

static uint64_t stress_seed;

static uint64_t mixed(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
    return x ^ (x >> 31);
}

/* --- dice --- */
struct dice {
    uint64_t state;
};

/* Dice of their own for whatever `what` and `which` name; both ends get the same when both ask for the same. */
static struct dice dice_for(const char *what, uint64_t which)
{
    uint64_t state = mixed(stress_seed + GOLDEN) + which * GOLDEN;
    for (; *what; what++)
        state = mixed(state + (unsigned char)*what);
    return (struct dice){state};
}

static uint64_t roll(struct dice *d, uint64_t sides)
{
    d->state += GOLDEN;
    return sides ? mixed(d->state) % sides : 0;
}

static bool one_in(struct dice *d, uint64_t n)
{
    return roll(d, n) == 0;
}

/* Between `low` and `high`, every power of two as likely as the next. */
static uint64_t sized(struct dice *d, uint64_t low, uint64_t high)
{
    int bits_low = 63 - __builtin_clzll(low), bits_high = 63 - __builtin_clzll(high);
    uint64_t power = 1ull << (bits_low + roll(d, (uint64_t)(bits_high - bits_low) + 1));
    uint64_t n = power + roll(d, power);
    return n < low ? low : n > high ? high : n;
}

/* --- content --- */
static uint64_t key_of(int connection, int direction)
{
    return mixed(stress_seed * 31 + (uint64_t)connection * 2 + (uint64_t)direction + 1);
}

static inline uint64_t word_at(uint64_t key, uint64_t index)
{
    return mixed(key + index * GOLDEN);
}

static void content(uint64_t key, uint64_t offset, unsigned char *to, size_t n)
{
    while (n) {
        uint64_t word = word_at(key, offset / 8);
        size_t skip = offset % 8, part = 8 - skip < n ? 8 - skip : n;
        memcpy(to, (unsigned char *)&word + skip, part);
        to += part;
        offset += part;
        n -= part;
    }
}

/* The first byte of `n` that is not the stream's; `n` when all are. */
static size_t first_wrong(uint64_t key, uint64_t offset, const unsigned char *got, size_t n)
{
    for (size_t done = 0; done < n;) {
        uint64_t word = word_at(key, (offset + done) / 8);
        size_t skip = (offset + done) % 8, part = 8 - skip < n - done ? 8 - skip : n - done;
        if (memcmp(got + done, (unsigned char *)&word + skip, part) != 0)
            while (got[done] == ((unsigned char *)&word)[skip])
                done++, skip++;
        else {
            done += part;
            continue;
        }
        return done;
    }
    return n;
}

static void hex(char *to, const unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sprintf(to + 2 * i, "%02x", bytes[i]);
    to[2 * n] = 0;
}

/* Where in any stream of this run the wrong bytes come from: says whether they were lost, doubled or another's. */
static void say_origin(int connections, int connection, int direction, uint64_t offset, const unsigned char *got, size_t n)
{
    enum { ALIKE = 12, SPAN = 48 << 20 };
    if (n < ALIKE) {
        say("too few bytes after it to find out where they come from");
        return;
    }
    unsigned char *region = mmap(NULL, SPAN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    uint64_t start = offset > SPAN / 2 ? offset - SPAN / 2 : 0;
    for (int i = 0; i < connections * 2 && region != MAP_FAILED; i++) {
        int other = (connection * 2 + direction + i) % (connections * 2);
        content(key_of(other / 2, other % 2), start, region, SPAN);
        unsigned char *found = memmem(region, SPAN, got, ALIKE);
        if (!found)
            continue;
        uint64_t at = start + (uint64_t)(found - region);
        say("these bytes are those of connection %d direction %d offset %llu: %lld from where they should be", other / 2,
            other % 2, (unsigned long long)at, (long long)(at - offset));
        munmap(region, SPAN);
        return;
    }
    say("these bytes are nobody's");
}

#endif
