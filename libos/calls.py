"""The kernel calls of the inline paths, by name. Compiled code takes them from the C headers (calls.pxd)."""

from errno import EOPNOTSUPP as UNSUPPORTED  # noqa: F401

DONTWAIT = 0x40  # MSG_DONTWAIT: an inline attempt never sleeps, whatever the descriptor's mode
READ_WRITE = 3  # PROT_READ | PROT_WRITE
RESERVED = 0x4022  # MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
SYS_mmap = 9
SYS_connect = 42
SYS_sendto = 44
SYS_recvfrom = 45
SYS_sendmsg = 46
SYS_recvmsg = 47
SYS_accept4 = 288
