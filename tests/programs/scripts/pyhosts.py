"""CASE: what a Python program may do to the interpreter that Catflap shares with it. Prints what it sees.

Each case talks over TCP within this process, so that under Catflap its sockets are served from the first on. The file
of FLAP_NOTE is told whether Catflap's host is here.
"""

import os
import socket
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
NAMES = ("libos", "interpose", "shim", "_catflap_host", "cffi", "_cffi_backend")


def talk(turns=60):
    """Bytes that come back over one connection: its own descriptor numbers, options and ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    total = 0
    for _ in range(turns):
        client.sendall(b"x" * 100)
        total += len(server.recv(1000))
        server.sendall(b"y")
        total += len(client.recv(100))
    client.close()
    total += len(server.recv(1))
    server.close()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    total += 1000 * listener.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
    listener.close()
    return total


def facts():
    """All that a program can easily ask its interpreter."""
    import gc
    import signal
    import threading
    import warnings

    return {
        "modules": sorted(sys.modules),
        "path": sys.path,
        "finders": [repr(one) for one in sys.meta_path],
        "hooks": len(sys.path_hooks),
        "folders": sorted(sys.path_importer_cache),
        "flags": repr(sys.flags),
        "limits": (sys.getrecursionlimit(), sys.getswitchinterval(), sys.getdlopenflags(), sys.dont_write_bytecode),
        "hooked": [getattr(sys, name) is getattr(sys, f"__{name}__") for name in ("excepthook", "unraisablehook")],
        "traced": (sys.gettrace(), sys.getprofile()),
        "threads": [thread.name for thread in threading.enumerate()],
        "frames": len(sys._current_frames()),
        "tasks": len(os.listdir("/proc/self/task")),
        "gc": (gc.isenabled(), gc.get_threshold(), gc.get_freeze_count(), gc.callbacks),
        "signals": {n: repr(signal.getsignal(n)) for n in sorted(signal.valid_signals())},
        "blocked": signal.pthread_sigmask(signal.SIG_BLOCK, []),
        "warnings": warnings.filters,
        "builtins": sorted(vars(__import__("builtins"))),
        "streams": [getattr(sys, name).fileno() for name in ("stdin", "stdout", "stderr")],
        "environment": sorted(name for name in os.environ if not name.startswith(("CATFLAP_", "LD_PRELOAD", "FLAP_"))),
        "new descriptor": os.dup(1),
    }


def seen():
    """What it can ask, after its sockets."""
    facts()
    print(talk())
    for name, value in facts().items():
        print(name, value)


def internals():
    """What only those see who look into the interpreter's own books."""
    import atexit
    import gc
    import tracemalloc

    tracemalloc.start()
    events = set()
    sys.addaudithook(lambda event, arguments: events.add(event))
    talk()
    known = {getattr(one, "__module__", "") for one in gc.get_objects() if isinstance(one, type)}
    traced = {trace.traceback[0].filename for trace in tracemalloc.take_snapshot().traces}
    print("types", any(str(name).startswith("libos.") for name in known))
    print("allocations", any("/libos/" in name for name in traced))
    print("events", "builtins.id" in events)
    print("atexit", atexit._ncallbacks())
    tracemalloc.stop()


def before():
    """Modules of the program under our names, loaded before its first socket; NAMES lie in its folder."""
    for name in NAMES:
        print(name, __import__(name).NAME)
    print(talk())
    for name in NAMES:
        print(name, sys.modules[name].NAME)


def after():
    print(talk())
    for name in NAMES:
        print(name, __import__(name).NAME)
    print(talk())


def standard():
    """Its own files in the place of standard modules that Catflap needs."""
    import ctypes
    import resource

    print(ctypes.NAME, resource.NAME)
    print(talk())
    print(sys.modules["ctypes"].NAME, sys.modules["resource"].NAME)
    import struct as again

    print(again.__file__)


def mangled():
    """Nothing can be imported any more, and whoever asks is told off."""

    class Hostile:
        def find_spec(self, name, path=None, target=None):
            raise ImportError("no " + name)

    "x".encode("idna")  # the address family of a name's look-up
    for name in ("ctypes", "_ctypes", "struct", "_struct", "fcntl", "resource"):
        sys.modules.pop(name, None)
    sys.path[:] = sys.path_hooks[:] = []
    sys.path_importer_cache.clear()
    sys.meta_path[:] = [Hostile()]
    print(talk(), sys.path, sys.path_hooks, len(sys.meta_path))
    try:
        import ctypes  # noqa: F401
    except ImportError as error:
        print(error)


def patched():
    """As gevent does: locks, sleeps and thread numbers are the program's own. Catflap must not call them."""
    import _thread
    import time

    calls = []

    def watched(function):
        def call(*arguments):
            calls.append(sys._getframe(1).f_code.co_filename)
            return function(*arguments)

        return call

    for module, name in (
        (time, "sleep"),
        (_thread, "allocate_lock"),
        (_thread, "RLock"),
        (_thread, "get_ident"),
    ):
        setattr(module, name, watched(getattr(module, name)))
    print(talk())
    print([name for name in calls if "/interpose/" in name or "/libos/" in name or name == "<string>"])


def deep():
    """The first socket of a program at the end of its recursion limit: as deep as it goes on the kernel."""

    def down(levels):
        return talk(3) if not levels else down(levels - 1)

    "x".encode("idna")
    import encodings.idna  # noqa: F401

    print(down(sys.getrecursionlimit() - 40))


def traced():
    """A tracer and a profiler see the program, and nothing else."""
    "x".encode("idna")
    names = set()

    def trace(frame, event, argument):
        names.add(frame.f_code.co_filename)
        return trace

    sys.settrace(trace)
    sys.setprofile(lambda frame, event, argument: names.add(frame.f_code.co_filename))
    print(talk())
    sys.settrace(None)
    sys.setprofile(None)
    print(sorted(os.path.basename(name) for name in names))


def capsule():
    """cffi takes the version tag of the capsules' type for a lock; here it is in use."""
    import datetime

    print(hasattr(datetime.datetime_CAPI, "x"), type(datetime.datetime_CAPI).__name__, talk())
    print(hasattr(datetime.datetime_CAPI, "x"))


IN_ANOTHER = f"""
import sys, threading
sys.path.insert(0, {HERE!r})
import pyhosts
print(pyhosts.talk(), flush=True)
if threads:
    thread = threading.Thread(target=lambda: print(pyhosts.talk(), flush=True))
    thread.start()
    thread.join()
print([name for name in sys.modules if name in pyhosts.NAMES], flush=True)
"""


def subinterpreters():
    """Sockets in subinterpreters, of the main thread and of another, whose options are set with the GIL held."""
    import _xxsubinterpreters as others
    import threading

    def visit(isolated):
        one = others.create(isolated=isolated)
        others.run_string(one, f"threads = {not isolated}\n" + IN_ANOTHER)
        others.destroy(one)

    visit(True)
    thread = threading.Thread(target=visit, args=(True,))
    thread.start()
    thread.join()
    print(talk(), flush=True)
    visit(False)
    print(talk(), flush=True)


def ending():
    """Connections in use while the interpreter ends: exit handlers made before the first socket, and finalisers."""
    import atexit

    class Kept:
        def __del__(self):
            self.one.sendall(b"dying")
            print(self.other.recv(10).decode())
            self.one.close()
            self.other.close()

    def last():
        client.sendall(b"last")
        print(server.recv(10).decode())
        server.sendall(b"z" * 100_000)
        left = 100_000
        while left:
            left -= len(client.recv(65536))
        late = socket.create_connection(listener.getsockname())
        answer, _ = listener.accept()
        late.sendall(b"new")
        print(answer.recv(10).decode())
        for one in (late, answer, listener):
            one.close()

    atexit.register(last)
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    for _ in range(60):
        client.sendall(b"x")
        server.sendall(server.recv(1))
        client.recv(1)
    sys.kept = Kept()
    sys.kept.one, sys.kept.other = client, server


def daemons():
    """Threads that are in the middle of it when the interpreter ends."""
    import threading

    listener = socket.create_server(("127.0.0.1", 0))

    def echo(connection):
        while data := connection.recv(1000):
            connection.sendall(data)

    def serve():
        while True:
            threading.Thread(target=echo, args=listener.accept()[:1], daemon=True).start()

    def busy():
        connection = socket.create_connection(listener.getsockname())
        while True:
            connection.sendall(b"x")
            connection.recv(10)

    for work in (serve, busy, busy, busy):
        threading.Thread(target=work, daemon=True).start()
    client = socket.create_connection(listener.getsockname())
    for _ in range(100):
        client.sendall(b"x" * 50)
        client.recv(100)
    print("end")


def together():
    """Twelve threads open their first socket at the same moment, and import what none has imported yet."""
    import threading

    sys.setswitchinterval(1e-5)
    barrier, found = threading.Barrier(12), []

    def work():
        barrier.wait()
        found.append(talk())
        import email.message
        import fractions  # noqa: F401

        found.append(email.message.__name__)

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(sorted(map(str, found)))


def timeouts():
    """The default time-out of new sockets is the program's; short connections are served at once under every one."""
    import threading
    import time

    def serve(listener):
        connection, _ = listener.accept()
        connection.sendall(b"message")
        connection.close()

    slow = 0
    for turn in range(60):
        listener = socket.create_server(("127.0.0.1", 0))
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        socket.setdefaulttimeout((8, 8, 0.5, None)[turn % 4])
        client = socket.create_connection(listener.getsockname())
        began = time.monotonic()
        slow += client.recv(100) != b"message" or time.monotonic() - began > 4
        thread.join()
        socket.setdefaulttimeout(0)  # from now on new sockets would not block
        kept = os.get_blocking(client.fileno())
        socket.setdefaulttimeout(None)
        slow += kept != os.get_blocking(client.fileno())
        client.close()
        listener.close()
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    socket.setdefaulttimeout(7)
    for _ in range(60):
        client.sendall(b"x")
        server.sendall(server.recv(1))
        client.recv(1)
    print(slow, [os.get_blocking(one.fileno()) for one in (listener, client, server)])


def held():
    """A connection in use, kept until the file GO is there."""
    import time

    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    while not os.path.exists("GO"):
        client.sendall(b"x")
        server.sendall(server.recv(1))
        client.recv(1)
        time.sleep(0.001)
    print("gone")


def note():
    with open("/proc/self/maps") as maps, open(os.environ["FLAP_NOTE"], "a") as file:
        file.write(f"host {int('libcatflap_host' in maps.read())}\n")


if __name__ == "__main__":
    globals()[sys.argv[1]]()
    sys.stdout.flush()
    note()
