#!/usr/bin/env bash
# Question: is jnp.exp2 exact for whole numbers, and how many digits of jax's lgamma are right beside its zeros at 1 and 2?
# Usual guess: 2^13 is 8192: exp2 is there so that powers of two are exact, as in PyTorch and, but for 2^127 in float32, numpy. lgamma has six digits in float32, and
#   fifteen in float64, as SciPy's and PyTorch's.
# Versions: jax and jaxlib 0.10.2 (on the CPU), numpy 2.4.6, scipy 1.17.1.
# Behaviour: exp2 is e^(x ln 2), rounded on the way: 2^13 is 8192.004 in float32, 221 of the 254 whole powers are not exact, and in float64 the
#   error reaches 8e-14 (350 units in the last place). 2.0 ** x is exact. lgamma loses its digits where it is small: at 1.0001 three
#   are right in float32, at 1.000001 none (13 % off, and 137 % at 2.000001), and nine in float64. With jit it is the same.
# Output seen:
#   jnp.exp2(13) = 8192.00390625; not exact: 221 of 254 in float32, 1978 of 2001 in float64 (relative error up to 8.0e-14)
#   lgamma(1.000001) off by 1.3e-01 in float32; lgamma(1.0001) off by 4.4e-04 in float32; lgamma(2.000001) off by 1.4e+00 in float32
#   lgamma(1.000001) off by 4.6e-10 in float64
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv v
v/bin/pip install -q --disable-pip-version-check jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6 scipy==1.17.1
JAX_PLATFORMS=cpu v/bin/python - <<'E2'
import jax, jax.numpy as jnp, numpy as np
from scipy.special import gammaln

jax.config.update("jax_enable_x64", True)
narrow, wide = np.arange(-126, 128), np.arange(-1000, 1001)
right, wide_right = np.ldexp(np.float32(1), narrow), np.ldexp(1.0, wide)
y, z = np.asarray(jnp.exp2(narrow.astype("f4"))), np.asarray(jnp.exp2(wide.astype("f8")))
wrong, wide_wrong, worst = (y != right).sum(), (z != wide_right).sum(), np.abs(z / wide_right - 1).max()
print(f"jnp.exp2(13) = {y[13 + 126]}; not exact: {wrong} of {len(narrow)} in float32, {wide_wrong} of {len(wide)} in float64 (relative error up to {worst:.1e})")
assert (np.asarray(jax.jit(jnp.exp2)(narrow.astype("f4"))) == y).all()
assert (np.exp2(narrow.astype("f4")) != right).sum() <= 1 and (np.exp2(wide.astype("f8")) == wide_right).all()
assert (np.asarray(jnp.float32(2) ** narrow.astype("f4")) == right).all() and (np.asarray(jnp.float64(2) ** wide.astype("f8")) == wide_right).all()
assert y[13 + 126] != 8192 and wrong > 200 and worst > 5e-14

def off(x):
    return abs(float(jax.lax.lgamma(x)) / gammaln(float(x)) - 1)

errors = [off(np.float32(v)) for v in (1.000001, 1.0001, 2.000001)]
print("; ".join(f"lgamma({v}) off by {e:.1e} in float32" for v, e in zip((1.000001, 1.0001, 2.000001), errors)))
print(f"lgamma(1.000001) off by {off(np.float64(1.000001)):.1e} in float64")
assert errors[0] > 0.05 and errors[1] > 1e-4 and errors[2] > 0.5 and 1e-11 < off(np.float64(1.000001)) < 1e-8
E2
