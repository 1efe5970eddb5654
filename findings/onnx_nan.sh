#!/usr/bin/env bash
# Question: does a NaN in the data reach the answer of an ONNX model, through Relu, Max, ReduceMax and MaxPool?
# Usual guess: yes, as in numpy and PyTorch, so that a sensor that failed or a network that diverged can be seen in the output.
# Versions: onnx 1.23.2, onnxruntime 1.32.0, openvino 2026.4.1, opencv-python-headless 5.0.0.93, tract 0.23.9, tinygrad 0.14.0, numpy 2.4.6.
# Behaviour: Relu(NaN) is 0 in OpenVINO, tract and tinygrad, so that one Relu hides it. Max(NaN, 0) and Max(0, NaN) differ in four engines, with the order
#   of the arguments. ReduceMax drops a NaN everywhere but in onnx's reference; onnxruntime and tinygrad keep it if it comes first. A pool of two drops it
#   everywhere but in OpenCV, the reference included. The standard says nothing of NaN in these.
# Output seen:
#                          onnxruntime    openvino   reference      opencv       tract    tinygrad
#   Relu(NaN)                      nan         0.0         nan         nan         0.0         0.0
#   Max(NaN, 0)                    nan         0.0         nan         nan         0.0         nan
#   Max(0, NaN)                    nan         nan         nan         0.0         0.0         0.0
#   ReduceMax(NaN, 1, 2)           nan         2.0         nan         2.0         2.0         nan
#   ReduceMax(1, NaN, 2)           2.0         2.0         nan         2.0         2.0         2.0
#   MaxPool of 1, NaN              1.0         1.0         1.0         nan         1.0         1.0
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
f = lambda *values: np.array(values, "f4")
nan, node = np.nan, helper.make_node
rows = [
    ("Relu(NaN)", "Relu", [f(nan, 1)], f(0, 0), {}), ("Max(NaN, 0)", "Max", [f(nan, 1), f(0, 0)], f(0, 0), {}), ("Max(0, NaN)", "Max", [f(0, 0), f(nan, 1)], f(0, 0), {}),
    ("ReduceMax(NaN, 1, 2)", "ReduceMax", [f(nan, 1, 2)], f(0), {}), ("ReduceMax(1, NaN, 2)", "ReduceMax", [f(1, nan, 2)], f(0), {}),
    ("MaxPool of 1, NaN", "MaxPool", [f(1, nan, 2, 3).reshape(1, 1, 4)], f(0, 0).reshape(1, 1, 2), {"kernel_shape": [2], "strides": [2]}),
]
print(f"{'':22}", " ".join(f"{name:>11}" for name in engines))
hidden = {}
for title, op, arrays, like, attributes in rows:
    inputs = {f"x{i}": array for i, array in enumerate(arrays)}
    save([node(op, list(inputs), ["y"], **attributes)], inputs, like, opset=18)
    values = {name: answer(run, inputs) for name, run in engines.items()}
    print(f"{title:22}", " ".join(f"{'-' if y is None else str(y.ravel()[0]):>11}" for y in values.values()))
    hidden[title] = [name for name, y in values.items() if y is not None and not np.isnan(y.ravel()[0])]
assert hidden == {
    "Relu(NaN)": ["openvino", "tract", "tinygrad"],
    "Max(NaN, 0)": ["openvino", "tract"],
    "Max(0, NaN)": ["opencv", "tract", "tinygrad"],
    "ReduceMax(NaN, 1, 2)": ["openvino", "opencv", "tract"],
    "ReduceMax(1, NaN, 2)": ["onnxruntime", "openvino", "opencv", "tract", "tinygrad"],
    "MaxPool of 1, NaN": ["onnxruntime", "openvino", "reference", "tract", "tinygrad"],
}, hidden
E2
