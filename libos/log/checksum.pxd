cdef extern from "libos/log/checksum.h" nogil:
    unsigned int crc32c "checksum_crc32c" (size_t a, unsigned long long n, unsigned int before) noexcept
