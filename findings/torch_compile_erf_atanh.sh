#!/usr/bin/env bash
# Question: does torch.compile on the CPU keep the digits that erf and atanh have in eager mode, for small arguments?
# Usual guess: yes, within a unit or two of the last place; both are odd functions, close to a multiple of x.
# Versions: torch 2.15.0 (on the CPU; its wheel brings 5 GB), numpy 2.4.6.
# Behaviour: eager mode has seven digits everywhere. Compiled, erf of float32 has three at 1e-4 and is 0 below 6e-8; atanh has four at 1e-4 and is 0 at 1e-8, and
#   in float64 it has nine at 1e-8 and is 0 at 1e-20. tanh keeps its digits, and so does erf in float64.
# Output seen (relative error; 1 is a result of 0):
#   erf   float32  eager     1e-02: 7e-09 1e-04: 2e-08 1e-06: 9e-09 1e-08: 7e-09 1e-20: 4e-09
#   erf   float32  compiled  1e-02: 8e-07 1e-04: 4e-04 1e-06: 6e-02 1e-08: 1e+00 1e-20: 1e+00
#   erf   float64  eager     1e-02: 1e-09 1e-04: 0e+00 1e-06: 0e+00 1e-08: 0e+00 1e-20: 0e+00
#   erf   float64  compiled  1e-02: 1e-09 1e-04: 0e+00 1e-06: 0e+00 1e-08: 0e+00 1e-20: 0e+00
#   atanh float32  eager     1e-02: 8e-09 1e-04: 3e-09 1e-06: 3e-13 1e-08: 0e+00 1e-20: 0e+00
#   atanh float32  compiled  1e-02: 1e-06 1e-04: 7e-05 1e-06: 1e-02 1e-08: 1e+00 1e-20: 1e+00
#   atanh float64  eager     1e-02: 2e-09 1e-04: 0e+00 1e-06: 0e+00 1e-08: 0e+00 1e-20: 0e+00
#   atanh float64  compiled  1e-02: 2e-09 1e-04: 3e-13 1e-06: 6e-12 1e-08: 5e-09 1e-20: 1e+00
#   tanh  float32  eager     1e-02: 8e-09 1e-04: 3e-09 1e-06: 3e-13 1e-08: 0e+00 1e-20: 0e+00
#   tanh  float32  compiled  1e-02: 8e-09 1e-04: 3e-09 1e-06: 3e-13 1e-08: 0e+00 1e-20: 0e+00
#   tanh  float64  eager     1e-02: 1e-09 1e-04: 0e+00 1e-06: 0e+00 1e-08: 0e+00 1e-20: 0e+00
#   tanh  float64  compiled  1e-02: 1e-09 1e-04: 0e+00 1e-06: 0e+00 1e-08: 0e+00 1e-20: 0e+00
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv v
v/bin/pip install -q --disable-pip-version-check torch==2.15.0 numpy==2.4.6
TORCHINDUCTOR_CACHE_DIR="$T/cache" v/bin/python - <<'E2'
import torch

points = [1e-2, 1e-4, 1e-6, 1e-8, 1e-20]
lost = set()
for name, f in (("erf", torch.erf), ("atanh", torch.atanh), ("tanh", torch.tanh)):
    for dtype in (torch.float32, torch.float64):
        x = torch.tensor(points * 16, dtype=dtype)
        # To first order beyond x, which is more than these points need.
        cube = {"erf": -1 / 3, "atanh": 1 / 3, "tanh": -1 / 3}[name]
        right = (x.double() + cube * x.double() ** 3) * (2 / torch.pi**0.5 if name == "erf" else 1)
        torch._dynamo.reset()
        compiled = torch.compile(lambda x: f(x))(x)
        for mode, y in (("eager", f(x)), ("compiled", compiled)):
            errors = (y.double() / right - 1).abs()[: len(points)].tolist()
            print(f"{name:6}{str(dtype)[6:]:8} {mode:9}", " ".join(f"{p:.0e}: {e:.0e}" for p, e in zip(points, errors)))
            if max(errors[1:]) > 1e-5:
                lost.add((name, str(dtype)[6:], mode))
assert lost == {("erf", "float32", "compiled"), ("atanh", "float32", "compiled"), ("atanh", "float64", "compiled")}, lost
E2
