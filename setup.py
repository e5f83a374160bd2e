"""Build of Catflap: the preload library (C), the host library (cffi embedding) and the compiled modules (Cython).

One list says what is compiled: HOT_MODULES of libos/mode.py. Everything else stays interpreted Python.
"""

import compileall
import contextlib
import glob
import os
import platform
import re
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from libos import mode  # noqa: E402

CSRC = os.path.join(HERE, "csrc")
CAPI = os.path.join(HERE, "libos", "capi")
PRELOAD_SOURCES = [
    "next.c",
    "descriptors.c",
    "boot.c",
    "thread.c",
    "young.c",
    "trap_socket.c",
    "trap_exec.c",
    "trap_leave.c",
    "trap_syscall.c",
    "trap_io.c",
    "trap_ready.c",
    "wait.c",
    "trap_descriptor.c",
    "trap_file.c",
    "trap_interfaces.c",
    "trap_process.c",
    "trap_signal.c",
]
CFLAGS = ["-O2", "-g", "-std=gnu11", "-Wall", "-Wextra", "-fvisibility=hidden", "-fno-strict-aliasing", "-fPIC"]
# glibc declares poll's array as written only, so gcc takes it for uninitialised where a trap reads it
PRELOAD_CFLAGS = [*CFLAGS, "-ftls-model=initial-exec", "-Wno-maybe-uninitialized"]
# of DPDK's libraries: what every port needs, and the drivers that there are here
DPDK = (
    *("eal", "ethdev", "mbuf", "mempool", "mempool_ring", "mempool_stack", "ring", "stack", "net", "kvargs", "meter"),
    *("telemetry", "rcu", "hash", "pci", "timer", "cryptodev", "security", "vhost", "dmadev", "bus_vdev", "bus_pci"),
    *("net_memif", "net_virtio", "net_vhost", "net_af_packet"),
    *("net_e1000", "net_ixgbe", "net_i40e", "net_iavf", "net_ice", "net_ena", "net_vmxnet3", "common_iavf"),
)
# what cffi and Cython generate is not ours to tidy
HOST_CFLAGS = [*CFLAGS, "-Wno-unused-parameter", "-Wno-missing-field-initializers"]
# fewer mappings: each module's way into memory is on the path of a program's first socket; no start files: what runs at
# the end would touch a page of each in every forked child
MODULE_LDFLAGS = ["-Wl,-z,noseparate-code", "-Wl,-z,norelro", "-nostartfiles"]
MODULE_CFLAGS = [
    "-O2",
    "-g1",  # names and lines; what variables hold would cost a quarter of the time
    "-fvisibility=hidden",
    "-fno-strict-aliasing",
    "-Wno-unused-function",
    "-Wno-sign-compare",
]


def refuse(message):
    sys.exit(f"catflap: {message}")


def check_platform():
    """One line and a stop where this machine can't build Catflap; nothing half-built is left behind."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        refuse(f"unsupported platform {sys.platform} {platform.machine()}: Catflap needs x86-64 Linux")
    if platform.libc_ver()[0] != "glibc":
        refuse("unsupported C library: Catflap needs glibc (musl and others are not supported)")
    if sys.implementation.name != "cpython" or not (3, 11) <= sys.version_info[:2] <= (3, 13):
        refuse(f"unsupported Python {platform.python_version()}: Catflap needs CPython 3.11, 3.12 or 3.13")
    package = f"libpython3.{sys.version_info[1]}-dev"
    if not libpython():
        refuse(
            f"this Python has no shared libpython: install it (Debian: apt-get install {package}; "
            "pyenv: PYTHON_CONFIGURE_OPTS=--enable-shared)"
        )
    if not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")):
        refuse(f"Python.h is missing: apt-get install {package}")
    if not answers([*compiler(), "--version"]):
        refuse(f"no C compiler ({compiler()[0]}): apt-get install gcc libc6-dev")
    if not answers([*compiler(), "-fsyntax-only", "-xc", "-include", "sys/socket.h", os.devnull]):
        refuse("the headers of the C library are missing: apt-get install libc6-dev")


def answers(command):
    """True when `command` can be run and ends with 0."""
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0
    except OSError:
        return False


def asked(command):
    """What `command` prints, without the end of the line; nothing where it can't be run or fails."""
    try:
        return subprocess.check_output(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True).strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def compiler():
    """The C compiler's command, as words."""
    return (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split() or ["cc"]


def libpython():
    """Path of the shared libpython of this interpreter, or None."""
    name = sysconfig.get_config_var("INSTSONAME") or ""
    if ".so" not in name:
        return None
    folders = [sysconfig.get_config_var("LIBDIR"), os.path.join(sys.base_prefix, "lib")]
    folders.append(os.path.join(sysconfig.get_config_var("LIBDIR") or "", sysconfig.get_config_var("MULTIARCH") or ""))
    for folder in folders:
        if folder and os.path.exists(os.path.join(folder, name)):
            return os.path.join(folder, name)
    return None


class BuildAll(build_ext):
    """Cython modules by setuptools; then the shared libraries, which are no Python extensions, beside them."""

    strict = ()

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or len(os.sched_getaffinity(0))

    def run(self):
        check_platform()
        super().run()
        root = HERE if self.inplace else self.build_lib
        self.build_preload(os.path.join(root, "interpose", "libcatflap.so"))
        self.build_host(os.path.join(root, "interpose", "libcatflap_host.so"))
        self.build_face(os.path.join(root, "libos", "capi", "libdemikernel.so"))
        self.build_uring(os.path.join(root, "libos", "blocks", "libcatflap_uring.so"))
        self.build_fabric(os.path.join(root, "libos", "fabric", "libcatflap_fabric.so"))
        self.build_dpdk(os.path.join(root, "libos", "devices", "libcatflap_dpdk.so"))
        # the host never writes bytecode into a user's tree, so it finds it ready made
        for package in mode.FOLDERS:
            compileall.compile_dir(os.path.join(root, package), maxlevels=0, quiet=1)

    def translate(self):
        """Python to C: where the C file of each module is."""
        try:
            from Cython.Build import cythonize
        except ImportError:
            refuse("Cython is missing: pip install 'cython>=3.1'")
        say(f"translating {len(mode.HOT_MODULES)} modules to C, those that changed")
        modules = [Extension(name, [name.replace(".", "/") + ".py"]) for name in mode.HOT_MODULES]
        # a declaration is compiled into every module that uses it; Cython looks at the module's own only
        generated = [os.path.join("build", "cython", module.name.replace(".", "/") + ".c") for module in modules]
        cythonize(
            modules,
            nthreads=self.parallel,
            force=self.force or not all(fresh(target, below("*.pxd")) for target in generated),
            quiet=True,
            build_dir="build/cython",
            language_level=3,
            compiler_directives={
                "annotation_typing": False,
                "boundscheck": False,
                "wraparound": False,
                "initializedcheck": False,
            },
        )
        return dict(zip(mode.HOT_MODULES, generated, strict=True))

    def build_extensions(self):
        self.generated = self.translate()
        super().build_extensions()

    def build_extension(self, extension):
        """Compiled modules in one library, of which each has its own way in (PyInit_...)."""
        sources = [self.generated[name] for name in mode.LIBRARIES[extension.name.rpartition(".")[2]]]
        with ThreadPoolExecutor(self.parallel) as pool:
            objects = list(pool.map(self.compiled, sources))
        target = self.get_ext_fullpath(extension.name)
        if self.force or not fresh(target, [__file__, *objects]):
            self.compiler.link_shared_object(objects, target, extra_postargs=MODULE_LDFLAGS, target_lang="c")

    def compiled(self, source):
        """The object file of a generated C file."""
        target = os.path.join(self.build_temp, source.removesuffix(".c") + ".o")
        if self.force or not fresh(target, [__file__, source, *below("*.h"), os.path.join(CSRC, "abi.h")]):
            say(f"compiling {os.path.relpath(source, 'build/cython').removesuffix('.c').replace('/', '.')}")
            self.compiler.compile(
                [source], output_dir=self.build_temp, include_dirs=[HERE, CSRC], extra_postargs=MODULE_CFLAGS
            )
        return target

    def build_preload(self, target):
        sources = [os.path.join(CSRC, name) for name in PRELOAD_SOURCES]
        table = os.path.join(HERE, "interpose", "traps.py")
        if not self.force and fresh(target, [__file__, table, *csrc()]):
            return
        from interpose import traps

        self.mkpath(self.build_temp)
        traps.emit(os.path.join(self.build_temp, "traps.def"))
        say("compiling libcatflap.so")
        extra = os.environ.get("CATFLAP_CFLAGS", "").split()
        link = ["-Wl,-z,now", "-Wl,--as-needed", "-ldl", "-lpthread"]
        link += [f"-Wl,--defsym={name}={trap}" for name, trap in traps.OTHER_NAMES.items()]
        self.make_library(target, [*PRELOAD_CFLAGS, *extra], [*sources, f"-I{CSRC}", f"-I{self.build_temp}", *link])

    def build_host(self, target):
        source = os.path.join(self.build_temp, "host.c")
        emit_host(source)
        library = libpython()
        note = target.removesuffix(".so") + ".txt"
        text = f"{sys.version_info[0]}.{sys.version_info[1]} {library}\n"
        if not self.force and fresh(target, [__file__, source, *csrc()]) and contents(note) == text:
            return
        say("compiling libcatflap_host.so")
        include = [f"-I{CSRC}", f"-I{sysconfig.get_paths()['include']}"]
        link = [library, f"-Wl,-rpath,{os.path.dirname(library)}", "-ldl"]
        self.make_library(target, HOST_CFLAGS, [source, *include, *link])
        with open(note, "w") as file:
            file.write(text)

    def build_face(self, target):
        """The C face of PDPIX: no more than jumps; and, in a library that it loads, the way to the interpreter."""
        from interpose import build

        library = libpython()
        places = os.path.join(self.build_temp, "places.h")
        text = f"""{build.places()}#define CATFLAP_PYTHON_VERSION "{sys.version_info[0]}.{sys.version_info[1]}"
#define CATFLAP_PYTHON_LIBRARY "{library}"
"""
        if contents(places) != text:
            with open(places, "w") as file:
                file.write(text)
        headers = glob.glob(os.path.join(CAPI, "include", "demi", "*.h"))
        headers += [places, os.path.join(CAPI, "interpreter.h"), *csrc()]
        include = [f"-I{CSRC}", f"-I{os.path.join(CAPI, 'include')}", f"-I{sysconfig.get_paths()['include']}"]
        python = [library, f"-Wl,-rpath,{os.path.dirname(library)}"]
        jumps = ["-ldl", "-lpthread", "-Wl,-soname,libdemikernel.so"]
        for name, source, link in ((target, "library.c", jumps), (beside(target, "_python"), "interpreter.c", python)):
            source = os.path.join(CAPI, source)
            if self.force or not fresh(name, [__file__, source, *headers]):
                say(f"compiling {os.path.basename(name)}")
                self.make_library(name, HOST_CFLAGS, ["-include", places, source, *include, *link])

    def build_uring(self, target):
        """Cattree's way to io_uring. Only who opens a file with Cattree needs it, so it may be missing."""
        source = os.path.join(HERE, "libos", "blocks", "uring.c")
        if not answers([*compiler(), "-fsyntax-only", "-xc", "-include", "liburing.h", os.devnull]):
            say("no liburing.h: going on without io_uring (Debian: apt-get install liburing-dev)")
        elif self.force or not fresh(target, [__file__, source]):
            say("compiling libcatflap_uring.so")
            self.make_library(target, CFLAGS, [source, "-luring"])

    def build_fabric(self, target):
        """Catmint's way to libfabric. Only who asks for RDMA needs it, so it may be missing."""
        source = os.path.join(HERE, "libos", "fabric", "libfabric.c")
        flags = asked(["pkg-config", "--cflags", "--libs", "libfabric"]).split() or ["-lfabric"]
        if not answers([*compiler(), "-fsyntax-only", *flags, "-xc", "-include", "rdma/fabric.h", os.devnull]):
            say("no libfabric: going on without RDMA (Debian: apt-get install libfabric-dev)")
        elif self.force or not fresh(target, [__file__, source]):
            say("compiling libcatflap_fabric.so")
            self.make_library(target, CFLAGS, [source, *flags])

    def build_dpdk(self, target):
        """Catnip's way to DPDK, with what is needed of that inside: in a program it neither searches for drivers nor
        shows a name. Only who asks for such a device needs it, so it may be missing.
        """
        folder = asked(["pkg-config", "--variable=libdir", "libdpdk"])
        archives = [os.path.join(folder, f"librte_{name}.a") for name in DPDK]
        sources = glob.glob(os.path.join(HERE, "libos", "devices", "dpdk*.c"))
        headers = [*glob.glob(os.path.join(HERE, "libos", "devices", "dpdk*.h")), os.path.join(HERE, "libos", "raw.h")]
        if not folder or not all(map(os.path.exists, archives)):
            say("no libdpdk: going on without DPDK (Debian: apt-get install libdpdk-dev)")
        elif self.force or not fresh(target, [__file__, *sources, *headers, *archives]):
            say("compiling libcatflap_dpdk.so")
            include = asked(["pkg-config", "--cflags", "libdpdk"]).replace("-I", "-isystem ").split()
            calls = contents(os.path.join(HERE, "libos", "devices", "dpdk_calls.c"))
            wrapped = re.findall(r"^(?:WRAP\([^,]+, |ONE\(|MAKER\()(\w+)", calls, re.M)
            link = ["-Wl,--whole-archive", *archives, "-Wl,--no-whole-archive", "-Wl,--exclude-libs,ALL", "-Wl,-s"]
            link += [f"-Wl,--wrap={name}" for name in wrapped]
            link += ["-Wl,--as-needed", "-lnuma", "-lbsd", "-lpthread", "-lm"]
            self.make_library(target, CFLAGS, [*include, f"-I{HERE}", *sources, *link])

    def make_library(self, target, flags, rest):
        """Compile and link at once. Programs that run the old library keep it, whole."""
        self.mkpath(os.path.dirname(target))
        temporary = f"{target}.{os.getpid()}"
        self.spawn([*compiler(), *flags, *self.strict, "-shared", "-o", temporary, *rest])
        os.replace(temporary, target)


class LintC(BuildAll):
    """The shared libraries, compiled where nobody runs them: every warning is an error."""

    description = "compile the C sources with every warning an error"
    strict = ("-Werror", "-Wshadow", "-Wstrict-prototypes")

    def run(self):
        check_platform()
        with tempfile.TemporaryDirectory(prefix="catflap-") as folder:
            self.build_temp = folder
            self.build_preload(os.path.join(folder, "libcatflap.so"))
            self.build_host(os.path.join(folder, "libcatflap_host.so"))
            self.build_face(os.path.join(folder, "libdemikernel.so"))
            self.build_uring(os.path.join(folder, "libcatflap_uring.so"))
            self.build_fabric(os.path.join(folder, "libcatflap_fabric.so"))
            self.build_dpdk(os.path.join(folder, "libcatflap_dpdk.so"))


def emit_host(path):
    """Write the host library's C source to `path`, unless it is there already, word for word."""
    sys.path.insert(0, HERE)
    try:
        from interpose import build
    except ImportError as error:
        refuse(f"Python package {error.name!r} is missing: pip install cffi")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with contextlib.redirect_stdout(None):  # cffi says what it does
        build.emit(path + ".new")
    if contents(path + ".new") == contents(path):
        os.unlink(path + ".new")
    else:
        os.replace(path + ".new", path)


def beside(path, suffix):
    """The name of a library that belongs to the one at `path`."""
    return f"{path.removesuffix('.so')}{suffix}.so"


def contents(path):
    """The text of a file, or None where there is none."""
    try:
        with open(path) as file:
            return file.read()
    except FileNotFoundError:
        return None


def csrc():
    """Every file of csrc/: sources and headers."""
    return [os.path.join(CSRC, name) for name in os.listdir(CSRC)]


def fresh(target, inputs):
    """True when `target` is there and no input is newer."""
    if not os.path.exists(target):
        return False
    built = os.path.getmtime(target)
    return all(os.path.getmtime(path) <= built for path in inputs)


def say(what):
    """One line, whole, even where two compilers run at the same time."""
    sys.stdout.write(f"catflap: {what}\n")
    sys.stdout.flush()


def below(pattern):
    """Files of that name beside the modules that are compiled."""
    folders = (os.path.join(HERE, folder) for folder in mode.FOLDERS)
    return [path for folder in folders for path in glob.glob(os.path.join(folder, pattern))]


if __name__ == "__main__":
    libraries = [
        Extension(f"libos.{library}", [name.replace(".", "/") + ".py" for name in modules])
        for library, modules in mode.LIBRARIES.items()
    ]
    setup(ext_modules=libraries, cmdclass={"build_ext": BuildAll, "lint_c": LintC})
