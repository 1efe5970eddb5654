"""Parquet files as pandas, polars, pyarrow, fastparquet and Hugging Face's datasets write them, and the cells in them: parquet.py (writes parquet/*).

Needs pandas 3.1.1, pyarrow 26.0.1, polars 2.1.0, fastparquet 2026.9.0, datasets 5.2.0 and Pillow. The cells are those that were
written, not those that a reader found.
"""

import csv
import datetime
import decimal
import io
import pathlib

import datasets
import numpy
import pandas
import polars
import pyarrow
import pyarrow.parquet
from PIL import Image

PLACE = pathlib.Path(__file__).parent / "parquet"
PLACE.mkdir(exist_ok=True)
N = 40
I = range(N)
BIG = 2**53 + 1


def cell(x):
    """As a table of text has it."""
    if x is None or x is pandas.NA or x != x:
        return ""
    if isinstance(x, bool):
        return str(x)
    if isinstance(x, datetime.datetime):
        return x.strftime("%Y-%m-%d") if x.time() == datetime.time() else x.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(x, float):
        return repr(x).removesuffix(".0")
    return str(x)


def expect(name, columns):
    with open(PLACE / f"{name}.csv", "w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(columns)
        out.writerows([cell(x) for x in row] for row in zip(*columns.values(), strict=True))


x = [None if i == 3 else i / 4 for i in I]
big = [None if i == 5 else BIG + i for i in I]
word = [None if i == 7 else ["red", "green", "blue"][i % 3] for i in I]
text = [None if i == 9 else f"{'ab'[i % 2]} Zürich" for i in I]
flag = [i % 3 == 0 for i in I]
day = [datetime.date(2023, 12, 20) + datetime.timedelta(days=9 * i) for i in I]
moment = [datetime.datetime(2024, 1, 1, i % 24, 30, 15) + datetime.timedelta(days=i) for i in I]
midnight = [datetime.datetime(2024, 1, 1) + datetime.timedelta(days=i) for i in I]
kind = [["low", "high"][i % 2] for i in I]
plain = {"x": x, "big": big, "word": word, "text": text, "flag": flag, "day": day, "moment": moment, "midnight": midnight}

frame = pandas.DataFrame({
    "x": pandas.Series(x, dtype="float64"),
    "big": pandas.Series(big, dtype="Int64"),
    "word": pandas.Categorical(word, categories=["never", "red", "green", "blue"]),
    "text": text,
    "flag": flag,
    "day": day,
    "moment": moment,
    "midnight": midnight,
    "kind": kind,
})
named = frame.set_index(pandas.Index([f"row {i}" for i in I], name="who"))
named.to_parquet(PLACE / "pandas.parquet", row_group_size=16)
expect("pandas", plain | {"kind": kind, "who": [f"row {i}" for i in I]})

polars.DataFrame({
    "x": polars.Series(x, dtype=polars.Float32),
    "big": polars.Series(big, dtype=polars.Int64),
    "word": polars.Series(word, dtype=polars.Categorical),
    "size": polars.Series([["s", "m", "l"][i % 3] for i in I], dtype=polars.Enum(["s", "m", "l", "xl"])),
    "list": polars.Series([None if i == 2 else [i / 2, None if i == 4 else -1.0 * i] for i in I], dtype=polars.List(polars.Float32)),
    "array": polars.Series([[i, i + 1, i + 2] for i in I], dtype=polars.Array(polars.Int16, 3)),
    "nan": polars.Series([float("nan") if i % 2 else 1.5 for i in I]),
    "moment": moment,
    "kind": kind,
}).write_parquet(PLACE / "polars.parquet", row_group_size=17)
expect("polars", {
    "x": x, "big": big, "word": word, "size": [["s", "m", "l"][i % 3] for i in I],
    "list[0]": [None if i == 2 else i / 2 for i in I], "list[1]": [None if i in (2, 4) else -1.0 * i for i in I],
    "array[0]": I, "array[1]": [i + 1 for i in I], "array[2]": [i + 2 for i in I],
    "nan": [None if i % 2 else 1.5 for i in I], "moment": moment, "kind": kind,
})

polars.DataFrame({"odd": polars.Series(list(I), dtype=polars.Int128), "x": list(I), "kind": kind}).write_parquet(PLACE / "int128.parquet")

types = {
    "half": (pyarrow.float16(), [numpy.float16(i / 8) for i in I], [i / 8 for i in I]),
    "byte": (pyarrow.uint8(), list(I), I),
    "wide": (pyarrow.uint64(), [2**64 - 1 - i for i in I], [2**64 - 1 - i for i in I]),
    "money": (pyarrow.decimal128(12, 2), [decimal.Decimal(i) / 4 for i in I], [f"{i / 4:.2f}" for i in I]),
    "time": (pyarrow.time64("us"), [datetime.time(i % 24, i) for i in I], [f"{i % 24:02}:{i:02}:00" for i in I]),
    "late": (pyarrow.timestamp("ms", "Europe/Zurich"), [m.replace(tzinfo=datetime.timezone.utc) for m in moment], moment),
    "took": (pyarrow.duration("s"), [datetime.timedelta(hours=6 * i) for i in I], [i / 4 for i in I]),
    "codes": (pyarrow.dictionary(pyarrow.int8(), pyarrow.int64()), None, [[10, 2, None][i % 3] for i in I]),
    "none": (pyarrow.null(), [None] * N, [None] * N),
    "matrix": (pyarrow.large_list(pyarrow.list_(pyarrow.int8(), 2)), [[[i, 1], [2, 3]] for i in I], None),
    "kind": (pyarrow.large_string(), kind, kind),
}
codes = pyarrow.DictionaryArray.from_arrays(pyarrow.array([[0, 1, None][i % 3] for i in I], pyarrow.int8()), pyarrow.array([10, 2, 7]))
table = pyarrow.table({n: codes if v is None else pyarrow.array(v, t) for n, (t, v, _) in types.items()})
expected = {n: e for n, (_, _, e) in types.items() if e is not None and n != "kind"}
expected |= {f"matrix[{j}]": [i if j == 0 else j for i in I] for j in range(4)} | {"kind": kind}
for codec in ["none", "snappy", "gzip", "lz4", "zstd"]:
    version = {"data_page_version": "2.0"} if codec in ("gzip", "zstd") else {}
    pyarrow.parquet.write_table(table, PLACE / f"pyarrow-{codec}.parquet", compression=codec, row_group_size=13, **version)
expect("pyarrow", expected)

small = frame[["x", "big", "word", "text", "flag", "kind"]]
small.to_parquet(PLACE / "fastparquet.parquet", engine="fastparquet", index=False, row_group_offsets=15)
expect("fastparquet", {n: plain[n] for n in ["x", "big", "word", "text", "flag"]} | {"kind": kind})


def picture(i):
    out = io.BytesIO()
    Image.new("RGB", (3, 2), [(255, 0, 0), (0, 0, 255)][i % 2]).save(out, "png")
    return {"bytes": out.getvalue(), "path": f"{i}.png"}


names = ["cat", "dog"]
rows = {"id": [str(i) for i in range(8)], "label": [i % 2 for i in range(8)], "image": [picture(i) for i in range(8)]}
features = datasets.Features({"id": datasets.Value("string"), "label": datasets.ClassLabel(names=names), "image": datasets.Image()})
datasets.Dataset.from_dict(rows, features=features).to_parquet(PLACE / "datasets.parquet")

for i in range(2):  # a folder of files
    (PLACE / "folder").mkdir(exist_ok=True)
    small.iloc[20 * i : 20 * i + 20].to_parquet(PLACE / f"folder/part-{i}.parquet", index=False)
for path in sorted(PLACE.rglob("*.parquet")):
    print(path.relative_to(PLACE), path.stat().st_size)
