"""cffi builder of the host library: abi.h parsed, csrc/host.c compiled in, host.py started at the first call.

`emit(path)` writes the C source of the embedding library; setup.py compiles it against libpython.
"""

import os
import re
import sys
import sysconfig

HERE = os.path.dirname(os.path.abspath(__file__))
CSRC = os.path.join(os.path.dirname(HERE), "csrc")

# what host.c offers to Python, over the preload's services
SERVICES = """
int services_bind(int fd, uintptr_t description, int reason);
void services_grace_begin(void);
int services_grace_passed(void);
void services_die(void);
void services_log(const char *line);
void services_own_thread(void);
void set_native(const char *name, uintptr_t address);
static struct catflap_ops *ops_table;
"""

# A failing init code would print to the program's stderr; this one reports to the log and answers BOOT_FAILED.
INIT = """
try:
    from interpose import host
except BaseException as error:
    from _catflap_host import ffi, lib
    try:
        import traceback
        text = "".join(traceback.format_exception(error))
    except BaseException:
        text = repr(error) + "\\n"
    lib.services_log(("catflap: " + text).encode("utf-8", "replace"))
    @ffi.def_extern(name="catflap_boot", error=5, onerror=lambda *_: 5)
    def boot(shared):
        return 5
"""


def contract():
    """The declarations of abi.h that cffi parses."""
    with open(os.path.join(CSRC, "abi.h")) as f:
        text = f.read()
    return re.search(r"/\* --- parsed by cffi from here --- \*/(.*)/\* --- to here --- \*/", text, re.S).group(1)


def operations(text):
    """[(name, C parameters, does it take the GIL)] of struct catflap_ops, in order."""
    table = re.search(r"struct catflap_ops \{(.*?)\n\};", text, re.S).group(1)
    found, taken = [], table.index("/* from here on the GIL is taken */")
    for match in re.finditer(r"int64_t \(\*(\w+)\)\((.*?)\);", table):
        found.append((match[1], match[2], match.start() > taken))
    return found


def python_paths():
    """The folders of the standard library, then those that may hold cffi's back end.

    An isolated build sees cffi in a folder that is gone afterwards, so the environment's own folders come first.
    """
    import _cffi_backend

    paths = sysconfig.get_paths()
    stdlib = os.path.realpath(paths["stdlib"])
    folders = [stdlib, os.path.join(stdlib, "lib-dynload"), paths["platlib"], paths["purelib"]]
    folders.append(os.path.dirname(os.path.abspath(_cffi_backend.__file__)))
    return list(dict.fromkeys(folders))


def sharing():
    """The text of sharing.py for this Python, as a C string."""
    with open(os.path.join(HERE, "sharing.py")) as f:
        text = f.read() + f"FOLDERS = {python_paths()!r}\n"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').splitlines()
    return " ".join(f'"{line}\\n"' for line in escaped)


def wide(text):
    return 'L"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def places():
    """Where this build's Python is, as the macros of csrc/python.h."""
    return f"""#define CATFLAP_PYTHON_PATHS {", ".join(wide(p) for p in python_paths())}
#define CATFLAP_PYTHON_PREFIX {wide(sys.base_prefix)}
#define CATFLAP_PYTHON_EXECUTABLE {wide(sys.executable)}
"""


def emit(path):
    """Write the C source of the host library to `path`."""
    import cffi

    text = contract()
    ops = operations(text)
    with open(os.path.join(CSRC, "host.c")) as f:
        native = f.read()
    declared = "\n".join(f"int64_t py_{name}({params});" for name, params, _ in ops)
    prelude = f"""
#include <string.h>
{places()}#define CATFLAP_CALLS_LEFT {"py_" if sys.version_info >= (3, 12) else ""}recursion_remaining
#define CATFLAP_SHARING {sharing()}
#define FOR_EACH_OP(X) {" ".join(f"X({name}, {int(gil)})" for name, _, gil in ops)}
#include "abi.h"
static int cffi_start_python(void);
static int64_t catflap_boot(int shared);
{"".join(f"static int64_t py_{name}({params});" for name, params, _ in ops)}
{native}
"""
    ffi = cffi.FFI()
    ffi.embedding_api("")
    ffi.cdef(text + SERVICES)
    ffi.cdef('extern "Python" {\n' + declared + "\nint64_t catflap_boot(int shared);\n}")
    ffi.set_source("_catflap_host", prelude)
    ffi.embedding_init_code(INIT)
    ffi.emit_c_code(path)


if __name__ == "__main__":
    emit(sys.argv[1])
