#!/usr/bin/env python3
"""A large table: how fast tealight, pandas and pyarrow read it, and what memory training on it takes.

python3 benches/stream.py PROGRAM [ROWS [FOLDER]] makes table.csv and table.parquet in FOLDER (ROWS rows of 30 numbers and a class; default: 10 million,
1.3 GB), and runs PROGRAM, which `cargo bench --bench stream --no-run` builds, in turns with pandas.read_csv in chunks and pyarrow's iter_batches,
each a process of its own. Needs numpy, pandas and pyarrow. RAYON_NUM_THREADS says how many threads tealight takes; pyarrow has as many.
"""
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PANDAS = """
import pandas, sys
print(sum(len(chunk) for chunk in pandas.read_csv(sys.argv[1], chunksize=100_000)))"""
PYARROW = """
import pyarrow, pyarrow.parquet, sys
threads = int(sys.argv[2])
pyarrow.set_cpu_count(threads)
pyarrow.set_io_thread_count(threads)
print(sum(len(batch) for batch in pyarrow.parquet.ParquetFile(sys.argv[1]).iter_batches(use_threads=threads > 1)))"""


def make(folder, rows):
    import numpy as np
    import pandas
    import pyarrow
    import pyarrow.parquet

    rng = np.random.default_rng(1)
    slope = rng.standard_normal(30)
    writer = None
    with open(folder / "table.csv", "w") as csv:
        for start in range(0, rows, 100_000):
            count = min(100_000, rows - start)
            x = np.round(rng.normal(0, 1, (count, 30)), 1)
            table = pandas.DataFrame(x, columns=[f"x{i}" for i in range(30)])
            table["y"] = np.where(x @ slope + rng.standard_normal(count) > 0, "yes", "no")
            table.to_csv(csv, index=False, header=start == 0)
            block = pyarrow.Table.from_pandas(table, preserve_index=False)
            writer = writer or pyarrow.parquet.ParquetWriter(folder / "table.parquet", block.schema)
            writer.write_table(block)
    writer.close()


def timed(what, command, rows):
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    took = time.perf_counter() - start
    print(f"{what:24} {rows / took:12,.0f} rows a second with its start  {done.stdout.strip()}", flush=True)


def main():
    program = sys.argv[1]
    rows = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000_000
    folder = Path(sys.argv[3] if len(sys.argv) > 3 else tempfile.mkdtemp())
    threads = os.environ.get("RAYON_NUM_THREADS", str(os.cpu_count()))
    if not (folder / "table.parquet").exists():
        make(folder, rows)
    csv, parquet = folder / "table.csv", folder / "table.parquet"
    print(f"{csv.stat().st_size:,} bytes of CSV, {parquet.stat().st_size:,} of Parquet, {threads} threads")
    for _ in range(3):
        timed("tealight CSV", [program, "read", csv], rows)
        timed("pandas CSV", [sys.executable, "-c", PANDAS, csv], rows)
        timed("tealight Parquet", [program, "read", parquet], rows)
        timed("pyarrow Parquet", [sys.executable, "-c", PYARROW, parquet, threads], rows)
    for hidden in [[], ["64"], ["256"], ["1024"]]:
        timed(f"training, CSV {' '.join(hidden)}", [program, "train", csv, *hidden], rows)
        timed(f"training, Parquet {' '.join(hidden)}", [program, "train", parquet, *hidden], rows)


if __name__ == "__main__":
    main()
