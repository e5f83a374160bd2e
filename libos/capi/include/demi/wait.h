/* Waiting for operations. A time-out is an interval, NULL for ever, {0, 0} for a look. */
#ifndef DEMI_WAIT_H_IS_INCLUDED
#define DEMI_WAIT_H_IS_INCLUDED

#include <demi/types.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

ATTR_NONNULL(1) extern int demi_wait(demi_qresult_t *qr_out, demi_qtoken_t qt, const struct timespec *timeout);

/* One of `num_qts` qtokens, taken in turn; `ready_offset` gets its index. */
ATTR_NONNULL(1, 2, 3)
extern int demi_wait_any(demi_qresult_t *qr_out, int *ready_offset, const demi_qtoken_t qts[], int num_qts,
                         const struct timespec *timeout);

/* At least one and at most `num_qrs` results, of whatever operations; `qrs_out` gets how many. */
ATTR_NONNULL(1, 3)
extern int demi_wait_next_n(demi_qresult_t qr_out[], int num_qrs, int *qrs_out, const struct timespec *timeout);

#ifdef __cplusplus
}
#endif

#endif
