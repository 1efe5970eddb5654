#!/usr/bin/env bash
# Question: np.savez(f, **{"a": x, "a.npy": y}): are both arrays read back by np.load?
# Usual guess: yes; they are two keys, and the zip archive has two entries ("a.npy" and "a.npy.npy").
# Versions: numpy 2.4.6.
# Behaviour: the archive has both, z.files lists both names, and z["a.npy"] silently gives x, the array
#   of "a": NpzFile looks a key up among the names of the archive before those without ".npy". y is in the
#   file, and is reached as z["a.npy.npy"], a key that z.files does not have.
# Output seen:
#   in the archive: ['a.npy', 'a.npy.npy']
#   z.files: ['a', 'a.npy']
#   z['a'] = [0.], z['a.npy'] = [0.], z['a.npy.npy'] = [1.]
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv v; v/bin/pip install -q --disable-pip-version-check numpy==2.4.6
v/bin/python - <<'E2'
import numpy as np, zipfile
np.savez("f.npz", **{"a": np.zeros(1), "a.npy": np.ones(1)})
names = zipfile.ZipFile("f.npz").namelist()
z = np.load("f.npz")
print("in the archive:", names)
print("z.files:", z.files)
print(", ".join(f"z[{key!r}] = {z[key]}" for key in ["a", "a.npy", "a.npy.npy"]))
assert names == ["a.npy", "a.npy.npy"] and z.files == ["a", "a.npy"]
assert z["a"] == 0 and z["a.npy"] == 0 and z["a.npy.npy"] == 1
E2
