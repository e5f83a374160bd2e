/* Functions for queues: what a program compiles and gives to filter, map and sort. */
#include <ctype.h>
#include <demi/types.h>

/* Whether an array begins with the byte at `context`, by default y. */
int begins(const demi_sgarray_t *sga, void *context)
{
    const char *first = sga->sga_segs[0].sgaseg_buf;
    return *first == (context ? *(const char *)context : 'y');
}

/* Keeps all, and counts segments and bytes in the two words at `context`. */
int counts(const demi_sgarray_t *sga, void *context)
{
    uint64_t *found = context;
    for (uint32_t i = 0; i < sga->sga_numsegs; i++)
        found[0]++, found[1] += sga->sga_segs[i].sgaseg_len;
    return 1;
}

/* Fails for arrays that begin with n. */
int fails(demi_sgarray_t *sga, void *context)
{
    (void)context;
    return *(char *)sga->sga_segs[0].sgaseg_buf == 'n' ? -7 : 1;
}

int upper(demi_sgarray_t *sga, void *context)
{
    (void)context;
    for (uint32_t i = 0; i < sga->sga_numsegs; i++) {
        char *bytes = sga->sga_segs[i].sgaseg_buf;
        for (uint32_t j = 0; j < sga->sga_segs[i].sgaseg_len; j++)
            bytes[j] = (char)toupper(bytes[j]);
    }
    return 0;
}

/* Takes the first two bytes, and all segments but the first. */
int behind(demi_sgarray_t *sga, void *context)
{
    (void)context;
    sga->sga_numsegs = 1;
    sga->sga_segs[0].sgaseg_buf = (char *)sga->sga_segs[0].sgaseg_buf + 2;
    sga->sga_segs[0].sgaseg_len -= 2;
    return 0;
}

int beyond(demi_sgarray_t *sga, void *context)
{
    (void)context;
    sga->sga_segs[0].sgaseg_len++;
    return 0;
}

int before(demi_sgarray_t *sga, void *context)
{
    (void)context;
    sga->sga_segs[0].sgaseg_buf = (char *)sga->sga_segs[0].sgaseg_buf - 1;
    return 0;
}

int more(demi_sgarray_t *sga, void *context)
{
    (void)context;
    sga->sga_numsegs++;
    return 0;
}

int nothing(demi_sgarray_t *sga, void *context)
{
    (void)context;
    sga->sga_numsegs = 0;
    return 0;
}

/* The shorter first. */
int shorter(const demi_sgarray_t *one, const demi_sgarray_t *other, void *context)
{
    (void)context;
    return (int)one->sga_segs[0].sgaseg_len - (int)other->sga_segs[0].sgaseg_len;
}
