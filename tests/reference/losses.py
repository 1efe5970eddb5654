#!/usr/bin/env python3
"""Golden values for tests/losses.rs: every activation and every loss with every option, from PyTorch in f64.

Run:  pip install torch==2.15.0 torchvision && python3 tests/reference/losses.py   (it writes losses.txt beside itself)

A case is a line `case NAME` and then one line for each of its tensors: `KEY SHAPE NUMBERS`, with the shape as `2x3` (`-` for a
scalar) and the numbers as Python's repr. An activation has x, its value y, and g and h, the gradient of sum(y) and the
gradient of sum(v * g) for the weights v. A loss has its inputs, the losses of all elements (each), the mean and the sum, and
for each input that has a gradient (p, or p and q …) the gradient of the mean (gp …) and of sum(v * gp) (hp …). Where PyTorch has
no second derivative there is no h.
"""
import pathlib
import warnings

import torch
from torch import nn
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss

warnings.filterwarnings("ignore")
torch.set_default_dtype(torch.float64)
torch.manual_seed(20240607)
lines, edges = [], False


def write(key, tensor):
    if tensor is None:
        return
    tensor = torch.zeros(tensor.shape, dtype=tensor.dtype) + tensor.detach()
    shape = "x".join(map(str, tensor.shape)) or "-"
    lines.append(" ".join([key, shape] + [repr(number) for number in tensor.flatten().tolist()]))


def weights_like(tensor):
    """1, 1.5, 2, 2.5, 1, …: the test has the same."""
    return (1 + 0.5 * (torch.arange(tensor.numel()) % 4)).reshape(tensor.shape)


def second(first, inputs):
    """The gradients of the weighted sum of all first gradients."""
    total = sum((weights_like(g) * g).sum() for g in first)
    if not total.requires_grad:
        return [torch.zeros_like(x) for x in inputs]
    try:
        found = torch.autograd.grad(total, inputs, allow_unused=True)
    except RuntimeError as error:
        if "not implemented" not in str(error):
            raise
        return [None] * len(inputs)  # PyTorch has no second derivative
    return [torch.zeros_like(x) if g is None else g for x, g in zip(inputs, found)]


# None of these is a kink of any of the functions below.
POINTS = [-1e4, -1000.0, -100.0, -30.0, -12.0, -7.5, -5.0, -3.5, -2.5, -1.7, -0.9, -0.4, -0.05, -1e-3,
          1e-3, 0.05, 0.4, 0.9, 1.7, 2.5, 3.5, 5.0, 7.5, 12.0, 30.0, 100.0, 1000.0, 1e4]


def activation(name, f, parameters=(), points=None):
    x = torch.tensor(points or POINTS, requires_grad=True)
    y = f(x)
    (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    (h,) = second([g], [x])
    if name == "mish":
        # PyTorch's own second derivative is NaN at the ends.
        h = torch.where(x.abs() > 50, torch.zeros_like(h), h)
    lines.append(f"case {name}")
    for key, tensor in (("x", x), ("y", y), ("g", g), ("h", h)):
        write(key, tensor)


def on_rows(name, f, shape):
    x = torch.randn(shape).mul(3).requires_grad_()
    y = f(x)
    (g,) = torch.autograd.grad((weights_like(y) * y).sum(), x, create_graph=True)
    (h,) = second([g], [x])
    lines.append(f"case {name}")
    for key, tensor in (("x", x), ("y", y), ("g", g), ("h", h)):
        write(key, tensor)


activation("relu", F.relu)
activation("sigmoid", torch.sigmoid)
activation("tanh", torch.tanh)
activation("log_sigmoid", F.logsigmoid)
activation("hard_sigmoid", lambda x: F.relu6(x + 3) / 6)  # F.hardsigmoid has the slope 1/6 in f32
activation("hard_tanh", F.hardtanh)
activation("hard_tanh_bounds", nn.Hardtanh(-0.6, 3.0))
activation("relu6", F.relu6)
activation("leaky_relu", F.leaky_relu)
activation("leaky_relu_slope", nn.LeakyReLU(0.3))
activation("elu", F.elu)
activation("elu_alpha", nn.ELU(0.7))
activation("selu", F.selu)
activation("celu", F.celu)
activation("celu_alpha", nn.CELU(0.5))  # PyTorch has 1/alpha in f32
activation("gelu", F.gelu)
activation("gelu_tanh", nn.GELU("tanh"))
activation("silu", F.silu)
activation("hard_swish", F.hardswish)
activation("mish", F.mish)
activation("softplus", nn.Softplus(threshold=1e9), points=[x for x in POINTS if abs(x) < 500])
activation("softplus_far", nn.Softplus())
activation("softplus_beta", nn.Softplus(beta=2.5, threshold=1e9), points=[x for x in POINTS if abs(x) < 200])
activation("softsign", F.softsign)
activation("threshold", nn.Threshold(0.5, -7.0))
activation("tanhshrink", F.tanhshrink)
on_rows("softmax", nn.Softmax(-1), (3, 4))
on_rows("softmax_axis", nn.Softmax(1), (2, 3, 2))
on_rows("log_softmax", nn.LogSoftmax(-1), (3, 4))
on_rows("log_softmax_axis", nn.LogSoftmax(0), (3, 4))
on_rows("softmin", nn.Softmin(-1), (3, 4))
on_rows("softmin_axis", nn.Softmin(1), (2, 3, 2))
on_rows("glu", nn.GLU(-1), (3, 4))
on_rows("glu_axis", nn.GLU(1), (2, 4, 3))


def loss(name, each, inputs, others, mean=None, batch_mean=None):
    """`inputs` have gradients, `others` have none; `each` takes all, in the order of their names."""
    inputs = {key: x.clone().requires_grad_() for key, x in inputs.items()}
    losses = each(*inputs.values(), *others.values())
    average = mean(*inputs.values(), *others.values()) if mean else losses.mean()
    lines.append(f"case {name}")
    for key, tensor in [*inputs.items(), *others.items(), ("each", losses), ("mean", average), ("sum", losses.sum())]:
        write(key, tensor)
    if batch_mean:
        write("batch_mean", batch_mean(*inputs.values(), *others.values()))
    first = torch.autograd.grad(average, list(inputs.values()), create_graph=True, allow_unused=True)
    first = [torch.zeros_like(x) if g is None else g for x, g in zip(inputs.values(), first)]
    for key, g, h in zip(inputs, first, second(first, list(inputs.values()))):
        write("g" + key, g)
        if not edges:
            write("h" + key, h)


def both(name, function, inputs, others, **options):
    loss(name, lambda *x: function(*x, reduction="none", **options), inputs, others,
         lambda *x: function(*x, reduction="mean", **options))


p, t = torch.tensor([[0.3, -1.0, 2.0], [1e4, -4.0, 0.1]]), torch.tensor([[1.0, -1.2, 0.5], [-1e4, 0.0, 0.5]])
both("l1", F.l1_loss, {"p": p}, {"t": t})
both("mse", F.mse_loss, {"p": p}, {"t": t})
both("huber", F.huber_loss, {"p": p}, {"t": t})
both("huber_delta", F.huber_loss, {"p": p}, {"t": t}, delta=0.6)
both("smooth_l1", F.smooth_l1_loss, {"p": p}, {"t": t})
both("smooth_l1_beta", F.smooth_l1_loss, {"p": p}, {"t": t}, beta=0.6)
both("smooth_l1_beta_0", F.smooth_l1_loss, {"p": p}, {"t": t}, beta=0.0)

probability, hard = torch.tensor([[0.3, 0.9], [0.1, 0.5]]), torch.tensor([[1.0, 0.0], [0.3, 0.9]])
w = torch.tensor([[1.0, 2.0], [0.5, 0.0]])
both("bce", F.binary_cross_entropy, {"p": probability}, {"t": hard})
both("bce_weight", lambda p, t, w, **o: F.binary_cross_entropy(p, t, w, **o), {"p": probability}, {"t": hard, "w": w})
logits = torch.tensor([[1e4, -1e4], [0.3, -7.0]])
both("bce_with_logits", F.binary_cross_entropy_with_logits, {"p": logits}, {"t": hard})
both("bce_with_logits_weight", lambda p, t, w, **o: F.binary_cross_entropy_with_logits(p, t, w, **o),
     {"p": logits}, {"t": hard, "w": w})
both("bce_with_logits_pos_weight", lambda p, t, w, **o: F.binary_cross_entropy_with_logits(p, t, pos_weight=w, **o),
     {"p": logits}, {"t": hard, "w": torch.tensor([3.0, 0.5])})

class_weights = torch.tensor([1.0, 2.0, 0.5, 0.25])
scores, classes = torch.randn(5, 4) * 3, torch.tensor([3, 0, 1, 1, 2])
image, grid = torch.randn(2, 4, 3), torch.tensor([[0, -100, 2], [3, 1, -100]])
some = torch.tensor([3, -100, 1, 1, 2])
likely, q = torch.rand(5, 4), torch.softmax(torch.randn(2, 4, 3), 1)
both("nll", F.nll_loss, {"p": scores.log_softmax(1)}, {"t": classes})
both("nll_weights_ignored", lambda p, t, w, **o: F.nll_loss(p, t, w, **o),
     {"p": image.log_softmax(1)}, {"t": grid, "w": class_weights})
both("nll_single", F.nll_loss, {"p": scores[0].log_softmax(0)}, {"t": torch.tensor(2)})


def cross_entropy(name, x, t, weigh=False, **options):
    function = lambda p, t, *w, **o: F.cross_entropy(p, t, *w, **o, **options)
    both("cross_entropy" + name, function, {"p": x}, {"t": t, **({"w": class_weights} if weigh else {})})


cross_entropy("", scores, classes)
cross_entropy("_ignored", scores, some)
cross_entropy("_weights", scores, classes, weigh=True)
cross_entropy("_weights_ignored", image, grid, weigh=True)
cross_entropy("_smoothing", scores, classes, label_smoothing=0.2)
cross_entropy("_smoothing_all", image, grid, weigh=True, label_smoothing=0.2)
cross_entropy("_single", scores[0], torch.tensor(2))
cross_entropy("_single_smoothing", scores[0], torch.tensor(2), label_smoothing=0.2)


def probable(name, x, t, weigh=False, **options):
    function = lambda p, t, *w, **o: F.cross_entropy(p, t, *w, **o, **options)
    both("cross_entropy_" + name, function, {"p": x, "q": t}, {"w": class_weights} if weigh else {})


probable("probabilities", scores, likely)
probable("probabilities_weights", image, q, weigh=True)
probable("probabilities_all", image, q, weigh=True, label_smoothing=0.2)
probable("probabilities_single", scores[0], likely[0])

log_p, log_q = scores.log_softmax(1), torch.randn(5, 4).log_softmax(1)
for name, target, log in [("kl_div", log_q.exp(), False), ("kl_div_log_target", log_q, True)]:
    loss(name, lambda p, q: F.kl_div(p, q, reduction="none", log_target=log), {"p": log_p, "q": target}, {},
         batch_mean=lambda p, q: F.kl_div(p, q, reduction="batchmean", log_target=log))

sign = torch.tensor([[1.0, -1.0, 1.0], [-1.0, -1.0, 1.0]])
loss("hinge", lambda p, t: (1 - t * p).clamp(min=0), {"p": p}, {"t": sign})
both("multi_margin", F.multi_margin_loss, {"p": scores}, {"t": classes})
both("multi_margin_all", lambda p, t, w, **o: F.multi_margin_loss(p, t, p=2, margin=0.7, weight=w, **o),
     {"p": scores}, {"t": classes, "w": class_weights})
both("multi_margin_single", F.multi_margin_loss, {"p": scores[0]}, {"t": torch.tensor(2)})

a, b, c = torch.randn(5, 3), torch.randn(5, 3), torch.randn(5, 3)
pairs = torch.tensor([1.0, -1.0, -1.0, 1.0, -1.0])
both("cosine_embedding", F.cosine_embedding_loss, {"a": a, "b": b}, {"t": pairs})
both("cosine_embedding_margin", F.cosine_embedding_loss, {"a": a, "b": b}, {"t": pairs}, margin=-0.7)
both("triplet_margin", F.triplet_margin_loss, {"a": a, "b": b, "c": c}, {})
both("triplet_margin_all", F.triplet_margin_loss, {"a": a, "b": b, "c": c}, {}, margin=2.5, p=3.0, swap=True, eps=1e-3)
both("triplet_margin_p_1", F.triplet_margin_loss, {"a": a, "b": b, "c": c}, {}, p=1.0)
rates, counts = torch.tensor([0.3, 1.0, 2.0, 0.01]), torch.tensor([0.0, 3.0, 5.0, 1.0])
for log_input in (True, False):
    for full in (True, False):
        name = f"poisson_nll{'' if log_input else '_rates'}{'_full' if full else ''}"
        both(name, F.poisson_nll_loss, {"p": rates}, {"t": counts}, log_input=log_input, full=full)
both("poisson_nll_eps", F.poisson_nll_loss, {"p": rates}, {"t": counts}, log_input=False, eps=1e-2)
# Without a random number, so that those of the cases below stay what they were.


def focal(x, t, w=None, gamma=2.0, reduction="none", ignored=-100):
    """F.cross_entropy, and its mean over the weights, with the factor (1 - p)^gamma."""
    entropy = F.cross_entropy(x, t, reduction="none", ignore_index=ignored).where(t != ignored, torch.ones(()))
    weights = (torch.ones(x.shape[1]) if w is None else w)[t.clamp(min=0)] * (t != ignored)
    losses = weights * (1 - torch.exp(-entropy)) ** gamma * entropy
    return losses if reduction == "none" else losses.sum() / weights.sum()


both("focal", focal, {"p": scores}, {"t": classes})
both("focal_all", lambda p, t, w, **o: focal(p, t, w, gamma=0.5, **o), {"p": image}, {"t": grid, "w": class_weights})
mild = torch.tensor([[3.0, -4.0], [0.3, -7.0]])
both("sigmoid_focal", sigmoid_focal_loss, {"p": mild}, {"t": hard})
both("sigmoid_focal_all", sigmoid_focal_loss, {"p": mild}, {"t": hard}, alpha=-1, gamma=1.5)
both("soft_margin", F.soft_margin_loss, {"p": torch.tensor([[0.3, -1.0, 2.0], [30.0, -4.0, 0.1]])}, {"t": sign})
both("hinge_embedding", F.hinge_embedding_loss, {"p": p}, {"t": sign})
both("hinge_embedding_margin", F.hinge_embedding_loss, {"p": p}, {"t": sign}, margin=0.3)
labels = torch.tensor([[2, 0, -1, 1], [-1, 1, 2, 3], [3, 3, 1, 2], [0, 1, 2, 3], [1, -1, -1, -1]])
both("multi_label_margin", F.multilabel_margin_loss, {"p": scores}, {"t": labels})
both("multi_label_margin_single", F.multilabel_margin_loss, {"p": scores[0]}, {"t": labels[0]})
both("multi_label_soft_margin", F.multilabel_soft_margin_loss, {"p": scores}, {"t": likely})
both("multi_label_soft_margin_weights", lambda p, t, w, **o: F.multilabel_soft_margin_loss(p, t, w, **o),
     {"p": scores}, {"t": likely, "w": class_weights})
both("margin_ranking", F.margin_ranking_loss, {"a": a[:, 0], "b": b[:, 0]}, {"t": pairs})
both("margin_ranking_margin", F.margin_ranking_loss, {"a": a[:, 0], "b": b[:, 0]}, {"t": pairs}, margin=0.4)
mean, variance = torch.randn(3, 2), torch.rand(3, 2) + 0.1
gaussian = lambda **options: lambda *x, **o: F.gaussian_nll_loss(*x, **o, **options)
for name, v in [("", variance), ("_rows", variance[:, 0]), ("_column", variance[:, :1])]:
    both("gaussian_nll" + name, gaussian(), {"a": mean, "b": torch.randn(3, 2), "c": v}, {})
both("gaussian_nll_full", gaussian(full=True), {"a": mean, "b": torch.randn(3, 2), "c": variance}, {})
both("gaussian_nll_eps", gaussian(eps=0.5), {"a": mean, "b": torch.randn(3, 2), "c": variance}, {})

# Degenerate inputs: kinks, ties, zero vectors, certainty, and infinities. Left out is where PyTorch's
# number is NaN although the limit exists, drops a NaN, or comes from a constant in f32.
edges = True
inf = float("inf")
x, y = torch.tensor([0.5, 1.5, -0.5, inf, -inf, 1e200]), torch.tensor([0.5, 0.5, 0.5, 0.5, 0.5, -1e200])
for name, function in [("l1", F.l1_loss), ("mse", F.mse_loss), ("huber", F.huber_loss), ("smooth_l1", F.smooth_l1_loss)]:
    both("edge_" + name, function, {"p": x}, {"t": y})
both("edge_bce", F.binary_cross_entropy, {"p": torch.tensor([0.0, 1])}, {"t": torch.tensor([0.0, 1])})
rows = torch.tensor([[1e4, -1e4, 0], [-inf, 0, 1], [0, -inf, 1], [-inf, -inf, 1], [0, 0, 0]])
both("edge_cross_entropy", F.cross_entropy, {"p": rows}, {"t": torch.tensor([1, 0, 0, 2, 1])})
both("edge_nll", F.nll_loss, {"p": rows}, {"t": torch.tensor([1, 0, 0, 2, 1])})
both("edge_multi_margin", F.multi_margin_loss, {"p": torch.tensor([[1.0, 0, 2], [0, 0, 0], [inf, 0, 1]])},
     {"t": torch.tensor([0, 1, 0])})
both("edge_multi_label_margin", F.multilabel_margin_loss, {"p": torch.tensor([[1.0, 0, 2], [0, 0, 0], [0, 1, 2]])},
     {"t": torch.tensor([[0, -1, -1], [-1, 1, 2], [1, 1, 0]])})
both("edge_kl_div", F.kl_div, {"p": torch.tensor([-1.0, -inf, 0])}, {"t": torch.tensor([0.0, 0.5, 1])})
x, y = torch.tensor([0.0, 1, 1, inf, -inf, 700]), torch.tensor([1.0, 1, -1, 1, -1, -1])
both("edge_soft_margin", F.soft_margin_loss, {"p": x}, {"t": y})
both("edge_hinge_embedding", F.hinge_embedding_loss, {"p": x}, {"t": y})
x, y = torch.tensor([0.0, 1e3, 2]), torch.tensor([0.0, 1, 1])
both("edge_poisson_nll", F.poisson_nll_loss, {"p": x}, {"t": y})
both("edge_poisson_nll_rates_full", F.poisson_nll_loss, {"p": torch.tensor([0.0, 0, 1])},
     {"t": torch.tensor([0.0, 2, 1])}, log_input=False, full=True)
a = torch.tensor([[0.0, 0], [1, 0], [1, 2], [0, 0], [1, 2], [1, 2]])
b = torch.tensor([[0.0, 0], [0, 1], [3, 1], [3, 4], [1, 2], [2, 4]])
for sign, name in [(1.0, ""), (-1.0, "_apart")]:
    both("edge_cosine_embedding" + name, F.cosine_embedding_loss, {"a": a[:3], "b": b[:3]}, {"t": torch.full((3,), sign)})
c = torch.tensor([[0.0, 0], [0, 1], [9, 9], [3, 4], [1, 2], [1, 2]])
both("edge_triplet_margin", F.triplet_margin_loss, {"a": a, "b": b, "c": c}, {})
both("edge_triplet_margin_p_1", F.triplet_margin_loss, {"a": a, "b": b, "c": c}, {}, p=1.0, swap=True)
x, y = torch.tensor([0.0, 0.5, 1, inf]), torch.zeros(4)
both("edge_margin_ranking", F.margin_ranking_loss, {"a": x, "b": y}, {"t": torch.ones(4)}, margin=0.5)
x = torch.tensor([[0.0], [1]])
both("edge_gaussian_nll", F.gaussian_nll_loss, {"a": x, "b": x * 0 + 1, "c": torch.tensor([[0.0], [1e-9]])}, {})

pathlib.Path(__file__).with_suffix(".txt").write_text("\n".join(lines) + "\n")
