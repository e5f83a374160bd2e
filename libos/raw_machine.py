"""Atomic operations for interpreted mode that hold between processes too: a few bytes of machine code each, as Python
and ctypes have none. x86-64, System V calling convention: address in rdi, values in rsi and rdx, result in rax.
"""

import ctypes

LOAD_OLD = "48 89 f0"  # mov rax, rsi
AGAIN = "f0 48 0f b1 0f 75 f3 c3"  # lock cmpxchg [rdi], rcx; jne back; ret
CODE = {
    "compare_exchange": f"{LOAD_OLD} f0 48 0f b1 17 0f 94 c0 0f b6 c0 c3",  # lock cmpxchg [rdi], rdx; sete; movzx; ret
    "exchange": f"{LOAD_OLD} 48 87 07 c3",  # xchg [rdi], rax; ret
    "fetch_add": f"{LOAD_OLD} f0 48 0f c1 07 c3",  # lock xadd [rdi], rax; ret
    "fetch_or": f"48 8b 07 48 89 c1 48 09 f1 {AGAIN}",  # mov rax, [rdi]; mov rcx, rax; or rcx, rsi
    "fetch_and": f"48 8b 07 48 89 c1 48 21 f1 {AGAIN}",
    "fence": "0f ae f0 c3",  # mfence; ret
}
ARGUMENTS = {"compare_exchange": 3, "fence": 0}
PROT_READ_WRITE, PROT_READ_EXEC, PRIVATE_ANONYMOUS = 3, 5, 0x22


def functions(syscall):
    """{name: function}; empty where nothing may be made executable (systemd's MemoryDenyWriteExecute, SELinux)."""
    page = syscall(9, 0, 4096, PROT_READ_WRITE, PRIVATE_ANONYMOUS, -1, 0)  # mmap
    if page <= 0:
        return {}
    places = {}
    at = page
    for name, code in CODE.items():
        text = bytes.fromhex(code)
        ctypes.memmove(at, text, len(text))
        places[name] = at
        at += 64
    if syscall(10, page, 4096, PROT_READ_EXEC) != 0:  # mprotect
        syscall(11, page, 4096)  # munmap
        return {}
    made = {}
    for name, place in places.items():
        result = None if name == "fence" else ctypes.c_bool if name == "compare_exchange" else ctypes.c_uint64
        made[name] = ctypes.PYFUNCTYPE(result, *[ctypes.c_uint64] * ARGUMENTS.get(name, 2))(place)
    return made
