#!/usr/bin/env python3
"""Derives every polynomial coefficient in src/formula/math/ (minimax fits, 60 digits).

Run:  pip install mpmath && python3 tests/reference/math_coefficients.py [name ...]
It prints Rust arrays, lowest power first, and the approximation error that is left after rounding the coefficients.
"""
import struct
import sys

from mpmath import mp, mpf, matrix, lu_solve, exp, log, sin, cos, atan, erf, erfc, pi, sqrt

mp.dps = 60


def f32(x):
    return mpf(struct.unpack("<f", struct.pack("<f", float(x)))[0])


def f64(x):
    return mpf(float(x))


def grid(a, b, n=300):
    """Chebyshev points: dense where the error of a minimax fit swings fastest."""
    return [(a + b) / 2 - (b - a) / 2 * cos(pi * i / (n - 1)) for i in range(n)]


def fit(xs, fs, ws, powers, rounds=12):
    """Nearly minimax sum(c * x^p) for the sampled f with weight w, by Lawson's iteration: least squares, whose weights grow
    where the error is large. (Remez exchange would need that no power vanishes inside the interval.)"""
    n = len(powers)
    table = [[w * x**p for p in powers] for x, w in zip(xs, ws)]
    target = [w * f for f, w in zip(fs, ws)]
    lawson, best = [mpf(1)] * len(xs), None
    for _ in range(rounds):
        scaled = [[l * t for t in row] for l, row in zip(lawson, table)]
        a, b = matrix(n, n), matrix(n, 1)
        for i in range(n):
            for j in range(i, n):
                a[i, j] = a[j, i] = mp.fdot((r[i], t[j]) for r, t in zip(scaled, table))
            b[i] = mp.fdot((r[i], t) for r, t in zip(scaled, target))
        coef = list(lu_solve(a, b))
        err = [abs(t - mp.fdot(zip(coef, row))) for t, row in zip(target, table)]
        top = max(err)
        if best is None or top < best[1]:
            best = (coef, top)
        lawson = [l * (e / top + mpf("1e-3")) for l, e in zip(lawson, err)]
        scale = max(lawson)
        lawson = [l / scale + mpf("1e-12") for l in lawson]
    return best


def rounded_fit(f, weight, a, b, powers, kinds, samples=300):
    """Fit, round the lowest coefficient to its format, fit the others to what is left, and so on."""
    xs = [x for x in grid(mpf(a), mpf(b), samples) if abs(x) > mpf("1e-9")]
    fs = [f(x) for x in xs]
    ws = [weight(x) for x in xs]
    powers, out = list(powers), []
    _, ideal = fit(xs, fs, ws, powers)
    for kind in kinds:
        coef, top = fit(xs, fs, ws, powers)
        c = kind(coef[0])
        out.append(c)
        fs = [v - c * x ** powers[0] for v, x in zip(fs, xs)]
        powers = powers[1:]
    final = max(abs(w * v) for w, v in zip(ws, fs))
    return out, ideal, final


def shortest(c, ty):
    """The shortest decimal that reads back as the same number, which is what clippy wants."""
    if ty == "f64":
        return repr(c)
    return repr(float(next(t for t in (f"{c:.{d}e}" for d in range(10)) if f32(float(t)) == c)))


def show(name, coef, ideal, final, ty):
    print(f"/// {name}: weighted error 2^{float(log(final, 2)):.2f} (before rounding 2^{float(log(ideal, 2)):.2f})")
    body = ", ".join(shortest(float(c), ty) for c in coef)
    print(f"const {name}: [{ty}; {len(coef)}] = [{body}];\n")


def split(name, value, bits, ty):
    """value = hi + lo, where hi has only `bits` bits, so that small integers times hi are exact."""
    from mpmath import floor, frexp, ldexp

    _, e = frexp(value)
    hi = ldexp(floor(ldexp(value, bits - e) + mpf("0.5")), e - bits)
    lo = value - hi
    print(f"const {name}_HI: {ty} = {shortest(float(hi), ty)};\nconst {name}_LO: {ty} = {shortest(float(f32(lo) if ty == 'f32' else lo), ty)};\n")


HALF_LN2 = log(2) / 2


def job_exp():
    split("LN2", log(2), 15, "f32")
    split("LN2", log(2), 42, "f64")
    split("LN2_FULL", log(2), 24, "f32")
    split("LN2_FULL", log(2), 53, "f64")
    # e^r = 1 + r + r^2 P(r); the weight r makes the same P good for e^r - 1, whose value is near r.
    p = lambda r: (exp(r) - 1 - r) / r**2
    edge = HALF_LN2 * mpf("1.0001")
    for deg in (3, 4):
        show(f"EXP_TAIL_{deg}", *rounded_fit(p, lambda r: abs(r) + mpf("0.01"), -edge, edge, range(deg + 1), [f32] * (deg + 1)), "f32")
    for deg in (8, 9):
        show(f"EXP_TAIL_{deg}", *rounded_fit(p, lambda r: abs(r) + mpf("0.01"), -edge, edge, range(deg + 1), [f64] * (deg + 1)), "f64")


def job_ln():
    a, b = sqrt(mpf(2)) / 2 - 1, sqrt(mpf(2)) - 1
    # ln(1+f) = f - f^2/2 + f^3 Q(f)
    q = lambda f: (log(1 + f) - f + f**2 / 2) / f**3
    for deg in (6, 7):
        show(f"LN_TAIL_{deg}", *rounded_fit(q, lambda f: f**3 / log(1 + f) + mpf("1e-4"), a, b, range(deg + 1), [f32] * (deg + 1)), "f32")
    # s = f/(2+f): ln(1+f) = 2s + s R(s^2), R(z) = z (c0 + c1 z + ...)
    top = (b / (2 + b)) ** 2
    at = lambda z: (log((1 + sqrt(z)) / (1 - sqrt(z))) / sqrt(z) - 2) / z
    for deg in (5, 6, 7):
        show(f"LN_TAIL_{deg}", *rounded_fit(at, lambda z: z / 2, mpf("1e-8"), top, range(deg + 1), [f64] * (deg + 1)), "f64")


def job_trig():
    # sin and cos of u quarter turns, |u| <= 1/2 and a little, in z = u^2.
    half_pi, top = pi / 2, mpf("0.2501")
    print(f"const HALF_PI_HI: f64 = {float(half_pi)!r};\nconst HALF_PI_LO: f64 = {float(half_pi - f64(half_pi))!r};")
    u = sqrt
    one = lambda z: mpf(1)
    show("SIN", *rounded_fit(lambda z: sin(half_pi * u(z)) / u(z), one, mpf("1e-8"), top, range(4), [f64] * 4), "f64")
    show("SIN5", *rounded_fit(lambda z: sin(half_pi * u(z)) / u(z), one, mpf("1e-8"), top, range(5), [f64] * 5), "f64")
    show("COS", *rounded_fit(lambda z: (cos(half_pi * u(z)) - 1) / z, lambda z: z, mpf("1e-8"), top, range(4), [f64] * 4), "f64")
    tail = lambda z: (sin(half_pi * u(z)) / u(z) - half_pi) / z
    show("SIN_TAIL", *rounded_fit(tail, lambda z: z, mpf("1e-8"), top, range(6), [f64] * 6), "f64")
    for n in (6, 7):
        show("COS_TAIL", *rounded_fit(lambda z: (cos(half_pi * u(z)) - 1) / z, lambda z: z, mpf("1e-8"), top, range(n), [f64] * n), "f64")
    with mp.workprec(1400):
        bits = int(mp.floor(2 / pi * mpf(2) ** 1280))
    words = [bits >> (1280 - 64 * (i + 1)) & (1 << 64) - 1 for i in range(20)]
    print("const TWO_OVER_PI: [u64; 20] = [" + ", ".join(f"{w:#018x}" for w in words) + "];\n")


def job_erf():
    # f32: erf x = 1 - e^(x (P(x) x - 2/sqrt(pi))), up to where it is 1.
    f = lambda z: erf(sqrt(z)) / sqrt(z)
    two = 2 / sqrt(pi)
    print(f"const SLOPE_HI: f32 = {shortest(float(f32(two)), 'f32')};\nconst SLOPE_LO: f32 = {shortest(float(f32(two - f32(two))), 'f32')};")
    for n in (7, 8):
        show("LOG_ERFC", *rounded_fit(lambda x: (log(erfc(x)) / x + two) / x, lambda x: x**2 * erfc(x) / erf(x), mpf("1e-6"), mpf("3.93"), range(n), [f32] * n), "f32")
    # f64, below 1: erf x = x (2/sqrt(pi) + z P(z)).
    print(f"const SLOPE_HI: f64 = {float(two)!r};\nconst SLOPE_LO: f64 = {float(two - f64(two))!r};")
    show("NEAR", *rounded_fit(lambda z: (f(z) - two) / z, lambda z: z / f(z), mpf("1e-8"), mpf(1), range(12), [f64] * 12), "f64")
    # f64, from 1: erf x = 1 - e^H(x).
    show("FAR", *rounded_fit(lambda x: log(erfc(x)), lambda x: erfc(x) / erf(x), mpf(1), mpf("5.95"), range(18), [f64] * 18), "f64")


def job_erfc():
    # erfc x = e^(-x^2) / (1 + 2x) times a polynomial in q = (x - 3)/(x + 3).
    at = lambda q: 3 * (1 + q) / (1 - q)
    scaled = lambda q: (1 + 2 * at(q)) * exp(at(q) ** 2) * erfc(at(q))
    place = lambda x: (x - 3) / (x + 3)
    show("TAIL", *rounded_fit(scaled, lambda q: 1 / scaled(q), place(mpf("0.499")), place(mpf("27.4")), range(22), [f64] * 22), "f64")


def job_atan():
    # atan t = t + t z P(z), z = t^2, up to tan(pi/8).
    f = lambda z: atan(sqrt(z)) / sqrt(z)
    top = mpf("0.41422") ** 2
    show("ATAN", *rounded_fit(lambda z: (f(z) - 1) / z, lambda z: z / f(z), mpf("1e-8"), top, range(11), [f64] * 11), "f64")
    for n in (4, 5):
        show(f"ATAN_F32 ({n})", *rounded_fit(lambda z: (f(z) - 1) / z, lambda z: z / f(z), mpf("1e-8"), top, range(n), [f32] * n), "f32")


def job_pow():
    # log2(1 + f) = s L(s^2), s = f/(2+f)
    top = ((sqrt(mpf(2)) - 1) / (sqrt(mpf(2)) + 1)) ** 2
    series = lambda z: log((1 + sqrt(z)) / (1 - sqrt(z))) / (2 * sqrt(z))
    for n in (5, 6):
        show("LOG2", *rounded_fit(lambda z: 2 / log(2) * series(z), lambda z: 1 / series(z), mpf("1e-8"), top, range(n), [f64] * n), "f64")
    # atanh(s)/s = 1 + z/3 + z^2 Q(z)
    fifth = lambda z: ((series(z) - 1) / z - mpf(1) / 3) / z
    for n in (6, 7, 8):
        show("ATANH_TAIL", *rounded_fit(fifth, lambda z: z**2, mpf("1e-6"), top, range(n), [f64] * n), "f64")
    for name, v in (("THIRD", mpf(1) / 3), ("TWO_OVER_LN2", 2 / log(2))):
        print(f"const {name}_HI: f64 = {float(v)!r};\nconst {name}_LO: f64 = {float(v - f64(v))!r};")
    # 2^r = 1 + r R(r)
    edge = mpf("0.50001")
    for n in (6, 7, 10, 11):
        show("EXP2", *rounded_fit(lambda r: (mpf(2) ** r - 1) / r, lambda r: abs(r) + mpf("0.01"), -edge, edge, range(n), [f64] * n), "f64")


JOBS = {k[4:]: v for k, v in list(globals().items()) if k.startswith("job_")}

if __name__ == "__main__":
    for name in sys.argv[1:] or JOBS:
        JOBS[name]()
