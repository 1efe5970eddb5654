#!/usr/bin/env bash
# Question: do ONNX engines give a finite ReduceLogSumExp of numbers like 1000, LogSoftmax of scores that are 250 apart, and Softplus(100)?
# Usual guess: yes; that is what these operators are there for, since each can be written with Exp and Log, where it overflows.
# Versions: onnx 1.23.2, onnxruntime 1.32.0, openvino 2026.4.1, opencv-python-headless 5.0.0.93, tract 0.23.9, tinygrad 0.14.0, numpy 2.4.6.
# Behaviour: the log of the sum of exponentials is just that in OpenCV, tract and tinygrad: infinite from 89 on, minus infinity below -104.
#   LogSoftmax is the log of Softmax in onnx's reference, OpenCV and tract: minus infinity where the probability is no f32. OpenCV and tract have
#   Softplus as log(1 + e^x), infinite from 89 on. onnxruntime and OpenVINO are right in all rows.
# Output seen (f32):
#                                         right onnxruntime    openvino   reference      opencv       tract    tinygrad
#   ReduceLogSumExp of 1000, 1000     1000.6931   1000.6932   1000.6932   1000.6932         inf         inf         inf
#   ReduceLogSumExp of -1000, -1000   -999.3069   -999.3068   -999.3068   -999.3068        -inf        -inf        -inf
#   LogSoftmax of -200, 50, first     -250.0000   -250.0000   -250.0000        -inf        -inf        -inf   -250.0000
#   Softplus of 100                    100.0000    100.0000    100.0000    100.0000         inf         inf    100.0000
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
node, one = helper.make_node, np.array([1])
rows = [
    ("ReduceLogSumExp of 1000, 1000", [node("ReduceLogSumExp", ["x", "axes"], ["y"])], [1000, 1000], 1000 + np.log(2)),
    ("ReduceLogSumExp of -1000, -1000", [node("ReduceLogSumExp", ["x", "axes"], ["y"])], [-1000, -1000], -1000 + np.log(2)),
    ("LogSoftmax of -200, 50, first", [node("LogSoftmax", ["x"], ["y"])], [-200, 50], -250.0),
    ("Softplus of 100", [node("Softplus", ["x"], ["y"])], [100, 0], 100.0),
]
print(f"{'':32}{'right':>11}", " ".join(f"{name:>11}" for name in engines))
bad = set()
for name, nodes, x, right in rows:
    x = np.array([x], "f4")
    reduces = name.startswith("Reduce")
    save(nodes, {"x": x}, np.zeros((1, 1 if reduces else 2), "f4"), {"axes": one} if reduces else {})
    values = {engine: answer(run, {"x": x}).ravel()[0] for engine, run in engines.items()}
    bad |= {(name.split()[0], engine) for engine, y in values.items() if not abs(y - right) < 1e-3}
    print(f"{name:32}{right:11.4f}", " ".join(f"{y:11.4f}" for y in values.values()))
assert bad == {
    ("ReduceLogSumExp", "opencv"), ("ReduceLogSumExp", "tract"), ("ReduceLogSumExp", "tinygrad"),
    ("LogSoftmax", "reference"), ("LogSoftmax", "opencv"), ("LogSoftmax", "tract"), ("Softplus", "opencv"), ("Softplus", "tract"),
}, bad
E2
