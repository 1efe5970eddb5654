#!/usr/bin/env python3
"""References for tests/precision.rs: values and derivatives with 50 digits and more, from mpmath.

Run:  pip install mpmath && python3 tests/reference/precision.py > tests/reference/precision.txt
With a number of points for each function (`precision.py 4000`) it makes the larger set that docs/precision.md is measured with.
A line "= name" begins a function. Its other lines: x, y (if it has two inputs), the double nearest to f, what rounding lost in
hundredths of an ulp, and the same two for f by x. Numbers are bits in hexadecimal: 8 digits are an f32, 16 an f64.
"""
import math
import random
import struct
import sys

import mpmath
from mpmath import mp, mpf

POINTS = int(sys.argv[1]) if len(sys.argv) > 1 else 200


def bits(x):
    """f32 where that is exact."""
    try:
        short = struct.pack("<f", x)
        if struct.unpack("<f", short)[0] == x:
            return f"{struct.unpack('<I', short)[0]:08x}"
    except OverflowError:
        pass
    return f"{struct.unpack('<Q', struct.pack('<d', x))[0]:016x}"


def sure(f, *args):
    """f with more and more digits, until 30 of them stay."""
    digits = 50
    while True:
        with mp.workdps(digits):
            low = f(*map(mpf, args))
        with mp.workdps(2 * digits):
            high = f(*map(mpf, args))
            if abs(low - high) <= abs(high) * mpf(10) ** -30:
                return high
        digits *= 2


def rounded(v):
    """The double nearest to v, and what rounding lost in hundredths of an ulp."""
    if v == 0 or mpmath.mag(v) < -1200:
        return 0.0, 0
    if mpmath.mag(v) > 1024:
        return math.copysign(math.inf, v), 0
    with mp.workdps(400):
        q = max(int(mpmath.mag(v)) - 1, -1022) - 52
        scaled = mpmath.ldexp(v, -q)
        n = int(mpmath.nint(scaled))
        if abs(n) << max(q, 0) >= 1 << 1024:
            return math.copysign(math.inf, v), 0
        return math.ldexp(n, q), round(100 * float(scaled - n))


def f32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def wild(low, high):
    """A number with this exponent of two at least and at most, of any sign."""
    return lambda: random.choice((-1, 1)) * math.ldexp(random.uniform(0.5, 1), random.randint(low + 1, high))


def size(low, high):
    return lambda: abs(wild(low, high)())


def between(a, b):
    return lambda: random.uniform(a, b)


def sigmoid(x):
    return 1 / (1 + mpmath.exp(-x))


def near_erfc(x):
    # Beyond 40 it is 0 or 2, and mpmath gives up.
    return mpmath.erfc(max(min(x, mpf(40)), mpf(-40)))


def bell(x):
    return 2 / mpmath.sqrt(mp.pi) * mpmath.exp(-x * x)


def normal(x):
    return near_erfc(-x / mpmath.sqrt(2)) / 2


def density(x):
    return mpmath.exp(-x * x / 2) / mpmath.sqrt(2 * mp.pi)


def gelu_tanh(x):
    return x * sigmoid(2 * mpmath.sqrt(2 / mp.pi) * (x + mpf("0.044715") * x**3))


def gelu_tanh_slope(x):
    c = 2 * mpmath.sqrt(2 / mp.pi)
    s = sigmoid(c * (x + mpf("0.044715") * x**3))
    return s + x * s * (1 - s) * c * (1 + 3 * mpf("0.044715") * x * x)


def softplus(x):
    return mpmath.log1p(mpmath.exp(-abs(x))) + max(x, 0)


def mish_slope(x):
    t = mpmath.tanh(softplus(x))
    return t + x * (1 - t * t) * sigmoid(x)


def selu():
    """α and λ, which the paper defines by integrals."""
    e, s2 = mpmath.exp, mpmath.sqrt(2)
    half = mpmath.erfc(1 / s2)
    alpha = -mpmath.sqrt(2 / mp.pi) / (half * mpmath.sqrt(e(1)) - 1)
    scale = (1 - half * mpmath.sqrt(e(1))) * mpmath.sqrt(2 * mp.pi) / mpmath.sqrt(
        2 * mpmath.erfc(s2) * e(2) + mp.pi * half**2 * e(1) - 2 * (2 + mp.pi) * half * mpmath.sqrt(e(1)) + mp.pi + 2)
    return alpha, scale


def piecewise(x, low, yes):
    return low if x <= 0 else yes


ORDINARY = [between(-1, 1), between(-4, 4), between(-20, 20), wild(-40, 5)]
UNIT, SIGN, REAL = between(0, 1), lambda: random.choice((-1.0, 1.0)), between(-10, 10)
COUNT = lambda: float(random.randint(0, 20))

# name: (f, f by x, where x is from, where y is from)
FUNCTIONS = {
    "exp": (mpmath.exp, mpmath.exp, [between(-87, 88), *ORDINARY], None),
    "expm1": (mpmath.expm1, mpmath.exp, [between(-40, 88), *ORDINARY], None),
    "ln": (mpmath.log, lambda x: 1 / x, [between(0.5, 2), between(0.99, 1.01), size(-120, 120)], None),
    "log2": (lambda x: mpmath.log(x) / mpmath.log(2), lambda x: 1 / x / mpmath.log(2), [between(0.5, 2), between(0.99, 1.01), size(-120, 120)], None),
    "log10": (lambda x: mpmath.log(x) / mpmath.log(10), lambda x: 1 / x / mpmath.log(10), [between(0.5, 2), between(0.99, 1.01), size(-120, 120)], None),
    "log1p": (mpmath.log1p, lambda x: 1 / (1 + x), [between(-0.99, 1), between(-0.3, 0.42), wild(-60, -1), size(0, 120)], None),
    "sqrt": (mpmath.sqrt, lambda x: 1 / mpmath.sqrt(x) / 2, [size(-120, 120)], None),
    "rsqrt": (lambda x: 1 / mpmath.sqrt(x), lambda x: -1 / (2 * x * mpmath.sqrt(x)), [size(-60, 60)], None),
    "recip": (lambda x: 1 / x, lambda x: -1 / (x * x), [wild(-60, 60)], None),
    "sqr": (lambda x: x * x, lambda x: 2 * x, [wild(-60, 60)], None),
    "powf(3)": (lambda x: x**3, lambda x: 3 * x * x, [wild(-40, 40)], None),
    "powf(-2)": (lambda x: 1 / (x * x), lambda x: -2 / x**3, [wild(-40, 40)], None),
    "powf(2.5)": (lambda x: x ** mpf("2.5"), lambda x: mpf("2.5") * x ** mpf("1.5"), [size(-40, 40)], None),
    "pow": (lambda x, y: x**y, lambda x, y: y * x ** (y - 1), [between(0, 10), size(-8, 8)], REAL),
    "pow, by the exponent": (lambda x, y: y**x, lambda x, y: y**x * mpmath.log(y), [REAL], between(0.1, 10)),
    "sin": (mpmath.sin, mpmath.cos, [between(-10, 10), between(-1000, 1000), wild(-40, 20)], None),
    "cos": (mpmath.cos, lambda x: -mpmath.sin(x), [between(-10, 10), between(-1000, 1000), wild(-40, 20)], None),
    "tan": (mpmath.tan, lambda x: 1 / mpmath.cos(x) ** 2, [between(-10, 10), between(-1000, 1000), wild(-40, 20)], None),
    "asin": (mpmath.asin, lambda x: 1 / mpmath.sqrt((1 - x) * (1 + x)), [between(-1, 1), lambda: 1 - size(-20, -1)(), wild(-40, 0)], None),
    "acos": (mpmath.acos, lambda x: -1 / mpmath.sqrt((1 - x) * (1 + x)), [between(-1, 1), lambda: 1 - size(-20, -1)(), wild(-40, 0)], None),
    "atan": (mpmath.atan, lambda x: 1 / (1 + x * x), [between(-1, 1), between(-5, 5), wild(-40, 60)], None),
    "atan2": (mpmath.atan2, lambda y, x: x / (x * x + y * y), [REAL, wild(-20, 20)], REAL),
    "sinh": (mpmath.sinh, mpmath.cosh, [between(-88, 88), *ORDINARY], None),
    "cosh": (mpmath.cosh, mpmath.sinh, [between(-88, 88), *ORDINARY], None),
    "tanh": (mpmath.tanh, lambda x: 1 / mpmath.cosh(x) ** 2, ORDINARY, None),
    "sigmoid": (sigmoid, lambda x: sigmoid(x) * sigmoid(-x), [between(-80, 80), *ORDINARY], None),
    "erf": (mpmath.erf, bell, [between(-1, 1), between(-6, 6), wild(-40, 2)], None),
    "erfc": (near_erfc, lambda x: -bell(x), [between(-1, 1), between(-6, 9), wild(-40, 2)], None),
    "elu": (lambda x: piecewise(x, mpmath.expm1(x), x), lambda x: piecewise(x, mpmath.exp(x), 1), ORDINARY, None),
    "selu": (lambda x: selu()[1] * piecewise(x, selu()[0] * mpmath.expm1(x), x), lambda x: selu()[1] * piecewise(x, selu()[0] * mpmath.exp(x), 1), ORDINARY, None),
    "celu(0.5)": (lambda x: piecewise(x, mpmath.expm1(2 * x) / 2, x), lambda x: piecewise(x, mpmath.exp(2 * x), 1), ORDINARY, None),
    "gelu": (lambda x: x * normal(x), lambda x: normal(x) + x * density(x), [between(-12, 12), *ORDINARY[:2], wild(-40, 3)], None),
    "gelu_tanh": (gelu_tanh, gelu_tanh_slope, [between(-9, 9), *ORDINARY[:2], wild(-40, 3)], None),
    "hard_sigmoid": (lambda x: min(max(x + 3, mpf(0)), mpf(6)) / 6, lambda x: mpf(-3 < x < 3) / 6, ORDINARY, None),
    "hard_swish": (lambda x: x * min(max(x + 3, mpf(0)), mpf(6)) / 6, lambda x: mpf(0) if x <= -3 else mpf(1) if x >= 3 else x / 3 + mpf("0.5"), ORDINARY, None),
    "hard_tanh": (lambda x: min(max(x, mpf(-1)), mpf(1)), lambda x: mpf(-1 < x < 1), ORDINARY, None),
    "relu6": (lambda x: min(max(x, mpf(0)), mpf(6)), lambda x: mpf(0 < x < 6), ORDINARY, None),
    "leaky_relu": (lambda x: piecewise(x, x / 100, x), lambda x: piecewise(x, mpf(1) / 100, 1), ORDINARY, None),
    "log_sigmoid": (lambda x: -softplus(-x), lambda x: sigmoid(-x), [between(-80, 80), *ORDINARY], None),
    "mish": (lambda x: x * mpmath.tanh(softplus(x)), mish_slope, [between(-80, 80), *ORDINARY], None),
    "relu": (lambda x: max(x, mpf(0)), lambda x: mpf(x > 0), ORDINARY, None),
    "silu": (lambda x: x * sigmoid(x), lambda x: sigmoid(x) * (1 + x * sigmoid(-x)), [between(-80, 80), *ORDINARY], None),
    "softplus": (softplus, sigmoid, [between(-80, 80), *ORDINARY], None),
    "softplus(2)": (lambda x: softplus(2 * x) / 2, lambda x: sigmoid(2 * x), [between(-40, 40), *ORDINARY], None),
    "softsign": (lambda x: x / (1 + abs(x)), lambda x: 1 / (1 + abs(x)) ** 2, ORDINARY, None),
    "tanhshrink": (lambda x: x - mpmath.tanh(x), lambda x: mpmath.tanh(x) ** 2, ORDINARY[:3] + [wild(-10, 5)], None),
    "threshold(1, -5)": (lambda x: x if x > 1 else mpf(-5), lambda x: mpf(x > 1), ORDINARY, None),
    "bce": (lambda p, t: -(t * mpmath.log(p) + (1 - t) * mpmath.log(1 - p)), lambda p, t: (p - t) / (p * (1 - p)), [between(1e-3, 0.999)], UNIT),
    "bce_with_logits": (lambda z, t: softplus(z) - z * t, lambda z, t: sigmoid(z) - t, [between(-20, 20), between(-1, 1), between(-4, 4)], UNIT),
    "hinge": (lambda p, t: max(1 - p * t, mpf(0)), lambda p, t: -t if p * t < 1 else mpf(0), ORDINARY, SIGN),
    "huber": (lambda p, t: (p - t) ** 2 / 2 if abs(p - t) <= 1 else abs(p - t) - mpf("0.5"), lambda p, t: max(min(p - t, mpf(1)), mpf(-1)), ORDINARY, REAL),
    "smooth_l1(0.5)": (lambda p, t: (p - t) ** 2 if abs(p - t) <= mpf("0.5") else abs(p - t) - mpf("0.25"), lambda p, t: max(min(2 * (p - t), mpf(1)), mpf(-1)), ORDINARY, REAL),
    "kl_div": (lambda p, t: t * (mpmath.log(t) - p), lambda p, t: -t, [between(-20, 0)], between(0.001, 1)),
    "l1": (lambda p, t: abs(p - t), lambda p, t: mpmath.sign(p - t), ORDINARY, REAL),
    "l2": (lambda p, t: (p - t) ** 2, lambda p, t: 2 * (p - t), ORDINARY, REAL),
    "poisson_nll": (lambda p, t: mpmath.exp(p) - t * p, lambda p, t: mpmath.exp(p) - t, [between(-5, 5)], COUNT),
}

# What is straight lines needs few points.
STRAIGHT = {"hard_tanh", "relu6", "relu", "leaky_relu", "threshold(1, -5)", "l1", "hinge", "hard_sigmoid", "sqr"}

for name, (f, slope, places, second) in FUNCTIONS.items():
    random.seed(name)
    print("=", name)
    for i in range(POINTS // 3 if name in STRAIGHT else POINTS):
        # In turn where f32 can be measured at the same point, and where only f64 can.
        fit = f32 if i % 2 == 0 else float
        at = [fit(places[i // 2 % len(places)]())] + ([fit(second())] if second else [])
        fields = [bits(x) for x in at]
        for g in (f, slope):
            value, lost = rounded(sure(g, *at))
            fields += [bits(value), str(lost)]
        print(" ".join(fields))
