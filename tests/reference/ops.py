#!/usr/bin/env python3
"""Golden values for tests/ops.rs: every operation's value, gradient and second-order product, from PyTorch in f64.

Run:  python3 -m venv venv && venv/bin/pip install torch==2.15.0 numpy==2.4.6
      venv/bin/python tests/reference/ops.py > tests/reference/ops.txt
The operations themselves are in ops_cases.py and ops_cases2.py; their key is the Rust expression that tests/ops/ evaluates.

A case is a block of lines, and an empty line ends it. Numbers are separated by spaces; a shape is "2x3", a scalar's "-".
  case KEY | LABEL
  each              every element is compared relative to itself alone, not to the largest one
  in DTYPE SHAPE : numbers          one an input; the f64 ones are those that a gradient is taken of
  out DTYPE SHAPE : numbers
  v : numbers                       the cotangent
  g : numbers                       the gradient of <v, out>, one line an f64 input
  u : numbers                       directions, one line an f64 input
  h : numbers                       the gradient of the sum of all <u, g>, one line an f64 input; "0" alone: zeros
  nan : counts                      how many NaN come out when this element of the input is NaN, one line an f64 input
  no WHAT: reason                   what this case leaves out
Inputs are multiples of 1/64, so that f32 has them exactly, but for those whose point is their size.
"""
import math
import random
import sys
import warnings
import zlib

import numpy as np
import torch

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
F64 = torch.float64
KINDS = {"u8": torch.uint8, "u32": torch.int64, "i64": torch.int64, "f32": torch.float32, "f64": F64}


class Random:
    """Distinct numbers, no zero, drawn from the seed of the case."""

    def __init__(self, shape, low=-2.5, high=2.5):
        self.shape, self.low, self.high = shape, low, high

    def draw(self, rng):
        n = math.prod(self.shape)
        pool = [i / 64 for i in range(math.ceil(self.low * 64), math.floor(self.high * 64) + 1) if i]
        return torch.tensor(rng.sample(pool, n), dtype=F64).reshape(self.shape)


class Given:
    """Numbers written out."""

    def __init__(self, numbers, kind="f64", shape=None):
        self.kind = kind
        self.numbers = torch.tensor(numbers, dtype=KINDS[kind])
        if shape is not None:
            self.numbers = self.numbers.reshape(shape)


def N(*shape):
    """Numbers of either sign."""
    return Random(shape)


def P(*shape):
    """Positive numbers."""
    return Random(shape, 0.25, 3.5)


def U(low, high, *shape):
    return Random(shape, low, high)


def T(numbers, shape=None):
    return Given(numbers, "f64", shape)


def u8(numbers, shape=None):
    return Given(numbers, "u8", shape)


def u32(numbers, shape=None):
    return Given(numbers, "u32", shape)


def i64(numbers, shape=None):
    return Given(numbers, "i64", shape)


def shape_of(x):
    return "x".join(map(str, x.shape)) if x.dim() else "-"


def text(x):
    numbers = x.detach().reshape(-1).tolist()
    if numbers and all(n == 0 for n in numbers):
        return "0"
    return " ".join(str(n)[:-2] if str(n).endswith(".0") else str(n) for n in map(plain, numbers))


def plain(n):
    return int(n) if isinstance(n, bool) else n


def direction(like, rng):
    numbers = [rng.choice([-1, 1]) * rng.randint(1, 16) / 8 for _ in range(like.numel())]
    return torch.tensor(numbers, dtype=F64).reshape(like.shape)


def nan_counts(f, xs, k):
    counts = []
    for i in range(xs[k].numel()):
        x = xs[k].detach().clone()
        x.reshape(-1)[i] = math.nan
        y = f(*[x if j == k else other.detach() for j, other in enumerate(xs)])
        counts.append(int(torch.isnan(y.double()).sum()))
    return counts


SEEN = set()
KEYS = set()


def case(key, f, *inputs, label="ordinary", out=None, each=False, value=None, second=None, nan=None):
    """Writes one case. `value`, `second` and `nan` are the reasons why the gradients, the second-order product and the
    NaN counts are left out; NaN counts are made for the first case of a key."""
    assert (key, label) not in SEEN, (key, label)
    SEEN.add((key, label))
    first, lines = key not in KEYS, [f"case {key} | {label}"]
    KEYS.add(key)
    if each:
        lines.append("each")
    rng = random.Random(zlib.crc32(f"{key} | {label}".encode()))
    xs, floats = [], []
    for k, spec in enumerate(inputs):
        kind = getattr(spec, "kind", "f64")
        x = spec.draw(rng) if isinstance(spec, Random) else spec.numbers.clone()
        lines.append(f"in {kind} {shape_of(x)} : {text(x)}")
        if kind == "f64":
            floats.append(k)
            x.requires_grad_(value is None)
        xs.append(x)
    y = f(*xs)
    kind = out or ("u8" if y.dtype in (torch.bool, torch.uint8) else "i64" if y.dtype == torch.int64 else "f64")
    if kind == "u8":
        y = y.to(torch.uint8)
    lines.append(f"out {kind} {shape_of(y)} : {text(y)}")
    parameters = [xs[k] for k in floats]

    def gradients(of, weights, create):
        if not of.requires_grad:
            return [torch.zeros_like(x) for x in parameters]
        grads = torch.autograd.grad(of, parameters, weights, create_graph=create, allow_unused=True)
        # The gradient of floor and its like is a tensor without storage.
        return [torch.zeros(x.shape, dtype=F64) if g is None or g._is_zerotensor() else g for x, g in zip(parameters, grads)]

    if not y.is_floating_point():
        value = value or "the result is no float"
    if not parameters:
        value = value or "no input is a float"
    if value is not None:
        lines.append(f"no g: {value}")
    else:
        v = direction(y, rng)
        lines.append(f"v : {text(v)}")
        v = v.to(y.dtype)
        g = gradients(y, v, second is None)
        lines += [f"g : {text(x)}" for x in g]
        if second is None:
            u = [direction(x, rng) for x in parameters]
            total = sum((a * b).sum() for a, b in zip(g, u))
            h = gradients(total, None, False)
            if all(torch.isfinite(x).all() for x in h):
                lines += [f"u : {text(x)}" for x in u] + [f"h : {text(x)}" for x in h]
            else:
                second = "it is not finite"
        if second is not None:
            lines.append(f"no h: {second}")
    if first and floats and kind.startswith("f"):
        if nan is not None:
            lines.append(f"no nan: {nan}")
        else:
            lines += ["nan : " + " ".join(map(str, nan_counts(f, xs, k))) for k in floats]
    print("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.modules["ops"] = sys.modules["__main__"]
    print("# Made by tests/reference/ops.py with torch", torch.__version__.split("+")[0], "and numpy", np.__version__)
    print("# The format is described there.\n")
    import ops_cases  # noqa: F401
    import ops_cases2  # noqa: F401
    print(f"{len(SEEN)} cases of {len(KEYS)} expressions", file=sys.stderr)
