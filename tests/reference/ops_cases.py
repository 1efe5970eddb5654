"""The cases of pointwise operations, reductions, sorts and products: see ops.py."""
import functools
import itertools

import numpy as np
import torch
import torch.nn.functional as F

from ops import N, P, T, U, case, i64, u8, u32

inf, nan = float("inf"), float("nan")
ROOT = 2 ** -0.5

# ---- one input, element by element

EDGES = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.5, -2.5, 3.5, 1e-8, -1e-8, 1e-300, -1e-300, 20.0, -20.0, 700.0, -700.0,
         1e15 + 0.5, 1e300, -1e300, inf, -inf, nan]
WIDE = [-30.0, -5.5, -1.0, -1e-3, 1e-5, 0.75, 4.0, 30.0]
ALL, ABOVE, INSIDE = (-2.5, 2.5), (0.05, 4.0), (-0.95, 0.95)
UNARY = [  # name, torch's function, range of ordinary inputs, inputs where the gradient is taken too
    ("exp", torch.exp, ALL, [-700.0, -20.0, 0.0, 1e-10, 20.0, 300.0]),
    ("expm1", torch.expm1, ALL, [-700.0, -20.0, 1e-12, -1e-12, 20.0, 300.0]),
    ("ln", torch.log, ABOVE, [1e-100, 1e-5, 0.999, 1.001, 1e100]),
    ("log2", torch.log2, ABOVE, [1e-100, 1e-5, 0.999, 1.001, 1024.0]),
    ("log10", torch.log10, ABOVE, [1e-100, 1e-5, 0.999, 1.001, 1000.0]),
    ("log1p", torch.log1p, (-0.9, 4.0), [-0.999, -1e-12, 1e-12, 1e-3, 1e100]),
    ("sqr", torch.square, ALL, [0.0, -1e-100, 1e100]),
    ("sqrt", torch.sqrt, ABOVE, [1e-100, 1e-5, 4.0, 1e100]),
    ("rsqrt", torch.rsqrt, ABOVE, [1e-50, 1e-5, 4.0, 1e50]),
    ("recip", torch.reciprocal, ALL, [1e-50, -1e-5, 4.0, -1e50]),
    ("neg", torch.neg, ALL, [0.0, -1e300, 1e-300]),
    ("abs", torch.abs, ALL, [0.0, -0.0, 1e300, -1e-300]),
    ("sin", torch.sin, ALL, WIDE + [1e6]),
    ("cos", torch.cos, ALL, WIDE + [1e6]),
    ("tan", torch.tan, (-1.25, 1.25), [-1e-9, 1e-5, 1.5, 3.0, 100.0]),
    ("asin", torch.asin, INSIDE, [-0.999, 1e-4, 0.5, 0.999]),
    ("acos", torch.acos, INSIDE, [-0.999, 1e-4, 0.5, 0.99]),
    ("atan", torch.atan, ALL, WIDE + [1e10, -1e10]),
    ("sinh", torch.sinh, ALL, [-300.0, -1e-9, 1e-3, 20.0]),
    ("cosh", torch.cosh, ALL, [-300.0, -1e-9, 1e-3, 20.0]),
    ("tanh", torch.tanh, ALL, [-20.0, -3.0, -1e-9, 1e-3, 5.0]),
    ("sigmoid", torch.sigmoid, ALL, [-300.0, -20.0, -1e-3, 5.0, 10.0]),
    ("softplus", lambda x: torch.logaddexp(x, torch.zeros_like(x)), ALL, [-300.0, -20.0, -1e-9, 1e-3, 10.0]),
    ("relu", torch.relu, ALL, [0.0, -0.0, 1e-300, -1e-300, 1e300]),
    ("erf", torch.erf, ALL, [-5.0, -1e-9, 1e-3, 0.5, 3.0]),
    ("erfc", torch.erfc, ALL, [-5.0, -1e-9, 1e-3, 0.5, 3.0, 8.0]),
    ("floor", torch.floor, ALL, [-1.0, 0.0, 0.5, 1e300]),
    ("ceil", torch.ceil, ALL, [-1.0, 0.0, 0.5, 1e300]),
    ("round", torch.round, ALL, [-1.5, -0.5, 0.5, 1.5, 2.5, 1e300]),
    ("trunc", torch.trunc, ALL, [-1.0, 0.0, 0.5, 1e300]),
    # PyTorch's sign of NaN is 0.
    ("sign", lambda x: torch.where(torch.isnan(x), x, torch.sign(x)), ALL, [0.0, 1e-300, -1e300]),
]
for name, f, (low, high), wide in UNARY:
    key = f"x.{name}()"
    case(key, f, U(low, high, 2, 3))
    case(key, f, T(wide), label="wide", each=True)
    case(key, f, T(EDGES), label="edges", each=True, value="the slope is not finite, or PyTorch's is a kink's")
    case(key, f, T([], (2, 0)), label="empty")
    case(key, f, T(0.75), label="scalar")
case("sigmoid_derivative(x)", lambda x: torch.sigmoid(x) * (1 - torch.sigmoid(x)), N(2, 3))
for c in ["-2.0", "-0.5", "0.0", "0.5", "1.0", "2.0", "3.0", "7.0", "2.5"]:
    key, f = f"x.powf({c})", functools.partial(lambda c, x: x ** c, float(c))
    case(key, f, P(2, 3))
    # PyTorch takes roots for ±0.5, which differ from the power of IEEE 754 at -0 and at -inf.
    g = functools.partial(lambda c, x: torch.tensor(np.power(x.numpy(), np.full(len(x), c))), float(c))
    case(key, g, T(EDGES), label="edges", each=True, value="the slope is not finite")
case("x.powf(3.0)", lambda x: x ** 3.0, N(2, 3), label="negative")
case("x.powf(-1.0)", lambda x: x ** -1.0, N(2, 3), label="negative")


case("x.clamp(-1.0, 1.5)", lambda x: x.clamp(-1.0, 1.5), T([-3.0, -1.0, -0.5, 0.0, 1.5, 1.75]))
case("x.clamp(-1.0, 1.5)", lambda x: x.clamp(-1.0, 1.5), T([inf, -inf, nan, 1e300]), label="edges", value="kinks")
case("x + 2.5", lambda x: x + 2.5, N(2, 3))
case("2.5 + x", lambda x: 2.5 + x, N(2, 3))
case("x - 2.5", lambda x: x - 2.5, N(2, 3))
case("2.5 - x", lambda x: 2.5 - x, N(2, 3))
case("x * 2.5", lambda x: x * 2.5, N(2, 3))
case("2.5 * x", lambda x: 2.5 * x, N(2, 3))
case("x / 2.5", lambda x: x / 2.5, N(2, 3))
case("2.5 / x", lambda x: 2.5 / x, N(2, 3))
case("-x", lambda x: -x, N(2, 3))
case("x.to_dtype(DType::F32)", lambda x: x.float(), N(2, 3), out="f32")
case("x.to_dtype(DType::U8)", lambda x: x.to(torch.uint8), T([0.0, 1.5, 254.75]))
case("x.to_dtype(DType::F64)", lambda x: x.double(), u32([0, 1, 4000000000]))

# ---- two inputs and three

SPREAD = [((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 1), (1, 3)), ((), (2, 2)), ((0, 3), (3,)), ((1,), (1,))]
PAIRS = [0.0, -0.0, 1.0, -2.5, 1e300, -1e-300, inf, -inf, nan]
LEFT, RIGHT = zip(*itertools.product(PAIRS, PAIRS))
BINARY = [
    ("a.add(b)", torch.add, N, N),
    ("a.sub(b)", torch.sub, N, N),
    ("a.mul(b)", torch.mul, N, N),
    ("a.div(b)", torch.div, N, N),
    ("a.pow(b)", torch.pow, P, N),
    ("a.maximum(b)", torch.maximum, N, N),
    ("a.minimum(b)", torch.minimum, N, N),
    ("a.atan2(b)", torch.atan2, N, N),
    ("a.remainder(b)", torch.remainder, N, N),
    ("a.fmod(b)", torch.fmod, N, N),
    ("a.fmax(b)", torch.fmax, N, N),
    ("a.fmin(b)", torch.fmin, N, N),
    ("a.logaddexp(b)", torch.logaddexp, N, N),
    ("a.xlogy(b)", torch.xlogy, N, P),
]
for key, f, left, right in BINARY:
    for a, b in SPREAD:
        case(key, f, left(*a), right(*b), label=f"{list(a)} and {list(b)}")
    if key == "a.remainder(b)":  # PyTorch's is not exact where the quotient is large
        f = lambda a, b: torch.tensor(np.remainder(a.numpy(), b.numpy()))  # noqa: E731
    if key == "a.fmod(b)":
        f = lambda a, b: torch.tensor(np.fmod(a.numpy(), b.numpy()))  # noqa: E731
    if key == "a.logaddexp(b)":  # PyTorch's has no NaN at ∞ and -∞, numpy's neither
        f = lambda a, b: torch.tensor(np.logaddexp(a.numpy(), b.numpy()))  # noqa: E731
    case(key, f, T(LEFT), T(RIGHT), label="edges", each=True, value="the slope is not finite, or at a kink")
case("x.softplus()", lambda x: torch.logaddexp(x, torch.zeros_like(x)), T([25.0, 300.0, 1e10]), label="far", each=True, second="y(1 - y) has no digits left there")
case("a.div(b)", torch.div, T([1e100, -1e-100, 3.0]), T([1e-100, 1e100, -1e50]), label="wide", each=True)
case("a.mul(b)", torch.mul, T([1e100, -1e-100, 3.0]), T([1e-100, 1e100, -1e50]), label="wide", each=True)
for name in ["maximum", "minimum"]:
    f = getattr(torch, name)
    case(f"a.{name}(b)", f, T([1.0, 2.0, -1.0]), T([1.0, 0.5, -1.0]), label="ties")
case("a.pow(b)", torch.pow, T([0.0, 0.0, -2.0, 2.0]), T([2.0, 1.0, 3.0, 0.0]), label="kinks",
     value="the slope in b is not a number where a < 0")
case("a.remainder(b)", torch.remainder, T([5.5, -5.5, 5.5, -5.5, 6.0]), T([2.0, 2.0, -2.0, -2.0, 3.0]), label="signs")
case("a.remainder(2.5)", lambda a: torch.remainder(a, 2.5), T([5.5, -5.5, 0.5, -0.5, 100.0]))
case("a.fmod(2.5)", lambda a: torch.fmod(a, 2.5), T([5.5, -5.5, 0.5, -0.5, 100.0]))
case("a.logaddexp(b)", torch.logaddexp, T([1000.0, -1000.0, 700.0]), T([999.0, -1000.5, -700.0]), label="wide", each=True)
case("a.pow(2.5)", lambda a: a ** 2.5, P(2, 3))
case("a.maximum(0.5)", lambda a: a.clamp(min=0.5), T([0.25, 0.5, 0.75, -1.0, 3.0]))
case("a.minimum(0.5)", lambda a: a.clamp(max=0.5), T([0.25, 0.5, 0.75, -1.0, 3.0]))
COMPARISONS = ["eq", "ne", "lt", "le", "gt", "ge"]
for name in COMPARISONS:
    f = getattr(torch, name)
    case(f"a.{name}(b)", f, T([[1.0, 2.0], [3.0, 4.0]]), T([2.0, 3.0]))
    case(f"a.{name}(b)", f, T(LEFT), T(RIGHT), label="edges")
    case(f"a.{name}(b)", f, u32([1, 2, 3]), u32([2, 2, 2]), label="integers")
    case(f"a.{name}(2.0)", functools.partial(lambda f, a: f(a, 2.0), f), T([1.0, 2.0, 3.0, nan]))
case("a.lerp(b, c)", torch.lerp, N(2, 3), N(2, 3), U(0.1, 0.9, 2, 3))
case("a.lerp(b, c)", torch.lerp, N(2, 3), N(3), U(-1.0, 2.0, 2, 1), label="broadcast")
case("a.lerp(b, c)", torch.lerp, T([1.0, 2.0]), T([3.0, 4.0]), T([0.0, 1.0]), label="ends")
case("a.lerp(b, 0.25)", lambda a, b: torch.lerp(a, b, 0.25), N(2, 3), N(3))
case("x.addcmul(a, b, 1.0)", lambda x, a, b: x + a * b, N(2, 3), N(2, 3), N(2, 3))
case("x.addcmul(a, b, -0.5)", lambda x, a, b: x - 0.5 * a * b, N(2, 3), N(3), N(2, 1), label="broadcast")
case("m.where_cond(a, b)", lambda m, a, b: torch.where(m != 0, a, b), u8([[1, 0, 2], [0, 1, 0]]), N(2, 3), N(2, 3))
case("m.where_cond(a, b)", lambda m, a, b: torch.where(m != 0, a, b), u8([1, 0, 1]), N(2, 1), N(3), label="broadcast")
case("m.where_cond(a, b)", lambda m, a, b: torch.where(m != 0, a, b), u8([1, 0, 1]), N(2, 1), T(0.5), label="scalar")

# ---- along axes


def every(x):
    return tuple(range(x.dim()))


def product(x, axes=None, keepdim=False):
    """As PyTorch's, differentiable to any order where there are zeros."""
    for axis in sorted({a % max(x.dim(), 1) for a in (every(x) if axes is None else axes)}, reverse=True):
        ones = torch.ones(x.shape[:axis] + x.shape[axis + 1:], dtype=x.dtype)
        x = functools.reduce(torch.mul, x.unbind(axis), ones)
        x = x.unsqueeze(axis) if keepdim else x
    return x


def over(f):
    """f(x, dim, keepdim=…), with all axes for None."""
    return lambda x, axes=None, keepdim=False: f(x, every(x) if axes is None else axes, keepdim=keepdim)


def counted(x, axes=None, keepdim=False):
    return (x != 0).long().sum(every(x) if axes is None else axes, keepdim=keepdim)


REDUCTIONS = [  # name, function, arguments in Rust, of the gradient
    ("sum", over(torch.sum), "", {}),
    ("mean", over(torch.mean), "", {}),
    ("max", over(torch.amax), "", {}),
    ("min", over(torch.amin), "", {}),
    ("prod", product, "", {}),
    ("logsumexp", over(torch.logsumexp), "", {}),
    ("var", over(functools.partial(torch.var, correction=0)), "0", {}),
    ("var", over(functools.partial(torch.var, correction=1)), "1", {}),
    ("std", over(functools.partial(torch.std, correction=0)), "0", {}),
    ("std", over(functools.partial(torch.std, correction=1)), "1", {}),
    ("norm", over(lambda x, axes, keepdim: torch.linalg.vector_norm(x, 1.0, axes, keepdim)), "1.0", {}),
    ("norm", over(lambda x, axes, keepdim: torch.linalg.vector_norm(x, 2.0, axes, keepdim)), "2.0", {}),
    ("norm", over(lambda x, axes, keepdim: torch.linalg.vector_norm(x, 3.5, axes, keepdim)), "3.5", {}),
    ("norm", over(lambda x, axes, keepdim: torch.abs(x).amax(axes, keepdim)), "f64::INFINITY", {}),
    ("any", lambda *a, **k: counted(*a, **k) > 0, "", {}),
    ("all", lambda x, axes=None, keepdim=False: counted(x == 0, axes, keepdim) == 0, "", {}),
    ("count_nonzero", counted, "", {"out": "u32"}),
]
FORMS = [  # method, axes, shape
    ("", "0", (4, 3)), ("", "-1", (2, 3)), ("", "[0, 2]", (2, 3, 4)), ("", "[-1, 0]", (3, 1, 2)),
    ("_keepdim", "1", (2, 3, 2)), ("_keepdim", "[1, 2]", (2, 2, 3)), ("_all", "", (2, 3)),
]
for name, f, argument, more in REDUCTIONS:
    integer = name in ("any", "all", "count_nonzero")

    def call(method, axes):
        arguments = [argument, axes] if name == "norm" else [axes, argument]
        return f"x.{name}{method}({', '.join(a for a in arguments if a)})"

    def run(method, axes):
        if not axes:
            return f
        axes = [int(a) for a in axes.strip("[]").split(",")]
        return functools.partial(lambda f, axes, keep, x: f(x, axes, keepdim=keep), f, axes, method == "_keepdim")

    for method, axes, shape in FORMS:
        inputs = T(np.resize([0.0, 1.5, 0.0, 0.0, -1.0, 0.0, 2.0], shape).tolist()) if integer else N(*shape)
        case(call(method, axes), run(method, axes), inputs, **more)
    reason = "at a kink, or not finite"
    f0, fa = run("", "0"), f
    case(call("_all", ""), fa, T(1.75), label="scalar", value=reason, **more)
    case(call("", "0"), f0, T([[1.0, nan], [inf, 2.0], [-inf, 0.0]]), label="inf and nan", value=reason, **more)
    if name == "norm":  # PyTorch's overflows
        p = float(argument.replace("f64::INFINITY", "inf"))
        huge = functools.partial(lambda p, x: torch.tensor([inf, inf, 1e300 * 2 ** (1 / p)], dtype=torch.float64), p)
    else:
        huge = f0
    case(call("", "0"), huge, T([[inf, inf, 1e300], [inf, -inf, 1e300]]), label="huge", value=reason, each=True, **more)
    if name in ("max", "min") or argument == "f64::INFINITY":
        case(call("_all", ""), fa, T([[3.0, -3.0, 3.0], [-3.0, 1.0, 0.0]]), label="ties", second="kinks")
        case(call("", "0"), f0, T([], (2, 0)), label="no result")
        continue
    case(call("", "0"), f0, T([], (0, 2)), label="empty axis", value=reason, **more)
    case(call("", "0"), f0, T([], (2, 0)), label="no result", **more)
    case(call("_all", ""), fa, T([], (2, 0)), label="empty", value=reason, **more)
case("x.prod(-1)", lambda x: product(x, [-1]), T([[0.0, 2.0, 3.0], [0.0, 0.0, 4.0], [0.0, 0.0, 0.0]]), label="zeros")
case("x.prod_all()", product, T([0.0, 2.0, 3.0, -1.0]), label="one zero")
case("x.logsumexp(0)", lambda x: x.logsumexp(0), T([[1000.0, -1000.0, -inf], [999.0, -1001.0, 2.0]]), label="large",
     second="PyTorch's is not a number at -inf")
case("x.var(0, 0)", lambda x: x.var(0, correction=0), T([[1e6 + 0.25, 3.0], [1e6 + 0.75, 3.0]]), label="offset")
case("x.var(0, 1)", lambda x: x.var(0, correction=1), T([[1.0, 3.0]]), label="one", value="not a number")
case("x.norm(2.0, -1)", lambda x: torch.linalg.vector_norm(x, 2.0, -1), T([[0.0, 0.0], [3.0, -4.0]]),
     label="a row of zeros", second="not differentiable at 0")
case("x.norm(2.0, -1)", lambda x: x.abs().amax(-1) * 1.25, T([[3e200, 4e200], [3e-200, 4e-200]]), label="no overflow",
     value="the value is known by hand, as PyTorch's overflows", each=True)
for name in ["sum", "prod", "max", "min", "count_nonzero", "any", "all"]:
    f = {"sum": lambda x: x.sum(1), "prod": lambda x: x.prod(1), "max": lambda x: x.amax(1), "min": lambda x: x.amin(1),
         "count_nonzero": lambda x: (x != 0).sum(1), "any": lambda x: (x != 0).any(1), "all": lambda x: (x != 0).all(1)}[name]
    for make, kind in [(u8, "u8"), (u32, "u32"), (i64, "i64")]:
        out = {"sum": "u32" if kind == "u8" else kind, "prod": "u32" if kind == "u8" else kind, "max": kind, "min": kind,
               "count_nonzero": "u32"}.get(name)
        wide = (lambda f, x: f(x.long())) if name != "all" and name != "any" else (lambda f, x: f(x))
        case(f"x.{name}(1)", functools.partial(wide, f), make([[200, 7, 100], [0, 3, 9]]), label=kind, out=out)


def place(f, axis):
    return lambda x: torch.tensor(f(x.detach().numpy(), axis))


for name, f in [("argmax", np.argmax), ("argmin", np.argmin)]:
    ties = T([[2.0, 5.0, 5.0, 1.0], [-1.0, -1.0, 3.0, 3.0]])
    for axis in [0, 1, -1]:
        case(f"x.{name}({axis})", place(f, axis), ties, out="u32")
    case(f"x.{name}_all()", place(f, None), ties, out="u32")
    case(f"x.{name}(1)", place(f, 1), T([[1.0, nan, 5.0, nan], [inf, -inf, inf, -inf]]), label="nan", out="u32")
    case(f"x.{name}(0)", place(f, 0), i64([-3, 7, 7, -3]), label="integers", out="u32")


def cumprod(x, axis):
    steps = list(itertools.accumulate(x.unbind(axis), torch.mul))
    return torch.stack(steps, axis) if steps else x.clone()


for axis in [0, 1, -1]:
    case(f"x.cumsum({axis})", functools.partial(lambda a, x: x.cumsum(a), axis), N(2, 3, 2))
    case(f"x.cumprod({axis})", functools.partial(lambda a, x: cumprod(x, a), axis), N(2, 3, 2))
case("x.cumprod(0)", lambda x: cumprod(x, 0), T([2.0, 0.0, 3.0, 0.0, -1.0]), label="zeros")
for name, f in [("cumsum", lambda x: x.cumsum(0)), ("cumprod", lambda x: cumprod(x, 0))]:
    case(f"x.{name}(0)", f, T([], (0, 2)), label="empty")
    case(f"x.{name}(0)", f, T([1.0, inf, nan, -inf, 2.0]), label="inf and nan", value="not finite")
    case(f"x.{name}(0)", f, i64([3, -2, 4]), label="i64", out="i64")
    case(f"x.{name}(0)", f, u32([3, 2, 4]), label="u32", out="u32")


def order(x, axis, descending):
    """Stable, NaN last."""
    x = x.detach().double().numpy()
    return torch.tensor(np.argsort(-x if descending else x, axis, kind="stable"))


TIES = [[3.0, 1.0, 2.0, 1.0], [-1.0, 5.0, -1.0, 5.0]]
for axis, down in [("0", "false"), ("1", "false"), ("1", "true"), ("-1", "true")]:
    a, d = int(axis), down == "true"
    by = functools.partial(lambda a, d, x: order(x, a, d), a, d)
    values = functools.partial(lambda a, by, x: x.gather(a, by(x)), a, by)
    case(f"Ok(x.sort({axis}, {down})?.0)", values, N(3, 4))
    case(f"Ok(x.sort({axis}, {down})?.1)", by, N(3, 4), out="u32")
    case(f"x.argsort({axis}, {down})", by, N(3, 4), out="u32")
    case(f"Ok(x.sort({axis}, {down})?.0)", values, T(TIES), label="ties")
    case(f"x.argsort({axis}, {down})", by, T(TIES), label="ties", out="u32")
    case(f"x.argsort({axis}, {down})", by, i64([[4, -2, 7], [3, 3, -9]]), label="integers", out="u32")
    rows = T([[1.0, nan, -inf, inf], [nan, 2.0, nan, 1.0]])
    case(f"Ok(x.sort({axis}, {down})?.0)", values, rows, label="nan", value="not finite")
    case(f"Ok(x.sort({axis}, {down})?.0)", values, T([], (2, 0)), label="empty")
for k, axis in [(2, 1), (1, 0), (3, -1)]:
    case(f"Ok(x.topk({k}, {axis})?.0)", functools.partial(lambda k, a, x: x.topk(k, a).values, k, axis), N(3, 4))
    case(f"Ok(x.topk({k}, {axis})?.1)", functools.partial(lambda k, a, x: x.topk(k, a).indices, k, axis), N(3, 4), out="u32")
case("Ok(x.topk(2, 1)?.0)", lambda x: x.topk(2, 1).values, T([[1.0, nan, 3.0], [inf, -inf, 0.0]]), label="nan", value="not finite")

# ---- rows

for axis in [0, 1, -1]:
    for name, f in [("softmax", torch.softmax), ("log_softmax", torch.log_softmax)]:
        case(f"x.{name}({axis})", functools.partial(lambda f, a, x: f(x, a), f, axis), N(2, 3, 2))
for name, f in [("softmax", torch.softmax), ("log_softmax", torch.log_softmax)]:
    g = functools.partial(lambda f, x: f(x, -1), f)
    case(f"x.{name}(-1)", g, T([[1000.0, 999.0, -1000.0], [-1e4, -1e4, -1e4]]), label="large")
    case(f"x.{name}(-1)", g, T([[-inf, 1.0, 2.0], [nan, 1.0, 2.0], [-inf, -inf, 0.0]]), label="inf", value="not finite")
    case(f"x.{name}(-1)", g, T([[3.0], [4.0]]), label="one")
    case(f"x.{name}(-1)", g, T([], (2, 0)), label="empty")


def unit_rows(p):
    def f(x):
        length = torch.linalg.vector_norm(x, p, -1, True)
        return torch.where(length == 0, x * 0, x / torch.where(length == 0, torch.ones_like(length), length))
    return f


for p, power in [("2.0", 2.0), ("1.0", 1.0), ("f64::INFINITY", inf)]:
    key = f"x.normalize_rows({p})"
    case(key, unit_rows(power), N(2, 3))
    case(key, unit_rows(power), N(2, 2, 3), label="batch")
    case(key, unit_rows(power), T([[3.0], [-4.0]]), label="one", value="the slope is 0 but for rounding")
    case(key, unit_rows(power), T([[0.0, 0.0], [3.0, 4.0]]), label="a row of zeros", second="not differentiable at 0")
for name, f in [("max_with_indices", torch.max), ("min_with_indices", torch.min), ("median", torch.median)]:
    for axis in [0, -1]:
        for part, kind in [(0, {}), (1, {"out": "u32"})]:
            key = f"Ok(x.{name}({axis})?.{part})"
            if key in ["Ok(x.min_with_indices(0)?.0)", "Ok(x.min_with_indices(0)?.1)", "Ok(x.max_with_indices(-1)?.1)", "Ok(x.median(-1)?.1)"]:
                continue
            g = functools.partial(lambda f, axis, part, x: f(x, axis)[part], f, axis, part)
            case(key, g, N(4, 3), **kind)
            case(key, g, N(2, 3, 5), label="three axes", **kind)
            if part == 0:
                case(key, g, T([[1.0, nan, 3.0], [inf, -inf, 0.0]]), label="inf and nan", value="not finite")
                case(key, g, T([[2.0, 2.0, 1.0, 1.0], [2.0, 1.0, 1.0, 1.0]]), label="ties", value="which one is taken is not defined")

# ---- products

MATMUL = [((2, 3), (3, 2)), ((3,), (3,)), ((3,), (3, 2)), ((2, 3), (3,)), ((2, 2, 3), (2, 3, 2)), ((2, 1, 2, 3), (3, 3, 2)),
          ((2, 2, 3), (3,)), ((3,), (2, 3, 2)), ((2, 2, 3), (3, 2)), ((2, 3), (2, 3, 2)), ((1, 1), (1, 1)), ((2, 0), (0, 3)),
          ((0, 2), (2, 3)), ((2, 3), (3, 0)), ((0,), (0,)), ((0, 2, 3), (3, 2))]
for a, b in MATMUL:
    case("a.matmul(b)", torch.matmul, N(*a), N(*b), label=f"{list(a)} and {list(b)}")
case("a.matmul(b)", torch.matmul, T([[1.0, inf], [nan, 2.0]]), T([[1.0, 2.0], [3.0, 4.0]]), label="inf and nan", value="not finite")
for axis in [0, -1]:
    f = functools.partial(lambda axis, a, b: F.cosine_similarity(a, b, axis), axis)
    case(f"a.cosine_similarity(b, {axis})", f, N(2, 3), N(2, 3))
    if axis:
        case(f"a.cosine_similarity(b, {axis})", f, N(3), N(2, 3), label="broadcast")
for p, power in [("2.0", 2.0), ("1.0", 1.0), ("f64::INFINITY", inf)]:
    f = functools.partial(lambda p, a, b: torch.linalg.vector_norm(a - b, p, -1), power)
    case(f"a.pairwise_distance(b, {p})", f, N(2, 3), N(2, 3))
    case(f"a.pairwise_distance(b, {p})", f, N(2, 1, 3), N(4, 3), label="broadcast")
case("a.dot(b)", torch.dot, N(5), N(5))
case("a.dot(b)", torch.dot, T([]), T([]), label="empty")
case("a.dot(b)", torch.dot, N(1), N(1), label="one")
case("a.outer(b)", torch.outer, N(2), N(3))
case("a.outer(b)", torch.outer, N(2), T([]), label="empty")
case("a.matvec(b)", torch.mv, N(2, 3), N(3))
case("a.matvec(b)", torch.mv, T([], (2, 0)), T([]), label="empty")
EINSUMS = [("ij,jk->ik", (2, 3), (3, 2)), ("bij,bjk->bik", (2, 2, 3), (2, 3, 2)), ("i,j->ij", (2,), (3,)), ("i,i->", (4,), (4,)),
           ("ij,ij->j", (2, 3), (2, 3)), ("ij,kj", (2, 3), (2, 3)), ("bhid,bhjd->bhij", (1, 2, 2, 3), (1, 2, 2, 3)),
           ("...i,...i->...", (2, 3), (2, 3)), ("ij,j->i", (2, 0), (0,))]
for spec, a, b in EINSUMS:
    case(f'Tensor::einsum("{spec}", &[a, b])', functools.partial(torch.einsum, spec), N(*a), N(*b))
for spec, shape in [("ij->ji", (2, 3)), ("ii->", (3, 3)), ("ii->i", (3, 3)), ("ijk->k", (2, 2, 3)), ("ij->", (2, 3))]:
    case(f'Tensor::einsum("{spec}", &[x])', functools.partial(torch.einsum, spec), N(*shape))
case('Tensor::einsum("i,ij,j->", &[a, b, c])', functools.partial(torch.einsum, "i,ij,j->"), N(2), N(2, 3), N(3))
case("x.trace()", torch.trace, N(3, 3))
case("x.trace()", torch.trace, T([], (0, 0)), label="empty")
for spec, shapes in [("ij,jk,kl->il", ((2, 3), (3, 2), (2, 2))), ("i,j,k->kji", ((2,), (3,), (2,)))]:
    case(f'Tensor::einsum("{spec}", &[a, b, c])', functools.partial(torch.einsum, spec), *(N(*shape) for shape in shapes))
for spec, a, b in [("ij,jk->ki", (2, 3), (3, 2)), ("bij,j->bi", (2, 2, 3), (3,)), ("ii,ij->j", (3, 3), (3, 2)),
                   ("...ij,...jk->...ik", (2, 2, 3), (3, 2))]:
    case(f'Tensor::einsum("{spec}", &[a, b])', functools.partial(torch.einsum, spec), N(*a), N(*b))

# ---- more ranks: what is neither the first axis nor the last

for name, f in [("sum", torch.sum), ("max", torch.amax), ("prod", product), ("logsumexp", torch.logsumexp)]:
    case(f"x.{name}([1, 3])", functools.partial(lambda f, x: f(x, (1, 3)), f), N(2, 2, 2, 3, 2))
case("x.var([1, 3], 1)", lambda x: x.var((1, 3), correction=1), N(2, 2, 2, 3, 2))
case("x.norm(2.0, [1, 3])", lambda x: torch.linalg.vector_norm(x, 2.0, (1, 3)), N(2, 2, 2, 3, 2))
case("x.mean_keepdim([2, 0])", lambda x: x.mean((2, 0), keepdim=True), N(2, 2, 3, 2))
for name, shape in [("sum", (3,)), ("mean", (3,)), ("max", (3,)), ("prod", (3,)), ("logsumexp", (3,))]:
    case(f"x.{name}_all()", {"sum": torch.sum, "mean": torch.mean, "max": torch.amax, "prod": product,
                             "logsumexp": lambda x: x.logsumexp(0)}[name], N(*shape), label="vector")
middle = functools.partial(order, axis=1, descending=True)
case("Ok(x.sort(1, true)?.0)", lambda x: x.gather(1, middle(x)), N(2, 3, 2), label="the middle axis")
case("x.argsort(1, true)", middle, N(2, 3, 2), label="the middle axis", out="u32")
case("Ok(x.topk(2, 1)?.0)", lambda x: x.topk(2, 1).values, N(2, 3, 2), label="the middle axis")
case("Ok(x.topk(0, 0)?.0)", lambda x: x[:0], N(3, 2))
case("x.softmax(1)", lambda x: x.softmax(1), N(2, 3, 2, 2), label="the middle axis")
case("x.log_softmax(0)", lambda x: x.log_softmax(0), N(4), label="vector")

# ---- linear algebra, behind the feature `linalg`


def definite(x):
    return x @ x.T + 2 * torch.eye(x.shape[0], dtype=x.dtype)


NO_NAN = "a decomposition may refuse it"
case("positive(x)?.cholesky()", lambda x: torch.linalg.cholesky(definite(x)), N(3, 3), nan=NO_NAN)
case("a.solve(b)", torch.linalg.solve, T([[4.0, 1.0, -0.5], [0.5, 3.0, 1.0], [-1.0, 0.25, 5.0]]), N(3, 2), nan=NO_NAN)
case("a.solve(b)", torch.linalg.solve, T([[[3.0, 1.0], [0.5, 2.0]], [[4.0, -1.0], [1.0, 2.5]]]), N(2, 2), label="a batch of vectors", nan=NO_NAN)
case("x.inv()", torch.linalg.inv, T([[4.0, 1.0, -0.5], [0.5, 3.0, 1.0], [-1.0, 0.25, 5.0]]), nan=NO_NAN)
case("x.inv()", torch.linalg.inv, T([[0.0, 2.0], [-4.0, 0.0]]), label="needs a pivot")
case("x.det()", torch.linalg.det, T([[4.0, 1.0, -0.5], [0.5, 3.0, 1.0], [-1.0, 0.25, 5.0]]), nan=NO_NAN)
case("x.det()", torch.linalg.det, T([[0.0, 2.0], [-4.0, 0.0]]), label="needs a pivot")
