#!/usr/bin/env python3
"""Golden values for tests/math_accuracy.rs, from mpmath with 1200 bits and more.

Run:  pip install mpmath && python3 tests/reference/math_golden.py > tests/reference/math.csv
Columns: function, x bits, y bits (powf only), correctly rounded result bits, exact − rounded in ulp.
"""
import math
import random
import struct

import mpmath
from mpmath import mp, mpf

mp.prec = 1300  # sin of the largest double needs 1024 bits for the multiple of pi, and 100 to be exact afterwards
INF, MAX, TINY = math.inf, 1.7976931348623157e308, 5e-324
random.seed(20240601)


def bits(x):
    return struct.unpack("<Q", struct.pack("<d", x))[0]


def rounded(v):
    """The double nearest to v (gradual underflow, overflow to infinity), and what rounding lost, in ulp."""
    if v == 0:
        return 0.0, 0.0
    _, e = mpmath.frexp(v)  # 0.5 <= |m| < 1
    q = max(int(e) - 1, -1022) - 52
    scaled = mpmath.ldexp(v, -q)
    n = int(mpmath.nint(scaled))
    if abs(n) << max(q, 0) >= 1 << 1024:
        # Seen from infinity, standing for 2^1024 with the ulp below it.
        return math.copysign(INF, n), float(max(min((abs(v) - mpf(2) ** 1024) / mpf(2) ** 971, 0), -0.5)) * (1 if n > 0 else -1)
    return math.copysign(math.ldexp(n, q), -1 if v < 0 else 1), float(scaled - n)


def near(x, k=3):
    out, up, down = [x], x, x
    for _ in range(k):
        up, down = math.nextafter(up, INF), math.nextafter(down, -INF)
        out += [up, down]
    return out


def wild(n, low=-1074, high=1023):
    return [random.choice((-1, 1)) * math.ldexp(random.uniform(0.5, 1), random.randint(low + 1, high)) for _ in range(n)]


def between(a, b, n):
    return [random.uniform(a, b) for _ in range(n)]


def close_to_quarter_turns():
    """Doubles m·2^e unusually near to a multiple of pi/2: m is a denominator of the continued fraction of 2^e·2/pi."""
    out = []
    for e in list(range(-52, 971, 6)) + [797, 970]:
        x, a, b = mpf(2) ** e * 2 / mp.pi, (1, 0), (0, 1)
        x, best = x - mpmath.floor(x), None
        p0, q0, p1, q1 = 1, 0, 0, 1
        while q1 < 1 << 53:
            best = q1
            x = 1 / x
            n = int(mpmath.floor(x))
            x -= n
            p0, q0, p1, q1 = p1, q1, n * p1 + p0, n * q1 + q0
        out.append(math.ldexp(best, e))
    return out + [math.ldexp(6381956970095103, 797)]


COMMON = [s * x for x in (TINY, 3 * TINY, 2.2250738585072009e-308, 2.2250738585072014e-308, 1e-300, 1e-100, 1e-20, 1e-17,
                          5.5e-17, 1.2e-16, 1e-10, 1e-5, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 10.0) for s in (1, -1)]
TRIG = (COMMON + close_to_quarter_turns() + wild(60) + between(-10, 10, 80) + between(-1, 1, 30)
        + [y for k in (1, 2, 3, 5, 8, 100, 12345) for y in near(k * math.pi / 2, 1) + near(k * math.pi / 4, 1)]
        + [MAX, -MAX, math.ldexp(1, 1023), 1e22, 1e5, 1e10, 1e15, 2.0**53])
POSITIVE = [abs(x) for x in COMMON + wild(150)]

UNARY = {
    "exp": (mpmath.exp, COMMON + between(-746, 710, 120) + between(-746, -708, 60) + between(-1, 1, 80) + between(-40, 40, 60)
            + near(709.782712893384) + near(-745.1332191019411) + near(-744.4400719213812) + near(-708.3964185322641)
            + near(0.34657359027997264) + wild(20, -60, 9)),
    "exp_m1": (mpmath.expm1, COMMON + between(-45, 710, 60) + between(-1, 1, 130) + between(-3, 3, 80) + between(-40, 5, 40)
               + near(709.782712893384) + near(0.34657359027997264) + near(-0.34657359027997264) + near(1.0397207708399179)
               + near(-36.7368005696771) + wild(40, -60, 9)),
    "ln": (mpmath.log, POSITIVE + between(0.5, 2, 120) + near(1.0, 8) + between(0.99, 1.01, 40) + between(0, 100, 30)
           + near(math.sqrt(0.5)) + near(math.sqrt(2)) + [MAX]),
    "ln_1p": (mpmath.log1p, [x for x in COMMON if x > -1] + [abs(x) for x in wild(60)] + between(-1, 1, 130) + between(-0.3, 0.42, 60)
              + wild(50, -60, -1) + [-1 + 2.0**-e for e in range(1, 54)] + near(math.sqrt(0.5) - 1) + near(math.sqrt(2) - 1)
              + between(1, 100, 30) + [MAX]),
    "tanh": (mpmath.tanh, COMMON + between(-1, 1, 150) + between(-4, 4, 80) + between(-20, 20, 40) + wild(40, -60, 5)
             + near(0.17328679513998632) + near(19.061547465398498) + [100.0, -MAX]),
    "erf": (mpmath.erf, COMMON + between(-1, 1, 130) + between(-3, 3, 100) + between(-6.2, 6.2, 60) + wild(40, -60, 2)
            + [y for k in range(1, 13) for y in near(k / 2, 1)] + near(5.921587195794508) + [-27.0, MAX]),
    "sin": (mpmath.sin, TRIG),
    "cos": (mpmath.cos, TRIG),
}


def later():
    """Functions that came later, with a seed of their own: the rows above stay as they were."""
    random.seed(20250301)
    return {
        # Beyond 40 it is 0 or 2, and mpmath gives up.
        "erfc": (lambda x: mpmath.erfc(max(min(x, 40), -40)), COMMON + between(-1, 1, 100) + between(-6.2, 6.2, 80) + between(0.5, 28, 160) + between(26, 27.3, 40)
                 + wild(40, -60, 2) + near(0.5) + near(-0.5) + near(26.543258430632299) + near(27.226017111108366) + [30.0, -30.0, MAX, 1.5262489301925124]),
        "atan": (mpmath.atan, COMMON + between(-1, 1, 130) + between(-3, 3, 100) + wild(100) + between(-100, 100, 40)
                 + near(math.sqrt(2) - 1, 5) + near(math.sqrt(2) + 1, 5) + near(1.0, 2) + [MAX, -MAX]),
    }


# The worst that a random search among a million arguments of each function has found for this crate's functions.
WORST = {"exp": 0.3579479169662121, "exp_m1": 0.36279081165087934, "ln": 0.7030940829547593, "ln_1p": 0.4262993665132762,
         "tanh": 0.20387557052076763, "erf": 0.9932042115544141, "sin": -0.8167248193552332, "cos": 0.7702346871395619}


def powers():
    out = []
    for x in [abs(v) for v in wild(160)] + between(0.5, 2, 60) + between(0, 50, 60):
        if x > 0 and x != 1:
            top = 1024 / math.log2(x)
            out += [(x, random.uniform(-1, 1) * abs(top)), (x, random.uniform(-5, 5))]
    for e in range(3, 53, 3):
        for s in (1, -1):
            x = 1 + s * math.ldexp(random.uniform(0.5, 1), -e)
            out += [(x, random.uniform(-1000, 1000) / (x - 1) * 0.7), (x, 700 / (x - 1))]
    for x in (2.0, 3.0, 7.0, 10.0, 0.1, 1.1):
        out += [(x, float(n)) for n in (-300, -20, -3, -1, 1, 2, 3, 13, 22, 23, 100, 308)] + [(x, 0.5), (x, -0.5)]
    out += [(-x, float(n)) for x in (2.0, 1.1, 1e-20, 1.5e10) for n in (-21, -2, -1, 1, 2, 3, 15)]
    out += [(2.0, y) for y in near(1024.0, 2) + near(-1074.0, 2) + near(-1075.0, 2) + near(-1022.0, 2)]
    out += [(TINY, 0.5), (TINY, 1.0), (TINY, -0.95), (MAX, 1.0), (MAX, 0.5), (MAX, -1.0), (MAX, -1.04), (1.0, 1e300), (0.999, 1e300),
            (2.414415434017609e-178, -1.3855490493461557)]
    return out


def power(x, y):
    # A huge exponent overflows or underflows for certain, and mpmath would try to write the result down.
    p = mpf(y) * mpmath.log(abs(mpf(x)))
    value = mpmath.exp(max(min(p, mpf(800)), mpf(-800)))
    return -value if x < 0 and y % 2 == 1 else value


def emit(name, x, y, value):
    result, residual = rounded(value)
    if abs(value) < mpf(2) ** -1200:
        residual = 0.0
    if result == 0:
        result = math.copysign(0.0, value if value else x)
    print(f"{name},{bits(x):016x},{'' if y is None else f'{bits(y):016x}'},{bits(result):016x},{residual:.4f}")


for name, (f, points) in UNARY.items():
    for x in [*points, WORST[name]]:
        emit(name, x, None, f(mpf(x)))
for x, y in powers():
    emit("powf", x, y, power(x, y))
for name, (f, points) in later().items():
    for x in points:
        emit(name, x, None, f(mpf(x)))
