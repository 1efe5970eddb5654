#!/usr/bin/env python3
"""Golden values for tests/layers.rs: every layer's values, gradients and buffers, training and evaluating, from PyTorch in f64.

Run:  python3 -m venv venv && venv/bin/pip install torch==2.15.0 numpy==2.4.6
      venv/bin/python tests/reference/layers.py > tests/reference/layers.txt

A case is a block of lines, and an empty line ends it. Numbers are separated by spaces; a shape is "2x3", a scalar's "-".
  case KEY | MODES                  train, eval, or both where they agree
  held NAME SHAPE : numbers         a parameter or buffer before
  in DTYPE SHAPE : numbers          one an input
  out SHAPE : numbers               one an output
  v : numbers                       one cotangent an output
  g : numbers                       the gradient of the sum of all <v, out>, one an f64 input
  gp NAME : numbers                 the same by a parameter
  after NAME : numbers              a buffer that training changed
The numbers that go in are multiples of 1/64. Dropout is off: its numbers are no other library's.
"""
import warnings

import numpy as np
import torch
from torch import nn

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)


def shape(x):
    return "x".join(map(str, x.shape)) or "-"


def numbers(x):
    return " ".join(repr(n) for n in x.detach().reshape(-1).tolist())


class Case:
    def __init__(self, key, module, inputs, call=None, modes=("train", "eval")):
        self.key, self.module, self.inputs, self.modes = key, module, inputs, modes
        self.call = call or (lambda module, *inputs: module(*inputs))


CASES = []


def case(*args, **named):
    CASES.append(Case(*args, **named))


def N(*dims):
    return ("f64", dims)


def fixed(kind, values):
    return (kind, torch.tensor(values, dtype={"u8": torch.uint8, "i64": torch.int64, "f64": torch.float64}[kind]))


case("linear", lambda: nn.Linear(3, 2), [N(4, 3)])
case("bilinear", lambda: nn.Bilinear(3, 2, 4), [N(5, 3), N(5, 2)])
case("bilinear three axes", lambda: nn.Bilinear(2, 2, 1, bias=False), [N(2, 3, 2), N(2, 3, 2)])
case("embedding", lambda: nn.Embedding(5, 3), [fixed("i64", [[4, 0, 4], [1, 2, 4]])])
case("embedding padding", lambda: nn.Embedding(5, 3, padding_idx=4), [fixed("i64", [[4, 0, 4], [1, 2, 2]])])
for mode in ["sum", "mean", "max"]:
    words = fixed("i64", [[4, 0, 3], [1, 2, 4], [0, 3, 3]])
    case(f"embedding_bag {mode}", lambda mode=mode: nn.EmbeddingBag(5, 3, mode=mode), [words])
    words, offsets = fixed("i64", [4, 0, 4, 2, 1, 3]), torch.tensor([0, 2, 2, 5])
    bags = lambda m, x: m(x, offsets)
    case(f"embedding_bag {mode} offsets", lambda mode=mode: nn.EmbeddingBag(5, 3, mode=mode, padding_idx=4), [words], bags)
case(
    "embedding_bag weights",
    lambda: nn.EmbeddingBag(5, 3, mode="sum"),
    [words, N(6)],
    lambda m, x, weights: m(x, offsets, per_sample_weights=weights),
)
case("softmax", lambda: nn.Softmax(-1), [N(3, 4)])
case("flatten", lambda: nn.Flatten(), [N(2, 2, 3)])
case("reshape", lambda: nn.Unflatten(1, (2, 3)), [N(2, 6)])
case("dropout", lambda: nn.Dropout(0.5), [N(3, 4)], modes=("eval",))
case("dropout2d", lambda: nn.Dropout2d(0.5), [N(2, 3, 2, 2)], modes=("eval",))

case("layer_norm", lambda: nn.LayerNorm(5), [N(3, 5)])
case("layer_norm two axes", lambda: nn.LayerNorm((3, 4), eps=1e-3), [N(2, 3, 4)])
case("layer_norm without bias", lambda: nn.LayerNorm(4, bias=False), [N(2, 3, 4)])
case("layer_norm plain", lambda: nn.LayerNorm(4, elementwise_affine=False), [N(3, 4)])
case("rms_norm", lambda: nn.RMSNorm(5), [N(3, 5)])
case("rms_norm two axes", lambda: nn.RMSNorm((3, 4), eps=1e-3), [N(2, 3, 4)])
case("batch_norm1d", lambda: nn.BatchNorm1d(3), [N(6, 3)])
case("batch_norm1d sequence", lambda: nn.BatchNorm1d(3, eps=1e-3, momentum=0.3), [N(2, 3, 5)])
case("batch_norm1d cumulative", lambda: nn.BatchNorm1d(3, momentum=None), [N(6, 3)])
case("batch_norm2d", lambda: nn.BatchNorm2d(2), [N(3, 2, 2, 3)])
case("batch_norm2d frozen", lambda: nn.BatchNorm2d(2), [N(3, 2, 2, 3)], lambda m, x: m.eval()(x))
case("batch_norm2d plain", lambda: nn.BatchNorm2d(2, affine=False), [N(3, 2, 2, 3)])
case("batch_norm2d without running", lambda: nn.BatchNorm2d(2, track_running_stats=False), [N(3, 2, 2, 3)])
case("group_norm", lambda: nn.GroupNorm(2, 4), [N(2, 4, 3)])
case("group_norm images", lambda: nn.GroupNorm(3, 6, eps=1e-3), [N(2, 6, 2, 2)])
case("group_norm plain", lambda: nn.GroupNorm(1, 4, affine=False), [N(3, 4)])
case("instance_norm", lambda: nn.InstanceNorm2d(3), [N(2, 3, 2, 3)])
case("instance_norm affine", lambda: nn.InstanceNorm1d(3, affine=True, eps=1e-3), [N(2, 3, 5)])

for name, layer, gates in [("rnn", nn.RNN, 1), ("lstm", nn.LSTM, 4), ("gru", nn.GRU, 3)]:
    first = lambda m, *x: m(*x)[0]
    case(name, lambda layer=layer: layer(3, 4, batch_first=True), [N(2, 5, 3)], first)
    case(f"{name} time first", lambda layer=layer: layer(3, 4), [N(5, 2, 3)], first)
    case(f"{name} without bias", lambda layer=layer: layer(3, 2, bias=False, batch_first=True), [N(2, 3, 3)], first)
    case(
        f"{name} two layers, both ways",
        lambda layer=layer: layer(3, 2, num_layers=2, bidirectional=True, batch_first=True),
        [N(2, 4, 3)],
        first,
    )

    def with_state(m, x, *state):
        y, last = m(x, tuple(state) if len(state) > 1 else state[0])
        return (y, *last) if isinstance(last, tuple) else (y, last)

    states = 2 if name == "lstm" else 1
    case(
        f"{name} with a state",
        lambda layer=layer: layer(2, 3, num_layers=2, bidirectional=True, batch_first=True),
        [N(2, 3, 2)] + states * [N(4, 2, 3)],
        with_state,
    )
for name, layer in [("rnn", nn.RNN), ("lstm", nn.LSTM), ("gru", nn.GRU)]:

    def packed(m, x, *state, lengths=(2, 4, 1)):
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, m.batch_first, enforce_sorted=False)
        y, last = m(packed, (tuple(state) if len(state) > 1 else state[0]) if state else None)
        y, _ = nn.utils.rnn.pad_packed_sequence(y, m.batch_first, total_length=x.shape[int(m.batch_first)])
        return (y, *last) if isinstance(last, tuple) else (y, last)

    both = lambda layer=layer: layer(2, 3, num_layers=2, bidirectional=True, batch_first=True)
    states = 2 if name == "lstm" else 1
    case(f"{name} lengths", both, [N(3, 4, 2)], packed)
    case(f"{name} lengths, with a state", both, [N(3, 5, 2)] + states * [N(4, 3, 3)], packed)
    case(f"{name} lengths, time first", lambda layer=layer: layer(2, 3), [N(4, 3, 2)], packed)
case("rnn relu", lambda: nn.RNN(3, 4, nonlinearity="relu", batch_first=True), [N(2, 5, 3)], lambda m, x: m(x)[0])


def attention(width, heads, **named):
    return lambda: nn.MultiheadAttention(width, heads, batch_first=True, **named)


def attend(m, q, k, v, **named):
    return m(q, k, v, average_attn_weights=False, **named)


def itself(m, x, **named):
    return attend(m, x, x, x, **named)[0]


LATER = [[0, 1, 1], [0, 0, 1], [0, 0, 0]]
case("attention", attention(4, 2), [N(2, 3, 4)], itself)
case("attention without bias", attention(4, 1, bias=False), [N(2, 3, 4)], itself)
case("attention to others", attention(4, 2), [N(2, 3, 4), N(2, 5, 4), N(2, 5, 4)], attend)
case("attention causal", attention(4, 2), [N(2, 3, 4)], lambda m, x: itself(m, x, attn_mask=torch.tensor(LATER) > 0))
case(
    "attention masked",
    attention(4, 2),
    [N(2, 3, 4), fixed("u8", [[0, 0, 1], [1, 0, 1], [0, 0, 0]]), fixed("u8", [[0, 0, 0], [0, 0, 1]])],
    lambda m, x, scores, padding: attend(m, x, x, x, attn_mask=scores > 0, key_padding_mask=padding > 0),
)
case(
    "attention with scores added",
    attention(4, 2),
    [N(2, 3, 4), N(4, 3, 3)],
    lambda m, x, scores: attend(m, x, x, x, attn_mask=scores),
)


def encoder(**named):
    return lambda: nn.TransformerEncoderLayer(4, 2, 6, dropout=0.0, batch_first=True, **named)


case("encoder", encoder(), [N(2, 3, 4)])
case("encoder norm first", encoder(norm_first=True), [N(2, 3, 4)])
case("encoder tanh", encoder(activation=torch.tanh, layer_norm_eps=1e-3), [N(2, 3, 4)])
case(
    "encoder masked",
    encoder(),
    [N(2, 3, 4), fixed("u8", [[0, 0, 0], [0, 0, 1]])],
    lambda m, x, padding: m(x, src_mask=torch.tensor(LATER) > 0, src_key_padding_mask=padding > 0),
)

case("conv1d", lambda: nn.Conv1d(2, 3, 3), [N(2, 2, 6)])
case("conv1d options", lambda: nn.Conv1d(4, 2, 3, stride=2, padding=2, dilation=2, groups=2, bias=False), [N(2, 4, 7)])
case("conv2d", lambda: nn.Conv2d(2, 3, (2, 3)), [N(2, 2, 4, 5)])
case("conv2d options", lambda: nn.Conv2d(2, 4, 3, (2, 1), (1, 2), (1, 2), groups=2), [N(1, 2, 5, 5)])
case("conv2d unbatched", lambda: nn.Conv2d(2, 1, 2), [N(2, 3, 4)])
case("conv_transpose1d", lambda: nn.ConvTranspose1d(2, 3, 3, stride=2), [N(2, 2, 4)])
case("conv_transpose2d", lambda: nn.ConvTranspose2d(2, 3, (2, 3)), [N(2, 2, 3, 2)])
case(
    "conv_transpose2d options",
    lambda: nn.ConvTranspose2d(4, 2, 3, stride=(2, 3), padding=1, output_padding=(1, 2), groups=2),
    [N(1, 4, 3, 2)],
)
case("max_pool1d", lambda: nn.MaxPool1d(2), [N(2, 2, 5)])
case("max_pool2d", lambda: nn.MaxPool2d(3, stride=2, padding=1), [N(2, 2, 5, 4)])
case("avg_pool1d", lambda: nn.AvgPool1d(3, stride=1, padding=1), [N(2, 2, 5)])
case("avg_pool2d", lambda: nn.AvgPool2d((2, 3), count_include_pad=False, padding=1), [N(2, 2, 5, 4)])
case("adaptive_avg_pool2d", lambda: nn.AdaptiveAvgPool2d((2, 3)), [N(2, 2, 5, 4)])
case("adaptive_avg_pool1d", lambda: nn.AdaptiveAvgPool1d(3), [N(2, 2, 5)])
case("adaptive_max_pool1d", lambda: nn.AdaptiveMaxPool1d(3), [N(2, 2, 5)])
case("adaptive_max_pool2d", lambda: nn.AdaptiveMaxPool2d((2, 3)), [N(2, 2, 5, 4)])
case("max_pool2d ceil", lambda: nn.MaxPool2d(3, stride=2, ceil_mode=True), [N(2, 2, 6, 4)])
case("avg_pool2d ceil", lambda: nn.AvgPool2d(3, stride=2, padding=1, ceil_mode=True), [N(2, 2, 6, 4)])
case("conv1d same circular", lambda: nn.Conv1d(2, 3, 4, padding="same", padding_mode="circular"), [N(2, 2, 5)])
case("conv2d same", lambda: nn.Conv2d(2, 3, (2, 3), padding="same", dilation=(1, 2)), [N(2, 2, 4, 5)])
case("conv2d reflect", lambda: nn.Conv2d(2, 3, 3, padding=(1, 2), stride=2, padding_mode="reflect"), [N(2, 2, 4, 5)])
case("conv2d replicate", lambda: nn.Conv2d(2, 2, 3, padding=3, padding_mode="replicate", groups=2), [N(1, 2, 3, 3)])
case("upsample nearest", lambda: nn.Upsample(scale_factor=2), [N(1, 2, 2, 3)])
case("upsample nearest to", lambda: nn.Upsample(size=(5, 4)), [N(1, 2, 3, 3)])
case("upsample bilinear", lambda: nn.Upsample(scale_factor=(2, 3), mode="bilinear"), [N(1, 2, 2, 3)])
case("upsample corners", lambda: nn.Upsample(size=(3, 5), mode="bilinear", align_corners=True), [N(1, 2, 2, 3)])
case("prelu", lambda: nn.PReLU(), [N(3, 4)])
case("prelu per channel", lambda: nn.PReLU(3), [N(2, 3, 2)])


def draw(rng, dims, low=-128, high=128):
    count = int(np.prod(dims, dtype=int))
    # Distinct numbers: a tie of a pool has a gradient of its own.
    places = rng.choice(np.arange(low, high), count, replace=count > high - low)
    return torch.tensor(places / 64.0).reshape(dims)


def run(case, mode):
    rng = np.random.default_rng([sum(case.key.encode()), len(case.key)])
    module = case.module()
    module.train(mode == "train")
    lines = []
    with torch.no_grad():
        for name, held in module.state_dict().items():
            if held.is_floating_point():
                held.copy_(draw(rng, held.shape, *((16, 128) if name == "running_var" else (-64, 64))))
            else:
                held.fill_(2)
            lines.append(f"held {name} {shape(held)} : {numbers(held)}")
    before = {name: buffer.clone() for name, buffer in module.named_buffers()}
    inputs = [draw(rng, spec) if isinstance(spec, tuple) else spec for _, spec in case.inputs]
    floats = [x.requires_grad_() for x in inputs if x.is_floating_point()]
    for (kind, _), x in zip(case.inputs, inputs):
        lines.append(f"in {kind} {shape(x)} : {numbers(x)}")
    # PyTorch's own fast path of the encoder layer has no gradients.
    torch.backends.mha.set_fastpath_enabled(False)
    outputs = case.call(module, *inputs)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    total = 0.0
    for y in outputs:
        lines.append(f"out {shape(y)} : {numbers(y)}")
        v = draw(rng, y.shape)
        lines.append(f"v : {numbers(v)}")
        total = total + (v * y).sum()
    parameters = dict(module.named_parameters())
    gradients = torch.autograd.grad(total, [*floats, *parameters.values()]) if floats or parameters else []
    lines += [f"g : {numbers(g)}" for g in gradients[: len(floats)]]
    lines += [f"gp {name} : {numbers(g)}" for name, g in zip(parameters, gradients[len(floats) :])]
    for name, buffer in module.named_buffers():
        if not torch.equal(before[name], buffer):
            lines.append(f"after {name} : {numbers(buffer)}")
    return "\n".join(lines) + "\n"


for one in CASES:
    blocks = {mode: run(one, mode) for mode in one.modes}
    if len(set(blocks.values())) == 1:
        blocks = {" ".join(blocks): next(iter(blocks.values()))}
    for modes, block in blocks.items():
        print(f"case {one.key} | {modes}\n{block}")
