"""The jobs of the table with numpy, torch, torch-compiled or jax: `python peers.py --serve PEER`. See ../README.md.

The protocol is that of ../speed/serve.rs, and so are the jobs and their numbers.
"""

import os
import pathlib
import subprocess
import sys
import time

import numpy as np

INPUT, OTHER, WEIGHT = 0.37, 0.53, 0.91  # frequencies, as in ../speed/job.rs
IRIS_STEPS, IRIS_RATE = 1000, 0.1
SAMPLE = 2e-3  # seconds that a sample lasts at least
THREADS = int(os.environ.get("OMP_NUM_THREADS", "1"))

JOBS = """
sigmoid/1000 sigmoid/100000 sigmoid/1000000
sigmoid-grad/1000 sigmoid-grad/100000 sigmoid-grad/1000000 sigmoid-grad/10000000
softmax-grad/64x10 softmax-grad/1024x1000 softmax-grad/128x32768
normalize-rows-grad/209x12288 normalize-rows-grad/4096x512
l1-grad/1000 l1-grad/1000000 l2-grad/1000 l2-grad/1000000
cross-entropy-grad/64x10 cross-entropy-grad/1024x1000
dot/1000000 outer/1000x1000 matvec/1000x1000
logistic-sgd/209x12288 mlp-sgd/64x784 mlp-adamw/64x784 cnn-sgd/64x28x28 tiny-mlp-sgd/16x4
sgemm/1024x1024 iris-process/150x4 replayed-l1-grad/1000 replayed-l2-grad/1000
""".split()
DOUBLES = """
sigmoid-f64/1000 sigmoid-f64/100000 sigmoid-f64/1000000 sigmoid-grad-f64/1000 sigmoid-grad-f64/1000000
softmax-grad-f64/64x10 softmax-grad-f64/1024x1000
normalize-rows-grad-f64/209x12288 normalize-rows-grad-f64/4096x512
l1-grad-f64/1000 l1-grad-f64/1000000 l2-grad-f64/1000 l2-grad-f64/1000000
""".split()
STEPS = {
    name: [part.split(", ") for part in step.split("; ")]
    for name, _, step in (
        line.partition(": ")
        for line in pathlib.Path(__file__).parent.with_name("speed").joinpath("steps.txt").read_text().splitlines()
        if not line.startswith("#")
    )
}


def wave(dims, frequency, scale=1.0, dtype=np.float32):
    numbers = scale * np.sin(frequency * np.arange(np.prod(dims), dtype=np.float64))
    return numbers.astype(dtype).reshape(dims)


def start(dims):
    """What a learned array starts from: a bias from zeros."""
    scale = 1 / np.sqrt(np.prod(dims[1:])) if len(dims) > 1 else 0.0
    return wave(dims, WEIGHT, scale)


def classes(rows, count):
    return 7 * np.arange(rows) % count


def inputs(name):
    """What, the dims, and the two operands of a job."""
    kind, dims = name.removeprefix("replayed-").split("/")
    dims = [int(n) for n in dims.split("x")]
    dtype = np.float64 if "-f64" in kind else np.float32
    kind = kind.replace("-f64", "")
    x = wave(dims, INPUT, 3.0 if kind.startswith("sigmoid") else 1.0, dtype)
    y = wave(dims, INPUT if kind == "dot" else OTHER, 1.0, dtype)
    if kind == "matvec":
        y = y.reshape(-1)[: dims[1]].copy()
    if kind == "outer":
        x, y = (a.reshape(-1)[: dims[0]].copy() for a in (x, y))
    if kind == "cnn-sgd":
        x = x.reshape(dims[0], 1, *dims[1:])
    if name in STEPS:
        x = step_of(name)[4]
    return kind, dims, x, y


NETWORKS = {
    "logistic-sgd": [(1, 12288), (1,)],
    "mlp-sgd": [(128, 784), (128,), (10, 128), (10,)],
    "mlp-adamw": [(128, 784), (128,), (10, 128), (10,)],
    "cnn-sgd": [(8, 1, 3, 3), (8,), (16, 8, 3, 3), (16,), (10, 400), (10,)],
    "tiny-mlp-sgd": [(16, 4), (16,), (3, 16), (3,)],
    "iris": [(3, 4), (3,)],
}
RATES = {"logistic-sgd": 1e-4, "mlp-adamw": 1e-3}


def target_of(kind, rows):
    if kind == "logistic-sgd":
        return classes(rows, 2).astype(np.float32)[:, None]
    return classes(rows, {"tiny-mlp-sgd": 3, "iris": 3}.get(kind, 10))


def blocks(texts, count=None):
    """The next layers of a step: what, the sizes, and the layers in it."""
    made = []
    while texts and len(made) != count:
        kind, *sizes = texts.pop(0).split()
        sizes = [int(size) for size in sizes]
        inner = blocks(texts, sizes[0]) if kind in ["residual", "oscillation"] else []
        made.append((kind, sizes, inner))
    return made


def step_of(name):
    """The layers, the loss, the optimizer, its rate, the input and the target of a step in steps.txt."""
    layers, [loss], [optimizer] = STEPS[name]
    layers = blocks(list(layers))
    dims = [int(n) for n in name.split("/")[1].split("x")]
    loss, *sizes = loss.split()
    sizes = [int(size) for size in sizes]
    i = np.arange(np.prod(dims), dtype=np.float64)
    x = np.sin(INPUT * i + 1e-3 * i * i).astype(np.float32).reshape(dims)
    if layers[0][0] == "embedding":
        x = classes(x.size, layers[0][1][0]).reshape(dims)
    if loss == "entropy":
        y = classes(dims[0], *sizes)
    elif loss == "binary":
        y = classes(dims[0], 2).astype(np.float32)[:, None]
    else:
        y = wave(sizes, OTHER) if sizes else x.copy()
    optimizer, rate = optimizer.split()
    return layers, loss, optimizer, float(rate), x, y


# numpy: gradients by hand, into arrays made beforehand.


def numpy_softmax(x, y):
    np.subtract(x, x.max(1, keepdims=True), out=y)
    np.exp(y, out=y)
    y /= y.sum(1, keepdims=True)


def numpy_entropy(z, target, rows, p):
    """The mean cross-entropy; `p` becomes its gradient."""
    top = z.max(1, keepdims=True)
    np.subtract(z, top, out=p)
    right = p[rows, target]
    np.exp(p, out=p)
    total = p.sum(1, keepdims=True)
    loss = np.log(total).mean() - right.mean()
    p /= total
    p[rows, target] -= 1
    p /= len(rows)
    return loss


def numpy_training(kind, x):
    params = [start(dims) for dims in NETWORKS[kind]]
    rows, target, rate = np.arange(len(x)), target_of(kind, len(x)), np.float32(RATES.get(kind, 0.1))
    if kind == "logistic-sgd":
        w, b = params
        w = w[0]
        t = target[:, 0]

        def logistic():
            z = x @ w
            z += b
            e = np.exp(-np.abs(z))
            loss = (np.maximum(z, 0) - z * t + np.log1p(e)).mean()
            d = np.where(z >= 0, 1 / (1 + e), e / (1 + e))
            d -= t
            d *= rate / len(t)
            np.subtract(w, d @ x, out=w)
            np.subtract(b, d.sum(), out=b)
            return loss

        return logistic
    if kind == "iris":
        w, b = params

        def softmax_regression():
            z = x @ w.T
            z += b
            loss = numpy_entropy(z, target, rows, z_grad)
            np.subtract(w, np.float32(IRIS_RATE) * (z_grad.T @ x), out=w)
            np.subtract(b, np.float32(IRIS_RATE) * z_grad.sum(0), out=b)
            return loss

        z_grad = np.empty((len(x), 3), np.float32)
        return softmax_regression
    w1, b1, w2, b2 = params
    h = np.empty((len(x), len(b1)), np.float32)
    z = np.empty((len(x), len(b2)), np.float32)
    z_grad, h_grad, grads = np.empty_like(z), np.empty_like(h), [np.empty_like(p) for p in params]
    moments = [(np.zeros_like(p), np.zeros_like(p)) for p in params]
    step = 0

    def perceptron():
        nonlocal step
        np.matmul(x, w1.T, out=h)
        np.add(h, b1, out=h)
        if kind == "tiny-mlp-sgd":
            np.tanh(h, out=h)
        else:
            np.maximum(h, 0, out=h)
        np.matmul(h, w2.T, out=z)
        np.add(z, b2, out=z)
        loss = numpy_entropy(z, target, rows, z_grad)
        np.matmul(z_grad.T, h, out=grads[2])
        z_grad.sum(0, out=grads[3])
        np.matmul(z_grad, w2, out=h_grad)
        if kind == "tiny-mlp-sgd":
            np.multiply(h_grad, 1 - h * h, out=h_grad)
        else:
            np.multiply(h_grad, h > 0, out=h_grad)
        np.matmul(h_grad.T, x, out=grads[0])
        h_grad.sum(0, out=grads[1])
        step += 1
        for p, g, (m, v) in zip(params, grads, moments):
            if kind != "mlp-adamw":
                g *= rate
                p -= g
                continue
            p *= 1 - rate * np.float32(0.01)
            m += np.float32(0.1) * (g - m)
            g *= g
            v += np.float32(0.001) * (g - v)
            root = np.sqrt(v)
            root /= np.float32(np.sqrt(1 - 0.999**step))
            root += np.float32(1e-8)
            np.divide(m, root, out=root)
            root *= np.float32(rate / (1 - 0.9**step))
            p -= root
        return loss

    return perceptron


def numpy_job(name):
    kind, dims, x, w = inputs(name)
    out, other = np.empty_like(x), np.empty_like(x)

    def sigmoid():
        np.negative(x, out=out)
        np.exp(out, out=out)
        np.add(out, 1, out=out)
        return np.divide(1, out, out=out)

    def sigmoid_grad():
        y = sigmoid()
        y.sum()
        np.subtract(1, y, out=other)
        return np.multiply(other, y, out=other)

    def softmax_grad():
        numpy_softmax(x, out)
        along = np.einsum("ij,ij->i", out, w)
        along.sum()
        np.subtract(w, along[:, None], out=other)
        return np.multiply(other, out, out=other)

    def normalize_rows_grad():
        length = np.sqrt(np.einsum("ij,ij->i", x, x))[:, None]
        np.divide(x, length, out=out)
        along = np.einsum("ij,ij->i", out, w)
        along.sum()
        np.multiply(out, along[:, None], out=out)
        np.subtract(w, out, out=out)
        return np.divide(out, length, out=out)

    def l1_grad():
        np.subtract(x, w, out=out)
        np.abs(out, out=other).sum()
        return np.sign(out, out=out)

    def l2_grad():
        np.subtract(x, w, out=out)
        np.dot(out, out)
        return np.multiply(out, 2, out=out)

    def cross_entropy_grad():
        numpy_entropy(x, target, rows, out)
        return out

    if kind == "cross-entropy-grad":
        rows, target = np.arange(dims[0]), classes(*dims)
    simple = {
        "sigmoid": sigmoid,
        "sigmoid-grad": sigmoid_grad,
        "softmax-grad": softmax_grad,
        "normalize-rows-grad": normalize_rows_grad,
        "l1-grad": l1_grad,
        "l2-grad": l2_grad,
        "cross-entropy-grad": cross_entropy_grad,
    }
    if kind in simple:
        return simple[kind]
    if kind == "dot":
        return lambda: np.dot(x, w)
    if kind == "outer":
        table = np.empty(dims, x.dtype)
        return lambda: np.outer(x, w, out=table)
    if kind == "matvec":
        column = np.empty(dims[0], x.dtype)
        return lambda: np.dot(x, w, out=column)
    if kind == "sgemm":
        return lambda: np.matmul(x, w, out=out)
    return numpy_training(kind, x)


# torch: eager, or each function compiled.


def torch_sequence(blocks, compiled):
    import torch
    from torch import nn

    image = any(kind == "conv" for kind, _, _ in blocks)

    class Apply(nn.Module):
        """f of the input and of the layers inside."""

        def __init__(self, f, *inner):
            super().__init__()
            self.f, self.inner = f, nn.ModuleList(inner)

        def forward(self, x):
            return self.f(x, *self.inner)

    def oscillation(x, network):
        if not compiled:  # three times as fast as the other way, which is that much faster compiled
            x = x.detach().requires_grad_()
            u = network(x)
            slope = torch.autograd.grad(u.sum(), x, create_graph=True)[0]
            return torch.autograd.grad(slope.sum(), x, create_graph=True)[0] + u

        def slope(x):
            return torch.func.jvp(network, (x,), (torch.ones_like(x),))[1]

        return torch.func.jvp(slope, (x,), (torch.ones_like(x),))[1] + network(x)

    def conv(make):
        return lambda i, o, kernel, stride, groups: make(i, o, kernel, stride, kernel // 2, groups=groups)

    made = {
        "linear": nn.Linear,
        "relu": nn.ReLU,
        "tanh": nn.Tanh,
        "gelu": nn.GELU,
        "hardswish": nn.Hardswish,
        "conv": conv(nn.Conv2d),
        "conv1d": conv(nn.Conv1d),
        "batchnorm": nn.BatchNorm2d if image else nn.BatchNorm1d,
        "layernorm": nn.LayerNorm,
        "groupnorm": nn.GroupNorm,
        "pool": nn.MaxPool2d,
        "pool1d": nn.MaxPool1d,
        "average": lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        "flatten": nn.Flatten,
        "lstm": lambda i, h: Apply(lambda x, lstm: lstm(x)[0], nn.LSTM(i, h, batch_first=True)),
        "gru": lambda i, h: Apply(lambda x, gru: gru(x)[0], nn.GRU(i, h, batch_first=True)),
        "last": lambda: Apply(lambda x: x[:, -1]),
        "mean": lambda: Apply(lambda x: x.mean(1)),
        "embedding": nn.Embedding,
        "attention": lambda d, heads: Apply(
            lambda x, attention: attention(x, x, x, need_weights=False)[0],
            nn.MultiheadAttention(d, heads, batch_first=True),
        ),
        "encoder": lambda d, heads, wide: nn.TransformerEncoderLayer(d, heads, wide, 0.0, batch_first=True),
    }
    inside = {"residual": lambda x, f: x + f(x), "oscillation": oscillation}
    return nn.Sequential(*(
        Apply(inside[kind], torch_sequence(inner, compiled)) if inner else made[kind](*sizes)
        for kind, sizes, inner in blocks
    ))


def torch_training(name, compiled):
    import torch
    from torch.nn import functional as F

    layers, loss, optimizer, rate, x, y = step_of(name)
    model = torch_sequence(layers, compiled)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 or not name.endswith("weight"):  # those of a normalization stay ones
                parameter.copy_(torch.from_numpy(start(tuple(parameter.shape))))
    loss_of = {"entropy": F.cross_entropy, "binary": F.binary_cross_entropy_with_logits, "mse": F.mse_loss}[loss]
    if optimizer == "adamw":
        optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    else:
        optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    return torch_step(lambda: loss_of(model(x), y), optimizer, compiled)


def torch_step(forward, optimizer, compiled):
    import torch

    update = optimizer.step
    if compiled:
        forward, update = torch.compile(forward), torch.compile(optimizer.step)

    def step():
        loss = forward()
        loss.backward()
        update()
        optimizer.zero_grad()
        return loss.detach()

    return step


def torch_network(kind, x, compiled):
    import torch
    from torch import nn
    from torch.nn import functional as F

    x, target = torch.from_numpy(x), torch.from_numpy(target_of(kind, len(x)))
    layers = {
        "logistic-sgd": lambda: [nn.Linear(12288, 1)],
        "iris": lambda: [nn.Linear(4, 3)],
        "tiny-mlp-sgd": lambda: [nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 3)],
        "cnn-sgd": lambda: [
            nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(400, 10),
        ],
    }.get(kind, lambda: [nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)])
    model = nn.Sequential(*layers())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.from_numpy(start(tuple(parameter.shape))))
    loss_of = F.binary_cross_entropy_with_logits if kind == "logistic-sgd" else F.cross_entropy
    if kind == "mlp-adamw":
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    else:
        optimizer = torch.optim.SGD(model.parameters(), lr=RATES.get(kind, 0.1))

    return torch_step(lambda: loss_of(model(x), target), optimizer, compiled)


def torch_job(name, compiled=False):
    import torch
    from torch.nn import functional as F

    torch.set_num_threads(THREADS)
    torch._dynamo.reset()  # after eight programs of one function it compiles no more
    if name in STEPS:
        return torch_training(name, compiled)
    kind, dims, x, w = inputs(name)
    if kind in NETWORKS:
        return torch_network(kind, x, compiled)
    x, w = torch.from_numpy(x), torch.from_numpy(w)
    forward = {
        "sigmoid": lambda x, w: torch.sigmoid(x),
        "dot": torch.dot,
        "outer": torch.outer,
        "matvec": torch.mv,
        "sgemm": torch.matmul,
    }
    loss = {
        "sigmoid-grad": lambda x, w: torch.sigmoid(x).sum(),
        "l1-grad": lambda x, w: F.l1_loss(x, w, reduction="sum"),
        "l2-grad": lambda x, w: F.mse_loss(x, w, reduction="sum"),
        "cross-entropy-grad": F.cross_entropy,
    }
    # The gradient by x, where w is the gradient by the result.
    rows = {
        "softmax-grad": lambda x: torch.softmax(x, -1),
        "normalize-rows-grad": lambda x: x / torch.linalg.vector_norm(x, dim=1, keepdim=True),
    }
    f = forward.get(kind) or loss.get(kind) or rows[kind]
    if compiled:
        f = torch.compile(f)
    if kind in rows:
        x.requires_grad_()
        return lambda: torch.autograd.grad(f(x), x, w)[0]
    if kind in forward:

        def run():
            with torch.no_grad():
                return f(x, w)

        return run
    if kind == "cross-entropy-grad":
        w = torch.from_numpy(classes(*dims))
    x.requires_grad_()
    return lambda: torch.autograd.grad(f(x, w), x)[0]


# jax: everything by jit; what a job reads is an argument, so that nothing is computed at compile time.


def jax_layer(kind, sizes, inner):
    """What a layer learns, its running statistics, and its function of both and x, which returns them anew."""
    import jax
    import jax.numpy as jnp

    s = sizes

    def plain(f):
        return [], [], lambda p, stats, x: (f(x), stats)

    def learned(arrays, f):
        return arrays, [], lambda p, stats, x: (f(p, x), stats)

    def norm(x, axes):
        mean = x.mean(axes, keepdims=True)
        variance = jnp.square(x - mean).mean(axes, keepdims=True)
        return mean, variance, (x - mean) / jnp.sqrt(variance + 1e-5)

    def by_channel(p, x):
        shape = (1, -1) + (1,) * (x.ndim - 2)
        return x * p[0].reshape(shape) + p[1].reshape(shape)

    def normalization(n):
        return [np.ones(n, np.float32), start([n])]

    def conv(rank):
        names = ("NCHW", "OIHW", "NCHW") if rank == 2 else ("NCH", "OIH", "NCH")
        i, o, kernel, stride, groups = s
        padding, shape = [(kernel // 2, kernel // 2)] * rank, (-1,) + (1,) * rank

        def f(p, x):
            y = jax.lax.conv_general_dilated(
                x, p[0], (stride,) * rank, padding, dimension_numbers=names, feature_group_count=groups
            )
            return y + p[1].reshape(shape)

        return learned([start([o, i // groups] + [kernel] * rank), start([o])], f)

    def batchnorm(p, stats, x):
        axes = (0, *range(2, x.ndim))
        mean, variance, y = norm(x, axes)
        unbiased = variance * (x[:, 0].size / (x[:, 0].size - 1))
        stats = [0.9 * old + 0.1 * new.reshape(-1) for old, new in zip(stats, (mean, unbiased))]
        return by_channel(p, y), stats

    def groupnorm(p, x):
        y = x.reshape(len(x), s[0], -1)
        return by_channel(p, norm(y, 2)[2].reshape(x.shape))

    def pool(rank):
        window = (1, 1) + (s[0],) * rank
        return plain(lambda x: jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, window, "VALID"))

    def recurrent(gates, cell):
        def f(p, x):
            w, u, b, c = p
            inputs = (x @ w.T + b).swapaxes(0, 1)
            h = jnp.zeros((len(x), s[1]))

            def next(state, inputs):
                state = cell(state, inputs, state[0] @ u.T + c)
                return state, state[0]

            return jax.lax.scan(next, (h,) * (2 if gates == 4 else 1), inputs)[1].swapaxes(0, 1)

        rows = gates * s[1]
        return learned([start([rows, s[0]]), start([rows, s[1]]), start([rows]), start([rows])], f)

    def lstm(state, x, h):
        i, f, g, o = jnp.split(x + h, 4, axis=1)
        c = jax.nn.sigmoid(f) * state[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
        return jax.nn.sigmoid(o) * jnp.tanh(c), c

    def gru(state, x, h):
        (r, z, n), (r_h, z_h, n_h) = jnp.split(x, 3, axis=1), jnp.split(h, 3, axis=1)
        z = jax.nn.sigmoid(z + z_h)
        n = jnp.tanh(n + jax.nn.sigmoid(r + r_h) * n_h)
        return ((1 - z) * n + z * state[0],)

    def attention(p, x):
        w, b, out, out_bias = p
        n, t, d = x.shape
        q, k, v = ((x @ w.T + b).reshape(n, t, 3, s[1], d // s[1])).transpose(2, 0, 3, 1, 4)
        scores = jax.nn.softmax(q @ k.swapaxes(2, 3) / np.float32(np.sqrt(d / s[1])), -1)
        return (scores @ v).swapaxes(1, 2).reshape(n, t, d) @ out.T + out_bias

    if kind == "encoder":
        d, heads, wide = s
        forward = [("linear", [d, wide], []), ("relu", [], []), ("linear", [wide, d], [])]
        norm_ = ("layernorm", [d], [])
        residual = [("residual", [], [("attention", [d, heads], [])]), norm_, ("residual", [], forward), norm_]
        return jax_sequence(residual)
    if inner:
        p, stats, f = jax_sequence(inner)

        def residual(p, stats, x):
            y, stats = f(p, stats, x)
            return x + y, stats

        def oscillation(p, x):
            def u(x):
                return f(p, [[]] * len(inner), x)[0]

            def slope(x):
                return jax.jvp(u, (x,), (jnp.ones_like(x),))[1]

            return jax.jvp(slope, (x,), (jnp.ones_like(x),))[1] + u(x)

        return (p, stats, residual) if kind == "residual" else learned(p, oscillation)
    return {
        "linear": lambda: learned([start([s[1], s[0]]), start([s[1]])], lambda p, x: x @ p[0].T + p[1]),
        "relu": lambda: plain(jax.nn.relu),
        "tanh": lambda: plain(jnp.tanh),
        "gelu": lambda: plain(lambda x: jax.nn.gelu(x, approximate=False)),
        "hardswish": lambda: plain(jax.nn.hard_swish),
        "conv": lambda: conv(2),
        "conv1d": lambda: conv(1),
        "batchnorm": lambda: (normalization(s[0]), [start([s[0]]), np.ones(s[0], np.float32)], batchnorm),
        "layernorm": lambda: learned(normalization(s[0]), lambda p, x: norm(x, -1)[2] * p[0] + p[1]),
        "groupnorm": lambda: learned(normalization(s[1]), groupnorm),
        "pool": lambda: pool(2),
        "pool1d": lambda: pool(1),
        "average": lambda: plain(lambda x: x.mean((2, 3))),
        "flatten": lambda: plain(lambda x: x.reshape(len(x), -1)),
        "lstm": lambda: recurrent(4, lstm),
        "gru": lambda: recurrent(3, gru),
        "last": lambda: plain(lambda x: x[:, -1]),
        "mean": lambda: plain(lambda x: x.mean(1)),
        "embedding": lambda: learned([start(s)], lambda p, x: p[0][x]),
        "attention": lambda: learned(
            [start([3 * s[0], s[0]]), start([3 * s[0]]), start([s[0], s[0]]), start([s[0]])], attention
        ),
    }[kind]()


def jax_sequence(blocks):
    params, stats, functions = zip(*(jax_layer(*block) for block in blocks))

    def f(params, stats, x):
        after = []
        for p, old, f in zip(params, stats, functions):
            x, new = f(p, old, x)
            after.append(new)
        return x, after

    return list(params), list(stats), f


def jax_losses(loss, z, y):
    import jax
    import jax.numpy as jnp

    if loss == "binary":
        return (jnp.maximum(z, 0) - z * y + jnp.log1p(jnp.exp(-jnp.abs(z)))).mean()
    if loss == "mse":
        return jnp.square(z - y).mean()
    return (jax.nn.logsumexp(z, axis=1) - jnp.take_along_axis(z, y[:, None], 1)[:, 0]).mean()


def jax_training(name):
    import jax
    import jax.numpy as jnp

    layers, loss, optimizer, rate, x, y = step_of(name)
    params, stats, model = jax_sequence(layers)
    params, stats, x, y = jax.tree.map(jnp.asarray, (params, stats, x, y))

    def loss_of(params, stats, x, y):
        z, stats = model(params, stats, x)
        return jax_losses(loss, z, y), stats

    def sgd(state, x, y):
        params, stats = state
        (loss, stats), grads = jax.value_and_grad(loss_of, has_aux=True)(params, stats, x, y)
        return loss, (jax.tree.map(lambda p, g: p - rate * g, params, grads), stats)

    def adamw(state, x, y):
        params, stats, moments, step = state
        (loss, stats), grads = jax.value_and_grad(loss_of, has_aux=True)(params, stats, x, y)
        step = step + 1

        def update(p, g, moments):
            m, v = moments
            m, v = m + 0.1 * (g - m), v + 0.001 * (g * g - v)
            scale = jnp.sqrt(v) / jnp.sqrt(1 - 0.999**step) + 1e-8
            return (1 - rate * 0.01) * p - rate / (1 - 0.9**step) * (m / scale), (m, v)

        leaves, tree = jax.tree.flatten(params)
        new, after = zip(*map(update, leaves, jax.tree.leaves(grads), moments))
        return loss, (jax.tree.unflatten(tree, new), stats, after, step)

    moments = [(jnp.zeros_like(p), jnp.zeros_like(p)) for p in jax.tree.leaves(params)]
    state = (params, stats, moments, jnp.float32(0)) if optimizer == "adamw" else (params, stats)
    update = jax.jit(adamw if optimizer == "adamw" else sgd, donate_argnums=0)

    def step():
        nonlocal state
        loss, state = update(state, x, y)
        return jax.block_until_ready((loss, state))[0]

    return step


def jax_network(kind, x):
    import jax
    import jax.numpy as jnp

    target = jnp.asarray(target_of(kind, len(x)))
    params = [jnp.asarray(start(dims)) for dims in NETWORKS[kind]]
    x = jnp.asarray(x)
    rate = RATES.get(kind, 0.1)

    def pool(x):
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")

    def conv(x, w, b):
        y = jax.lax.conv_general_dilated(x, w, (1, 1), "VALID", dimension_numbers=("NCHW", "OIHW", "NCHW"))
        return y + b[:, None, None]

    def scores(params, x):
        if kind == "cnn-sgd":
            w1, b1, w2, b2, *params = params
            x = pool(jax.nn.relu(conv(x, w1, b1)))
            x = pool(jax.nn.relu(conv(x, w2, b2))).reshape(len(x), -1)
        if len(params) == 4:
            w, b, *params = params
            x = x @ w.T + b
            x = jnp.tanh(x) if kind == "tiny-mlp-sgd" else jax.nn.relu(x)
        w, b = params
        return x @ w.T + b

    def loss_of(params, x, target):
        return jax_losses("binary" if kind == "logistic-sgd" else "entropy", scores(params, x), target)

    def update(state, x, target):
        params, moments, step = state
        loss, grads = jax.value_and_grad(loss_of)(params, x, target)
        if kind != "mlp-adamw":
            return loss, ([p - rate * g for p, g in zip(params, grads)], moments, step)
        step = step + 1
        new, after = [], []
        for p, g, (m, v) in zip(params, grads, moments):
            m, v = m + 0.1 * (g - m), v + 0.001 * (g * g - v)
            scale = jnp.sqrt(v) / jnp.sqrt(1 - 0.999**step) + 1e-8
            new.append((1 - rate * 0.01) * p - rate / (1 - 0.9**step) * (m / scale))
            after.append((m, v))
        return loss, (new, after, step)

    adam = kind == "mlp-adamw"
    moments = [(jnp.zeros_like(p), jnp.zeros_like(p)) for p in params] if adam else []
    state = (params, moments, jnp.float32(0))
    update = jax.jit(update, donate_argnums=0)

    def step():
        nonlocal state
        loss, state = update(state, x, target)
        return jax.block_until_ready((loss, state))[0]

    return step


def jax_job(name):
    import jax
    import jax.numpy as jnp

    if name in STEPS:
        return jax_training(name)
    kind, dims, x, w = inputs(name)
    if kind in NETWORKS:
        return jax_network(kind, x)
    if kind == "cross-entropy-grad":
        w = classes(*dims)
    x, w = jnp.asarray(x), jnp.asarray(w)

    def entropy(x, target):
        right = jnp.take_along_axis(x, target[:, None], 1)[:, 0]
        return (jax.nn.logsumexp(x, axis=1) - right).mean()

    forward = {
        "sigmoid": lambda x, w: jax.nn.sigmoid(x),
        "dot": jnp.dot,
        "outer": jnp.outer,
        "matvec": jnp.dot,
        "sgemm": jnp.matmul,
    }
    loss = {
        "sigmoid-grad": lambda x, w: jax.nn.sigmoid(x).sum(),
        "l1-grad": lambda x, w: jnp.abs(x - w).sum(),
        "l2-grad": lambda x, w: jnp.square(x - w).sum(),
        "cross-entropy-grad": entropy,
    }
    # The gradient by x, where w is the gradient by the result.
    rows = {
        "softmax-grad": lambda x: jax.nn.softmax(x, -1),
        "normalize-rows-grad": lambda x: x / jnp.sqrt((x * x).sum(1, keepdims=True)),
    }
    if kind in rows:

        def result_and_gradient(x, w):
            y, pull = jax.vjp(rows[kind], x)
            return y, pull(w)[0]

        f = jax.jit(result_and_gradient)
        return lambda: jax.block_until_ready(f(x, w))[1]
    if kind in forward:
        f = jax.jit(forward[kind])
        return lambda: jax.block_until_ready(f(x, w))
    f = jax.jit(jax.value_and_grad(loss[kind]))
    return lambda: jax.block_until_ready(f(x, w))[1]


BY_HAND = [name for name in STEPS if name.removeprefix("replayed-").split("/")[0] in NETWORKS]
ALL = JOBS + list(STEPS)
PEERS = {
    "numpy": (numpy_job, [name for name in JOBS if not name.startswith("cnn")] + DOUBLES + BY_HAND),
    "torch": (torch_job, ALL),
    # Compiling takes longer than the whole of the process.
    "torch-compiled": (lambda name: torch_job(name, True), [name for name in ALL if "iris" not in name]),
    "jax": (jax_job, ALL),
}


def process(peer):
    def run():
        output = subprocess.run([sys.executable, __file__, "--iris", peer], capture_output=True, check=True)
        return np.float64(output.stdout)

    return run


def iris(peer):
    """The loss after a thousand steps of softmax regression."""
    step = PEERS[peer][0]("iris/150x4")
    for _ in range(IRIS_STEPS):
        loss = step()
    return float(loss)


def sample(job, repeats):
    begin = time.perf_counter()
    for _ in range(repeats):
        job()
    return time.perf_counter() - begin


def calibrated(job):
    sample(job, 1)  # the first run warms up, and compiles
    repeats = 1
    while sample(job, repeats) < SAMPLE:
        repeats *= 2
    return job, repeats


def serve(peer):
    make, names = PEERS[peer]
    jobs = {}

    def job_of(name):
        return process(peer) if name.startswith("iris") else make(name)

    def answer(line):
        command, _, name = line.rpartition(" ")
        if command == "drop":
            return 0.0 * bool(jobs.pop(name, None))
        if command == "check":
            job = job_of(name)
            for _ in range(3):
                job()
            total = float(np.abs(np.asarray(job(), np.float64)).sum())
            jobs[name] = calibrated(job)  # compiled once
            return total
        if name not in jobs:
            jobs[name] = calibrated(job_of(name))
        job, repeats = jobs[name]
        return 1e6 * sample(job, repeats) / repeats

    print("\n".join(names) + "\n", flush=True)
    for line in sys.stdin:
        try:
            print(answer(line.strip()), flush=True)
        except Exception as error:
            print("error:", " ".join(str(error).split())[:300], flush=True)


def memory(peer, name):
    """The resident size of a step of training above that of the model, as ../speed/memory.rs prints it."""

    def size(line):
        status = pathlib.Path("/proc/self/status").read_text()
        return 1024 * int(status.split(line + ":")[1].split()[0])

    def most(steps):
        pathlib.Path("/proc/self/clear_refs").write_text("5")
        for _ in range(steps):
            step()
        return size("VmHWM")

    step = PEERS[peer][0](name)
    before, own = size("VmRSS"), size("RssAnon")
    first, later = most(3) - before, most(50)
    data = later - size("RssFile") - size("RssShmem") - own
    print(*(f"{bytes / 1e6:.1f}" for bytes in (first, later - before, data)))


if __name__ == "__main__":
    if sys.argv[1] == "--iris":
        print(iris(sys.argv[2]))
    elif sys.argv[1] == "--memory":
        memory(sys.argv[3], sys.argv[2])
    else:
        serve(sys.argv[2])
