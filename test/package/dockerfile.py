"""What can be said of a Dockerfile without an engine: its form, that its stages and the files it copies are there, that its shell parses, and that
Debian has the packages it installs.

    python3 dockerfile.py CONTEXT FILE…      from the top of the release; apt-cache must know Debian's packages
"""
import os
import re
import subprocess
import sys

INSTRUCTIONS = {'ARG', 'FROM', 'RUN', 'COPY', 'WORKDIR', 'ENV', 'CMD', 'ENTRYPOINT'}
PACKAGES = set(subprocess.run(['apt-cache', 'pkgnames'], capture_output=True, text=True, check=True).stdout.split())
wrong = 0


def check(good, text):
    global wrong
    if not good:
        wrong += 1
        print(f'FAILED: {path}: {text}')


def instructions(text):
    """Each with its arguments: comments taken out, lines that go on joined."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith('#')]
    for whole in '\n'.join(lines).replace('\\\n', ' ').splitlines():
        if whole.strip():
            word, _, rest = whole.strip().partition(' ')
            yield word, rest.strip()


def check_packages(command):
    for arguments in re.findall(r'apt-get install ([^&|;]*)', command):
        for name in arguments.replace('"', '').split():
            if not name.startswith('-'):
                name = name.replace('${PG_MAJOR}', '15')
                check(name in PACKAGES, f'Debian has no package {name}')


def check_file(text, context):
    stages, known = [], set()
    for word, rest in instructions(text):
        check(word in INSTRUCTIONS, f'{word} is no instruction that is used here')
        for variable in re.findall(r'\$\{(\w+)\}', rest) if word in ('FROM', 'COPY', 'ENV') else []:
            check(variable in known, f'{word} {rest}: nothing has declared {variable}')
        if word in ('ARG', 'ENV'):
            known.add(rest.partition('=')[0])
        elif word == 'FROM':
            image, _, name = rest.partition(' AS ')
            check(re.fullmatch(r'[a-z][\w.${}/-]*(:[\w.${}-]+)?', image), f'{image} is no image')
            stages.append(name)
        elif word == 'RUN':
            check(subprocess.run(['bash', '-n', '-c', rest], capture_output=True).returncode == 0, f'the shell does not take: {rest[:60]} …')
            check_packages(rest)
        elif word == 'COPY':
            stage = re.match(r'--from=(\S+) ', rest)
            if stage:
                check(stage.group(1) in stages, f'there is no stage {stage.group(1)}')
            else:
                for source in rest.split()[:-1]:
                    check(os.path.exists(os.path.join(context, source)), f'there is no {source} to copy')
        elif word in ('CMD', 'ENTRYPOINT'):
            check(rest.startswith('["') and rest.endswith('"]'), f'{word} is no list')
    check(bool(stages), 'it has no FROM')


context, paths = sys.argv[1], sys.argv[2:]
for path in paths:
    with open(path, encoding='utf-8') as file:
        check_file(file.read(), context)
sys.exit(1 if wrong else 0)
