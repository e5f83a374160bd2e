cdef enum:
    SGA_BUF = 0
    SGA_COUNT = 8
    SGA_SEGMENTS = 12
    SGA_SEGMENT = 12
    SGA_ADDRESS = 252
    SGA_SIZE = 280
    QR_OPCODE = 0
    QR_QD = 4
    QR_QT = 8
    QR_RET = 16
    QR_VALUE = 24
    QR_SIZE = 304
    ARES_ADDRESS = 4
    LOWEST = 4096
