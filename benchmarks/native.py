"""`loops`, compiled where the data path is: built into build/benchmarks at first use."""

import importlib.util
import os
import subprocess
import sys
import sysconfig

import libos.mode
from benchmarks.report import ROOT

FOLDER = os.path.join(ROOT, "build", "benchmarks")


def build():
    """Path of the compiled module, made anew when a source of it or of what it uses has changed."""
    target = os.path.join(FOLDER, "loops" + sysconfig.get_config_var("EXT_SUFFIX"))
    here = os.path.join(ROOT, "benchmarks")
    inputs = [os.path.join(here, "loops.py"), os.path.join(here, "loops.pxd"), os.path.join(ROOT, "libos", "raw.h")]
    for folder in libos.mode.FOLDERS:
        inputs += [os.path.join(ROOT, folder, n) for n in os.listdir(os.path.join(ROOT, folder)) if n.endswith(".pxd")]
    if os.path.exists(target) and all(os.path.getmtime(p) <= os.path.getmtime(target) for p in inputs):
        return target
    os.makedirs(FOLDER, exist_ok=True)
    source = os.path.join(FOLDER, "loops.c")
    options = ["-3", "-X", "boundscheck=False", "-X", "wraparound=False", "--module-name", "benchmarks.loops"]
    subprocess.run(
        [sys.executable, "-m", "cython", *options, "-o", source, "benchmarks/loops.py"], check=True, cwd=ROOT
    )
    compiler = [os.environ.get("CC", "gcc"), "-O2", "-g", "-fPIC", "-shared", "-fno-strict-aliasing", "-w"]
    include = [f"-I{ROOT}", f"-I{ROOT}/csrc", f"-I{sysconfig.get_paths()['include']}"]
    subprocess.run([*compiler, *include, "-o", target, source], check=True)
    return target


def load():
    if libos.mode.pure():
        from benchmarks import loops

        return loops
    spec = importlib.util.spec_from_file_location("benchmarks.loops", build())
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


loops = load()
