/* Types of the calls: scatter-gather arrays, qtokens, results. All structs are packed; libos/capi/library.c and a test check
 * their sizes. */
#ifndef DEMI_TYPES_H_IS_INCLUDED
#define DEMI_TYPES_H_IS_INCLUDED

#include <demi/cc.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Segments that an array may have. */
#define DEMI_SGARRAY_MAXSIZE 20

/* Stands for an operation in flight, until a wait has brought its result. */
typedef uint64_t demi_qtoken_t;

#pragma pack(push, 1)

typedef struct demi_sgaseg {
    void *sgaseg_buf;    /* memory of demi_sgaalloc */
    uint32_t sgaseg_len; /* bytes */
} demi_sgaseg_t;

typedef struct demi_sgarray {
    void *sga_buf;        /* the libOS's own */
    uint32_t sga_numsegs; /* 0: a null array */
    demi_sgaseg_t sga_segs[DEMI_SGARRAY_MAXSIZE];
    __extension__ union {        /* where a popped datagram came from, by its family */
        struct sockaddr_in sga_addr;
        struct sockaddr_in6 sga_addr6;
    };
} demi_sgarray_t;

typedef enum demi_opcode {
    DEMI_OPC_INVALID = 0,
    DEMI_OPC_PUSH,
    DEMI_OPC_POP,
    DEMI_OPC_ACCEPT,
    DEMI_OPC_CONNECT,
    DEMI_OPC_CLOSE,
    DEMI_OPC_FAILED, /* qr_ret is the errno */
} demi_opcode_t;

typedef struct demi_accept_result {
    int32_t qd;           /* of the new connection */
    __extension__ union { /* of its peer, by its family */
        struct sockaddr_in addr;
        struct sockaddr_in6 addr6;
    };
} demi_accept_result_t;

typedef struct demi_qresult {
    enum demi_opcode qr_opcode;
    int32_t qr_qd;
    demi_qtoken_t qr_qt;
    int64_t qr_ret; /* 0, or a positive errno */
    union {
        demi_sgarray_t sga;        /* push: the array as it was given; pop: what was popped, to be freed */
        demi_accept_result_t ares; /* accept */
    } qr_value;
} demi_qresult_t;

/* Called with a name, its length, and nanoseconds; for libOSes that measure themselves. */
typedef void (*demi_log_callback_t)(const char *name, uint32_t length, uint64_t nanoseconds);

struct demi_args {
    int argc;
    char *const *argv; /* --catnap, --catloop or --catmint chooses the libOS, --cattree=FILE a volume of logs */
    demi_log_callback_t callback;
};

#pragma pack(pop)

#ifdef __cplusplus
}
#endif

#endif
