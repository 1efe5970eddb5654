#!/usr/bin/env bash
# Question: np.save an array of a dtype of ml_dtypes (bfloat16, float8_e4m3fn, float8_e5m2, int4), and
#   np.load the file with ml_dtypes imported. Does the array come back?
# Usual guess: yes, with its dtype; or, if numpy cannot name the dtype, np.save refuses it.
# Versions: numpy 2.4.6, ml_dtypes 0.6.0.
# Behaviour: np.save accepts all of them, and none comes back with its dtype.
#   - bfloat16 is written as '<V2', and every dtype of one byte but one as '<V1': they load as raw bytes
#     ("|V2", "|V1"), and nothing in the file tells float8_e4m3fn from int4. .view(dtype) gives them back.
#   - float8_e5m2 is the exception: its kind is numpy's 'f', so it is written as '<f1', which np.load
#     refuses. np.load cannot read what np.save wrote a line before.
# Output seen:
#   bfloat16       <V2  loaded as |V2
#   float8_e4m3fn  <V1  loaded as |V1
#   float8_e5m2    <f1  ValueError: descr is not a valid dtype descriptor: '<f1'
#   int4           <V1  loaded as |V1
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv v; v/bin/pip install -q --disable-pip-version-check numpy==2.4.6 ml_dtypes==0.6.0
v/bin/python - <<'E2'
import ml_dtypes, numpy as np
for name, descr in {"bfloat16": "<V2", "float8_e4m3fn": "<V1", "float8_e5m2": "<f1", "int4": "<V1"}.items():
    x = np.array([1, -2, 3], name)
    np.save("x.npy", x)
    assert f"'descr': '{descr}'".encode() in open("x.npy", "rb").read()
    try:
        y = np.load("x.npy")
        print(f"{name:14} {descr}  loaded as {y.dtype}")
        assert y.dtype.kind == "V" and (y.view(name) == x).all() and name != "float8_e5m2"
    except ValueError as error:
        print(f"{name:14} {descr}  ValueError: {error}")
        assert name == "float8_e5m2"
E2
