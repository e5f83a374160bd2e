cdef extern from "libos/net/octets.h" nogil:
    unsigned int get8 "octets_get8" (size_t a) noexcept
    unsigned int get16 "octets_get16" (size_t a) noexcept
    unsigned int get32 "octets_get32" (size_t a) noexcept
    unsigned long long get48 "octets_get48" (size_t a) noexcept
    unsigned long long get64 "octets_get64" (size_t a) noexcept
    void put8 "octets_put8" (size_t a, unsigned int v) noexcept
    void put16 "octets_put16" (size_t a, unsigned int v) noexcept
    void put32 "octets_put32" (size_t a, unsigned int v) noexcept
    void put48 "octets_put48" (size_t a, unsigned long long v) noexcept
    void put64 "octets_put64" (size_t a, unsigned long long v) noexcept
    void copy "octets_copy" (size_t d, size_t s, long long n) noexcept
    void move "octets_move" (size_t d, size_t s, long long n) noexcept
    void zero "octets_zero" (size_t d, long long n) noexcept
    unsigned int sum "octets_sum" (size_t a, long long n, unsigned int sum) noexcept
    unsigned long long remainder "octets_remainder" (size_t a, long long n) noexcept
    unsigned long long hash "octets_hash" (unsigned long long k0, unsigned long long k1, unsigned long long a, unsigned long long b, unsigned long long c, unsigned long long d, unsigned long long e, unsigned long long f) noexcept
    unsigned long long mix "octets_mix" (unsigned long long key, unsigned long long a, unsigned long long b, unsigned long long c) noexcept
