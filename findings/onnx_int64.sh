#!/usr/bin/env bash
# Question: is arithmetic on int64 exact in ONNX engines, for numbers beyond 32 bits (times in nanoseconds, identifiers, byte counts)?
# Usual guess: yes, or the engine refuses int64.
# Versions: onnx 1.23.2, onnxruntime 1.32.0, openvino 2026.4.1, opencv-python-headless 5.0.0.93, tract 0.23.9, tinygrad 0.14.0, numpy 2.4.6.
# Behaviour: OpenVINO and OpenCV take int64 and give int64, and compute with the low 32 bits; OpenVINO's Cast from f32 stops at -2^31. tract adds exactly,
#   but its ReduceSum keeps 32 bits. None says so. onnxruntime, onnx's reference and tinygrad are exact here.
# Output seen (what is not listed is right or refused):
#     Add       openvino    int64 [8, 6], right: [1099511627784, 8589934598]
#     Add       opencv      int64 [8, 6], right: [1099511627784, 8589934598]
#     Mul       openvino    int64 [-2147483633, 6], right: [6442450959, 6]
#     Mul       opencv      int64 [-6442450929, 6], right: [6442450959, 6]
#     Div       openvino    int64 [0, 5], right: [157073089682, 0]
#     Div       opencv      int64 [0, 5], right: [157073089682, 0]
#     Less      openvino    bool [True, False], right: [False, True]
#     Less      opencv      bool [True, False], right: [False, True]
#     Neg       openvino    int64 [-1, -5], right: [-1099511627777, -5]
#     Neg       opencv      int64 [-1, -5], right: [-1099511627777, -5]
#     ReduceSum openvino    int64 [6], right: [1099511627782]
#     ReduceSum opencv      int64 [6], right: [1099511627782]
#     ReduceSum tract       int64 [6], right: [1099511627782]
#     ReduceMax openvino    int64 [5], right: [1099511627777]
#     ReduceMax opencv      int64 [5], right: [1099511627777]
#     Cast      openvino    int64 [-2147483648, 2], right: [3000000053248, 2]
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv v
v/bin/pip install -q --disable-pip-version-check onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1 opencv-python-headless==5.0.0.93 tract==0.23.9 tinygrad==0.14.0 numpy==2.4.6
v/bin/python - <<'E2'
import warnings
import cv2, numpy as np, onnx, onnxruntime, openvino, tract
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from tinygrad import Tensor
from tinygrad.nn.onnx import OnnxRunner

warnings.filterwarnings("ignore")
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

def run_onnxruntime(model, inputs):
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, inputs)[0]

def run_openvino(model, inputs):
    core = openvino.Core()
    return core.compile_model(core.read_model(model), "CPU", {"EXECUTION_MODE_HINT": "ACCURACY"})(list(inputs.values()))[0]

def run_reference(model, inputs):
    return ReferenceEvaluator(model).run(None, inputs)[0]

def run_opencv(model, inputs):
    net = cv2.dnn.readNetFromONNX(model)
    for name, array in inputs.items():
        net.setInput(array, name)
    return net.forward()

def run_tract(model, inputs):
    return tract.onnx().load(model).into_model().into_runnable().run(list(inputs.values()))[0].to_numpy()

def run_tinygrad(model, inputs):
    outputs = OnnxRunner(model)({name: Tensor(array) for name, array in inputs.items()})
    return next(iter(outputs.values())).numpy()

def kind(array):
    return helper.np_dtype_to_tensor_dtype(array.dtype)

def save(nodes, inputs, like, held={}, opset=21):
    """A model of these nodes, from the arrays by name to one output y."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, kind(array), array.shape) for name, array in inputs.items()],
        [helper.make_tensor_value_info("y", kind(like), like.shape)],
        [numpy_helper.from_array(array, name) for name, array in held.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, "model.onnx")

def answer(run, inputs):
    """What an engine says of the saved model; None where it refuses it."""
    try:
        return np.asarray(run("model.onnx", inputs))
    except Exception:
        return None

engines = {"onnxruntime": run_onnxruntime, "openvino": run_openvino, "reference": run_reference, "opencv": run_opencv, "tract": run_tract, "tinygrad": run_tinygrad}
a, b = np.array([2**40 + 1, 5]), np.array([7, 2**33 + 1])
rows = [
    ("Add", [a, b], a + b, {}), ("Mul", [np.array([2**31 + 5, 2]), np.array([3, 3])], np.array([3 * 2**31 + 15, 6]), {}), ("Div", [a, b], a // b, {}),
    ("Less", [a, b], a < b, {}), ("Neg", [a], -a, {}), ("Sign", [a], np.sign(a), {}), ("ReduceSum", [a], a.sum(keepdims=True), {}),
    ("ReduceMax", [a], a.max(keepdims=True), {}), ("Cast", [np.array([3e12, 2.7], "f4")], np.array([3000000053248, 2]), {"to": TensorProto.INT64}),
]
bad = {}
for op, arrays, right, attributes in rows:
    inputs = {f"x{i}": array for i, array in enumerate(arrays)}
    save([helper.make_node(op, list(inputs), ["y"], **attributes)], inputs, right, opset=18)
    for name, run in engines.items():
        y = answer(run, inputs)
        if y is not None and not np.array_equal(y.ravel().astype(right.dtype), right):
            bad.setdefault(name, []).append(op)
            print(f"  {op:10}{name:12}{y.dtype} {y.ravel().tolist()}, right: {right.tolist()}")
print(bad)
assert sorted(bad) == ["opencv", "openvino", "tract"] and bad["tract"] == ["ReduceSum"], bad
assert {"Add", "Mul", "Div", "Less", "Neg", "ReduceSum", "ReduceMax"} <= set(bad["openvino"]) & set(bad["opencv"]), bad
E2
