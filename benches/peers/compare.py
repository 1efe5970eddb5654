#!/usr/bin/env python3
"""Tealight against every peer that is installed: a Markdown table. See ../README.md.

Each side is a process of its own that answers one request at a time; all take turns, sample by sample, and all but one wait.
"""

import argparse
import json
import os
import pathlib
import queue
import statistics
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
RUST = ["candle", "candle-mimalloc", "burn-flex", "burn-ndarray", "dfdx"]
PYTHON = ["numpy", "torch", "torch-compiled", "jax"]
PATIENCE = 600  # seconds for one answer: torch compiles before its first
# How far a peer's number may be from ours. The first name that the job starts with counts, here and below.
TOLERANCES = [
    ("replayed-l1-grad/", 2e-3),
    ("replayed-cnn32-adamw/", 2e-3),  # candle divides a pool's gradient by the window's size
    ("replayed-", 1e-4),
    ("", 2e-3),  # jax's |x|′(0) is 1, and one number in a thousand is 0
]
IDLE = 0.02  # seconds until the spinning threads of the last process sleep

# Ours may take at most this much of the best peer's time. `None`: as it comes.
BOUNDS = [
    ("replayed-tiny-mlp-sgd/", 0.32),
    ("replayed-mlp-sgd/", 0.90),
    ("replayed-mlp-adamw/", 0.74),
    ("replayed-logistic-sgd/", 0.71),
    ("replayed-l1-grad/", 0.11),
    ("replayed-l2-grad/", 0.20),
    ("replayed-cnn-adamw/", 0.59),
    ("replayed-cnn32-adamw/", 0.55),
    ("replayed-separable-adamw/", 0.60),
    ("replayed-lstm-adamw/", 0.60),
    ("replayed-transformer-adamw/", 0.45),
    ("replayed-pinn-adamw/", 0.13),
    ("replayed-", None),
    ("sigmoid-grad/10000000", 0.4),
    ("sigmoid/", 0.7),
    ("sigmoid-grad/", 0.7),
    ("softmax-grad/", 0.9),
    ("normalize-rows-grad/", 0.9),
    ("l1-grad/", 0.9),
    ("l2-grad/", 0.9),
    ("cross-entropy-grad/", 0.7),
    ("dot/", 1.0),
    ("outer/", 1.0),
    ("matvec/", 1.0),
    ("logistic-sgd/", 1.0),
    ("mlp-", 0.95),
    ("cnn-sgd/", 0.5),
    ("tiny-mlp-sgd/", 0.8),
    ("sgemm/", 1.0),
    ("iris-process/", 1.0),
    ("", 1.0),  # f64, against numpy
]


class Gone(Exception):
    """The process ended or does not answer."""


class Server:
    """A process that serves jobs; it is started again after it has gone."""

    def __init__(self, name, command, environment):
        self.name, self.command, self.environment = name, command, environment
        self.process, self.jobs = None, []

    def start(self):
        self.process = subprocess.Popen(
            self.command, cwd=ROOT, env=self.environment, text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )
        self.lines = queue.Queue()
        threading.Thread(target=self.read, args=(self.process.stdout, self.lines), daemon=True).start()
        self.jobs = []
        while line := self.line():
            self.jobs.append(line)

    @staticmethod
    def read(stream, lines):
        for line in stream:
            lines.put(line.strip())
        lines.put(None)

    def line(self):
        try:
            line = self.lines.get(timeout=PATIENCE)
        except queue.Empty:
            line = None
        if line is None:
            self.stop()
            raise Gone(f"{self.name} has gone")
        return line

    def ask(self, request):
        if self.process is None:
            self.start()
        try:
            self.process.stdin.write(request + "\n")
            self.process.stdin.flush()
        except OSError:
            self.stop()
            raise Gone(f"{self.name} has gone") from None
        answer = self.line()
        if answer.startswith("error:"):
            raise ValueError(f"{self.name}: {request}: {answer}")
        return float(answer)

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


def environment(threads):
    count = str(threads)
    made = {**os.environ}
    for name in ["MATMUL", "RAYON", "OMP", "MKL", "OPENBLAS"]:
        made[f"{name}_NUM_THREADS"] = count
    made["NPROC"] = count  # the size of jax's pool
    if threads == 1:
        made["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    # Some machines force a kernel of OpenBLAS that is not theirs.
    for name in ["OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"]:
        made.pop(name, None)
    return made


def servers(arguments):
    env = environment(arguments.threads)
    peers = ["--release", "--manifest-path", str(HERE / "Cargo.toml")]
    if arguments.peers_target:
        peers += ["--target-dir", arguments.peers_target]
    if arguments.ours:
        ours = [arguments.ours]
    else:
        ours = ["cargo", "bench", "--quiet", "--bench", "speed"]
        subprocess.run([*ours, "--no-run"], cwd=ROOT, check=True)
        ours += ["--"]
    found = [Server("ours", [*ours, "--serve"], env)]
    wanted = arguments.peers.split(",") if arguments.peers else RUST + PYTHON
    if set(wanted) & set(RUST):
        built = subprocess.run(["cargo", "build", *peers], cwd=ROOT)
        if built.returncode != 0:
            print("the Rust peers do not build: left out", file=sys.stderr)
            wanted = [name for name in wanted if name not in RUST]
    run = ["cargo", "run", "--quiet", *peers, "--bin"]
    for name in wanted:
        if name in RUST:
            peer = name.removesuffix("-mimalloc")
            binary = "peers-mimalloc" if peer != name else "peers"
            command = [*run, binary, "--", "--serve", peer]
        else:
            command = [arguments.python, str(HERE / "peers.py"), "--serve", name]
        found.append(Server(name, command, env))
    started = []
    for server in found:
        try:
            server.start()
            started.append(server)
        except (Gone, OSError) as error:
            print(f"{server.name} does not start, and is left out: {error}", file=sys.stderr)
    if not started or started[0].name != "ours":
        sys.exit("our own bench does not start")
    return started


def same(job, value, right):
    return abs(value - right) <= first(TOLERANCES, job) * max(abs(right), 1e-30)


def measure(job, all_servers, rounds, idle):
    """Microseconds by name, of those who can do the job and agree on what it gives."""
    running, right = [], None
    for server in all_servers:
        if job not in server.jobs:
            continue
        try:
            value = server.ask(f"check {job}")
            if right is None:
                right = value
            if not same(job, value, right):
                print(f"{job}: {server.name} gives {value}, not {right}: left out", file=sys.stderr)
                continue
            server.ask(job)  # made, warm and calibrated
            running.append(server)
        except (Gone, ValueError) as error:
            print(f"{job}: {error}", file=sys.stderr)
    times = {server.name: [] for server in running}
    begin = time.monotonic()
    for i in range(rounds):
        # Another one goes first every time.
        turn = i % max(len(running), 1)
        for server in running[turn:] + running[:turn]:
            try:
                time.sleep(idle)
                times[server.name].append(server.ask(job))
            except (Gone, ValueError) as error:
                print(f"{job}: {error}", file=sys.stderr)
                times.pop(server.name)
                running = [other for other in running if other is not server]
        if time.monotonic() - begin > 60 and i >= 8:
            break  # a slow peer shall not hold up the rest
    for server in running:
        try:
            server.ask(f"drop {job}")
        except (Gone, ValueError) as error:
            print(f"{job}: {error}", file=sys.stderr)
    return {name: samples for name, samples in times.items() if samples}


def first(table, job):
    return next(value for start, value in table if job.startswith(start))


def text(microseconds):
    return f"{microseconds:.2f}" if microseconds < 100 else f"{microseconds:.0f}"


def row(job, times, names):
    """The cells of a row, and what to keep of it."""
    kept = {
        name: {"median": statistics.median(samples), "least": min(samples)} for name, samples in times.items()
    }
    cells = [job, *(text(kept[name]["median"]) if name in kept else "" for name in ["ours", *names])]
    peers = [name for name in names if name in kept]
    bound = first(BOUNDS, job)
    limit = "" if bound is None else text(bound)
    result = {"job": job, "times": kept, "bound": bound}
    if "ours" not in kept or not peers:
        return [*cells, "", "", "", limit, ""], result
    ratios = {}
    for figure in ["median", "least"]:
        best = min(peers, key=lambda name: kept[name][figure])
        ratios[figure] = kept["ours"][figure] / kept[best][figure]
        result[figure] = {"best": best, "ratio": ratios[figure]}
    cells += [result["median"]["best"], f"{ratios['median']:.2f}", f"{ratios['least']:.2f}", limit]
    if bound is None:
        return [*cells, ""], result
    result["met"] = ratios["median"] <= bound
    return [*cells, "yes" if result["met"] else "no"], result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--filter", default="", help="jobs whose names contain one of these words, by commas")
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--peers", default="", help="these alone, by commas: " + " ".join(RUST + PYTHON))
    parser.add_argument("--ours", help="our bench program, if it is built already")
    parser.add_argument("--python", default=sys.executable, help="the Python that has requirements.txt installed")
    parser.add_argument("--peers-target", help="where the Rust peers are built, if not where cargo would")
    parser.add_argument("--json", help="where the figures go too")
    arguments = parser.parse_args()

    started = servers(arguments)
    names = [server.name for server in started[1:]]
    words = arguments.filter.split(",")
    jobs = [job for job in started[0].jobs if any(word in job for word in words)]
    idle = IDLE if arguments.threads > 1 else 0.0
    head = ["job", "ours µs", *names, "best peer", "ours / best", "of the least", "at most", "met"]
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head), flush=True)
    results = []
    try:
        for job in jobs:
            cells, result = row(job, measure(job, started, arguments.rounds, idle), names)
            print("| " + " | ".join(cells) + " |", flush=True)
            results.append(result)
    finally:
        for server in started:
            server.stop()
        if arguments.json:
            kept = {"threads": arguments.threads, "rounds": arguments.rounds, "rows": results}
            pathlib.Path(arguments.json).write_text(json.dumps(kept, indent=1))


if __name__ == "__main__":
    main()
