/* What Catflap has beside Demikernel's calls. */
#ifndef DEMI_CATFLAP_H_IS_INCLUDED
#define DEMI_CATFLAP_H_IS_INCLUDED

#include <demi/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A queue in memory of at most `capacity` arrays, 1 to 1048576; a push beyond that waits for a pop. */
ATTR_NONNULL(1) extern int demi_queue(int *qd_out, int capacity);

enum demi_counter {
    DEMI_LIVE_OBJECTS = -1, /* buffers that the program or the libOS holds */
    DEMI_INLINE = 0,        /* operations that were complete when their call returned */
    DEMI_BLOCKED,           /* operations that were not */
    DEMI_COMPLETED,
    DEMI_FAILED,
    DEMI_COPIED,       /* bytes that the libOS has copied from buffer to buffer */
    DEMI_SYSTEM_CALLS, /* made for operations */
    DEMI_LOOKS,        /* times that the kernel was asked what has changed */
    DEMI_SLEPT,        /* waits that slept */
    DEMI_RINGS,        /* pushes into and pops out of shared memory (Catloop) */
};

extern uint64_t demi_count(enum demi_counter counter);

#ifdef __cplusplus
}
#endif

#endif
