#!/usr/bin/env bash
# Question: safetensors.numpy.save_file is given a transposed array, or one in Fortran order. Does the
#   file have its values?
# Usual guess: yes, or an error, as safetensors.torch.save_file refuses a tensor that is not contiguous.
# Versions: safetensors 0.8.0, numpy 2.4.6.
# Behaviour: neither. It writes the bytes of the array's memory from its first element on, whatever its
#   strides, with the shape of the view, and without a word:
#   - a.T and np.asfortranarray(a) come back with their elements in another order;
#   - a[:, ::2] comes back with elements that are not in the view;
#   - np.ascontiguousarray(x) before saving, or .copy(), gives the right file.
#   A big-endian array, which also needs a copy, is right. (An array with negative strides begins at the
#   end of its memory, so more is read than there is: not tried here.)
# Output seen:
#   contiguous   same
#   a.T          other values: [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]] for [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]
#   Fortran      other values: [[0.0, 3.0, 1.0], [4.0, 2.0, 5.0]] for [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
#   a[:, ::2]    other values: [[0.0, 1.0], [2.0, 3.0]] for [[0.0, 2.0], [3.0, 5.0]]
#   big-endian   same
#   copy of a.T  same
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv v
v/bin/pip install -q --disable-pip-version-check safetensors==0.8.0 numpy==2.4.6
v/bin/python - <<'E2'
import numpy as np
from safetensors import numpy as sn
a = np.arange(6.0).reshape(2, 3)
arrays = {"contiguous": a, "a.T": a.T, "Fortran": np.asfortranarray(a), "a[:, ::2]": a[:, ::2],
          "big-endian": a.astype(">f8"), "copy of a.T": a.T.copy()}
same = []
for name, x in arrays.items():
    sn.save_file({"x": x}, "f")
    y = sn.load_file("f")["x"]
    same.append(np.array_equal(x, y))
    print(f"{name:12}", "same" if same[-1] else f"other values: {y.tolist()} for {x.tolist()}")
assert same == [True, False, False, False, True, True]
E2
