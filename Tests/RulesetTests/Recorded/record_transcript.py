#!/usr/bin/env python3
"""Runs the commands of a transcript in a new network namespace and writes down what they said.

Lines that begin with `$ ` are commands, those with `< ` directly after one are its input. Needs root.

    unshare -n -m python3 record_transcript.py iptables.v4.transcript
"""
import re
import shlex
import subprocess
import sys

subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=True)  # a lock of its own
path = sys.argv[1]
commands = []
for line in open(path):
    if line.startswith("$ "):
        commands.append([line[2:].rstrip("\n"), ""])
    elif line.startswith("< "):
        commands[-1][1] += line[2:]
with open(path, "w") as out:
    for words, text in commands:
        done = subprocess.run(shlex.split(words), input=text, capture_output=True, text=True)
        out.write(f"$ {words}\n")
        for line in text.splitlines():
            out.write(f"< {line}\n")
        # The time of day is no part of the answer.
        said = re.sub(r"(iptables|ip6tables)-save v(\S+) (\S+) on .*", r"\1-save v\2 \3 on DATE",
                      done.stdout)
        said = re.sub(r"# Completed on .*", "# Completed on DATE", said)
        out.write(said)
        for line in done.stderr.splitlines():
            out.write(f"! {line}\n")
        out.write(f"= {done.returncode}\n")
