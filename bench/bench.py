#!/usr/bin/python3
"""Runs the workloads that BENCH names, or all, and writes the results. bench/run starts it in its throw-away server."""
import os

import report
from measure import FULL, PASSES, WORKLOADS, fail, say
import workloads  # noqa: F401


def main():
    wanted = os.environ.get('BENCH', '').split() or list(WORKLOADS)
    unknown = [name for name in wanted if name not in WORKLOADS]
    if unknown:
        fail(f'There is no workload {", ".join(unknown)}, only {", ".join(WORKLOADS)}.')
    say(f'{len(wanted)} workloads, {PASSES} passes{", full sizes" if FULL else ""}.')
    done = []
    for name in wanted:
        work = WORKLOADS[name]()
        say(f'\n== {name}: {work.title}' + (f' ({work.about})' if work.about else ''))
        work.measure()
        done.append(work)
        report.write(done)  # after each, so that little is lost if the run ends early
    say(f'\n{report.summary(done)}')
    if any(why.startswith('FAILED') for work in done for why in work.skipped.values()):
        fail('Some contenders failed, see above.')


main()
