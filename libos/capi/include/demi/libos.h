/* Queues and operations on them. Every call returns 0 or a positive errno; its man page lists them. */
#ifndef DEMI_LIBOS_H_IS_INCLUDED
#define DEMI_LIBOS_H_IS_INCLUDED

#include <demi/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Once, before everything else. */
ATTR_NONNULL(1) extern int demi_init(const struct demi_args *args);

ATTR_NONNULL(1) extern int demi_socket(int *sockqd_out, int domain, int type, int protocol);
ATTR_NONNULL(2) extern int demi_bind(int sockqd, const struct sockaddr *addr, socklen_t size);
extern int demi_listen(int sockqd, int backlog);
extern int demi_close(int qd);

/* These start an operation and write its qtoken; demi_wait and the others bring the result. */
ATTR_NONNULL(1) extern int demi_accept(demi_qtoken_t *qt_out, int sockqd);
ATTR_NONNULL(1, 3)
extern int demi_connect(demi_qtoken_t *qt_out, int sockqd, const struct sockaddr *addr, socklen_t size);
ATTR_NONNULL(1, 3) extern int demi_push(demi_qtoken_t *qt_out, int qd, const demi_sgarray_t *sga);
ATTR_NONNULL(1, 3, 4)
extern int demi_pushto(demi_qtoken_t *qt_out, int sockqd, const demi_sgarray_t *sga, const struct sockaddr *dest_addr,
                       socklen_t size);
ATTR_NONNULL(1) extern int demi_pop(demi_qtoken_t *qt_out, int qd);

ATTR_NONNULL(4) extern int demi_setsockopt(int qd, int level, int optname, const void *optval, socklen_t optlen);
ATTR_NONNULL(4, 5) extern int demi_getsockopt(int qd, int level, int optname, void *optval, socklen_t *optlen);
ATTR_NONNULL(2, 3) extern int demi_getpeername(int qd, struct sockaddr *addr, socklen_t *addrlen);
ATTR_NONNULL(2, 3) extern int demi_getsockname(int qd, struct sockaddr *addr, socklen_t *addrlen);

#ifdef __cplusplus
}
#endif

#endif
