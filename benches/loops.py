"""Lists loops over floats that run on AVX-512 or AVX2 machines without its instructions (x86-64 only).

    python3 benches/loops.py PROGRAM

reads the disassembly (`objdump -d`) of a program that has the kernels in it, such as a bench. The kernels enter an instruction set in
pulp's `vectorize`; what is inlined there is compiled for it. Listed are

    call     a call in a loop that computes with floats: what is called there was not inlined, and is compiled for the baseline
    scalar   a `vectorize` with float arithmetic in loops, all of it on single floats

with the address of each (`addr2line -i` says which line it is). A loop is a jump back, with no other loop in it. Calls that fail are
no fault, nor is a loop over what is left behind the last whole vector.
"""

import re
import subprocess
import sys

HEAD = re.compile(r"^([0-9a-f]+) <(.*)>:$")
LINE = re.compile(r"^\s*([0-9a-f]+):\s+(?:\{evex\} )?(\w+)\s*(\S*)")
FLOAT = re.compile(r"^v?(?:add|sub|mul|div|sqrt|min|max|fn?m(?:add|sub)\d+)([sp])[sd]$")
ENTRY = re.compile(r"pulp::x86::v[34]::V[34]::vectorize::")


FAILS = re.compile(r"panic|fail|expect|slice_index|Unwind|precondition_check")


def innermost(lines):
    places = {address: i for i, (address, _, _) in enumerate(lines)}
    jumps = [(places[to], i) for i, (_, name, to) in enumerate(lines) if name[0] == "j" and places.get(to, i + 1) <= i]
    for start, end in jumps:
        if not any((start, end) != other and start <= other[0] and other[1] <= end for other in jumps):
            yield lines[start : end + 1]


def main(program):
    command = ["objdump", "-d", "-C", "--no-show-raw-insn", program]
    functions = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as dump:
        for line in dump.stdout:
            if head := HEAD.match(line):
                lines = []
                functions[head[1].lstrip("0")] = (head[2], lines)
            elif functions and (match := LINE.match(line)):
                lines.append(match.groups())
    entries = {address: lines for address, (name, lines) in functions.items() if ENTRY.search(name)}
    if not entries:
        sys.exit("no kernels: build for x86-64, with symbols")
    for first, lines in sorted(entries.items()):
        vectors = []
        for loop in innermost(lines):
            found = [match[1] for _, name, _ in loop if (match := FLOAT.match(name))]
            vectors += [kind == "p" for kind in found]
            for address, name, to in loop if found else []:
                called = functions.get(to, ("?",))[0]
                if name == "call" and not FAILS.search(called):
                    print(f"call    {address}  {called}")
        if vectors and not any(vectors):
            print(f"scalar  {first}  {len(lines)} instructions")


if __name__ == "__main__":
    main(sys.argv[1])
