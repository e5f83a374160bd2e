"""Where the oracle's rooms find the harness of the program tests."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
sys.path[:0] = [HERE, os.path.join(TESTS, "programs"), TESTS]


def pytest_configure(config):
    config.addinivalue_line("markers", "pure_sample: interpreted mode on a fixed sample")
