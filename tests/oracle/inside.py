"""What runs in the Python under test: some of its own tests, a line of JSON in a file for what becomes of each.

inside.py FILE PATIENCE WARM NAME...: FILE is appended to, and tests that it already knows are not run again: whoever
started this does so once more after a test that hung or crashed. PATIENCE is how many seconds one test may take; then
the stacks of all threads go to stderr and the process ends. WARM: 1 for connections that were used before (warm.py).
Names are those of unittest, of a module, a class or a test. Nothing of Catflap is imported here. Tests of AF_VSOCK are
left out: what becomes of them depends on the virtual machine.
"""

import faulthandler
import json
import sys
import unittest


def flat(suite):
    """Every test of nested suites, in order."""
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from flat(test)
        else:
            yield test


def known(path):
    """Names of the tests that a file tells of, whether they have ended or not."""
    with open(path) as file:
        return {line[1] for line in map(json.loads, file) if line[0] in ("begin", "end")}


class Told(unittest.TestResult):
    """Writes ["begin", test] and ["end", test, outcome, text]; outcome is pass, fail or skip.

    And ["count", warmed, carried] behind each test that has warmed connections; ["host", there] at the end.
    """

    def __init__(self, file, patience, warmth):
        super().__init__()
        self.file = file
        self.patience = patience
        self.warmth = warmth
        self.outcome, self.text = "pass", ""

    def tell(self, *words):
        self.file.write(json.dumps(words) + "\n")
        self.file.flush()

    def startTest(self, test):
        super().startTest(test)
        self.outcome, self.text = "pass", ""
        self.tell("begin", test.id())
        faulthandler.dump_traceback_later(self.patience, exit=True)

    def stopTest(self, test):
        faulthandler.cancel_dump_traceback_later()
        super().stopTest(test)
        self.tell("end", test.id(), self.outcome, self.text)
        if self.warmth and self.warmth.warmed:
            self.tell("count", self.warmth.warmed, self.warmth.carried)
            self.warmth.warmed = self.warmth.carried = 0

    def failed(self, test, error):
        self.outcome = "fail"
        self.text += self._exc_info_to_string(error, test)
        if not isinstance(test, unittest.TestCase):  # of a class or a module: no test was begun
            self.tell("end", test.id(), self.outcome, self.text)

    def addError(self, test, error):
        self.failed(test, error)

    def addFailure(self, test, error):
        self.failed(test, error)

    def addSubTest(self, test, part, error):
        if error:
            self.text += f"{part}\n"
            self.failed(test, error)

    def addUnexpectedSuccess(self, test):
        self.outcome, self.text = "fail", "unexpected success"

    def addSkip(self, test, reason):
        self.outcome, self.text = "skip", reason
        if not isinstance(test, unittest.TestCase):
            self.tell("end", test.id(), self.outcome, self.text)


def main(path, patience, warmed, *names):
    from test import support

    warmth = None
    if warmed == "1":
        import warm

        warmth = warm.install()
    support.verbose = 1
    support.use_resources = ["cpu", "subprocess"]  # no network
    done = known(path)
    tests = flat(unittest.defaultTestLoader.loadTestsFromNames(names))
    with open(path, "a") as file:
        told = Told(file, float(patience), warmth)
        unittest.TestSuite(test for test in tests if test.id() not in done and "VSOCK" not in test.id()).run(told)
        with open("/proc/self/maps") as maps:
            told.tell("host", "libcatflap_host.so" in maps.read())


if __name__ == "__main__":
    main(*sys.argv[1:])
