#!/usr/bin/env python3
"""Golden values for tests/optim.rs: optimizers, schedules, and the loss curves of whole trainings, from PyTorch.

Run:  pip install torch==2.15.0 && python3 tests/reference/optim.py > tests/reference/optim.txt
Lines: a name, and its numbers (f64). Lion, which PyTorch does not have, is written down here from its paper.
"""
import csv
import itertools
import pathlib
import struct
import unittest.mock
import warnings
import zlib

import torch
from torch.optim import lr_scheduler as sched

warnings.filterwarnings("ignore")  # schedules without an optimizer's step
torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
DATA = pathlib.Path(__file__).resolve().parents[2] / "data"
STEPS = 20
KEPT = [1, 2, 3, 4, *range(5, 51, 5)]  # of 50 steps


def line(name, numbers):
    print(name, *(repr(float(x)) for x in numbers))


def rounded(shape, scale):
    """Random numbers that are short to write."""
    return (torch.randn(shape) * scale * 1e4).round() / 1e4


# Optimizers: a layer of tanh, and a mean square.

o = torch.optim


class Lion(torch.optim.Optimizer):
    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, dict(lr=lr, betas=betas, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            b1, b2 = group["betas"]
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                update = (b1 * m + (1 - b1) * p.grad).sign()
                p.mul_(1 - group["lr"] * group["weight_decay"]).sub_(group["lr"] * update)
                m.mul_(b2).add_((1 - b2) * p.grad)


class Muon:
    """PyTorch's for the matrix, where it rounds to bf16 unless that is replaced, and SGD for the vector."""

    def __init__(self, params, lr, dtype=None, **options):
        self.dtype, self.both = dtype or params[0].dtype, [o.Muon(params[:1], lr, **options), o.SGD(params[1:], 2 * lr)]

    def zero_grad(self):
        for optimizer in self.both:
            optimizer.zero_grad()

    def step(self):
        with unittest.mock.patch.object(torch, "bfloat16", self.dtype):
            self.both[0].step()
        self.both[1].step()


torch.manual_seed(1)
X, Y, W, B = rounded((6, 3), 1.0), rounded((6, 2), 0.5), rounded((2, 3), 1.0), rounded((2,), 0.5)
for name, x in [("x", X), ("y", Y), ("weight", W), ("bias", B)]:
    line(f"problem.{name}", x.flatten())

CASES = {
    "sgd": lambda p: o.SGD(p, 0.3),
    "sgd.momentum": lambda p: o.SGD(p, 0.1, momentum=0.9),
    "sgd.dampening": lambda p: o.SGD(p, 0.1, momentum=0.9, dampening=0.3),
    "sgd.nesterov": lambda p: o.SGD(p, 0.1, momentum=0.8, nesterov=True),
    "sgd.decay": lambda p: o.SGD(p, 0.1, momentum=0.9, weight_decay=0.1),
    "adam": lambda p: o.Adam(p, 0.05),
    "adam.options": lambda p: o.Adam(p, 0.05, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1),
    "adam.amsgrad": lambda p: o.Adam(p, 0.1, betas=(0.9, 0.8), amsgrad=True),
    "adamw": lambda p: o.AdamW(p, 0.05),
    "adamw.options": lambda p: o.AdamW(p, 0.05, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.3, amsgrad=True),
    "adamw.groups": lambda p: o.AdamW([dict(params=p[:1]), dict(params=p[1:], lr=0.2, weight_decay=0.0)], 0.02, weight_decay=0.2),
    "nadam": lambda p: o.NAdam(p, 0.05),
    "nadam.options": lambda p: o.NAdam(p, 0.05, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1, momentum_decay=0.1),
    "nadam.decoupled": lambda p: o.NAdam(p, 0.05, weight_decay=0.3, decoupled_weight_decay=True),
    "radam": lambda p: o.RAdam(p, 0.05),
    "radam.options": lambda p: o.RAdam(p, 0.05, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.1),
    "radam.decoupled": lambda p: o.RAdam(p, 0.05, betas=(0.8, 0.9), weight_decay=0.3, decoupled_weight_decay=True),
    "adamax": lambda p: o.Adamax(p, 0.05),
    "adamax.options": lambda p: o.Adamax(p, 0.05, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1),
    "muon": lambda p: Muon(p, 0.05),
    "muon.options": lambda p: Muon(p, 0.05, momentum=0.8, weight_decay=0.3, nesterov=False, ns_steps=3,
                                   adjust_lr_fn="match_rms_adamw"),
    "muon.spectral": lambda p: Muon(p, 0.05, adjust_lr_fn="spectral_unclamped"),
    "muon.bfloat16": lambda p: Muon(p, 0.05, dtype=torch.bfloat16),
    "rmsprop": lambda p: o.RMSprop(p, 0.02),
    "rmsprop.options": lambda p: o.RMSprop(p, 0.02, alpha=0.9, eps=1e-3, weight_decay=0.1),
    "rmsprop.momentum": lambda p: o.RMSprop(p, 0.01, momentum=0.8),
    "rmsprop.centered": lambda p: o.RMSprop(p, 0.01, centered=True, momentum=0.5),
    "adagrad": lambda p: o.Adagrad(p, 0.2),
    "adagrad.options": lambda p: o.Adagrad(p, 0.2, lr_decay=0.1, weight_decay=0.1, initial_accumulator_value=0.5, eps=1e-3),
    "adadelta": lambda p: o.Adadelta(p, 1.0),
    "adadelta.options": lambda p: o.Adadelta(p, 0.5, rho=0.8, eps=1e-2, weight_decay=0.1),
    "lion": lambda p: Lion(p, 0.02),
    "lion.options": lambda p: Lion(p, 0.02, betas=(0.8, 0.95), weight_decay=0.5),
    "clip.norm": lambda p: o.SGD(p, 0.5),
    "clip.value": lambda p: o.SGD(p, 0.5),
}
LBFGS = {
    "lbfgs": lambda p: o.LBFGS(p, 0.2, max_iter=4),
    "lbfgs.wolfe": lambda p: o.LBFGS(p, 1.0, max_iter=3, line_search_fn="strong_wolfe"),
    "lbfgs.long": lambda p: o.LBFGS(p, 20.0, max_iter=3, line_search_fn="strong_wolfe"),
    "lbfgs.options": lambda p: o.LBFGS(p, 0.9, max_iter=6, max_eval=7, history_size=2, tolerance_grad=1e-3,
                                       tolerance_change=1e-5, line_search_fn="strong_wolfe"),
}


def problem(dtype=torch.float64):
    x, y, w, b = (t.to(dtype, copy=True) for t in (X, Y, W, B))
    return [w.requires_grad_(), b.requires_grad_()], lambda: ((torch.tanh(x @ w.T + b) - y) ** 2).mean()


for (name, make), dtype in itertools.product(CASES.items(), [torch.float64, torch.float32]):
    params, loss = problem(dtype)
    opt, values, norms = make(params), [], []
    for step in range(1, KEPT[-1] + 1):
        opt.zero_grad()
        loss().backward()
        if name == "clip.norm":
            norms.append(torch.nn.utils.clip_grad_norm_(params, 0.1).item())
        if name == "clip.value":
            torch.nn.utils.clip_grad_value_(params, 0.05)
        opt.step()
        values += [x for p in params for x in p.flatten().tolist()] * (step in KEPT)
    line(f"optimizer.{name}" if dtype == torch.float64 else f"single.{name}", values)
    if norms:
        line(f"norms.{str(dtype)[6:]}", norms)

for name, make in LBFGS.items():
    params, loss = problem()
    opt, values = make(params), []

    def closure():
        opt.zero_grad()
        value = loss()
        value.backward()
        return value

    for _ in range(5):
        values.append(opt.step(closure).item())
        values += [x for p in params for x in p.flatten().tolist()]
    line(f"optimizer.{name}", values)

# Schedules, of a rate of 0.5.

SCHEDULES = {
    "constant": lambda opt: sched.ConstantLR(opt, factor=0.25, total_iters=5),
    "step": lambda opt: sched.StepLR(opt, 7, gamma=0.3),
    "multi_step": lambda opt: sched.MultiStepLR(opt, [5, 20, 20, 33], gamma=0.4),
    "exponential": lambda opt: sched.ExponentialLR(opt, 0.9),
    "polynomial": lambda opt: sched.PolynomialLR(opt, total_iters=30, power=1.7),
    "ramp": lambda opt: sched.LinearLR(opt, start_factor=0.1, end_factor=0.9, total_iters=12),
    "cosine": lambda opt: sched.CosineAnnealingLR(opt, 60, eta_min=0.05),
    "cosine.again": lambda opt: sched.CosineAnnealingLR(opt, 15, eta_min=0.05),
    "restarts": lambda opt: sched.CosineAnnealingWarmRestarts(opt, 8),
    "restarts.longer": lambda opt: sched.CosineAnnealingWarmRestarts(opt, 4, 2, eta_min=0.01),
    "one_cycle": lambda opt: sched.OneCycleLR(opt, 0.5, total_steps=51),
    "one_cycle.linear": lambda opt: sched.OneCycleLR(opt, 0.5, total_steps=51, pct_start=0.4, anneal_strategy="linear",
                                                     div_factor=10, final_div_factor=100),
    "one_cycle.three": lambda opt: sched.OneCycleLR(opt, 0.5, total_steps=51, pct_start=0.3, three_phase=True),
    "cyclic": lambda opt: sched.CyclicLR(opt, 0.1, 0.5, 7, 4),
    "cyclic.2": lambda opt: sched.CyclicLR(opt, 0.1, 0.5, 5, mode="triangular2"),
    "cyclic.exp": lambda opt: sched.CyclicLR(opt, 0.01, 0.5, 6, mode="exp_range", gamma=0.95),
    "then": lambda opt: sched.SequentialLR(
        opt, [sched.LinearLR(opt, 0.1, 1.0, 10), sched.CosineAnnealingLR(opt, 40)], [10]),
    "times": lambda opt: sched.ChainedScheduler([sched.LinearLR(opt, 0.1, 1.0, 10), sched.ExponentialLR(opt, 0.95)]),
}
for name, make in SCHEDULES.items():
    opt = o.SGD([torch.zeros(1)], 0.5, momentum=0.9)
    schedule, rates, momenta = make(opt), [], []
    for _ in range(51):
        rates.append(opt.param_groups[0]["lr"])
        momenta.append(opt.param_groups[0]["momentum"])
        if len(rates) < 51:
            schedule.step()
    line(f"schedule.{name}", rates)
    if min(momenta) < max(momenta):
        line(f"momentum.{name}", momenta)

# Optimizers with a cycle of the momentum, of two groups of which each has its own momentum.
GROUPS = {
    "sgd": lambda w, b: o.SGD([dict(params=[w]), dict(params=[b], momentum=0.5)], 0.2, momentum=0.9, nesterov=True),
    "rmsprop": lambda w, b: o.RMSprop([w, b], 0.02, momentum=0.8),
    "adam": lambda w, b: o.Adam([dict(params=[w]), dict(params=[b], betas=(0.5, 0.999))], 0.1, amsgrad=True),
    "adamw": lambda w, b: o.AdamW([dict(params=[w]), dict(params=[b], lr=0.02)], 0.1),
    "nadam": lambda w, b: o.NAdam([w, b], 0.1),
    "radam": lambda w, b: o.RAdam([w, b], 0.1, betas=(0.9, 0.9)),
    "adamax": lambda w, b: o.Adamax([w, b], 0.1),
}
for name, make in GROUPS.items():
    params, loss = problem()
    opt, values = make(*params), []
    rates = [group["lr"] for group in opt.param_groups]
    schedule = sched.OneCycleLR(opt, rates, total_steps=STEPS)
    for step in range(STEPS):
        opt.zero_grad()
        loss().backward()
        opt.step()
        values += [x for p in params for x in p.flatten().tolist()]
        if step + 1 < STEPS:
            schedule.step()
    line(f"cycled.{name}", values)

# A loss with plateaus, an accuracy, and what becomes of the rate.
observed = [round(3.0 / (1 + min(t // 6, 4)) + 0.00001 * (t % 3), 6) for t in range(50)]
line("plateau.observed", observed)
PLATEAUS = {
    "default": dict(),
    "options": dict(factor=0.5, patience=2, threshold=0.3, cooldown=3, min_lr=0.02),
    "absolute": dict(factor=0.5, patience=1, threshold=0.6, threshold_mode="abs"),
    "larger": dict(mode="max", factor=0.7, patience=3, eps=0.02),
    "larger.absolute": dict(mode="max", factor=0.7, patience=3, threshold=0.01, threshold_mode="abs"),
}
for name, options in PLATEAUS.items():
    opt = o.SGD([torch.zeros(1)], 0.5)
    schedule, rates = sched.ReduceLROnPlateau(opt, **options), []
    for x in observed:
        schedule.step(x)
        rates.append(opt.param_groups[0]["lr"])
    line(f"plateau.{name}", rates)

# Trainings, on the crate's own data.


def breast_cancer():
    with open(DATA / "breast_cancer.csv") as file:
        rows = list(csv.reader(file))[1:]
    # The crate reads f32.
    x = torch.tensor([[float(v) for v in row[:-1]] for row in rows], dtype=torch.float32).double()
    x = (x - x.mean(0)) / x.std(0, correction=0)
    return x, torch.tensor([float(row[-1] in ("1", "benign")) for row in rows])


def png(path):
    """The pixels of a grey PNG, row by row."""
    data, at, packed = path.read_bytes(), 8, b""
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        body, at = data[at + 8:at + 8 + size], at + 12 + size
        if kind == b"IHDR":
            width, height = struct.unpack(">II", body[:8])
        packed += body if kind == b"IDAT" else b""
    raw, rows, above = zlib.decompress(packed), [], [0] * width
    for y in range(height):
        kind, row = raw[y * (width + 1)], []
        for x, byte in enumerate(raw[y * (width + 1) + 1:(y + 1) * (width + 1)]):
            a, b, c = (row[-1] if x else 0), above[x], (above[x - 1] if x else 0)
            near = min((abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c))[2]
            row.append((byte + [0, a, b, (a + b) // 2, near][kind]) % 256)
        rows.append(row)
        above = row
    return rows


def digits():
    labels = (DATA / "digits-labels.txt").read_text().strip()
    sheet = torch.tensor(png(DATA / "digits.png"), dtype=torch.float32)
    tiles = sheet.unfold(0, 8, 8).unfold(1, 8, 8).reshape(-1, 64)[:len(labels)]
    return (tiles / 240).double(), torch.tensor([int(c) for c in labels])


def train(name, steps, shapes, make, loss):
    params = [rounded(shape, 1 / shape[-1] ** 0.5).requires_grad_() for shape in shapes]
    line(f"training.{name}.start", [x for p in params for x in p.flatten().tolist()])
    opt, losses = make(params), []
    for _ in range(steps):
        opt.zero_grad()
        value = loss(*params)
        value.backward()
        losses.append(value.item())
        opt.step()
    line(f"training.{name}.losses", losses)


f = torch.nn.functional
x, t = breast_cancer()
train("logistic", 200, [(1, 30), (1,)], lambda p: o.SGD(p, 0.1, momentum=0.9, nesterov=True),
      lambda w, b: f.binary_cross_entropy_with_logits((x @ w.T + b)[:, 0], t))
x, t = digits()
train("softmax", 200, [(10, 64), (10,)], lambda p: o.Adam(p, 0.01), lambda w, b: f.cross_entropy(x @ w.T + b, t))
x, t = x[:500], t[:500]
train("mlp", 50, [(32, 64), (32,), (10, 32), (10,)], lambda p: o.AdamW(p, 0.01),
      lambda w, b, v, c: f.cross_entropy(torch.tanh(x @ w.T + b) @ v.T + c, t))


def lenet(w, b, v, c, u, d):
    h = f.max_pool2d(f.relu(f.conv2d(x, w, b, padding=1)), 2)
    h = f.max_pool2d(f.relu(f.conv2d(h, v, c, padding=1)), 2)
    return f.cross_entropy(h.flatten(1) @ u.T + d, t)


x, t = x[:200].reshape(-1, 1, 8, 8), t[:200]
train("lenet", 60, [(4, 1, 3, 3), (4,), (8, 4, 3, 3), (8,), (10, 32), (10,)], lambda p: o.SGD(p, 0.2), lenet)

# Where L-BFGS ends in f32 and f64: the number of evaluations, and the distance from the minimum.


def ends(name, loss, start, least):
    for dtype, kind in [(torch.float32, "f32"), (torch.float64, "f64")]:
        x = start.to(dtype).requires_grad_()
        opt, evaluations = o.LBFGS([x], 1.0, line_search_fn="strong_wolfe"), 0

        def closure():
            nonlocal evaluations
            evaluations += 1
            opt.zero_grad()
            value = loss(x)
            value.backward()
            return value

        for _ in range(8):
            opt.step(closure)
        line(f"lbfgs.{name}.{kind}", [evaluations, (x.detach().double() - least).norm()])


for name, n, steep, floor in [("plain", 3, 3, 0), ("offset", 3, 3, 1), ("steep", 3, 30, 10), ("wide", 10, 10, 100)]:
    rows = torch.logspace(0, 1, n)[:, None].pow(torch.tensor(steep).log10())
    m, least = (rounded((n, n), 1.0) * rows * 1e4).round() / 1e4, rounded((n,), 1.0)
    line(f"lbfgs.{name}.problem", [floor, *m.flatten(), *least])
    ends(name, lambda x: ((m.to(x.dtype) @ (x - least.to(x.dtype))) ** 2).sum() / 2 + floor, torch.zeros(n), least)
for n in [2, 10]:
    ends(f"rosenbrock{n}", lambda x: (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum(),
         torch.tensor([-1.2, 1.0] * (n // 2)), torch.ones(n))
x, t = breast_cancer()


def ridge(w):
    loss = f.binary_cross_entropy_with_logits(x.to(w.dtype) @ w, t.to(w.dtype))
    return loss + 0.005 * (w ** 2).sum()


w, h = torch.zeros(30), torch.func.hessian(ridge)
for _ in range(20):  # Newton's method
    w = w - torch.linalg.solve(h(w), torch.func.grad(ridge)(w))
line("lbfgs.logistic.problem", w)
ends("logistic", ridge, torch.zeros(30), w)
