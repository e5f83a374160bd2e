/* Scatter-gather arrays of the libOS's heap. */
#ifndef DEMI_SGA_H_IS_INCLUDED
#define DEMI_SGA_H_IS_INCLUDED

#include <demi/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One segment of `size` bytes; a null array when there is no such memory. */
extern demi_sgarray_t demi_sgaalloc(size_t size);

/* Safe while a push of it is in flight. */
ATTR_NONNULL(1) extern int demi_sgafree(demi_sgarray_t *sga);

#ifdef __cplusplus
}
#endif

#endif
