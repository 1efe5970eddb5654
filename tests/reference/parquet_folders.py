"""Folders whose names are columns, as pandas and polars write them, and a file of tealight's as they read it: parquet_folders.py (writes parquet/hive-*).

Needs pandas 3.1.1, pyarrow 26.0.1 and polars 2.1.0. The rows are those of fastparquet.csv; tests/parquet.rs writes written.parquet.
"""

import pathlib
import shutil

import numpy
import pandas
import polars

PLACE = pathlib.Path(__file__).parent / "parquet"
rows = pandas.read_csv(PLACE / "fastparquet.csv", dtype={"big": "Int64"})
for name in ["hive-pandas", "hive-polars"]:
    shutil.rmtree(PLACE / name, ignore_errors=True)
rows.to_parquet(PLACE / "hive-pandas", partition_cols=["flag", "word"], index=False, basename_template="part-{i}.parquet")
polars.from_pandas(rows).write_parquet(polars.PartitionBy(PLACE / "hive-polars", key=["flag", "word"], include_key=True), mkdir=True)

x, numbers = [-2.5, 0.0, 1.0, float("nan"), float("inf")], [0, 1, 2, 100, 7]
lists = numpy.stack([x, numbers], axis=1)
kinds = {"F16": "float16", "F32": "float32", "U8": "uint8", "U32": "uint32", "I16": "int16", "I32": "int32", "I64": "int64"}
for written in [pandas.read_parquet(PLACE / "written.parquet"), polars.read_parquet(PLACE / "written.parquet")]:
    assert list(written.columns) == ["x", "list", *kinds], written.columns
    numpy.testing.assert_array_equal(written["x"].to_numpy(), x)
    numpy.testing.assert_array_equal(numpy.array([list(row) for row in written["list"]]), lists)
    for name, kind in kinds.items():
        column = written[name].to_numpy()
        assert column.dtype == kind and list(column) == numbers, (name, column)
print("written.parquet is read by pandas", pandas.__version__, "and polars", polars.__version__)
