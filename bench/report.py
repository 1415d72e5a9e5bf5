"""Writes the results: results.json (every value), results.md (the tables), performance.md (only the ratios, in one table for
the documentation), and a plot for each workload."""
import json
import os
import platform
import subprocess
import time

from measure import FULL, PASSES, number
from server import Session

OUT = os.environ['OUT']


def write(workloads):
    with open(f'{OUT}/results.json', 'w', encoding='utf-8') as file:
        json.dump({'machine': machine(), 'passes': PASSES, 'full': FULL, 'workloads': [as_data(w) for w in workloads]},
                  file, indent=1, ensure_ascii=False)
    with open(f'{OUT}/results.md', 'w', encoding='utf-8') as file:
        file.write(head() + ''.join('\n' + table(w) for w in workloads))
    with open(f'{OUT}/performance.md', 'w', encoding='utf-8') as file:
        file.write(head() + '\n' + ratios(workloads))
    plot(workloads[-1])


def as_data(w):
    return {'name': w.name, 'title': w.title, 'about': w.about, 'unit': w.unit, 'results': w.results, 'skipped': w.skipped,
            'ratios': [{'what': what, 'above': above, 'below': below, 'aim': aim, 'measure': measure or w.unit,
                        'ratio': w.ratio_of(above, below, measure)} for what, above, below, aim, measure in w.ratios]}


def machine():
    with Session('postgres') as session:
        version = session.value("SELECT 'PostgreSQL ' || current_setting('server_version')")
        workers = session.value("SELECT current_setting('sync_job.max_workers')")
    with open('/proc/cpuinfo', encoding='utf-8') as file:
        cpu = next((line.split(':')[1].strip() for line in file if line.startswith('model name')), platform.machine())
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30
    return {'cores': os.cpu_count(), 'cpu': cpu, 'memory': f'{memory:.0f} GiB', 'server': version,
            'sync_job.max_workers': workers, 'date': time.strftime('%Y-%m-%d')}


def head():
    m = machine()
    return (f'{m["cores"]} cores ({m["cpu"]}), {m["memory"]}, {m["server"]} with default settings, '
            f'{m["date"]}. Medians of {PASSES} passes{", full sizes" if FULL else ""}.\n')


def table(w):
    """The results of a workload as Markdown: median, and the range of the passes in brackets."""
    measures = []
    for values in w.results.values():
        measures += [measure for measure in values if measure not in measures]
    lines = [f'## {w.name}: {w.title}', '', w.about + '.' if w.about else '', '',
             '| contender | ' + ' | '.join(measures) + ' |', '|---' * (len(measures) + 1) + '|']
    for name in w.contenders:
        if name in w.results:
            lines.append(f'| {name} | ' + ' | '.join(cell(w.results[name].get(m)) for m in measures) + ' |')
    for name, why in w.skipped.items():
        lines += ['', f'{name}: skipped. {why}']
    ratios = [(r, w.ratio_of(r[1], r[2], r[4])) for r in w.ratios]
    if any(value for _, value in ratios):
        lines += ['', '| ratio | | aim |', '|---|---|---|']
        lines += [f'| {what or f"{above} : {below}" + (f", {measure}" if measure else "")} | {number(value)} | {aim} |'
                  for (what, above, below, aim, measure), value in ratios if value]
    return '\n'.join(lines) + '\n'


def ratios(workloads):
    lines = ['| work | unit | contender | | beside | | ratio | aim |', '|---|---|---|---|---|---|---|---|']
    for w in workloads:
        for _, above, below, aim, measure in w.ratios:
            if w.ratio_of(above, below, measure):
                lines.append(f'| {w.title} | {measure or w.unit} | {above} | {number(w.median(above, measure))} | {below} '
                             f'| {number(w.median(below, measure))} | {number(w.ratio_of(above, below, measure))} | {aim} |')
    return '\n'.join(lines) + '\n'


def cell(values):
    if not values:
        return ''
    middle = sorted(values)[len(values) // 2]
    return number(middle) + (f' ({number(min(values))} … {number(max(values))})' if len(values) > 1 else '')


def summary(workloads):
    return '\n'.join(table(w) for w in workloads)


def plot(w):
    """Bars of the medians, drawn by gnuplot, with the contenders' names at the left."""
    names = [name for name in w.contenders if name in w.results]
    if not names:
        return
    data = '\n'.join(f'"{name}" {w.median(name)} "{number(w.median(name))}"' for name in names)
    script = f'''
        set terminal svg size 900,{110 + 34 * len(names)} font "sans,13" background "white"
        set output "{OUT}/{w.name}.svg"
        set title "{w.title} ({w.unit})" noenhanced
        set yrange [-0.7:{len(names) - 0.3}] reverse
        set xrange [0:*]
        set style fill solid 0.8 noborder
        set border 1
        set xtics nomirror
        set format x "%'.0f"
        set ytics nomirror noenhanced
        set lmargin 46
        set rmargin 9
        unset key
        $data << END
{data}
END
        plot $data using (0.5*$2):0:(0):2:($0-0.33):($0+0.33):yticlabels(1) with boxxyerror linecolor "#336791", \\
             "" using 2:0:3 with labels left offset 0.7,0 noenhanced
    '''
    subprocess.run(['gnuplot'], input=script.encode(), check=True)
