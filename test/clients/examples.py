# Runs the examples of docs/clients.md: each must print what the page says it does. Each is a program of its own.
#
#   examples.py PAGE      in a folder with node_modules
import os
import re
import subprocess
import sys

HOW = {"js": ("example.mjs", ["node", "example.mjs"]), "python": ("example.py", ["/usr/bin/python3", "example.py"]),
       "java": ("Example.java", ["bash", "-c", "./java Example.java Example"])}

with open(sys.argv[1], encoding="utf-8") as page:
    sections = page.read().split("\n## ")
failed = False
count = 0
for section in sections:
    for language, program, expected in re.findall(r"```(js|python|java)\n(.*?)```\n\n```text\n(.*?)```", section, re.S):
        name, command = HOW[language]
        with open(name, "w", encoding="utf-8") as file:
            file.write(program)
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", timeout=120)
        title = section.splitlines()[0]
        count += 1
        if done.returncode == 0 and done.stdout == expected:
            print(f"ok example: {title}", flush=True)
        else:
            print(f"not ok example: {title}\n{done.stdout}(expected)\n{expected}", flush=True)
            failed = True
sys.exit(failed or count < 11)
