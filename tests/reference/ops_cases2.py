"""The cases of shapes, indices, makers of tensors, convolution and pooling: see ops.py."""
import functools

import numpy as np
import torch
import torch.nn.functional as F

from ops import F64, N, T, case, i64, u8, u32

nan = float("nan")
E = T([], (2, 0))

# ---- shapes

for key, f, shape in [
    ("x.reshape((3, 2))", lambda x: x.reshape(3, 2), (2, 3)),
    ("x.reshape(6)", lambda x: x.reshape(6), (2, 3)),
    ("x.reshape(())", lambda x: x.reshape(()), (1, 1)),
    ("x.flatten(0, 1)", lambda x: x.flatten(0, 1), (2, 2, 3)),
    ("x.flatten(-2, -1)", lambda x: x.flatten(-2, -1), (2, 2, 3)),
    ("x.squeeze(1)", lambda x: x.squeeze(1), (2, 1, 3)),
    ("x.squeeze(-1)", lambda x: x.squeeze(-1), (2, 1)),
    ("x.squeeze_all()", lambda x: x.squeeze(), (1, 2, 1, 3)),
    ("x.unsqueeze(0)", lambda x: x.unsqueeze(0), (2, 3)),
    ("x.unsqueeze(-1)", lambda x: x.unsqueeze(-1), (2, 3)),
    ("x.transpose(0, 2)", lambda x: x.transpose(0, 2), (2, 1, 3)),
    ("x.transpose(-1, 0)", lambda x: x.transpose(-1, 0), (2, 3)),
    ("x.t()", lambda x: x.mT, (2, 3)),
    ("x.t()", lambda x: x.mT, (2, 2, 3)),
    ("x.permute(&[2, 0, 1])", lambda x: x.permute(2, 0, 1), (2, 3, 2)),
    ("x.permute(&[-1, 0])", lambda x: x.permute(-1, 0), (2, 3)),
    ("x.broadcast_to((2, 3))", lambda x: x.broadcast_to(2, 3), (3,)),
    ("x.broadcast_to((2, 3))", lambda x: x.broadcast_to(2, 3), (2, 1)),
    ("x.broadcast_to((2, 3))", lambda x: x.broadcast_to(2, 3), ()),
    ("x.broadcast_to((0, 3))", lambda x: x.broadcast_to(0, 3), (3,)),
    ("x.flip(&[0])", lambda x: x.flip(0), (2, 3)),
    ("x.flip(&[0, -1])", lambda x: x.flip(0, -1), (2, 2, 3)),
    ("x.roll(1, 0)", lambda x: x.roll(1, 0), (3, 2)),
    ("x.roll(-4, -1)", lambda x: x.roll(-4, -1), (2, 3)),
    ("x.roll(3, 1)", lambda x: x.roll(3, 1), (2, 3)),
    ("x.repeat(2, 0)", lambda x: x.repeat_interleave(2, 0), (2, 3)),
    ("x.repeat(3, -1)", lambda x: x.repeat_interleave(3, -1), (2, 2)),
    ("x.repeat(0, 0)", lambda x: x[:0], (2, 2)),
    ("x.tile(&[2])", lambda x: x.tile(2), (2, 3)),
    ("x.tile(&[2, 3])", lambda x: x.tile(2, 3), (2, 2)),
    ("x.tile(&[2, 1, 2])", lambda x: x.tile(2, 1, 2), (2, 2)),
    ("part(x.chunk(2, 0), 0)", lambda x: x.tensor_split(2, 0)[0], (3, 2)),
    ("part(x.chunk(3, -1), 2)", lambda x: x.tensor_split(3, -1)[2], (2, 5)),
    ("part(x.split(2, 0), 1)", lambda x: x.split(2, 0)[1], (3, 2)),
    ("part(x.split(2, -1), 0)", lambda x: x.split(2, -1)[0], (2, 5)),
    ("part(x.tensor_split(&[1, 3], 1), 1)", lambda x: x.tensor_split([1, 3], 1)[1], (2, 5)),
    ("part(x.tensor_split(&[1, 3], 1), 2)", lambda x: x.tensor_split([1, 3], 1)[2], (2, 5)),
    ("part(x.tensor_split(&[2, 2], 0), 1)", lambda x: x.tensor_split([2, 2], 0)[1], (3, 2)),
    ("x.narrow(0, 1, 2)", lambda x: x.narrow(0, 1, 2), (3, 2)),
    ("x.narrow(-1, 0, 1)", lambda x: x.narrow(-1, 0, 1), (2, 3)),
    ("x.narrow(1, 2, 0)", lambda x: x.narrow(1, 2, 0), (2, 3)),
    ("x.i(1)", lambda x: x[1], (2, 3)),
    ("x.i((.., -1))", lambda x: x[:, -1], (2, 3)),
    ("x.i((1.., ..=1))", lambda x: x[1:, :2], (3, 3)),
    ("x.i((0, 1, -2))", lambda x: x[0, 1, -2], (2, 2, 3)),
    ("x.i(-2..)", lambda x: x[-2:], (4,)),
    ("x.i(1..1)", lambda x: x[1:1], (3, 2)),
    ("x.i(step(.., 2))", lambda x: x[::2], (5,)),
    ("x.i((.., step(1..4, 2)))", lambda x: x[:, 1:4:2], (2, 5)),
    ("x.i(step(.., -1))", lambda x: x.flip(0), (4,)),
    ("x.diag(0)", lambda x: torch.diag(x), (3,)),
    ("x.diag(1)", lambda x: torch.diag(x, 1), (2,)),
    ("x.diag(-2)", lambda x: torch.diag(x, -2), (2,)),
    ("x.diag(0)", lambda x: torch.diag(x), (3, 3)),
    ("x.diag(1)", lambda x: torch.diag(x, 1), (2, 3)),
    ("x.diag(-1)", lambda x: torch.diag(x, -1), (3, 2)),
    ("x.tril(0)", lambda x: x.tril(0), (3, 3)),
    ("x.tril(-1)", lambda x: x.tril(-1), (3, 4)),
    ("x.tril(1)", lambda x: x.tril(1), (2, 2, 3)),
    ("x.triu(0)", lambda x: x.triu(0), (3, 3)),
    ("x.triu(1)", lambda x: x.triu(1), (3, 4)),
    ("x.triu(-1)", lambda x: x.triu(-1), (2, 3, 2)),
    ("x.unfold(0, 2, 1)", lambda x: x.unfold(0, 2, 1), (4,)),
    ("x.unfold(1, 3, 2)", lambda x: x.unfold(1, 3, 2), (2, 7)),
    ("x.unfold(-1, 2, 3)", lambda x: x.unfold(-1, 2, 3), (2, 2, 5)),
    ("x.unfold(0, 3, 1)", lambda x: x.unfold(0, 3, 1), (3, 2)),
]:
    case(key, f, N(*shape), label=f"{list(shape)}")
for key, f in [
    ("x.reshape((0, 3))", lambda x: x.reshape(0, 3)), ("x.flatten(0, 1)", lambda x: x.flatten(0, 1)), ("x.t()", lambda x: x.mT),
    ("x.flip(&[0])", lambda x: x), ("x.roll(1, 0)", lambda x: x), ("x.tile(&[2])", lambda x: x.tile(2)), ("x.tril(0)", lambda x: x),
    ("x.triu(0)", lambda x: x), ("x.permute(&[-1, 0])", lambda x: x.permute(-1, 0)), ("x.repeat(2, 0)", lambda x: x.tile(2, 1)),
]:
    case(key, f, E, label="empty")
case("x.flip(&[0])", lambda x: x.flip(0), u32([1, 2, 3]), label="integers", out="u32")
case("x.permute(&[-1, 0])", lambda x: x.permute(-1, 0), u8([[1, 2, 3], [4, 5, 6]]), label="integers")
case("x.tril(0)", lambda x: x.tril(0), T([[nan, nan], [1.0, 2.0]]), label="nan", value="not finite")

# ---- several tensors

for axis, a, b in [(0, (2, 3), (1, 3)), (1, (2, 3), (2, 2)), (-1, (2, 1), (2, 2)), (0, (0, 3), (2, 3))]:
    f = functools.partial(lambda axis, a, b: torch.cat([a, b], axis), axis)
    case(f"Tensor::cat(&[a, b], {axis})", f, N(*a), N(*b), label=f"{list(a)} and {list(b)}")
case("Tensor::cat(&[a, b, a], 0)", lambda a, b: torch.cat([a, b, a]), N(2), N(3))
for axis in [0, 1, -1]:
    f = functools.partial(lambda axis, a, b: torch.stack([a, b], axis), axis)
    case(f"Tensor::stack(&[a, b], {axis})", f, N(2, 3), N(2, 3))
case("Tensor::stack(&[a, b], 0)", lambda a, b: torch.stack([a, b]), N(), N(), label="scalars")
for k in [0, 1]:
    f = functools.partial(lambda k, a, b: torch.meshgrid(a, b, indexing="ij")[k], k)
    case(f"part(Tensor::meshgrid(&[a, b]), {k})", f, N(2), N(3))
f = lambda a, b, c: torch.meshgrid(a, b, c, indexing="ij")[1]  # noqa: E731
case("part(Tensor::meshgrid(&[a, b, c]), 1)", f, N(2), N(3), N(1))

# ---- indices


def real(i, size):
    """Negative indices count from the end."""
    i = i.long()
    return torch.where(i < 0, i + size, i)


for axis in [0, 1, -1]:
    f = functools.partial(lambda axis, x, i: x.index_select(axis, real(i, x.shape[axis])), axis)
    case(f"x.index_select({axis}, i)", f, N(3, 4), u32([2, 0, 2]))
f = lambda x, i: x.index_select(0, real(i, x.shape[0]))  # noqa: E731
case("x.index_select(0, i)", f, N(3, 4), i64([-1, 0, -3]), label="negative")
case("x.index_select(0, i)", f, N(3, 4), u8([1, 1]), label="u8")
case("x.index_select(0, i)", f, N(3, 2), u32([]), label="none")
case("x.i(i)", f, N(3, 2), i64([-1, 1, -1]))
case("x.i((.., i))", lambda x, i: x[:, i], N(2, 3), u32([2, 2, 0]))
case("x.i((i, 1..))", lambda x, i: x[i, 1:], N(3, 3), u32([2, 0]))
for axis, shape, index in [(0, (3, 2), [[2, 0], [2, 1]]), (1, (2, 3), [[2, 0, 2, 2], [1, 1, 1, 0]]), (-1, (3, 3), [[0], [2]])]:
    f = functools.partial(lambda axis, x, i: x.gather(axis, real(i, x.shape[axis])), axis)
    case(f"x.gather({axis}, i)", f, N(*shape), u32(index))
f = lambda x, i: x.gather(1, real(i, x.shape[1]))  # noqa: E731
case("x.gather(1, i)", f, N(2, 3), i64([[-1, 0], [-3, -1]]), label="negative")
case("x.gather(1, i)", f, N(2, 3), u32([], (2, 0)), label="none")


def scatter(axis, x, index, source):
    """Repeated indices: the last one wins, in the value and in the gradient."""
    index = real(index, x.shape[axis])
    winner = np.full(tuple(x.shape), -1)
    for flat, place in enumerate(np.ndindex(tuple(index.shape))):
        to = list(place)
        to[axis % x.dim()] = int(index[place])
        winner[tuple(to)] = flat
    winner = torch.tensor(winner)
    taken = source.reshape(-1)[winner.clamp(min=0)] if source.numel() else x
    return torch.where(winner >= 0, taken, x)


def scatter_add(axis, x, index, source):
    return x.scatter_add(axis, real(index, x.shape[axis]), source)


def index_add(axis, x, index, source):
    return x.index_add(axis, real(index, x.shape[axis]), source)


for name, f in [("scatter", scatter), ("scatter_add", scatter_add)]:
    case(f"x.{name}(0, i, s)", functools.partial(f, 0), N(3, 2), u32([[2, 0], [0, 1]]), N(2, 2))
    case(f"x.{name}(1, i, s)", functools.partial(f, 1), N(2, 4), u32([[3, 1], [0, 2]]), N(2, 2))
    case(f"x.{name}(-1, i, s)", functools.partial(f, -1), N(2, 4), u32([[3, 1]]), N(1, 2))
    case(f"x.{name}(0, i, s)", functools.partial(f, 0), N(3), u32([2, 2, 0, 2]), N(4), label="repeated")
    case(f"x.{name}(0, i, s)", functools.partial(f, 0), N(3), i64([-1, -3]), N(2), label="negative")
    case(f"x.{name}(0, i, s)", functools.partial(f, 0), N(3), u32([], (0,)), T([]), label="none")
case("x.index_add(0, i, s)", functools.partial(index_add, 0), N(3, 2), u32([2, 0]), N(2, 2))
case("x.index_add(-1, i, s)", functools.partial(index_add, -1), N(2, 3), u32([1, 1, 0]), N(2, 3), label="repeated")
case("x.index_add(0, i, s)", functools.partial(index_add, 0), N(3), i64([-1, -1]), N(2), label="negative")
case("x.index_add(0, i, s)", functools.partial(index_add, 0), N(3), u32([]), T([]), label="none")

MASK = [[1, 0, 1], [0, 0, 1]]
case("x.masked_select(m)", lambda x, m: x.masked_select(m != 0), N(2, 3), u8(MASK))
case("x.masked_select(m)", lambda x, m: x.masked_select(m != 0), N(2, 3), u8([[0, 0, 0], [0, 0, 0]]), label="none")
case("x.masked_fill(m, -1.5)", lambda x, m: x.masked_fill(m != 0, -1.5), N(2, 3), u8(MASK))
case("x.masked_fill(m, -1.5)", lambda x, m: x.masked_fill(m != 0, -1.5), N(2, 3), u8([1, 0, 1]), label="broadcast")
case("x.masked_scatter(m, s)", lambda x, m, s: x.masked_scatter(m != 0, s), N(2, 3), u8(MASK), N(3))
case("x.masked_scatter(m, s)", lambda x, m, s: x.masked_scatter(m != 0, s), N(2, 3), u8(MASK), N(5), label="more than needed")
case("x.nonzero()", lambda x: x.nonzero(), T([[0.0, 2.0, nan], [-1.0, 0.0, -0.0]]))
case("x.nonzero()", lambda x: x.nonzero(), u8([0, 1, 1, 0]), label="integers")
case("x.nonzero()", lambda x: x.nonzero(), T([], (0, 2)), label="empty")
case("i.one_hot(4, DType::F64)", lambda i: F.one_hot(i, 4).double(), u32([2, 0, 3]))
case("i.one_hot(4, DType::F64)", lambda i: F.one_hot(i, 4).double(), u32([[2, 0], [3, 1]]), label="matrix")


def assigned(place):
    def f(x, s):
        y = x.clone()
        y[place] = s
        return y
    return f


case("x.assign(1, s)", assigned(1), N(2, 3), N(3))
case("x.assign((.., 1..3), s)", assigned((slice(None), slice(1, 3))), N(2, 4), N(2, 2))
case("x.assign((0, -1), s)", assigned((0, -1)), N(2, 3), N())
case("x.assign(.., s)", assigned(slice(None)), N(2, 3), N(3))


def pad(sides, mode, x):
    """Each axis by a selection, which differentiates itself."""
    for axis, pair in zip(range(x.dim() - len(sides), x.dim()), sides):
        x = x.index_select(axis, torch.tensor(np.pad(np.arange(x.shape[axis]), pair, mode)))
    return x


def constant(sides, value):
    flat = [n for pair in reversed(sides) for n in pair]
    return lambda x: F.pad(x, flat, value=value)


case("x.pad(&[(1, 2)], Pad::Constant(0.5))", constant([(1, 2)], 0.5), N(2, 3))
case("x.pad(&[(1, 0), (0, 2)], Pad::Constant(0.0))", constant([(1, 0), (0, 2)], 0.0), N(2, 2, 3))
case("x.pad(&[(1, 1)], Pad::Constant(0.0))", constant([(1, 1)], 0.0), E, label="empty")
case("x.pad(&[(2, 1)], Pad::Reflect)", functools.partial(pad, [(2, 1)], "reflect"), N(2, 3))
case("x.pad(&[(1, 1), (2, 0)], Pad::Reflect)", functools.partial(pad, [(1, 1), (2, 0)], "reflect"), N(2, 2, 3))
case("x.pad(&[(2, 4)], Pad::Replicate)", functools.partial(pad, [(2, 4)], "edge"), N(2, 3))
case("x.pad(&[(1, 2), (0, 1)], Pad::Replicate)", functools.partial(pad, [(1, 2), (0, 1)], "edge"), N(2, 2, 2))
case("x.pad(&[(2, 1)], Pad::Circular)", functools.partial(pad, [(2, 1)], "wrap"), N(2, 3))
case("x.pad(&[(1, 2), (0, 3)], Pad::Circular)", functools.partial(pad, [(1, 2), (0, 3)], "wrap"), N(2, 2, 3))

# ---- makers

case("x.zeros_like()", torch.zeros_like, N(2, 3), value="a constant", nan="it reads no number")
case("x.ones_like()", torch.ones_like, N(2, 3), value="a constant", nan="it reads no number")
for start, end, n in [("0.0", "1.0", 5), ("2.0", "-1.0", 4), ("1.5", "9.0", 1), ("0.0", "1.0", 0)]:
    numbers = torch.linspace(float(start), float(end), n, dtype=F64)
    case(f"Tensor::linspace({start}, {end}, {n}, &Device::Cpu)", functools.partial(torch.clone, numbers))
case("Tensor::arange(2.0, 4.5, &Device::Cpu)", lambda: torch.arange(2.0, 4.5, dtype=F64))
case("Tensor::arange(5i64, 2, &Device::Cpu)", lambda: torch.tensor([], dtype=torch.int64), out="i64")
case("x.full_like(2.5)", lambda x: torch.full_like(x, 2.5), N(2, 3), value="a constant", nan="it reads no number")
case("Tensor::arange_step(0.0, 1.0, 0.25, &Device::Cpu)", lambda: torch.arange(0.0, 1.0, 0.25, dtype=F64))
case("Tensor::arange_step(5.0, 0.5, -2.0, &Device::Cpu)", lambda: torch.arange(5.0, 0.5, -2.0, dtype=F64))
case("Tensor::eye(3, DType::F64, &Device::Cpu)", lambda: torch.eye(3, dtype=F64))
case("Tensor::zeros((2, 1), DType::F64, &Device::Cpu)", lambda: torch.zeros(2, 1, dtype=F64))
case("Tensor::ones((2, 1), DType::F64, &Device::Cpu)", lambda: torch.ones(2, 1, dtype=F64))
case("Tensor::full(2.5, (2, 2), &Device::Cpu)", lambda: torch.full((2, 2), 2.5, dtype=F64))

# ---- convolution: builders in Rust, keywords in PyTorch


def options(kind, d, start="", **settings):
    def rust(value):
        return f"[{', '.join(map(str, value))}]" if isinstance(value, tuple) else str(value).lower()
    return f"{kind}::<{d}>::new({start})" + "".join(f".{name}({rust(value)})" for name, value in settings.items())


for x, w, settings in [
    ((1, 1, 5), (1, 1, 3), {}), ((2, 2, 6), (3, 2, 3), {"stride": 2, "padding": 1}), ((1, 2, 7), (2, 2, 2), {"dilation": 3}),
    ((1, 4, 5), (4, 2, 3), {"padding": 2, "groups": 2}), ((1, 3, 4), (6, 1, 2), {"groups": 3}), ((2, 1, 3), (1, 1, 3), {}),
    ((0, 2, 5), (3, 2, 3), {}), ((1, 1, 1), (1, 1, 1), {}), ((1, 2, 8), (1, 2, 3), {"stride": 3, "padding": 2, "dilation": 2}),
]:
    key = f"x.conv1d(w, {options('ConvOptions', 1, **settings)})"
    case(key, functools.partial(lambda s, x, w: F.conv1d(x, w, **s), settings), N(*x), N(*w), label=f"{list(x)} and {list(w)}")
for x, w, settings in [
    ((1, 1, 3, 4), (1, 1, 2, 2), {}), ((2, 2, 3, 4), (2, 2, 3, 2), {"padding": 1}),
    ((1, 2, 5, 4), (2, 2, 3, 2), {"stride": (2, 1), "padding": (1, 0)}), ((1, 1, 5, 6), (2, 1, 2, 3), {"dilation": (2, 1)}),
    ((1, 4, 3, 3), (2, 2, 2, 2), {"groups": 2}), ((1, 2, 3, 4), (4, 1, 2, 3), {"stride": 2, "padding": (2, 1), "groups": 2}),
    ((0, 1, 3, 3), (1, 1, 2, 2), {}), ((1, 1, 1, 1), (1, 1, 1, 1), {}), ((1, 3, 2, 2), (2, 3, 1, 1), {}),
]:
    key = f"x.conv2d(w, {options('ConvOptions', 2, **settings)})"
    case(key, functools.partial(lambda s, x, w: F.conv2d(x, w, **s), settings), N(*x), N(*w), label=f"{list(x)} and {list(w)}")
# Kernels of an even span have one more zero at the end.
for x, w, settings in [((1, 1, 5), (1, 1, 4), {}), ((2, 2, 6), (2, 1, 3), {"groups": 2}), ((1, 1, 5), (2, 1, 2), {"dilation": 3})]:
    own = options("ConvOptions", 1, **settings) + ".padding(ConvPadding::Same)"
    f = functools.partial(lambda s, x, w: F.conv1d(x, w, padding="same", **s), settings)
    case(f"x.conv1d(w, {own})", f, N(*x), N(*w))
f = lambda x, w: F.conv2d(x, w, padding="same", dilation=(1, 2))  # noqa: E731
case("x.conv2d(w, ConvOptions::<2>::new().dilation([1, 2]).padding(ConvPadding::Same))", f, N(1, 2, 3, 4), N(1, 2, 2, 3))


def uneven(op, stride, x, w):
    return op(F.pad(x, (2, 1, 0, 1) if w.dim() == 4 else (2, 0)), w, stride=stride)


case("x.conv1d(w, ConvOptions::<1>::new().padding([(2, 0)]))", functools.partial(uneven, F.conv1d, 1), N(1, 2, 5), N(2, 2, 3))
for stride in [1, 2]:
    own = f"ConvOptions::<2>::new().stride({stride}).padding([(0, 1), (2, 1)])"
    case(f"x.conv2d(w, {own})", functools.partial(uneven, F.conv2d, stride), N(1, 1, 4, 3), N(2, 1, 2, 2))
f = lambda x, w: F.conv_transpose2d(x, w, stride=2)[..., 0:-1, 2:-1]  # noqa: E731
case("x.conv_transpose2d(w, ConvOptions::<2>::new().stride(2).padding([(0, 1), (2, 1)]))", f, N(1, 1, 2, 3), N(1, 2, 2, 3))
for name, mode, sides in [("Reflect", "reflect", (1, 2)), ("Replicate", "edge", (1, 2)), ("Circular", "wrap", (1, 2))]:
    f = functools.partial(lambda m, s, x, w: F.conv2d(pad([(s[0],) * 2, (s[1],) * 2], m, x), w, stride=(1, 2)), mode, sides)
    own = f"ConvOptions::<2>::new().stride([1, 2]).padding([1, 2]).padding_mode(Pad::{name})"
    case(f"x.conv2d(w, {own})", f, N(1, 1, 3, 4), N(2, 1, 2, 3))
f = lambda x, w: F.conv1d(pad([(1, 2)], "wrap", x), w)  # noqa: E731
own = "ConvOptions::<1>::new().padding(ConvPadding::Same).padding_mode(Pad::Circular)"
case(f"x.conv1d(w, {own})", f, N(1, 2, 5), N(1, 2, 4))
for x, w, settings in [
    ((1, 1, 3), (1, 1, 3), {}), ((2, 2, 4), (2, 3, 3), {"stride": 2, "padding": 1}),
    ((1, 2, 3), (2, 1, 3), {"stride": 3, "output_padding": 2}), ((1, 2, 4), (2, 2, 2), {"dilation": 2, "groups": 2}),
]:
    key = f"x.conv_transpose1d(w, {options('ConvOptions', 1, **settings)})"
    f = functools.partial(lambda s, x, w: F.conv_transpose1d(x, w, **s), settings)
    case(key, f, N(*x), N(*w), label=f"{list(x)} and {list(w)}")
for x, w, settings in [
    ((1, 1, 2, 3), (1, 1, 2, 2), {}), ((2, 2, 2, 3), (2, 1, 3, 2), {"stride": (2, 1), "padding": (1, 0)}),
    ((1, 2, 2, 2), (2, 1, 2, 3), {"stride": 2, "output_padding": (1, 0), "groups": 2}),
    ((1, 1, 3, 2), (1, 2, 2, 2), {"dilation": (1, 2), "padding": 1}),
]:
    key = f"x.conv_transpose2d(w, {options('ConvOptions', 2, **settings)})"
    f = functools.partial(lambda s, x, w: F.conv_transpose2d(x, w, **s), settings)
    case(key, f, N(*x), N(*w), label=f"{list(x)} and {list(w)}")

for shape, kernel, settings in [
    ((1, 2, 6), 2, {}), ((2, 1, 7), 3, {"stride": 2, "padding": 1}), ((1, 1, 5), 2, {"stride": 1}), ((1, 1, 2), 2, {}), ((0, 1, 4), 2, {}),
]:
    for name, f in [("max", F.max_pool1d), ("avg", F.avg_pool1d)]:
        key = f"x.{name}_pool1d({options('PoolOptions', 1, str(kernel), **settings)})"
        if not shape[0]:
            f = lambda x, kernel: torch.zeros(0, 1, 2, dtype=F64) + 0 * x.sum()  # noqa: E731
        case(key, functools.partial(lambda f, k, s, x: f(x, k, **s), f, kernel, settings), N(*shape), label=f"{list(shape)}")
for shape, kernel, settings in [
    ((1, 2, 4, 4), (2, 2), {}), ((2, 1, 4, 5), (2, 3), {"stride": (1, 2)}), ((1, 1, 5, 4), (3, 2), {"stride": 2, "padding": (1, 1)}),
    ((1, 1, 2, 3), (2, 3), {}),
]:
    for name, f in [("max", F.max_pool2d), ("avg", F.avg_pool2d)]:
        key = f"x.{name}_pool2d({options('PoolOptions', 2, str(list(kernel)), **settings)})"
        case(key, functools.partial(lambda f, k, s, x: f(x, k, **s), f, kernel, settings), N(*shape), label=f"{list(shape)}")
f = lambda x: F.max_pool2d(x, 2, 1, 0, 2)  # noqa: E731
case("x.max_pool2d(PoolOptions::<2>::new(2).stride(1).dilation(2))", f, N(1, 1, 4, 5))
f = lambda x: F.max_pool1d(x, 3, 2, 1, 2)  # noqa: E731
case("x.max_pool1d(PoolOptions::<1>::new(3).stride(2).padding(1).dilation(2))", f, N(1, 2, 7))
f = lambda x: F.avg_pool2d(x, 2, 1, 1, count_include_pad=False)  # noqa: E731
case("x.avg_pool2d(PoolOptions::<2>::new(2).stride(1).padding(1).count_include_pad(false))", f, N(1, 1, 3, 3))
f = lambda x: F.avg_pool1d(x, 3, 2, 1, count_include_pad=False)  # noqa: E731
case("x.avg_pool1d(PoolOptions::<1>::new(3).stride(2).padding(1).count_include_pad(false))", f, N(1, 1, 6))
for size, shape in [([2, 2], (1, 1, 4, 4)), ([1, 1], (2, 2, 2, 3)), ([3, 2], (1, 1, 5, 3)), ([3, 3], (1, 1, 2, 2))]:
    case(f"x.adaptive_avg_pool2d({size})", functools.partial(lambda s, x: F.adaptive_avg_pool2d(x, s), size), N(*shape))
for size, shape in [(2, (1, 1, 5)), (5, (2, 1, 3)), (1, (1, 2, 4))]:
    case(f"x.adaptive_avg_pool1d({size})", functools.partial(lambda s, x: F.adaptive_avg_pool1d(x, s), size), N(*shape))
    case(f"x.adaptive_max_pool1d({size})", functools.partial(lambda s, x: F.adaptive_max_pool1d(x, s), size), N(*shape))
for size, shape in [([2, 2], (1, 1, 4, 4)), ([1, 1], (2, 2, 2, 3)), ([3, 2], (1, 1, 5, 3)), ([3, 4], (1, 1, 2, 3))]:
    case(f"x.adaptive_max_pool2d({size})", functools.partial(lambda s, x: F.adaptive_max_pool2d(x, s), size), N(*shape))
# Windows that reach beyond the padding, that would begin behind it, and none.
for shape, kernel, stride, pad_by in [((1, 2, 6), 3, 2, 0), ((2, 1, 5), 2, 2, 1), ((1, 1, 6), 2, 4, 0), ((1, 1, 7), 3, 2, 1)]:
    own = f"PoolOptions::<1>::new({kernel}).stride({stride}).padding({pad_by}).ceil_mode(true)"
    settings = {"kernel_size": kernel, "stride": stride, "padding": pad_by, "ceil_mode": True}
    case(f"x.max_pool1d({own})", functools.partial(lambda s, x: F.max_pool1d(x, **s), settings), N(*shape))
    case(f"x.avg_pool1d({own})", functools.partial(lambda s, x: F.avg_pool1d(x, **s), settings), N(*shape))
for shape, kernel, stride, pad_by in [((1, 1, 4, 6), (3, 2), (2, 3), (1, 0)), ((2, 1, 5, 4), (2, 3), (2, 2), (0, 1))]:
    own = f"PoolOptions::<2>::new({list(kernel)}).stride({list(stride)}).padding({list(pad_by)}).ceil_mode(true)"
    settings = {"kernel_size": kernel, "stride": stride, "padding": pad_by, "ceil_mode": True}
    case(f"x.max_pool2d({own})", functools.partial(lambda s, x: F.max_pool2d(x, **s), settings), N(*shape))
    case(f"x.avg_pool2d({own})", functools.partial(lambda s, x: F.avg_pool2d(x, **s), settings), N(*shape))
    settings = {**settings, "count_include_pad": False}
    f = functools.partial(lambda s, x: F.avg_pool2d(x, **s), settings)
    case(f"x.avg_pool2d({own}.count_include_pad(false))", f, N(*shape))
f = lambda x: F.max_pool2d(x, 3, 2, 1, return_indices=True)  # noqa: E731
case("first(x.max_pool2d_with_indices(PoolOptions::<2>::new(3).stride(2).padding(1)))", lambda x: f(x)[0], N(1, 2, 4, 5))
case("second(x.max_pool2d_with_indices(PoolOptions::<2>::new(3).stride(2).padding(1)))", lambda x: f(x)[1], N(1, 2, 4, 5),
     out="u32", value="indices", nan="an index is never NaN")
g = lambda x: F.max_pool1d(x, 2, 1, return_indices=True)  # noqa: E731
case("first(x.max_pool1d_with_indices(PoolOptions::<1>::new(2).stride(1)))", lambda x: g(x)[0], N(2, 1, 5))
case("second(x.max_pool1d_with_indices(PoolOptions::<1>::new(2).stride(1)))", lambda x: g(x)[1], N(2, 1, 5),
     out="u32", value="indices", nan="an index is never NaN")
f = lambda x, i: F.max_unpool2d(x, i, 2, output_size=(4, 5))  # noqa: E731
case("x.max_unpool2d(i, [4, 5])", f, N(1, 2, 2, 2), u32([[[[0, 8], [15, 12]], [[6, 3], [10, 18]]]]))
f = lambda x, i: F.max_unpool1d(x, i, 2)  # noqa: E731
case("x.max_unpool1d(i, 6)", f, N(2, 1, 3), u32([[[0, 3, 4]], [[1, 2, 5]]]))
for size, shape in [([4, 6], (1, 1, 2, 3)), ([3, 5], (1, 2, 2, 3)), ([2, 2], (1, 1, 4, 5)), ([1, 3], (1, 1, 3, 1))]:
    f = functools.partial(lambda s, x: F.interpolate(x, s, mode="nearest"), size)
    case(f"x.upsample_nearest2d({size})", f, N(*shape))
    for corners in [False, True]:
        f = functools.partial(lambda s, c, x: F.interpolate(x, s, mode="bilinear", align_corners=c), size, corners)
        case(f"x.upsample_bilinear2d({size}, {str(corners).lower()})", f, N(*shape))
for shape, groups in [((2, 4, 3, 2), 2), ((2, 2, 3, 3), 1)]:
    settings = {"stride": (1, 2), "padding": (1, 1), "groups": groups}
    f = functools.partial(lambda s, x, w: F.conv2d(x, w, **s), settings)
    case(f"x.conv2d(w, {options('ConvOptions', 2, **settings)})", f, N(*shape), N(4, shape[1] // groups, 2, 2))
ties = T([[[[1.0, 2.0, 2.0], [2.0, 2.0, 0.0]]]])
case("x.max_pool2d(PoolOptions::<2>::new([2, 2]).stride(1))", lambda x: F.max_pool2d(x, 2, 1), ties, label="ties: the first")
low = T([[[-float("inf"), -float("inf"), nan, 1.0]]])
case("x.max_pool1d(PoolOptions::<1>::new(2))", lambda x: F.max_pool1d(x, 2), low, label="inf and nan", value="not finite")

# ---- more places

case("x.assign(step(.., 2), s)", assigned(slice(None, None, 2)), N(5), N(3))
case("x.assign((.., step(.., -2)), s)", lambda x, s: torch.stack([x[:, 0], s[:, 1], x[:, 2], s[:, 0]], 1), N(2, 4), N(2, 2))
case("x.assign(i, s)", lambda x, i, s: x.index_put((i,), s), N(4, 2), u32([3, 0]), N(2, 2))
case("x.i((step(..4, -2), 0))", lambda x: x[[3, 1], 0], N(5, 2))
case("x.i(i)", lambda x, i: x[i], N(3, 2), i64([[-1, 1], [0, -1]]), label="a matrix of indices")
for key, f, j in [("(i, j)", lambda x, i, j: x[i, j], [0, -1, 0]), ("(.., i, j)", lambda x, i, j: x[:, i, j], [1, 0, -1]),
                  ("(i, .., j)", lambda x, i, j: x[i, :, j], [0, 1, 1]), ("(i, 1, j)", lambda x, i, j: x[i, 1, j], [1, 0, 0])]:
    case(f"x.i({key})", f, N(2, 2, 3), i64([1, 0, 1]), i64(j))
case("x.i((i, j))", lambda x, i, j: x[i, j], N(3, 4), u32([[2], [0]]), i64([3, -1, 0]), label="crosswise")
case("x.assign((i, j), s)", lambda x, i, j, s: x.index_put((i, j), s), N(3, 4), i64([2, 0]), i64([-1, 1]), N(2))
case("x.assign((i, j), s)", lambda x, i, j, s: x.index_put((i, j), s), N(3, 2, 2), i64([[2], [0]]), i64([1, 0]), N(2, 1, 2), label="crosswise")
case("x.i((.., i, ..1))", lambda x, i: x[:, i, :1], N(2, 3, 2), u32([2, 2]))
case("x.gather(1, i)", lambda x, i: x.gather(1, i), N(2, 3, 2), u32([[[0, 2], [1, 1]], [[2, 0], [0, 0]]]), label="the middle axis")
case("x.index_select(1, i)", lambda x, i: x.index_select(1, i), N(2, 3, 2), u32([2, 2, 0]), label="the middle axis")
for name, f in [("scatter", scatter), ("scatter_add", scatter_add)]:
    index = u32([[[0, 2], [0, 1]], [[2, 0], [2, 0]]])
    case(f"x.{name}(1, i, s)", functools.partial(f, 1), N(2, 3, 2), index, N(2, 2, 2), label="the middle axis")
case("x.index_add(1, i, s)", functools.partial(index_add, 1), N(2, 3, 2), u32([1, 1]), N(2, 2, 2))
case("x.masked_select(m)", lambda x, m: x.masked_select(m != 0), N(2, 3), u8([1, 0, 1]), label="broadcast")
case("x.masked_scatter(m, s)", lambda x, m, s: x.masked_scatter(m != 0, s), N(2, 3), u8([0, 1, 1]), N(2, 2), label="broadcast")
case("x.pad(&[(1, 1)], Pad::Reflect)", functools.partial(pad, [(1, 1)], "reflect"), N(4))
case("x.pad(&[(0, 1), (1, 0), (1, 1)], Pad::Constant(-1.0))", constant([(0, 1), (1, 0), (1, 1)], -1.0), N(1, 2, 2))
case("x.tile(&[0])", lambda x: x[:0], N(3))
case("x.permute(&[3, 1, 0, 2])", lambda x: x.permute(3, 1, 0, 2), N(2, 1, 3, 2))
case("x.diag(5)", lambda x: torch.diag(x, 2), N(2, 2), label="outside")
case("x.tril(-9)", lambda x: x * 0, N(2, 2), label="outside", nan="what is cut off is not read")
case("x.triu(-9)", lambda x: x.clone(), N(2, 2), label="outside")

# Activations that are methods of Tensor too. gelu's second derivative far out is 0·x in PyTorch.
for key, f, wide in [
    ("x.elu(1.5)", lambda x: F.elu(x, alpha=1.5), [-20.0, -3.0, -1e-9, 1e-3, 5.0]),
    ("x.leaky_relu(0.25)", lambda x: F.leaky_relu(x, negative_slope=0.25), [-1e300, -3.0, -1e-9, 1e-3, 1e300]),
    ("x.gelu()", F.gelu, [-5.0, -3.0, -1e-3, 0.5, 4.0]),
    ("x.silu()", F.silu, [-20.0, -3.0, -1e-3, 5.0, 10.0]),
]:
    case(key, f, N(2, 3))
    case(key, f, T(wide), label="wide")
    case(key, f, T([], (2, 0)), label="empty")
    case(key, f, T(0.75), label="scalar")
