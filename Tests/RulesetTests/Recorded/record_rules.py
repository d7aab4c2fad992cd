#!/usr/bin/env python3
"""Asks the real iptables-restore and iptables-save what becomes of each rule of rules.v4.txt and
rules.v6.txt, and rewrites the files with the answers. As root, in a network namespace it makes
itself. Lines are `MARK<tab>TABLE/CHAIN<tab>RULE<tab>ANSWER`: `=` the rule is accepted and printed
so (several rules joined by ` | `), `E` it is refused, `~` Weir differs on purpose (the answer then
begins with why). New questions: lines with an empty mark and answer."""
import subprocess, sys

def ask(program, table, chain, rule):
    line = rule if rule.startswith(('-A', '-I', '-N')) else f'-A {chain} {rule}'
    text = f'*{table}\n:U1 - [0:0]\n{line}\nCOMMIT\n'
    inside = ['ip', 'netns', 'exec', 'weir-record']
    x = subprocess.run(inside + [program + '-restore'], input=text, capture_output=True, text=True)
    if x.returncode: return 'E', ''
    out = subprocess.run(inside + [program + '-save', '-t', table], capture_output=True, text=True).stdout
    rules = [l for l in out.split('\n') if l.startswith('-A')]
    return '=', ' | '.join(r.removeprefix(f'-A {chain} ').removeprefix(f'-A {chain}') for r in rules)

subprocess.run(['ip', 'netns', 'add', 'weir-record'])
for name, program in (('rules.v4.txt', 'iptables-nft'), ('rules.v6.txt', 'ip6tables-nft')):
    lines = open(name).read().split('\n')
    with open(name, 'w') as out:
        for line in lines:
            if not line or line.startswith(('#', '~')):
                if line: print(line, file=out)
                continue
            mark, place, rule = line.split('\t')[:3]
            mark, answer = ask(program, *place.split('/'), rule)
            print(mark, place, rule, answer, sep='\t', file=out)
subprocess.run(['ip', 'netns', 'del', 'weir-record'])
