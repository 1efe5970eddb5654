#!/usr/bin/env bash
# Question: what is 200 + 100 in uint8, and 100 + 100 in int8, in ONNX engines? (The standard allows both since opset 14.)
# Usual guess: 44 and -56, the low eight bits, as in numpy, C and PyTorch, in every engine that takes the type.
# Versions: onnx 1.23.2, onnxruntime 1.32.0, openvino 2026.4.1, tract 0.23.9, tinygrad 0.14.0, numpy 2.4.6.
# Behaviour: OpenVINO stops at the end of the range in Add, Sub and Mul: 255 and 127, and 10 - 20 is 0. All others give the low bits.
#   Its BitShift to the left keeps what is shifted out, and stops at 255, too.
# Output seen:
#     Add      uint8  right   44 onnxruntime 44 openvino 255 reference 44 opencv 44 tract 44 tinygrad 44
#     Sub      uint8  right  246 onnxruntime 246 openvino 0 reference 246 opencv 246 tract 246 tinygrad 246
#     Mul      uint8  right  144 onnxruntime 144 openvino 255 reference 144 opencv 144 tract 144 tinygrad 144
#     Add      int8   right  -56 onnxruntime -56 openvino 127 reference -56 opencv -56 tract -56 tinygrad -56
#     BitShift uint8  right  254 onnxruntime 254 openvino 255 reference 254 opencv 254 tract 254 tinygrad -
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
u = lambda *values: np.array(values, "u1")
rows = [
    ("Add", [u(200, 1), u(100, 2)], u(44, 3), {}), ("Sub", [u(10, 9), u(20, 2)], u(246, 7), {}), ("Mul", [u(20, 3), u(20, 5)], u(144, 15), {}),
    ("Add", [np.array([100, 1], "i1"), np.array([100, 2], "i1")], np.array([-56, 3], "i1"), {}),
    ("BitShift", [u(255, 1), u(1, 3)], u(254, 8), {"direction": "LEFT"}),
]
for op, arrays, right, attributes in rows:
    inputs = {f"x{i}": array for i, array in enumerate(arrays)}
    save([helper.make_node(op, list(inputs), ["y"], **attributes)], inputs, right, opset=18)
    values = {name: answer(run, inputs) for name, run in engines.items()}
    print(f"  {op:9}{right.dtype!s:6} right {right[0]:4}", *(f"{name} {'-' if y is None else y.ravel()[0]}" for name, y in values.items()))
    bad = [name for name, y in values.items() if y is not None and not np.array_equal(y.ravel(), right)]
    assert bad == ["openvino"], (op, bad)
E2
