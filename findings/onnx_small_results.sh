#!/usr/bin/env bash
# Question: how many digits of Sigmoid, Softplus, Erf, Elu and Tanh are right in ONNX engines where the result is small?
# Usual guess: six or seven everywhere, as in a math library; 1/(1 + e^-x) as it stands has them down to 1e-38.
# Versions: onnx 1.23.2, onnxruntime 1.32.0, openvino 2026.4.1, opencv-python-headless 5.0.0.93, tract 0.23.9, tinygrad 0.14.0, numpy 2.4.6.
# Behaviour: none from some place on, which differs by engine. The probability Sigmoid(-20) = 2.1e-9 is 0 in onnxruntime and 4.5e-7 in tract, and these
#   are the answers for all scores below: an order by probability ends there, and so does its logarithm. Softplus(-20) is 0 in tract and tinygrad, and 1.9e-6 in OpenVINO.
#   Erf(1e-8) is 0 in OpenVINO, tract and tinygrad; Elu(-1e-8) is 0 everywhere but in onnx's reference, since it is e^x - 1; Tanh(1e-8) is 0 in tinygrad.
# Output seen (relative error; 1 is a result of 0):
#                      onnxruntime    openvino   reference      opencv       tract    tinygrad
#   Sigmoid         -5       1e-05       6e-08       6e-08       6e-09       1e-05       6e-09
#   Sigmoid        -10       2e-04       7e-08       2e-07       7e-08       2e-04       1e-08
#   Sigmoid        -15       2e-01       2e-08       7e-08       2e-08       5e-01       7e-07
#   Sigmoid        -20       1e+00       7e-08       4e-08       4e-08       2e+02       7e-08
#   Sigmoid        -40       1e+00       7e-08       3e-08       3e-08       1e+11       1e-07
#   Softplus        -5       6e-08       8e-06       5e-09       5e-09       6e-08       6e-08
#   Softplus       -10       3e-08       1e-02       5e-08       5e-08       4e-04       4e-04
#   Softplus       -15       1e-07       1e+00       4e-08       4e-08       2e-01       2e-01
#   Softplus       -20       3e-08       9e+02       3e-08       3e-08       1e+00       1e+00
#   Softplus       -40       3e-08       1e+00       3e-08       3e-08       1e+00       1e+00
#   Erf           0.01       6e-09       8e-07       6e-09       6e-09       9e-05       1e-05
#   Erf         0.0001       2e-08       4e-04       2e-08       2e-08       3e-03       5e-04
#   Erf          1e-06       9e-09       6e-02       9e-09       9e-09       7e-01       6e-02
#   Erf          1e-08       7e-09       1e+00       7e-09       7e-09       1e+00       1e+00
#   Elu          -0.01       5e-07       5e-07       1e-07       5e-07       5e-07       5e-07
#   Elu        -0.0001       2e-04       2e-04       1e-08       2e-04       2e-04       2e-04
#   Elu         -1e-06       1e-02       1e-02       5e-08       1e-02       1e-02       1e-02
#   Elu         -1e-08       1e+00       1e+00       5e-09       1e+00       1e+00       1e+00
#   Tanh          0.01       1e-07       9e-09       9e-09       9e-09       1e-07       9e-06
#   Tanh        0.0001       1e-07       3e-09       3e-09       8e-08       1e-07       2e-04
#   Tanh         1e-06       1e-07       3e-13       3e-13       3e-13       1e-07       7e-02
#   Tanh         1e-08       9e-08       0e+00       0e+00       0e+00       9e-08       1e+00
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

import math

engines = {"onnxruntime": run_onnxruntime, "openvino": run_openvino, "reference": run_reference, "opencv": run_opencv, "tract": run_tract, "tinygrad": run_tinygrad}
rows = [
    ("Sigmoid", lambda x: 1 / (1 + math.exp(-x)), (-5, -10, -15, -20, -40)), ("Softplus", lambda x: math.log1p(math.exp(x)), (-5, -10, -15, -20, -40)),
    ("Erf", math.erf, (1e-2, 1e-4, 1e-6, 1e-8)), ("Elu", math.expm1, (-1e-2, -1e-4, -1e-6, -1e-8)), ("Tanh", math.tanh, (1e-2, 1e-4, 1e-6, 1e-8)),
]
print(f"{'':18}", " ".join(f"{name:>11}" for name in engines))
lost = {}
for op, f, points in rows:
    x = np.array([points], "f4")
    save([helper.make_node(op, ["x"], ["y"])], {"x": x}, x)
    errors = {name: [abs(float(y) / f(float(x)) - 1) for x, y in zip(x[0], answer(run, {"x": x}).ravel())] for name, run in engines.items()}
    for i, point in enumerate(points):
        print(f"{op:9}{point:9}", " ".join(f"{error[i]:11.0e}" for error in errors.values()))
    lost[op] = [name for name, error in errors.items() if max(error) > 0.1]
assert lost == {
    "Sigmoid": ["onnxruntime", "tract"], "Softplus": ["openvino", "tract", "tinygrad"], "Erf": ["openvino", "tract", "tinygrad"],
    "Elu": ["onnxruntime", "openvino", "opencv", "tract", "tinygrad"], "Tanh": ["tinygrad"],
}, lost
E2
