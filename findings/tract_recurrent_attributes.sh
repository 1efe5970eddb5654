#!/usr/bin/env bash
# Question: tract runs the ONNX operators RNN, LSTM and GRU. Does it follow their attributes activations, clip, input_forget
#   and direction, which the standard defines and onnxruntime has?
# Usual guess: those that it has are followed, and a model with one that it lacks is refused when it is loaded or made
#   runnable, since an answer without it means nothing.
# Versions: tract 0.23.9 (the Python package), onnx 1.23.2, onnxruntime 1.32.0 (the reference), numpy 2.4.6.
# Behaviour: none of the four is followed, and none is refused. hidden_size and linear_before_reset are.
#   So torch.nn.RNN(nonlinearity="relu") becomes one with tanh, a layer that reads backwards reads forwards, and the
#   numbers look like numbers.
# Output seen (largest difference from onnxruntime, 4 steps, batch of 2, 3 inputs, 5 units):
#   RNN                                           2.4e-07
#   RNN  activations=['Relu']                     1.1e+01
#   RNN  direction='reverse'                      1.1e+00
#   LSTM                                          0.0e+00
#   LSTM activations=['Sigmoid', 'Relu', 'Tanh']  8.2e-01
#   LSTM clip=0.1                                 5.7e-01
#   LSTM input_forget=1                           3.8e-01
#   GRU                                           2.4e-07
#   GRU  activations=['Sigmoid', 'Relu']          4.8e+00
#   GRU  linear_before_reset=1                    1.2e-07
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv v
v/bin/pip install -q --disable-pip-version-check tract==0.23.9 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
v/bin/python - <<'E2'
import numpy as np, onnx, onnxruntime, tract
from onnx import helper, numpy_helper, TensorProto

random = np.random.default_rng(0)
S, B, I, H = 4, 2, 3, 5
gates = {"RNN": 1, "GRU": 3, "LSTM": 4}

def difference(op, **attributes):
    n = gates[op] * H
    held = {"W": random.standard_normal((1, n, I)), "R": 0.5 * random.standard_normal((1, n, H)), "B": random.standard_normal((1, 2 * n))}
    x = random.standard_normal((S, B, I)).astype("f4")
    graph = helper.make_graph(
        [helper.make_node(op, ["x", *held], ["y"], hidden_size=H, **attributes)],
        op,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (S, 1, B, H))],
        [numpy_helper.from_array(a.astype("f4"), name) for name, a in held.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, "model.onnx")
    right = onnxruntime.InferenceSession("model.onnx").run(None, {"x": x})[0]
    return np.abs(tract.onnx().load("model.onnx").into_model().into_runnable().run([x])[0].to_numpy() - right).max()

for followed, op, attributes in [
    (True, "RNN", {}),
    (False, "RNN", {"activations": ["Relu"]}),
    (False, "RNN", {"direction": "reverse"}),
    (True, "LSTM", {}),
    (False, "LSTM", {"activations": ["Sigmoid", "Relu", "Tanh"]}),
    (False, "LSTM", {"clip": 0.1}),
    (False, "LSTM", {"input_forget": 1}),
    (True, "GRU", {}),
    (False, "GRU", {"activations": ["Sigmoid", "Relu"]}),
    (True, "GRU", {"linear_before_reset": 1}),
]:
    far = difference(op, **attributes)
    print(f"{op:4} {' '.join(f'{k}={v!r}' for k, v in attributes.items()):40} {far:.1e}")
    assert far < 1e-5 if followed else far > 0.01
E2
