"""The tests of one file in Python: their list, waiting, and running them. The suites put this beside their own modules."""
import os
import sys
import time
import traceback

LIMIT = 60  # seconds until something that must happen has not happened

tests = []


def test(function):
    tests.append(function)
    return function


def eventually(condition, what, limit=LIMIT):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError("not within %d s: %s" % (limit, what))


def main():
    """Runs the tests whose names have one of the words of TESTS in them."""
    wanted = os.environ.get("TESTS", "").split()
    failed = 0
    for function in tests:
        name = function.__name__
        if wanted and not any(word in name for word in wanted):
            continue
        begin = time.monotonic()
        try:
            function()
            print("ok      %-60s %5d ms" % (name, (time.monotonic() - begin) * 1000), flush=True)
        except Exception:
            failed += 1
            print("FAILED  %s\n%s" % (name, traceback.format_exc()), flush=True)
    sys.exit(1 if failed else 0)
