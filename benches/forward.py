#!/usr/bin/env python3
"""The Laplacian of an MLP 10-64-64-1 with tanh at 256 points by PyTorch's torch.func and JAX, as benches/forward.rs has it.

Run in turns with it:  python3 benches/forward.py; cargo bench --bench forward -- laplacian
Prints the fastest of 12 rounds in microseconds of the process's time, with one thread each.
"""
import os
import time

for name in ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"]:
    os.environ[name] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
import numpy as np

rng = np.random.default_rng(1)
SIZES = [10, 64, 64, 1]
WEIGHTS = [(rng.uniform(-1, 1, (m, k)) / k**0.5, rng.uniform(-1, 1, m) / k**0.5) for k, m in zip(SIZES, SIZES[1:])]
POINTS = rng.standard_normal((256, 10))


def best(f):
    for _ in range(3):
        f()
    n, least = 1, float("inf")
    for _ in range(12):
        start = time.process_time()
        for _ in range(n):
            f()
        took = time.process_time() - start
        least = min(least, took / n)
        if took < 0.05:
            n *= 2
    return least * 1e6


def torch_jobs(kind):
    import torch
    from torch.func import hessian, jvp, vmap

    torch.set_num_threads(1)
    dtype = getattr(torch, kind)
    weights = [(torch.tensor(w, dtype=dtype), torch.tensor(b, dtype=dtype)) for w, b in WEIGHTS]
    x, eye = torch.tensor(POINTS, dtype=dtype), torch.eye(10, dtype=dtype)

    def f(x):
        for i, (w, b) in enumerate(weights):
            x = torch.nn.functional.linear(x, w, b)
            x = x.tanh() if i < 2 else x
        return x.squeeze(-1)

    def along(e):
        e = e.expand_as(x)
        return jvp(lambda x: jvp(f, (x,), (e,))[1], (x,), (e,))[1]

    by_hessian = vmap(lambda x: torch.diagonal(hessian(f)(x)).sum())
    yield "torch.func, vmap of hessian", lambda: by_hessian(x), np.asarray
    yield "torch.func, vmap of jvp of jvp", lambda: vmap(along)(eye).sum(0), np.asarray


def jax_jobs(kind):
    import jax
    import jax.numpy as jnp
    from jax.experimental import jet

    jax.config.update("jax_enable_x64", True)
    weights = [(jnp.asarray(w, kind), jnp.asarray(b, kind)) for w, b in WEIGHTS]
    x, eye = jnp.asarray(POINTS, kind), jnp.eye(10, dtype=kind)

    def f(x):
        for i, (w, b) in enumerate(weights):
            x = x @ w.T + b
            x = jnp.tanh(x) if i < 2 else x
        return x[..., 0]

    def along(x, e):
        e = jnp.broadcast_to(e, x.shape)
        return jet.jet(f, (x,), ((e, jnp.zeros_like(x)),))[1][1]

    by_jet = lambda x: jax.vmap(along, (None, 0))(x, eye).sum(0)
    by_hessian = jax.vmap(lambda x: jnp.trace(jax.hessian(f)(x)))
    for name, g in [("jet", by_jet), ("hessian", by_hessian)]:
        compiled = jax.jit(g)
        yield f"JAX, {name}, jit", lambda compiled=compiled: compiled(x).block_until_ready(), np.asarray
    yield "JAX, jet, without jit", lambda: by_jet(x).block_until_ready(), np.asarray


for kind in ["float32", "float64"]:
    first = None
    for jobs in [torch_jobs, jax_jobs]:
        try:
            for name, f, numbers in jobs(kind):
                result = numbers(f())
                first = result if first is None else first
                assert np.abs(result - first).max() < 1e-4, name
                print(f"| {name}, {kind} | {best(f):.0f} |", flush=True)
        except ImportError as error:
            print(error)
