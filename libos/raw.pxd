cdef extern from "libos/raw.h" nogil:
    unsigned long long load "raw_load" (size_t a) noexcept
    unsigned int load32 "raw_load32" (size_t a) noexcept
    void store "raw_store" (size_t a, unsigned long long v) noexcept
    void store32 "raw_store32" (size_t a, unsigned int v) noexcept
    unsigned long long fetch_or "raw_fetch_or" (size_t a, unsigned long long v) noexcept
    unsigned long long fetch_and "raw_fetch_and" (size_t a, unsigned long long v) noexcept
    unsigned long long fetch_add "raw_fetch_add" (size_t a, unsigned long long v) noexcept
    bint compare_exchange "raw_compare_exchange" (size_t a, unsigned long long expected, unsigned long long desired) noexcept
    bint compare_exchange_own "raw_compare_exchange_own" (size_t a, unsigned long long expected, unsigned long long desired) noexcept
    void prefetch "raw_prefetch" (size_t a) noexcept
    void claim "raw_claim" (size_t a) noexcept
    unsigned long long exchange "raw_exchange" (size_t a, unsigned long long v) noexcept
    void copy "raw_copy" (size_t d, size_t s, unsigned long long n) noexcept
    unsigned long long bit "raw_bit" (unsigned long long n) noexcept
    unsigned long long invert "raw_not" (unsigned long long v) noexcept
    int ctz "raw_ctz" (unsigned long long v) noexcept
    void fence "raw_fence" () noexcept
    void pause "raw_pause" () noexcept
    long long now "raw_now" () noexcept
    bint ended "raw_ended" (long pid) noexcept
    bint replaced "raw_replaced" (long pid, size_t at) noexcept
    int running "raw_running" () noexcept
    long long waited "raw_waited" () noexcept
    int polled "raw_polled" (long fd, int events) noexcept
    long kernel_sent "raw_kernel_sent" (long fd) noexcept
    long kernel_received "raw_kernel_received" (long fd) noexcept
    int width "raw_width" (unsigned long long v) noexcept
    int population "raw_population" (unsigned long long v) noexcept
    int call2 "raw_call2" (size_t function, size_t a, size_t b) noexcept
    int call3 "raw_call3" (size_t function, size_t a, size_t b, size_t c) noexcept
    long syscall "raw_syscall" (long n, long a, long b, long c, long d, long e, long f) noexcept

cdef extern from "libos/raw.h":
    size_t view_at "raw_view_at" (object view) noexcept
    object memory "raw_memory" (size_t a, unsigned long long n)

cdef extern from *:
    # The address of a compiled function, to be put into a table of native entries.
    size_t address_of "(size_t)" (...) noexcept
