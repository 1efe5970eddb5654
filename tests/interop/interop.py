#!/usr/bin/env python3
"""The other side of interop.rs: reads what it wrote, and writes what it reads. tests/interop/run runs both.

    interop.py DIR
"""
import bz2
import collections
import gzip
import io
import lzma
import pathlib
import pickle
import sys
import warnings
import zipfile

import files
import ml_dtypes  # gives numpy bfloat16 and others
import numpy as np
import onnx_check
import safetensors.torch
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator as PluginAccumulator
from tensorboard.data import server_ingester
from tensorboard.util import grpc_util, tensor_util
from torch import nn

warnings.filterwarnings("ignore", category=UserWarning)
warnings.filterwarnings("ignore", category=FutureWarning)
DTYPES = {
    "u8": torch.uint8, "u32": torch.uint32, "i16": torch.int16, "i32": torch.int32, "i64": torch.int64,
    "f16": torch.float16, "bf16": torch.bfloat16, "f32": torch.float32, "f64": torch.float64,
}
SHAPES = {"scalar": (), "one": (1,), "empty": (2, 0, 3), "matrix": (3, 5), "five": (2, 1, 3, 2, 4), "many": (41, 37)}


def tensors():
    """The same as `tensors` in interop.rs, made by PyTorch; views are views."""
    found = {}
    for name, dtype in DTYPES.items():
        def filled(*shape):
            low = 0 if name.startswith("u") else -3
            return (torch.arange(int(np.prod(shape, dtype=int))) * 7 % 11 + low).reshape(shape).to(dtype)
        for shape, sizes in SHAPES.items():
            found[f"{name}.{shape}"] = filled(*sizes)
        found[f"{name}.turned"] = filled(3, 4, 5).transpose(0, 2)
        found[f"{name}.part"] = filled(6, 7)[:, 2:5]
        found[f"{name}.repeated"] = filled(4).expand(3, 4)
    special = torch.tensor([np.nan, np.inf, -np.inf, -0.0, 0.1, -1e-7, 65504.0, 6e-8], dtype=torch.float64)
    for name in ["f16", "bf16", "f32", "f64"]:
        found[f"{name}.special"] = special.to(DTYPES[name])
    found["i64.extremes"] = torch.tensor([-2**63, 2**63 - 1, -1])
    found["u32.extremes"] = torch.tensor([0, 2**32 - 1], dtype=torch.uint32)
    return found


def bits(x):
    return x.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def assert_same(what, got, expected):
    assert got.keys() == expected.keys(), (what, got.keys() ^ expected.keys())
    for name, x in expected.items():
        y = got[name]
        assert (y.dtype, y.shape) == (x.dtype, x.shape), (what, name, y.dtype, y.shape, x.dtype, x.shape)
        assert bits(y) == bits(x), (what, name, y, x)
    print(f"{what}: {len(expected)} tensors, the same bits")


def plain(found):
    """Without views, which safetensors does not write."""
    return {name: x.contiguous().clone() for name, x in found.items()}


def numpy(found):
    return {name: x.numpy() for name, x in found.items() if x.dtype != torch.bfloat16}


def check_tensors(d):
    assert_same("our safetensors", safetensors.torch.load_file(d / "ours.safetensors"), tensors())
    expected = {name: x for name, x in tensors().items() if x.dtype != torch.bfloat16}
    of_numpy = lambda arrays: {name: torch.from_numpy(np.array(x)) for name, x in arrays.items()}
    assert_same("our npz", of_numpy(np.load(d / "ours.npz")), expected)
    files = {path.stem: np.load(path) for path in (d / "npy").iterdir()}
    assert_same("our npy", of_numpy(files), expected)


def views():
    """Tensors of one storage, seen in every way, and modules' own."""
    rng = np.random.default_rng(1)
    found = {}
    for dtype in ["float32", "float64", "float16", "int64", "uint8"]:
        base = torch.arange(4 * 5 * 6 * 7).remainder(251).to(getattr(torch, dtype)).reshape(4, 5, 6, 7)
        for i in range(60):
            x = base.permute(*rng.permutation(4).tolist())
            for axis in range(4):
                start, step = rng.integers(0, x.shape[axis]), rng.integers(1, 4)
                x = x.movedim(axis, 0)[start::step].movedim(0, axis)
            for _ in range(rng.integers(0, 3)):
                x = x.select(int(rng.integers(0, x.dim())), 0)
            if rng.integers(0, 4) == 0:
                x = x.unsqueeze(0).expand(2, *x.shape)
            found[f"{dtype}.{i}"] = nn.Parameter(x, False) if rng.integers(0, 4) == 0 and x.is_floating_point() else x
    return found


def write_tensors(d):
    safetensors.torch.save_file(plain(tensors()), d / "theirs.safetensors")
    torch.save(tensors(), d / "theirs.pth")
    torch.save({"epoch": 3, "state_dict": tensors(), "best": [1.0, None], "by": "x"}, d / "nested.pth")
    torch.save(views(), d / "views.pth")
    safetensors.torch.save_file(plain(views()), d / "views.safetensors")
    arrays = numpy(tensors())
    np.savez(d / "theirs.npz", **arrays)
    np.savez_compressed(d / "small.npz", **arrays)
    for folder, changed in {
        "npy-plain": lambda x: x,
        "npy-big-endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
        "npy-fortran": lambda x: np.array(x, order="F"),
    }.items():
        (d / folder).mkdir(exist_ok=True)
        for name, x in arrays.items():
            np.save(d / folder / f"{name}.npy", changed(x))


def write_odd(d):
    """What numpy, ml_dtypes, PyTorch and safetensors can write: `ok.*` as f64 too, and `odd.*`, which no reader of ours takes."""
    (d / "odd").mkdir(exist_ok=True)
    base = np.arange(24).reshape(2, 3, 4) % 7
    ok, odd = {}, {}
    for name in "b1 i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8".split():
        for order, word in ("<", "little"), (">", "big"):
            x = base.astype(order + name)
            for layout, view in {"c": x, "f": np.asfortranarray(x), "part": x[:, ::2], "turned": x.T,
                                 "scalar": np.array(x[1, 2, 3]), "empty": x[2:], "row": x[0, 1]}.items():
                ok[f"{name}.{word}.{layout}"] = view
    for name in "c8 c16 g U3 S4 M8[s] m8[ns] O V3".split():
        odd[name.replace("[", ".").replace("]", "")] = np.zeros(2, "V3") if name == "V3" else base.astype(name)
    odd["fields"] = np.zeros(2, [("a", "f8"), ("b", "i4", 3)])
    odd["large"] = np.array([1, 2**63], "u8")
    for name in "bfloat16 float8_e4m3fn".split():
        odd[name] = np.ones(3, name)
    ok["float8_e5m2"] = np.arange(256, dtype="u1").view("float8_e5m2")
    write_pair(d / "odd/numpy", np.savez, ok, odd)
    words = {"bfloat16": np.arange(65536, dtype="u2"), "float8_e4m3fn": np.arange(256, dtype="u1")}
    small = {name: bits.view(name) for name, bits in words.items()}
    write_pair(d / "odd/small", np.savez_compressed, small, {"text": base.astype("U3")})

    names = "bool uint8 uint16 uint32 uint64 int8 int16 int32 int64 float16 bfloat16 float32 float64".split()
    ok = {name: torch.from_numpy(base).to(getattr(torch, name)) for name in names}
    ok |= {name: torch.arange(256, dtype=torch.uint8).view(getattr(torch, name)) for name in ["float8_e4m3fn", "float8_e5m2"]}
    odd = {"complex64": torch.ones(2, dtype=torch.complex64), "large": torch.tensor([1, 2**63], dtype=torch.uint64)}
    odd |= {name: torch.ones(2).to(getattr(torch, name)) for name in ["float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"]}
    write_pair(d / "odd/tensors.safetensors", lambda path, **found: safetensors.torch.save_file(found, path), ok, odd)
    x = torch.arange(24.0).reshape(2, 3, 4)
    ok |= {"view": x[:, 1:, ::2], "turned": x.permute(2, 0, 1), "expanded": x[0, 0].expand(3, 4), "empty": x[:0],
           "scalar": x[1, 2, 3], "parameter": nn.Parameter(x[1]), "buffer": nn.Buffer(x[0]), "shared": x.view(-1)[3:9]}
    odd |= {"complex128": torch.ones(2, dtype=torch.complex128), "conj": torch.complex(x, x).conj(), "csr": x[0].to_sparse_csr(),
            "neg": torch.complex(x, x).conj().imag, "sparse": x.to_sparse(), "meta": x.to("meta"), "list": [x],
            "half": torch.ones(2, dtype=torch.complex32), "float4": torch.zeros(2, dtype=torch.uint8).view(torch.float4_e2m1fn_x2),
            "quantized": torch.quantize_per_tensor(x, 0.1, 0, torch.qint8)}

    def checkpoint(path, **found):
        state = collections.OrderedDict(found)
        state._metadata = collections.OrderedDict([("", {"version": 1})])
        optimizer = torch.optim.Adam([nn.Parameter(x)])
        torch.save({"epoch": 1, "losses": x[0, 0], "loss": x[0, 0, 0], "rng": torch.get_rng_state(), "nets": [{"net": state}],
                    "optimizer": optimizer.state_dict(), "by": ("x", None), "rate": 0.1}, path)

    write_pair(d / "odd/checkpoint.pth", checkpoint, ok, odd)


def write_pair(path, save, ok, odd):
    save(path, **{f"ok.{name}": x for name, x in ok.items()}, **{f"odd.{name}": x for name, x in odd.items()})
    double = lambda x: x.detach().double().numpy() if isinstance(x, torch.Tensor) else x.astype("f8")
    np.savez(f"{path}.expected", **{f"ok.{name}": np.array(double(x), order="C") for name, x in ok.items()})


def write_others(d):
    """Files of other kinds, each with the words that name it."""
    place = d / "others"
    place.mkdir(exist_ok=True)
    dict_ = {"a": [1, 2.5]}
    files = {f"pickle{protocol}": (pickle.dumps(dict_, protocol), "a Python pickle") for protocol in range(6)}

    def zipped(*names):
        whole = io.BytesIO()
        with zipfile.ZipFile(whole, "w") as archive:
            for name in names:
                archive.writestr(name, b"{}")
        return whole.getvalue()

    torch.jit.script(nn.Linear(2, 1)).save(place / "script")
    files |= {
        "script": ((place / "script").read_bytes(), "TorchScript"),
        "xlsx": (zipped("[Content_Types].xml", "_rels/.rels", "xl/workbook.xml"), "an Excel workbook"),
        "zip": (zipped("a.txt"), "a zip archive"),
        "onnx": (next((d / "onnx").glob("*.onnx")).read_bytes(), "an ONNX model"),
        "gzip": (gzip.compress(b"x" * 99), "a gzip file"),
        "bzip2": (bz2.compress(b"x" * 99), "a bzip2 file"),
        "xz": (lzma.compress(b"x" * 99), "an xz file"),
        "html": (b"<!DOCTYPE html>\n<html></html>", "an HTML page"),
        "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "a pointer of Git LFS"),
        "gguf": (b"GGUF" + bytes(20), "a GGUF model"),
        "tflite": (b"\x1c\0\0\0TFL3" + bytes(20), "a TensorFlow Lite model"),
        "parquet": (b"PAR1" + bytes(20), "a Parquet table"),
    }
    for name, (content, words) in files.items():
        (place / name).write_bytes(content)
        (place / f"{name}.words").write_text(words)


def layers():
    """The same as `layers` in interop.rs."""
    lstm, gru = (kind(3, 4, 2, bidirectional=True, batch_first=True) for kind in [nn.LSTM, nn.GRU])
    return {
        "mlp": nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3)),
        "cnn": nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(4, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 4 * 4, 5)),
        "linear": nn.Linear(5, 3),
        "linear_without_bias": nn.Linear(5, 3, bias=False),
        "conv1d": nn.Conv1d(3, 4, 3, stride=2),
        "conv_transpose1d": nn.ConvTranspose1d(3, 4, 3, padding=1),
        "conv2d": nn.Conv2d(3, 4, (3, 2), padding=1),
        "conv_transpose2d": nn.ConvTranspose2d(3, 4, 3, stride=2),
        "batch_norm1d": nn.BatchNorm1d(3),
        "batch_norm2d": nn.BatchNorm2d(3),
        "batch_norm_plain": nn.BatchNorm1d(3, affine=False),
        "layer_norm": nn.LayerNorm((3, 4)),
        "group_norm": nn.GroupNorm(2, 6),
        "rms_norm": nn.RMSNorm(4),
        "lstm": lstm,
        "rnn": nn.RNN(3, 4, bias=False, batch_first=True),
        "gru": gru,
        "attention": nn.MultiheadAttention(8, 2, batch_first=True),
        "encoder": nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True),
        "prelu": nn.PReLU(3),
        "embedding": nn.Embedding(7, 4),
    }


def output(layer, x):
    with torch.no_grad():
        y = layer.eval()(x, x, x) if isinstance(layer, nn.MultiheadAttention) else layer.eval()(x)
    return y[0] if isinstance(y, tuple) else y


def check_layers(d):
    """Our weights under our names in PyTorch's layers."""
    worst = 0.0
    for name, layer in layers().items():
        layer.load_state_dict(safetensors.torch.load_file(d / "layers" / f"{name}.safetensors"), strict=True)
        ours = np.load(d / "layers" / f"{name}.npz")
        y = output(layer, torch.from_numpy(ours["x"])).numpy()
        assert y.shape == ours["y"].shape, (name, y.shape, ours["y"].shape)
        off = float(np.abs(y - ours["y"]).max())
        assert off <= 1e-5, (name, off)
        worst = max(worst, off)
    print(f"{len(layers())} of PyTorch's layers with our weights: outputs within {worst:e}")


def write_layers(d):
    (d / "torch").mkdir(exist_ok=True)
    torch.manual_seed(4)
    for name, layer in layers().items():
        x = torch.from_numpy(np.load(d / "layers" / f"{name}.npz")["x"])
        if x.is_floating_point():
            x = torch.randn(x.shape)
        # Other weights than those that a layer begins with, and batches that a normalization remembers.
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.add_(torch.randn(parameter.shape) * 0.1)
            layer.train()(x, x, x) if isinstance(layer, nn.MultiheadAttention) else layer.train()(x)
        torch.save(layer.state_dict(), d / "torch" / f"{name}.pth")
        safetensors.torch.save_file(layer.state_dict(), d / "torch" / f"{name}.safetensors")
        np.savez(d / "torch" / f"{name}.npz", x=x.numpy(), y=output(layer, x).numpy())


def scalars_of_readers(runs):
    """What TensorBoard's readers have: name, then the curves as pairs of step and value."""
    events = EventAccumulator(runs)
    events.Reload()
    yield "EventAccumulator", {
        tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}

    # tensorboard --load_fast=false
    events = PluginAccumulator(runs)
    events.Reload()
    yield "Python loader", {
        tag: [(event.step, tensor_util.make_ndarray(event.tensor_proto).item()) for event in events.Tensors(tag)]
        for tag in events.Tags()["tensors"]}

    # tensorboard's default
    server = server_ingester.SubprocessServerDataIngester(
        server_binary=server_ingester.get_server_binary(), logdir=runs, reload_interval=0,
        channel_creds_type=grpc_util.ChannelCredsType.LOCAL)
    server.start()
    found = server.data_provider.read_scalars(
        None, experiment_id="", plugin_name="scalars", downsample=1000)
    yield "data server", {
        tag: [(point.step, point.value) for point in points] for tag, points in found["."].items()}


def check_training(d):
    """TensorBoard's own readers, without TensorFlow: no step of the interrupted training is there twice."""
    history = dict(np.load(d / "history.npz"))
    steps = [int(step) for step in history.pop("step")]
    for reader, found in scalars_of_readers(str(d / "runs")):
        assert set(found) == set(history) | {"step_loss"}, (reader, found.keys())
        for name, curve in history.items():
            expected = [(s, np.float32(x)) for s, x in zip(steps, curve)]
            assert [(s, np.float32(x)) for s, x in found[name]] == expected, (reader, name, found[name], expected)
        assert [s for s, _ in found["step_loss"]] == list(range(1, steps[-1] + 1)), (reader, found["step_loss"])
    print(f"TensorBoard: {len(history)} curves of {len(steps)} epochs, and {steps[-1]} steps, the same for three readers")


def main():
    d = pathlib.Path(sys.argv[1])
    torch.set_num_threads(1)
    check_tensors(d)
    check_layers(d)
    check_training(d)
    onnx_check.check(d)
    write_tensors(d)
    write_odd(d)
    write_others(d)
    write_layers(d)
    files.write(d)


main()
