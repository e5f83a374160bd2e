/* The predicate of a filter: arrays that begin with a 0. */
#include <demi/types.h>

int keeps(const demi_sgarray_t *sga, void *context)
{
    (void)context;
    return *(const char *)sga->sga_segs[0].sgaseg_buf == 0;
}
