"""Fuzzing of Catnip's protocols: `python tests/net/fuzz_net.py HOW TARGETS AMOUNT` (`all`, `parsers`, or names).

guided: so many seconds each, led by coverage, which only interpreted code gives (atheris); what it finds is kept
        in build/fuzz.
keep:   of these inputs up to so many become the corpus of the repository: the shortest for each way through the code.
many:   so many seconds each of mutations of what is kept, without coverage: for compiled code.
digest: what comes of the corpus and of so many mutations, as a number: the same in both modes (test_fuzz_corpus.py).

A failing input is printed; one that crashes or hangs lies in build/fuzz/TARGET.last, behind its length.
"""

import mmap
import random
import resource
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT), str(HERE)]

import libos.mode  # noqa: E402

CORPUS, FOUND = HERE / "corpus", ROOT / "build" / "fuzz"
BATCH = 1000
HANG = 300  # seconds for a batch, a thousand times more than it takes
LONGEST = 400


def targets():
    from fuzz_parsers import PARSERS

    return [*PARSERS, "stack"]


def make(name, thorough=False):
    from fuzz_parsers import PARSERS, Parser
    from fuzz_stack import Whole

    return Whole(thorough) if name == "stack" else Parser(PARSERS[name])


def corpus(name):
    """The inputs kept for a target."""
    path = CORPUS / f"{name}.hex"
    return [bytes.fromhex(line) for line in path.read_text().split()] if path.exists() else []


def found(name):
    """The corpus, and what else coverage has led to here."""
    folder = FOUND / name
    return corpus(name) + [path.read_bytes() for path in (sorted(folder.iterdir()) if folder.exists() else ())]


def mutated(dice, inputs):
    """One of the inputs, changed in one to four places."""
    data = bytearray(dice.choice(inputs))
    for _ in range(dice.choice((1, 1, 2, 2, 3, 4))):
        size, what = len(data), dice.randrange(8)
        at = dice.randrange(size) if size else 0
        if what < 3 and size:
            data[at] ^= 1 << dice.randrange(8)
        elif what < 5 and size:
            data[at] = dice.choice((0, 1, 127, 128, 255, dice.randrange(256)))
        elif what == 5:
            del data[at : at + dice.choice((1, 2, 4, 8))]
        elif what == 6:
            data[at:at] = dice.randbytes(dice.choice((1, 2, 3, 4, 8)))
        else:
            other = dice.choice(inputs)
            start = dice.randrange(len(other)) if other else 0
            data[at:at] = other[start : start + dice.randrange(1, 40)]
    return bytes(data[:LONGEST])


def guided(name, seconds):
    sys.path.insert(0, str(ROOT / "build" / "tools"))
    import atheris

    assert libos.mode.pure(), "coverage is that of interpreted code: CATFLAP_PURE=1"
    target = make(name, True)
    instrument(atheris)
    folder = FOUND / name
    folder.mkdir(parents=True, exist_ok=True)
    for data in corpus(name):
        (folder / f"{zlib.crc32(data):08x}").write_bytes(data)
    arguments = [
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST}",
        "-len_control=0",
        f"-timeout={HANG}",
        "-rss_limit_mb=4096",
    ]
    arguments += [f"-artifact_prefix={FOUND}/{name}-", "-print_final_stats=1", str(folder)]
    atheris.Setup([sys.argv[0], *arguments], lambda data: target.run(data) and None)
    atheris.Fuzz()


def functions():
    """All functions of the protocols that are loaded."""
    for name, module in list(sys.modules.items()):
        if name.startswith("libos.net"):
            for owner in (module, *(value for value in vars(module).values() if isinstance(value, type))):
                if getattr(owner, "__module__", name) == name:
                    for value in vars(owner).values():
                        if type(value).__name__ == "function" and value.__module__ == name:
                            yield value


def instrument(atheris):
    for function in functions():
        atheris.instrument_func(function)


def keep(name, most):
    """Of what was found the shortest inputs that together go all the ways through the code."""
    assert libos.mode.pure()
    target, codes = make(name, True), {function.__code__ for function in functions()}
    inputs = found(name)
    ways, kept = set(), []
    for data in sorted(set(inputs), key=lambda data: (len(data), data)):
        taken = lines_of(codes, target, data)
        if not taken <= ways:
            ways |= taken
            kept.append(data)
    CORPUS.mkdir(exist_ok=True)
    (CORPUS / f"{name}.hex").write_text("".join(data.hex() + "\n" for data in kept[:most] if data))
    print(f"{name}: {len(kept)} of {len(inputs)} inputs, {len(ways)} ways")


def lines_of(codes, target, data):
    """The steps from line to line of the protocols' code that an input takes."""
    taken, before = set(), {}

    def local(frame, event, argument):
        line = frame.f_lineno
        taken.add((frame.f_code, before.get(frame), line))
        before[frame] = line
        return local

    sys.settrace(lambda frame, event, argument: local if frame.f_code in codes else None)
    try:
        target.run(data)
    finally:
        sys.settrace(None)
    return taken


def many(name, seconds):
    """Mutations of the corpus for a while; each is in a file before it runs."""
    seed = time.time_ns()
    dice, inputs, target = random.Random(seed), found(name) or [b""], make(name)
    FOUND.mkdir(parents=True, exist_ok=True)
    with open(FOUND / f"{name}.last", "w+b") as file:
        file.truncate(LONGEST + 4)
        last = mmap.mmap(file.fileno(), LONGEST + 4)
    start, count, first = time.monotonic(), 0, 0
    while time.monotonic() - start < seconds:
        signal.alarm(HANG)
        for _ in range(BATCH):
            data = mutated(dice, inputs)
            last[:4], last[4 : 4 + len(data)] = len(data).to_bytes(4, "big"), data
            try:
                target.run(data)
            except AssertionError:
                print(f"{name}: {data.hex()}")
                raise
        count += BATCH
        first = first or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    signal.alarm(0)
    target.end()
    took, peak = time.monotonic() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    mode = "compiled" if is_compiled() else "interpreted"
    speed = f"{count:,} inputs, {count / took:,.0f}/s, {mode}"
    print(f"{name}: {speed}; memory {first:,} KiB, then {peak:,} KiB", flush=True)


def is_compiled():
    from libos.net import stack

    return libos.mode.compiled(stack)


def digest(name, count):
    """The verdicts of the corpus and of `count` mutations."""
    dice, inputs, target, result = random.Random(count), corpus(name), make(name), 0
    for data in [*inputs, *(mutated(dice, inputs) for _ in range(count))]:
        result = zlib.crc32(target.run(data).to_bytes(4, "big"), result)
    target.end()
    return result


def main(how, name, amount):
    libos.mode.install()
    groups = {"all": targets(), "parsers": targets()[:-1]}
    for target in groups.get(name) or name.split(","):
        if how == "guided" and target != name:  # the fuzzer ends its process with itself
            subprocess.run([sys.executable, __file__, how, target, str(amount)], check=True)
        elif how == "digest":
            print(target, "compiled" if is_compiled() else "interpreted", digest(target, amount))
        else:
            {"guided": guided, "keep": keep, "many": many}[how](target, amount)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
