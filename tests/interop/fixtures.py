#!/usr/bin/env python3
"""The small files of PyTorch's that src/io/pth/tests.rs reads: tests/interop/fixtures.

Run:  python3 -m venv venv && venv/bin/pip install torch==2.15.0 numpy==2.4.6
      venv/bin/python tests/interop/fixtures.py
"""
import collections
import pathlib
import warnings

import torch

warnings.filterwarnings("ignore")
PLACE = pathlib.Path(__file__).parent / "fixtures"
PLACE.mkdir(exist_ok=True)
SIGNED = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8"]
UNSIGNED = ["uint8", "uint16", "uint32", "bool"]

x = torch.arange(24.0).reshape(2, 3, 4)
attributed = torch.nn.Parameter(x[1])
attributed.note = "what a parameter can have besides"
state = collections.OrderedDict(
    **{f"dtype.{name}": (torch.arange(6) - 2).reshape(2, 3).to(getattr(torch, name)) for name in SIGNED},
    **{f"dtype.{name}": torch.arange(6).reshape(2, 3).to(getattr(torch, name)) for name in UNSIGNED},
)
state.update({
    "view.whole": x,
    "view.turned": x.permute(2, 1, 0),
    "view.permuted": x.permute(1, 0, 2),
    "view.steps": x[:, 1:, ::2],
    "view.offset": x[1],
    "view.scalar": x[1, 2, 3],
    "view.expanded": x[0, 1].expand(2, 4),
    "view.empty": x[2:],
    "view.nothing": torch.zeros(0),
    "parameter": torch.nn.Parameter(x[1]),
    "parameter.attributed": attributed,
    "buffer": torch.nn.Buffer(x[0]),
    "scalar": torch.tensor(2.5, dtype=torch.float64),
    "special": torch.tensor([float("nan"), float("inf"), float("-inf"), -0.0]),
    "epoch": 3, "name": "none", "rate": 0.1, "far": 2**70, "near": -2**40, "none": None, "sizes": [1, (2, 3)], "set": {1},
})
state._metadata = collections.OrderedDict([("", {"version": 1})])
torch.save(state, PLACE / "tensors.pth")
torch.save({"w": x[1], "n": 7}, PLACE / "protocol4.pth", pickle_protocol=4)
torch.save({"w": x[1]}, PLACE / "old.pth", _use_new_zipfile_serialization=False)

c = torch.complex(x[0], x[1])
weight = {"weight": x[0, :2, :2]}
linear = torch.nn.Linear(2, 1)
adam = torch.optim.Adam(linear.parameters())
linear(torch.ones(1, 2)).sum().backward()
adam.step()
torch.save({
    "sparse": {"w": x[0].to_sparse()},
    "complex": {"w": c},
    "negated": {"w": torch.complex(x[0], x[1]).conj().imag},
    "quantized": {"w": torch.quantize_per_tensor(x, 0.1, 0, torch.qint8)},
    "meta": {"w": x.to("meta")},
    "uint64": {"w": torch.ones(2, dtype=torch.uint64)},
    "float8": {"w": torch.ones(2).to(torch.float8_e4m3fn)},
    "list": {"w": x[0], "more": [x[1]]},
    "tensors in a list": [x],
    "numbers for names": {0: x, "w": x},
    "no tensors": {"epoch": 1, "rate": 0.1},
    "nothing": {},
    "mixed": {"w": x, "model": weight},
    "several": {"model": weight, "ema": weight},
    "one": {"epoch": 1, "state_dict": weight, "optimizer": adam.state_dict(), "n": [1, 2]},
    "a tensor": x,
    "a model": linear,
    "a number": 5,
    "again": weight,
}, PLACE / "faults.pth")
net = torch.nn.Sequential(linear).state_dict()
rng = torch.arange(5, dtype=torch.uint8)
normed = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(2, 1)).state_dict()
torch.save({
    "beside": {"epoch": 3, "net": net, "losses": x[0, 0], "loss": x[0, 0, 0], "rng": rng, "optimizer": adam.state_dict()},
    "plain beside": {"net": dict(net), "loss": x[0, 0, 0], "rng": {"torch": rng, "cuda": [rng]}},
    "plain": {"net": dict(net), "losses": x[0, 0]},
    "deep": {"state": {"net": net}, "version": 1},
    "nets": {"nets": {"encoder": {"l1": net, "l.2": net.copy()}, "decoder": net.copy()}},
    "in a list": {"nets": [net.copy(), net.copy()]},
    "a model": {"epoch": 3, "model": linear},
    "only rng": {"rng": rng},
    "extra": collections.OrderedDict(w=x, _extra_state={"scale": x[0]}),
    "weight_norm": normed,
    "weight_g": {"weight_g": x[0, :1], "weight_v": x[0], "bias": x[0, 0]},
    "numbers": {
        "uint64": torch.tensor([0, 2**63 - 1], dtype=torch.uint64),
        "uint64.large": torch.tensor([1, 2**63], dtype=torch.uint64),
        "e4m3fn": torch.arange(256, dtype=torch.uint8).view(torch.float8_e4m3fn),
        "e5m2": torch.arange(256, dtype=torch.uint8).view(torch.float8_e5m2),
        "e8m0fnu": torch.ones(2).to(torch.float8_e8m0fnu),
        "complex": c,
    },
}, PLACE / "containers.pth")
for path in sorted(PLACE.iterdir()):
    print(path.name, path.stat().st_size)
