#!/usr/bin/env python3
"""Golden values for crates/tealight-kernels/tests/jets.rs: derivatives of high order, from mpmath with 120 digits.

Run:  pip install mpmath && python3 tests/reference/jets.py > tests/reference/jets.csv
Columns: function, x, its derivative of order 8 (`mlp`: 4) at x, and |x| times the next one (how far a rounding of x moves it).
"""
import random

from mpmath import mp, mpf
import mpmath as m

mp.dps = 120
random.seed(20)


def mlp(t):
    """x + t·v through 3-8-8-1 with tanh. The weights are doubles that jets.rs computes likewise."""
    w = lambda i: mpf(float((i * 37 + 11) % 101) / 64.0 - 0.75)
    x = [mpf(1) / 2 + t, mpf(-1) / 4 + t * 2, mpf(1) - t]
    x = [m.tanh(sum(w(3 * o + i) * x[i] for i in range(3)) + w(o + 24)) for o in range(8)]
    x = [m.tanh(sum(w(32 + 8 * o + i) * x[i] for i in range(8)) + w(o + 96)) for o in range(8)]
    return sum(w(104 + i) * x[i] for i in range(8))


sigmoid = lambda x: 1 / (1 + m.exp(-x))
FUNCTIONS = {
    "exp": (m.exp, -30, 30), "exp_m1": (m.expm1, -30, 30), "ln": (m.log, 1e-3, 50), "ln_1p": (m.log1p, -0.99, 50),
    "sqrt": (m.sqrt, 1e-3, 50), "recip": (lambda x: 1 / x, -20, 20), "tanh": (m.tanh, -15, 15), "sigmoid": (sigmoid, -30, 30),
    "erf": (m.erf, -5, 5), "erfc": (m.erfc, -5, 5), "sin": (m.sin, -20, 20), "cos": (m.cos, -20, 20), "atan": (m.atan, -10, 10),
    "powf 2.5": (lambda x: x ** mpf(2.5), 1e-3, 20), "powf -1.5": (lambda x: x ** mpf(-1.5), 1e-3, 20),
    "powi 11": (lambda x: x ** 11, -5, 5), "powi -3": (lambda x: x ** -3, -5, 5), "1.5^x": (lambda x: mpf(1.5) ** x, -20, 20),
    "x^x": (lambda x: x ** x, 0.01, 8), "sinc": (lambda x: m.sin(x) / x, 8, 20),
    "softplus": (lambda x: m.log1p(m.exp(x)), -20, 1), "mlp": (mlp, -1, 1),
}
for name, (f, low, high) in FUNCTIONS.items():
    order = 4 if name == "mlp" else 8
    points = []
    for i in range(200):
        # Half of the points spread over the range, half of them near its middle.
        spread = random.uniform(low, high)
        points.append(spread if i % 2 else (random.uniform(low, high) / 16 if low < 0 else low + (spread - low) / 16))
    # The ends of the range, and where the functions have zeros, poles nearby, or a derivative that is zero.
    singular = name in ("recip", "powi -3")
    edges = [low, high, 0.0, 1e-6, -1e-6, 0.5, -0.5, 1.0, -1.0]
    points += [x for x in edges if low <= x <= high and not (singular and abs(x) < 1e-3)]
    for x in points:
        c = m.taylor(f, mpf(x), order + 1)
        d = c[order] * m.factorial(order)
        # What is exactly zero has only the error of mpmath's differences.
        d = float(d) if abs(d) > 1e-40 else 0.0
        print(f"{name},{x!r},{d!r},{float(abs(x * c[order + 1]) * m.factorial(order + 1))!r}")
