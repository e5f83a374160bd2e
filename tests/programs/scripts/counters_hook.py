"""Runs inside the program: writes Catflap's counters to $FLAP_REPORT at every pop, from a thread to $FLAP_WATCH."""

import ctypes
import json
import os
import sys
import threading


def set_bits(address, words):
    """How many bits of `words` 64-bit words at `address` are set."""
    return sum(word.bit_count() for word in (ctypes.c_uint64 * words).from_address(address))


def counters():
    process = sys.modules["interpose.description"].process()
    qtokens, heap = process.qtokens, process.heap
    return {
        "pid": os.getpid(),
        "blocked": qtokens.count(0),
        "completed": qtokens.count(1),
        "dropped": qtokens.count(2),
        "live": qtokens.live(),
        "claimed": set_bits(qtokens.bits.used_at, qtokens.bits.words),
        "ready": set_bits(qtokens.bits.ready_at, qtokens.bits.words),
        "superblocks": heap.count(0),
        "allocs": heap.count(1),
        "held": heap.live(),
    }


def write(path, found):
    """Put the report there at once, whole."""
    with open(path + ".new", "w") as f:
        json.dump(found, f)
    os.replace(path + ".new", path)


def watch(path):
    pause = threading.Event()
    while not pause.wait(0.02):
        write(path, counters())


def install(instrument):
    report, watched = os.environ.get("FLAP_REPORT"), os.environ.get("FLAP_WATCH")
    threads = []

    def popped(qd, view):
        if report:
            write(report, {"bytes": len(view), **counters()})
        # not before: a thread would not survive the fork of the worker
        if watched and not threads:
            threads.append(threading.Thread(target=watch, args=(watched,), daemon=True))
            threads[0].start()

    instrument.install("pop", popped)
