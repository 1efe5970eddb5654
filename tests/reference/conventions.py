#!/usr/bin/env python3
"""Golden values for tests/conventions.rs: value, first and second derivatives where an operation has a kink or degenerates,
from PyTorch in f64.

Run:  python3 -m venv venv && venv/bin/pip install torch==2.15.0 numpy==2.4.6
      venv/bin/python tests/reference/conventions.py > tests/reference/conventions.txt

A line `of EXPRESSION` names the Rust expression of the lines that follow, each of which is one point:
  INPUTS | VALUE | GRADIENT | HESSIAN
All are lists of numbers: the inputs (a scalar, or a vector in brackets), the elements of the result, the gradient of the result's sum by each element of each input, and the matrix of second derivatives, row by row. Where
PyTorch has no second derivative there is a "-".
Nobody edits conventions.txt: where we differ on purpose, docs/conventions.md says so.
"""
import functools
import itertools
import math
import warnings

import torch
import torch.nn.functional as F

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
inf, nan = math.inf, math.nan


def text(numbers):
    return " ".join(str(n)[:-2] if str(n).endswith(".0") else str(n) for n in numbers)


def derivatives(y, xs, create):
    """The gradient of a scalar by every element of every input."""
    if not y.requires_grad:
        return [n for x in xs for n in torch.zeros_like(x).flatten().unbind()]
    grads = torch.autograd.grad(y, xs, create_graph=create, retain_graph=True, allow_unused=True)
    # The gradient of floor and its like is a tensor without storage.
    grads = [torch.zeros_like(x) if g is None or g._is_zerotensor() else g for x, g in zip(xs, grads)]
    return [n for g in grads for n in g.flatten().unbind()]


def of(key, f, points):
    """`points`: lists of numbers, of which each is an input; an input may itself be a list."""
    print(f"of {key}")
    for point in points:
        inputs = point if isinstance(point, tuple) else (point,)
        xs = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in inputs]
        y = f(*xs)
        first = derivatives(y.sum(), xs, True)
        try:
            second = text(n.item() for g in first for n in derivatives(g, xs, False))
        except (RuntimeError, NotImplementedError) as error:
            assert "not implemented" in str(error), error
            second = "-"
        shown = " ".join(f"[{','.join(text([n]) for n in x.tolist())}]" if x.dim() else text([x.item()]) for x in xs)
        print(f"{shown} | {text(y.flatten().tolist())} | {text(g.item() for g in first)} | {second}")
    print()


PLAIN = [0.0, -0.0, 1.0, -1.0, 0.5, inf, -inf, nan]
UNARY = {
    "exp": torch.exp, "expm1": torch.expm1, "ln": torch.log, "log2": torch.log2, "log10": torch.log10, "log1p": torch.log1p,
    "sqr": torch.square, "sqrt": torch.sqrt, "rsqrt": torch.rsqrt, "recip": torch.reciprocal, "neg": torch.neg,
    "abs": torch.abs, "sign": torch.sign, "floor": torch.floor, "ceil": torch.ceil, "round": torch.round,
    "trunc": torch.trunc, "sin": torch.sin, "cos": torch.cos, "tan": torch.tan, "asin": torch.asin, "acos": torch.acos,
    "atan": torch.atan, "sinh": torch.sinh, "cosh": torch.cosh, "tanh": torch.tanh, "erf": torch.erf, "erfc": torch.erfc,
    "sigmoid": torch.sigmoid, "softplus": F.softplus, "relu": torch.relu, "gelu": F.gelu, "silu": F.silu,
}
for name, f in UNARY.items():
    of(f"x.{name}()", f, PLAIN)
for c in ["-2.0", "-1.0", "-0.5", "0.0", "0.5", "1.0", "1.5", "2.0", "2.5", "3.0", "4.0"]:
    of(f"x.powf({c})", functools.partial(lambda c, x: x ** c, float(c)), PLAIN)
of("x.leaky_relu(0.25)", lambda x: F.leaky_relu(x, 0.25), PLAIN)
RIGHT = PLAIN[:1] + PLAIN[2:]
of("x.elu(1.5)", lambda x: F.elu(x, 1.5), RIGHT)
for key, f, points in [
    ("Relu6.apply(x)", F.relu6, PLAIN + [6.0]),
    ("HardTanh::default().apply(x)", F.hardtanh, PLAIN),
    ("HardSigmoid.apply(x)", F.hardsigmoid, [3.0, -3.0, inf, -inf, nan]),  # elsewhere its slope is 1/6 in f32
    ("HardSwish.apply(x)", F.hardswish, PLAIN + [3.0, -3.0]),
    ("Threshold { threshold: 1.0, value: 7.0 }.apply(x)", lambda x: F.threshold(x, 1.0, 7.0), PLAIN),
    ("Selu.apply(x)", F.selu, RIGHT),
    ("Celu { alpha: 0.5 }.apply(x)", lambda x: F.celu(x, 0.5), RIGHT),
    ("Softsign.apply(x)", F.softsign, PLAIN),
    ("Tanhshrink.apply(x)", F.tanhshrink, PLAIN),
    ("LogSigmoid.apply(x)", F.logsigmoid, PLAIN),
    ("Mish.apply(x)", F.mish, PLAIN),
    ("GeluTanh.apply(x)", lambda x: F.gelu(x, approximate="tanh"), PLAIN),
]:
    of(key, f, points)

NUMBERS = [0.0, 1.0, -2.0, inf, -inf, nan]
PAIRS = list(itertools.product(NUMBERS, NUMBERS))
BINARY = {
    "a.add(b)": torch.add, "a.sub(b)": torch.sub, "a.mul(b)": torch.mul, "a.div(b)": torch.div,
    "a.maximum(b)": torch.maximum, "a.minimum(b)": torch.minimum, "a.remainder(b)": torch.remainder,
}
for key, f in BINARY.items():
    of(key, f, PAIRS)
of("a.pow(b)", torch.pow, PAIRS + [(0.0, b) for b in [-1.0, 0.5, 2.0, 3.0]] + [(-2.0, 2.0), (-2.0, 0.5)])
of("a.atan2(b)", torch.atan2, PAIRS + [(0.0, -0.0), (-0.0, 0.0), (-0.0, -0.0), (1e-200, 1e-200), (1e200, -1e200)])
LOGS = [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (0.0, -1.0), (0.0, inf), (1.0, inf), (0.0, nan)]
of("a.xlogy(b)", torch.xlogy, LOGS)
of("a.logaddexp(b)", torch.logaddexp, [(0.0, 0.0), (0.0, 1.0), (0.0, inf), (0.0, -inf), (inf, inf), (-inf, -inf), (inf, -inf), (0.0, nan)])
for name in ["fmod", "fmax", "fmin"]:
    of(f"a.{name}(b)", getattr(torch, name), PAIRS)
of("a.maximum(1.0)", lambda a: a.clamp(min=1.0), PLAIN)
of("a.minimum(1.0)", lambda a: a.clamp(max=1.0), PLAIN)
of("a.clamp(-1.0, 1.0)", lambda a: a.clamp(-1.0, 1.0), PLAIN)
of("a.clamp(1.0, 1.0)", lambda a: a.clamp(1.0, 1.0), [0.0, 1.0, 2.0])
of("a.remainder(2.0)", lambda a: torch.remainder(a, 2.0), PLAIN + [2.0, -2.0])
of("a.lerp(b, 0.25)", lambda a, b: torch.lerp(a, b, 0.25), [(0.0, inf), (inf, inf), (inf, 0.0), (inf, -inf), (nan, 0.0)])
of("a.addcmul(b, c, 2.0)", lambda a, b, c: torch.addcmul(a, b, c, value=2.0), [(1.0, 0.0, inf), (1.0, 0.0, 0.0), (inf, 1.0, 1.0)])

ROWS = [[1.0, 2.0, 0.5], [2.0, 2.0, 1.0], [0.0, 0.0, 0.0], [0.0, 3.0, -4.0], [0.0, 0.0, 2.0], [1.0, inf, 0.0],
        [inf, inf, 0.0], [1.0, -inf, 0.0], [-inf, -inf, -inf], [inf, -inf, 0.0], [1.0, nan, 0.0], [2.0], []]
SOME = ROWS[:-1]
SHORT = [[2.0, 2.0, 1.0], [0.0, 0.0, 0.0], [0.0, 3.0, -4.0]]
FEW = [row for row in ROWS if row != 3 * [-inf]]  # PyTorch divides infinities
for name, f, rows in [
    ("x.sum(0)", lambda x: x.sum(0), ROWS),
    ("x.mean(0)", lambda x: x.mean(0), ROWS),
    ("x.prod(0)", lambda x: x.prod(0), FEW),
    ("x.max(0)", lambda x: x.amax(0), SOME),
    ("x.min(0)", lambda x: x.amin(0), SOME),
    ("x.var(0, 0)", lambda x: x.var(0, correction=0), ROWS),
    ("x.var(0, 1)", lambda x: x.var(0, correction=1), ROWS),
    ("x.std(0, 0)", lambda x: x.std(0, correction=0), ROWS),
    ("x.std(0, 1)", lambda x: x.std(0, correction=1), ROWS),
    ("x.logsumexp(0)", lambda x: x.logsumexp(0), ROWS),
    ("x.norm(0.0, 0)", lambda x: torch.linalg.vector_norm(x, 0.0, 0), ROWS),
    ("x.norm(0.5, 0)", lambda x: torch.linalg.vector_norm(x, 0.5, 0), [r for r in ROWS if inf not in r and -inf not in r]),
    ("x.norm(1.0, 0)", lambda x: torch.linalg.vector_norm(x, 1.0, 0), ROWS),
    ("x.norm(2.0, 0)", lambda x: torch.linalg.vector_norm(x, 2.0, 0), ROWS),
    ("x.norm(2.0, 0)?.sqr()", lambda x: torch.linalg.vector_norm(x, 2.0, 0) ** 2, SHORT),
    ("x.norm(1.5, 0)", lambda x: torch.linalg.vector_norm(x, 1.5, 0), SHORT + [[0.0, 0.0, 2.0]]),
    ("x.norm(3.0, 0)?.sqr()", lambda x: torch.linalg.vector_norm(x, 3.0, 0) ** 2, SHORT),
    ("x.norm(3.0, 0)", lambda x: torch.linalg.vector_norm(x, 3.0, 0), ROWS),
    ("x.norm(f64::INFINITY, 0)", lambda x: torch.linalg.vector_norm(x, inf, 0), SOME),
    ("x.norm(f64::NEG_INFINITY, 0)", lambda x: torch.linalg.vector_norm(x, -inf, 0), SOME),
    ("x.cumsum(0)", lambda x: x.cumsum(0), ROWS),
    ("x.cumprod(0)", lambda x: x.cumprod(0), FEW),
    ("x.softmax(0)", lambda x: x.softmax(0), ROWS),
    ("x.log_softmax(0)", lambda x: x.log_softmax(0), ROWS),
    ("x.normalize_rows(1.0)", lambda x: F.normalize(x, 1.0, dim=0), SHORT),
    ("x.normalize_rows(f64::INFINITY)", lambda x: F.normalize(x, inf, dim=0), SHORT),
    ("x.normalize_rows(2.0)", lambda x: F.normalize(x, dim=0), ROWS),
    ("Ok(x.sort(0, false)?.0)", lambda x: x.sort(dim=0, stable=True).values, SOME),
    ("Ok(x.topk(1, 0)?.0)", lambda x: x.topk(1, 0).values, SOME),
    ("x.reshape((1, 1, x.elem_count()))?.max_pool1d(PoolOptions::<1>::new(x.elem_count()))",
     lambda x: F.max_pool1d(x.reshape(1, 1, -1), x.numel()), SOME),
]:
    of(name, f, rows)

for key, f in [("a.cosine_similarity(b, 0)", lambda a, b: F.cosine_similarity(a, b, 0)),
               ("a.pairwise_distance(b, 2.0)", lambda a, b: F.pairwise_distance(a, b, eps=0.0))]:
    of(key, f, [([0.0, 0.0], [3.0, 4.0]), ([0.0, 0.0], [0.0, 0.0]), ([3.0, 4.0], [3.0, 4.0])])
for name, f in [("max_with_indices", torch.max), ("min_with_indices", torch.min), ("median", torch.median)]:
    of(f"Ok(x.{name}(0)?.0)", lambda x, f=f: f(x, 0).values, [[2.0, 2.0, 1.0], [1.0, inf, 0.0], [1.0, nan, 0.0], [1.0, 2.0]])

TARGETS = [0.0, 0.5, 1.0]
LOGITS = [0.0, 1000.0, -1000.0, inf, -inf, nan]


def each(f, **named):
    return lambda p, t: f(p, t, reduction="none", **named)


def each3(f, **named):
    return lambda a, b, c: f(a, b, c, reduction="none", **named)


def by_prediction(key, f, points):
    """The target is a constant."""
    for t in dict.fromkeys(t for _, t in points):
        number = f"{t}" if t == t and abs(t) != inf else ("f64::NAN" if t != t else "f64::INFINITY")
        of(f"{key}.elementwise(x, &scalar({number}))", lambda p, t=t: f(p, torch.tensor(t)), [p for p, s in points if s == t])


by_prediction("BceWithLogits", each(F.binary_cross_entropy_with_logits), list(itertools.product(LOGITS, TARGETS)))
for t in [0.0, 1.0]:
    of(f"BceWithLogits.pos_weight(&scalar(3.0))?.elementwise(x, &scalar({t}))",
       lambda z, t=t: F.binary_cross_entropy_with_logits(z, torch.tensor(t), reduction="none", pos_weight=torch.tensor(3.0)), LOGITS)
by_prediction("Bce", each(F.binary_cross_entropy), [(0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0)])
by_prediction("L1", each(F.l1_loss), list(itertools.product([0.0, 1.0, inf, -inf, nan], [0.0])))
by_prediction("Mse", each(F.mse_loss), list(itertools.product([0.0, 1.0, inf, -inf, nan], [0.0])))
by_prediction("Huber::default()", each(F.huber_loss), list(itertools.product([0.0, 1.0, -1.0, inf, -inf, nan], [0.0])))
by_prediction("SmoothL1::default()", each(F.smooth_l1_loss), list(itertools.product([0.0, 1.0, -1.0, inf, -inf, nan], [0.0])))
for options, named, predictions in [("", {}, [0.0, 1.0, inf, -inf, nan]), (".full()", {"full": True}, [0.0, 1.0]),
                                    (".log_input(false)", {"log_input": False}, [0.0, 1.0, inf]),  # NaN is not a rate
                                    (".log_input(false).full()", {"log_input": False, "full": True}, [0.0, 1.0])]:
    of(f"PoissonNll::new(){options}.elementwise(a, b)", each(F.poisson_nll_loss, **named),
       list(itertools.product(predictions, [0.0, 1.0, 2.5, inf])))
of("GaussianNll::new().reduction(Reduction::None).loss(a, b, c)", each3(F.gaussian_nll_loss),
   [tuple([x] for x in point) for point in itertools.product([0.0, inf, -inf, nan], [0.0, inf, -inf], [0.0, 1.0, inf])])
for options, named in [("", {}), (".p(1.0)?.swap()", {"p": 1.0, "swap": True})]:
    of(f"TripletMargin::new(){options}.reduction(Reduction::None).loss(a, b, c)", each3(F.triplet_margin_loss, **named),
       [([0.0, x], [y, 0.0], [z, 1.0]) for x, y, z in [(0.0, 0.0, 1.0), (inf, 0.0, 1.0), (0.0, inf, 1.0), (0.0, 0.0, -inf), (nan, 0.0, 1.0)]])
for options, named in [("", {}), (".p(2)?", {"p": 2})]:
    of(f"MultiMargin::new(){options}.elementwise(&x.unsqueeze(0)?, &Tensor::new(&[0_u32], &Device::Cpu)?)",
       lambda x, named=named: F.multi_margin_loss(x.unsqueeze(0), torch.tensor([0]), reduction="none", **named),
       [[1.0, 0.0, 2.0], [1.0, nan, 2.0], [nan, 0.0, 2.0], [inf, 0.0, 1.0], [0.0, inf, 1.0], [-inf, 0.0, 1.0], [1.0, -inf, 2.0]])
of("Hinge.elementwise(x, &scalar(1.0))", lambda x: F.relu(1 - x), [0.0, 1.0, 2.0, inf, -inf, nan])
of("KlDiv::default().elementwise(x, &scalar(0.0))", lambda x: F.kl_div(x, torch.tensor(0.0), reduction="none"), [0.0, -1.0, inf, -inf, nan])
for c in [0, 1]:
    of(f"CrossEntropy::new().elementwise(&x.unsqueeze(0)?, &Tensor::new(&[{c}_u32], &Device::Cpu)?)",
       lambda x, c=c: F.cross_entropy(x.unsqueeze(0), torch.tensor([c]), reduction="none"), [r for r in SOME if len(r) > 1])
POOLED = [[2.0, 2.0, 1.0], [1.0, inf, 0.0], [1.0, nan, 0.0], [-inf, -inf, -inf]]
of("x.reshape((1, 1, x.elem_count()))?.adaptive_max_pool1d(1)", lambda x: F.adaptive_max_pool1d(x.reshape(1, 1, -1), 1), POOLED)
of("Ok(x.reshape((1, 1, x.elem_count()))?.max_pool1d_with_indices(PoolOptions::<1>::new(x.elem_count()))?.0)",
   lambda x: F.max_pool1d(x.reshape(1, 1, -1), x.numel(), return_indices=True)[0], POOLED)
for t in [1.0, -1.0]:
    of(f"HingeEmbedding::new().elementwise(x, &scalar({t}))",
       lambda x, t=t: F.hinge_embedding_loss(x, torch.tensor(t), reduction="none"), [0.0, 1.0, 2.0, inf, -inf, nan])
of("SoftMargin.elementwise(x, &scalar(1.0))", lambda x: F.soft_margin_loss(x, torch.tensor(1.0), reduction="none"), LOGITS)
of("a.scatter(0, &Tensor::new(&[0_u32, 0, 1], &Device::Cpu)?, b)",
   lambda a, b: a.scatter(0, torch.tensor([0, 0, 1]), b), [([1.0, 2.0], [3.0, 4.0, 5.0])])
of("MarginRanking::new().reduction(Reduction::None).loss(a, b, &scalar(1.0))",
   lambda a, b: F.margin_ranking_loss(a, b, torch.tensor(1.0), reduction="none"), list(itertools.product([0.0, inf, -inf], [0.0, 1.0, inf])))
