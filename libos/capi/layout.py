"""Offsets in the structs of include/demi/types.h, which are packed; layout.pxd has them for compiled code."""

SGA_BUF = 0  # struct demi_sgarray
SGA_COUNT = 8
SGA_SEGMENTS = 12
SGA_SEGMENT = 12  # bytes of a struct demi_sgaseg: pointer, then length in 32 bits
SGA_ADDRESS = 252
SGA_SIZE = 280
QR_OPCODE = 0  # struct demi_qresult
QR_QD = 4
QR_QT = 8
QR_RET = 16
QR_VALUE = 24
QR_SIZE = 304
ARES_ADDRESS = 4  # struct demi_accept_result, behind its qd
LOWEST = 4096  # what lies below is no pointer of a program
