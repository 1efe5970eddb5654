#!/usr/bin/env bash
# Question: ONNX's RNN, LSTM and GRU have the attributes activations, clip, input_forget and direction. Do onnx's own ReferenceEvaluator,
#   OpenVINO and tract follow them, as onnxruntime does?
# Usual guess: the reference follows all that the standard defines; an engine that lacks one refuses the model, since an answer
#   without it means nothing.
# Versions: onnx 1.23.2, onnxruntime 1.32.0, openvino 2026.4.1 (on the CPU, for accuracy), tract 0.23.9 (the Python package), numpy 2.4.6.
# Behaviour: what is not followed is mostly not refused either, and the numbers look like numbers.
#   - ReferenceEvaluator follows direction. It takes activations of an LSTM or a GRU, clip and input_forget, and drops them (an
#     RNN's "Relu" it does refuse). It cannot serve to check an engine there.
#   - OpenVINO follows all but input_forget, which it drops.
#   - tract drops all four: torch.nn.RNN(nonlinearity="relu") becomes one with tanh, and a layer that reads backwards reads forwards.
#   That onnxruntime is right about the LSTM is checked with the standard's equations in numpy, below.
# Output seen (largest difference from onnxruntime, 4 steps, batch of 2, 3 inputs, 5 units):
#                                                 onnx     openvino tract
#   RNN                                           1.8e-07  1.8e-07  2.4e-07
#   RNN  activations=['Relu']                     refuses  9.5e-07  1.1e+01
#   RNN  clip=0.1                                 9.0e-01  8.9e-08  9.0e-01
#   RNN  direction='reverse'                      1.2e-07  1.8e-07  1.6e+00
#   LSTM                                          6.0e-08  1.2e-07  0.0e+00
#   LSTM activations=['Sigmoid', 'Relu', 'Tanh']  6.9e-01  1.2e-07  6.9e-01
#   LSTM clip=0.1                                 6.5e-01  1.5e-08  6.5e-01
#   LSTM input_forget=1                           1.5e-01  1.5e-01  1.5e-01
#   GRU                                           2.1e-07  1.5e-07  1.2e-07
#   GRU  activations=['Sigmoid', 'Relu']          3.3e+00  3.6e-07  3.3e+00
#   GRU  linear_before_reset=1                    1.8e-07  1.8e-07  4.8e-07
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv v
v/bin/pip install -q --disable-pip-version-check onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1 tract==0.23.9 numpy==2.4.6
v/bin/python - <<'E2'
import numpy as np, onnx, onnxruntime, openvino, tract
from onnx import helper, numpy_helper, TensorProto
from onnx.reference import ReferenceEvaluator

random = np.random.default_rng(0)
S, B, I, H = 4, 2, 3, 5
gates = {"RNN": 1, "GRU": 3, "LSTM": 4}

def run_openvino(model, x):
    core = openvino.Core()
    return core.compile_model(core.read_model(model), "CPU", {"EXECUTION_MODE_HINT": "ACCURACY"})([x])[0]

engines = [
    lambda model, x: ReferenceEvaluator(model).run(None, {"x": x})[0],
    run_openvino,
    lambda model, x: tract.onnx().load(model).into_model().into_runnable().run([x])[0].to_numpy(),
]

def lstm(x, W, R, B, activations=("Sigmoid", "Tanh", "Tanh"), clip=np.inf, input_forget=0):
    """The equations of the standard; the gates are in the order i, o, f, c."""
    named = {"Sigmoid": lambda v: 1 / (1 + np.exp(-v)), "Tanh": np.tanh, "Relu": lambda v: np.maximum(v, 0)}
    f, g, h = (lambda v, a=named[a]: a(np.clip(v, -clip, clip)) for a in activations)
    y, c, out = np.zeros((x.shape[1], H)), np.zeros((x.shape[1], H)), []
    for t in x:
        i, o, forget, new = np.split(t @ W[0].T + y @ R[0].T + B[0, : 4 * H] + B[0, 4 * H :], 4, axis=1)
        i, forget = f(i), f(forget)
        forget = 1 - i if input_forget else forget
        c = forget * c + i * g(new)
        y = f(o) * h(c)
        out.append(y)
    return np.array(out)[:, None]

def differences(op, **attributes):
    n = gates[op] * H
    held = {"W": random.standard_normal((1, n, I)), "R": 0.5 * random.standard_normal((1, n, H)), "B": random.standard_normal((1, 2 * n))}
    held = {name: a.astype("f4") for name, a in held.items()}
    x = random.standard_normal((S, B, I)).astype("f4")
    graph = helper.make_graph(
        [helper.make_node(op, ["x", *held], ["y"], hidden_size=H, **attributes)],
        op,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (S, 1, B, H))],
        [numpy_helper.from_array(a, name) for name, a in held.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, "model.onnx")
    right = onnxruntime.InferenceSession("model.onnx").run(None, {"x": x})[0]
    if op == "LSTM":
        assert np.abs(lstm(x, **held, **attributes) - right).max() < 1e-5
    for engine in engines:
        try:
            yield np.abs(engine("model.onnx", x) - right).max()
        except RuntimeError:
            yield None

print(f"{'':45} onnx     openvino tract")
for op, attributes, follow in [
    ("RNN", {}, "yes yes yes"),
    ("RNN", {"activations": ["Relu"]}, "refuses yes no"),
    ("RNN", {"clip": 0.1}, "no yes no"),
    ("RNN", {"direction": "reverse"}, "yes yes no"),
    ("LSTM", {}, "yes yes yes"),
    ("LSTM", {"activations": ["Sigmoid", "Relu", "Tanh"]}, "no yes no"),
    ("LSTM", {"clip": 0.1}, "no yes no"),
    ("LSTM", {"input_forget": 1}, "no no no"),
    ("GRU", {}, "yes yes yes"),
    ("GRU", {"activations": ["Sigmoid", "Relu"]}, "no yes no"),
    ("GRU", {"linear_before_reset": 1}, "yes yes yes"),
]:
    far = list(differences(op, **attributes))
    shown = " ".join("refuses " if d is None else f"{d:.1e} " for d in far)
    print(f"{op:4} {' '.join(f'{k}={v!r}' for k, v in attributes.items()):40} {shown}".rstrip())
    seen = ["refuses" if d is None else "yes" if d < 1e-5 else "no" if d > 0.01 else "near" for d in far]
    assert seen == follow.split(), seen
E2
