"""What a workload is, and how one is measured.

A workload is a set of contenders that do the same work. They take turns: each runs once in a pass, every second pass in
the opposite order, so that changes on the machine in the meantime affect all of them equally. A contender is a function
that does its work starting from an empty database and returns what it measured: a number, or a dict of numbers, the first
of which counts. The reported value is the median of the passes.
"""
import os
import statistics
import sys
import time

FULL = bool(os.environ.get('FULL'))


def size(name, usual, full=None):
    """A size that the environment may set; `full` is the one of make bench-full."""
    return int(os.environ.get(name) or (full if FULL and full else usual))


PASSES = size('PASSES', 3, 5)


class Skip(Exception):
    """A contender or a workload cannot run here; the message says why."""


class Workload:
    def __init__(self, name, title, unit):
        self.name, self.title, self.unit = name, title, unit
        self.about = ''        # the sizes, in a sentence
        self.contenders = {}   # name -> function
        self.ratios = []       # (what, contender, the one to divide by, what to reach: at least, better; the measure, None: the first)
        self.results = {}      # contender -> {measure: [a value for each pass]}
        self.skipped = {}      # contender -> why

    def contender(self, name, function):
        self.contenders[name] = function

    def ratio(self, above, below, aim='', what='', measure=None):
        self.ratios.append((what, above, below, aim, measure))

    def measure(self):
        for turn in range(PASSES):
            names = list(self.contenders)
            for name in names if turn % 2 == 0 else reversed(names):
                if name not in self.skipped:
                    self._measure_one(name, turn)

    def _measure_one(self, name, turn):
        started = time.monotonic()
        try:
            values = self.contenders[name]()
        except Skip as why:
            self.skipped[name] = str(why)
            say(f'  {name}: skipped: {why}')
            return
        except Exception as error:  # a failure must not lose the results of the others
            self.skipped[name] = f'FAILED: {type(error).__name__}: {error}'.strip()
            say(f'  {name}: {self.skipped[name]}')
            return
        if not isinstance(values, dict):
            values = {self.unit: values}
        for measure, value in values.items():
            self.results.setdefault(name, {}).setdefault(measure, []).append(value)
        shown = ', '.join(f'{number(value)} {measure}' for measure, value in values.items())
        say(f'  {turn + 1}/{PASSES}  {name}: {shown}  ({time.monotonic() - started:.1f} s)')

    def median(self, name, measure=None):
        measures = self.results.get(name)
        if not measures:
            return None
        return statistics.median(measures[measure or next(iter(measures))])

    def ratio_of(self, above, below, measure=None):
        above, below = self.median(above, measure), self.median(below, measure)
        return above / below if above is not None and below else None


WORKLOADS = {}  # name -> function that fills in a Workload, in the order of the tables


def workload(name, title, unit):
    """Decorates a function that adds the contenders to a given workload."""
    def register(fill):
        WORKLOADS[name] = lambda: _filled(Workload(name, title, unit), fill)
        return fill
    return register


def _filled(made, fill):
    fill(made)
    return made


def say(text):
    print(text, flush=True)


def number(value):
    """Three significant digits, with thousands separators."""
    if value is None:
        return '–'
    if abs(value) >= 1000:
        digits = max(0, len(str(int(abs(value)))) - 3)
        return f'{int(round(value, -digits)):,}'
    if abs(value) >= 100:
        return f'{value:.0f}'
    return f'{value:.3g}'


def fail(text):
    print(text, file=sys.stderr)
    sys.exit(1)
