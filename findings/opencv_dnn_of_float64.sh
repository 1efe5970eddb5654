#!/usr/bin/env bash
# Question: OpenCV's cv2.dnn reads ONNX models whose tensors are float64, and answers in float64. Are the numbers those of float64?
# Usual guess: yes, to about 1e-15; what it has in float32 alone it refuses, as it does Softmax and MatMul of float64.
# Versions: opencv-python-headless 5.0.0.93, onnx 1.23.2, onnxruntime 1.32.0 (the reference), numpy 2.4.6.
# Behaviour: it depends on the operator, and only the third kind says so.
#   - Add, Div, Pow, CumSum, ReduceSum, … are computed in float64.
#   - Relu, Abs, Neg, Exp, Tanh, … answer in float64 with the numbers of float32: even |x| is off by 4e-8.
#   - Softmax, MatMul, MaxPool of float64 are errors.
#   - Gemm (a linear layer as PyTorch exports it) with constant weights, and LayerNormalization, answer in
#     float64 with other numbers altogether (1e232, or NaN): float32 numbers in a float64 array.
#   The same models in float32 are right.
# Output seen (largest difference from onnxruntime; the wrong ones vary, some are NaN):
#   Add                 float64 0        float32 0
#   CumSum              float64 0        float32 0
#   Abs                 float64 3.87e-08 float32 0
#   Tanh                float64 6.55e-08 float32 5.96e-08
#   Softmax             float64 error    float32 0
#   Gemm                float64 wrong    float32 0
#   LayerNormalization  float64 wrong    float32 4.77e-07
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv v
v/bin/pip install -q --disable-pip-version-check opencv-python-headless==5.0.0.93 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
v/bin/python - 2>/dev/null <<'E2'
import cv2, numpy as np, onnx, onnxruntime
from onnx import helper

def difference(op, inputs, dtype, constants=(), **attributes):
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    feeds = {f"x{i}": x.astype(dtype) for i, x in enumerate(inputs)}
    held = [onnx.numpy_helper.from_array(np.asarray(c), f"c{i}") for i, c in enumerate(constants)]
    node = helper.make_node(op, [*feeds, *(c.name for c in held)], ["y"], **attributes)
    def file(shape):
        sides = [helper.make_tensor_value_info(name, kind, x.shape) for name, x in feeds.items()]
        graph = helper.make_graph([node], op, sides, [helper.make_tensor_value_info("y", kind, shape)], held)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    right = onnxruntime.InferenceSession(file(None)).run(None, feeds)[0]
    onnx.checker.check_model(onnx.load_from_string(file(right.shape)))
    try:
        net = cv2.dnn.readNetFromONNX(np.frombuffer(file(right.shape), np.uint8))
        for name, x in feeds.items():
            net.setInput(x, name)
        y = net.forward()
    except cv2.error:
        return "error"
    assert y.dtype == dtype and y.shape == right.shape
    with np.errstate(all="ignore"):
        far = np.abs(y - right).max()
    return "wrong" if not far < 1e-3 else f"{far:.3g}"

random = np.random.default_rng(0)
x, w = random.standard_normal((3, 4)), random.standard_normal((4, 5))
seen = {}
for op, inputs, constants, attributes in [
    ("Add", [x, x + 1], [], {}),
    ("CumSum", [x], [np.array(1)], {}),
    ("Abs", [x], [], {}),
    ("Tanh", [x], [], {}),
    ("Softmax", [x], [], {"axis": 1}),
    ("Gemm", [x], [w], {}),
    ("LayerNormalization", [x], [np.ones(4)], {}),
]:
    for dtype in ("float64", "float32"):
        typed = [c.astype(dtype) if c.dtype == np.float64 else c for c in constants]
        seen[op, dtype] = difference(op, inputs, dtype, typed, **attributes)
    print(f"{op:19} float64 {seen[op, 'float64']:8} float32 {seen[op, 'float32']}")
assert all(float(seen[op, "float32"]) < 1e-6 for op, _ in seen)
assert seen["Add", "float64"] == seen["CumSum", "float64"] == "0"
assert all(1e-9 < float(seen[op, "float64"]) < 1e-6 for op in ("Abs", "Tanh"))
assert seen["Softmax", "float64"] == "error"
assert seen["Gemm", "float64"] == seen["LayerNormalization", "float64"] == "wrong"
E2
