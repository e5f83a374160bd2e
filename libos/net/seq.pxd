cdef inline unsigned int add(unsigned int a, long long n) noexcept nogil:
    return <unsigned int>(a + n)

cdef inline long long diff(unsigned int a, unsigned int b) noexcept nogil:
    return <unsigned int>(a - b)

cdef inline long long gap(unsigned int a, unsigned int b) noexcept nogil:
    return <int>(a - b)

cdef inline bint lt(unsigned int a, unsigned int b) noexcept nogil:
    return <int>(a - b) < 0

cdef inline bint le(unsigned int a, unsigned int b) noexcept nogil:
    return <int>(a - b) <= 0

cdef inline bint gt(unsigned int a, unsigned int b) noexcept nogil:
    return <int>(b - a) < 0

cdef inline bint ge(unsigned int a, unsigned int b) noexcept nogil:
    return <int>(b - a) <= 0

cdef inline long long milliseconds(long long n) noexcept nogil:
    return n * 1000000

cdef inline unsigned int low32(unsigned long long n) noexcept nogil:
    return <unsigned int>n

cdef inline unsigned long long words(unsigned int upper, unsigned int lower) noexcept nogil:
    return <unsigned long long>upper << 32 | lower

cdef inline long long number(long long n) noexcept nogil:
    return n

cdef inline long long earlier(long long a, long long b) noexcept nogil:
    return b if a == 0 or (b != 0 and b < a) else a

cdef inline long long shift(long long n, long long bits) noexcept nogil:
    return n << bits
