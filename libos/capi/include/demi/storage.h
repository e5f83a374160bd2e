/* Logs of Cattree: a queue that outlives the program, on the volume that `--cattree=FILE` among the words of demi_init, or the
 * environment's CATTREE, names: a file, made if it is not there, or a block device. With `--cattree-shared=FILE`, or
 * CATTREE_SHARED, several processes have it. Demikernel's C interface has none of it. */
#ifndef DEMI_STORAGE_H_IS_INCLUDED
#define DEMI_STORAGE_H_IS_INCLUDED

#include <demi/types.h>
#include <fcntl.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The queue of a log, its cursor at the beginning. demi_push appends an element, and is complete when that is durable; demi_pop
 * brings the next element. O_CREAT makes the log, O_TRUNC empties it; both are durable when this returns. */
ATTR_NONNULL(1, 2) extern int demi_open(int *qd_out, const char *name, int flags);

/* Up to `size` bytes from `offset` on, wherever elements end: an operation as a pop, whose cursor stays. */
ATTR_NONNULL(1) extern int demi_pread(demi_qtoken_t *qt_out, int qd, size_t size, int64_t offset);

/* These are done when they return. Offsets are those of bytes, and stay what they are. */
ATTR_NONNULL(4) extern int demi_lseek(int qd, int64_t offset, int whence, int64_t *offset_out);
ATTR_NONNULL(2, 3) extern int demi_bounds(int qd, int64_t *first_out, int64_t *end_out);
extern int demi_truncate(int qd, int64_t offset);
extern int demi_ftruncate(int qd, int64_t length);
ATTR_NONNULL(1) extern int demi_unlink(const char *name);
ATTR_NONNULL(1, 2) extern int demi_rename(const char *from, const char *to);

/* The names of the logs that begin with `prefix`, in the order of their bytes, each with a zero behind it; `*size_out`: bytes that
 * they need. ERANGE when those are more than `room`. */
ATTR_NONNULL(1, 4) extern int demi_names(const char *prefix, char *names, size_t room, size_t *size_out);

#ifdef __cplusplus
}
#endif

#endif
