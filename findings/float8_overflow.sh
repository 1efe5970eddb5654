#!/usr/bin/env bash
# Question: what is infinity, and what is 1000, in float8_e4m3fn, whose largest number is 448 and which
#   has NaN but no infinity: in torch (.to) and in ml_dtypes (.astype, which JAX uses)?
# Usual guess: NaN for both in both libraries: the format has no infinity, and PyTorch and JAX agree.
# Versions: torch 2.15.0 (on the CPU; its wheel brings 5 GB), ml_dtypes 0.6.0, numpy 2.4.6.
# Behaviour: torch gives 448 for both, even for infinity; ml_dtypes gives NaN for both. Both keep NaN.
#   float8_e5m2, which has an infinity, agrees: 1e6 and inf are inf. So an overflow that JAX shows as NaN
#   is a finite number in PyTorch, and inf.to(float8_e4m3fn).isinf() is false.
# Output seen:
#   float8_e4m3fn  of [1000.0, inf, nan]  torch [448.0, 448.0, nan]  ml_dtypes [nan, nan, nan]
#   float8_e5m2    of [1000000.0, inf, nan]  torch [inf, inf, nan]  ml_dtypes [inf, inf, nan]
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv v
v/bin/pip install -q --disable-pip-version-check numpy==2.4.6 ml_dtypes==0.6.0
v/bin/pip install -q --disable-pip-version-check torch==2.15.0
v/bin/python - <<'E2'
import ml_dtypes, numpy as np, torch
inf, nan = float("inf"), float("nan")
for name, large, of_torch, of_ml_dtypes in [
    ("float8_e4m3fn", 1e3, [448.0, 448.0, nan], [nan, nan, nan]),
    ("float8_e5m2", 1e6, [inf, inf, nan], [inf, inf, nan]),
]:
    x = [large, inf, nan]
    t = torch.tensor(x).to(getattr(torch, name)).float().tolist()
    with np.errstate(invalid="ignore"):
        m = np.array(x, "f4").astype(name).astype("f4").tolist()
    print(f"{name:14} of {x}  torch {t}  ml_dtypes {m}")
    assert np.array_equal(t, of_torch, equal_nan=True) and np.array_equal(m, of_ml_dtypes, equal_nan=True)
E2
