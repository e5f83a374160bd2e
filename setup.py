"""Build of Catflap: the preload library (C), the host library (cffi embedding) and the compiled modules (Cython).

One list says what is compiled: HOT_MODULES. Everything else stays interpreted Python.
"""

import compileall
import os
import platform
import subprocess
import sys
import sysconfig

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.dist import Distribution

HERE = os.path.dirname(os.path.abspath(__file__))
HOT_MODULES = [
    "libos.runtime.wakers",
    "libos.runtime.memory",
    "libos.runtime.qtokens",
    "libos.runtime.scheduler",
    "libos.runtime.suspend",
    "libos.runtime.instrument",
    "libos.queue",
    "libos.kernel_queue",
    "interpose.description",
    "interpose.stream",
    "interpose.datagram",
    "interpose.listener",
    "interpose.readiness",
    "interpose.entries",
]
PRELOAD_SOURCES = ["next.c", "descriptors.c", "boot.c", "thread.c", "trap_socket.c", "trap_io.c", "trap_ready.c",
    "trap_descriptor.c", "trap_process.c", "trap_signal.c"]
CFLAGS = ["-O2", "-g", "-std=gnu11", "-Wall", "-Wextra", "-fvisibility=hidden", "-fno-strict-aliasing", "-fPIC"]


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
    if not libpython():
        refuse(
            "this Python has no shared libpython: install it "
            f"(Debian: apt-get install libpython3.{sys.version_info[1]}-dev; "
            "pyenv: PYTHON_CONFIGURE_OPTS=--enable-shared)"
        )
    if not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")):
        refuse(f"Python.h is missing: apt-get install libpython3.{sys.version_info[1]}-dev")
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    try:
        subprocess.run([compiler, "--version"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        refuse(f"no C compiler ({compiler}): apt-get install gcc libc6-dev")


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


class PureAware(Distribution):
    def has_ext_modules(self):
        return True


class BuildAll(build_ext):
    """Cython modules by setuptools; then the two shared libraries, which are no Python extensions, beside them."""

    def run(self):
        check_platform()
        super().run()
        root = HERE if self.inplace else self.build_lib
        self.build_preload(os.path.join(root, "interpose", "libcatflap.so"))
        self.build_host(os.path.join(root, "interpose", "libcatflap_host.so"))
        # the host never writes bytecode into a user's tree, so it finds it ready made
        for package in ("libos", "libos/runtime", "interpose"):
            compileall.compile_dir(os.path.join(root, package), maxlevels=0, quiet=1)

    def build_preload(self, target):
        csrc = os.path.join(HERE, "csrc")
        sources = [os.path.join(csrc, name) for name in PRELOAD_SOURCES]
        inputs = sources + [os.path.join(csrc, n) for n in os.listdir(csrc)]
        if not self.force and fresh(target, inputs):
            return
        extra = os.environ.get("CATFLAP_CFLAGS", "").split()
        self.spawn(
            [*self.cc(), *CFLAGS, "-ftls-model=initial-exec", *extra, "-shared", "-o", target, *sources, f"-I{csrc}",
             f"-Wl,--version-script={csrc}/exports.map", "-Wl,-z,now", "-Wl,--as-needed", "-ldl", "-lpthread"]
        )

    def build_host(self, target):
        sys.path.insert(0, HERE)
        from interpose import build

        inputs = [os.path.join(HERE, "csrc", n) for n in os.listdir(os.path.join(HERE, "csrc"))]
        inputs.append(os.path.join(HERE, "interpose", "build.py"))
        if not self.force and fresh(target, inputs):
            return
        with open(target.removesuffix(".so") + ".txt", "w") as note:
            note.write(f"{sys.version_info[0]}.{sys.version_info[1]} {libpython()}\n")
        temp = os.path.join(self.build_temp, "host")
        os.makedirs(temp, exist_ok=True)
        source = os.path.join(temp, "host.c")
        build.emit(source)
        include = sysconfig.get_paths()["include"]
        library = libpython()
        self.spawn(
            [*self.cc(), *CFLAGS, "-Wno-unused-parameter", "-Wno-missing-field-initializers", "-shared", "-o", target,
             source, f"-I{HERE}/csrc", f"-I{include}", library, f"-Wl,-rpath,{os.path.dirname(library)}", "-ldl"]
        )

    def cc(self):
        return (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()


def fresh(target, inputs):
    if not os.path.exists(target):
        return False
    built = os.path.getmtime(target)
    return all(os.path.getmtime(path) <= built for path in inputs)


def extensions():
    try:
        from Cython.Build import cythonize
    except ImportError:
        return []
    modules = []
    for name in HOT_MODULES:
        source = name.replace(".", "/") + ".py"
        if not os.path.exists(os.path.join(HERE, source)):
            continue
        modules.append(
            Extension(
                name, [source], include_dirs=[HERE, os.path.join(HERE, "csrc")],
                depends=[source[:-3] + ".pxd", "libos/raw.h", "libos/raw.pxd"],
                extra_compile_args=["-O2", "-g", "-fno-strict-aliasing", "-Wno-unused-function"],
            )
        )
    return cythonize(
        modules,
        build_dir="build/cython",
        language_level=3,
        compiler_directives={"boundscheck": False, "wraparound": False, "initializedcheck": False},
    )


if __name__ == "__main__":
    check_platform()
    setup(ext_modules=extensions(), cmdclass={"build_ext": BuildAll}, distclass=PureAware)
