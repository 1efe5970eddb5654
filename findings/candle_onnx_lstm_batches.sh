#!/usr/bin/env bash
# Question: does candle-onnx compute the outputs of an ONNX LSTM for a batch of several sequences as onnxruntime does?
# Usual guess: yes, to rounding; the batch is the middle axis of Y (steps, directions, batch, hidden), and a wrong order of axes would show
#   with the first model that anyone tries. What an engine cannot do it refuses.
# Versions: candle-core and candle-onnx 0.11.1, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6. Needs protoc.
# Behaviour: with one sequence or one step, yes. With several of both, Y has the right shape and each right number, but in the
#   order (batch, steps, hidden): each output is that of another step of another sequence. Nothing is said. Y_h and Y_c, the last states,
#   are right, so a model that uses these alone is served well, and one that was tried with a batch of 1 changes with the batch.
# Output seen (largest difference from onnxruntime):
#   steps batch  Y        Y in the order (batch, steps)  Y_h
#   4     1      8.9e-08  8.9e-08                        8.9e-08
#   1     3      3.9e-08  3.9e-08                        3.9e-08
#   4     3      9.4e-01  1.8e-07                        1.8e-07
#   5     5      1.1e+00  1.8e-07                        1.8e-07
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
export CARGO_TARGET_DIR="$T/target"
python3 -m venv v
v/bin/pip install -q --disable-pip-version-check onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
mkdir src
printf '[package]\nname="r"\nversion="0.0.0"\nedition="2021"\n[dependencies]\ncandle-core="=0.11.1"\ncandle-onnx="=0.11.1"\n[profile.dev]\ndebug=false\n' >Cargo.toml
cat >src/main.rs <<'E2'
use std::collections::HashMap;

use candle_core::{Device, Result, Tensor};

/// model steps batch: reads the inputs from the file `x`, writes the outputs one after the other to the file `out`.
fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let dims = [args[2].parse().unwrap(), args[3].parse().unwrap(), 3];
    let bytes = std::fs::read("x").unwrap();
    let x = bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    let inputs = HashMap::from([("x".to_string(), Tensor::from_vec(x, &dims[..], &Device::Cpu)?)]);
    let found = candle_onnx::simple_eval(&candle_onnx::read_file(&args[1])?, inputs)?;
    let mut out = Vec::new();
    for name in ["Y", "Y_h"] {
        println!("{name} {:?}", found[name].dims());
        out.extend(found[name].flatten_all()?.to_vec1::<f32>()?.into_iter().flat_map(f32::to_le_bytes));
    }
    std::fs::write("out", out).unwrap();
    Ok(())
}
E2
cargo build -q
v/bin/python - <<'E2'
import subprocess
import numpy as np, onnx, onnxruntime
from onnx import TensorProto, helper, numpy_helper

H, I = 5, 3
random = np.random.default_rng(0)
weights = [random.standard_normal(shape).astype(np.float32) for shape in ((1, 4 * H, I), (1, 4 * H, H), (1, 8 * H))]
print("steps batch  Y        Y in the order (batch, steps)  Y_h")
for steps, batch in ((4, 1), (1, 3), (4, 3), (5, 5)):
    node = helper.make_node("LSTM", ["x", "W", "R", "B"], ["Y", "Y_h"], hidden_size=H)
    shapes = {"x": (steps, batch, I), "Y": (steps, 1, batch, H), "Y_h": (1, batch, H)}
    info = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()}
    constants = [numpy_helper.from_array(w, name) for w, name in zip(weights, "WRB")]
    graph = helper.make_graph([node], "g", [info["x"]], [info["Y"], info["Y_h"]], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, "m.onnx")
    x = random.standard_normal((steps, batch, I)).astype(np.float32)
    x.tofile("x")
    Y, Y_h = onnxruntime.InferenceSession("m.onnx", providers=["CPUExecutionProvider"]).run(None, {"x": x})
    said = subprocess.run(["target/debug/r", "m.onnx", str(steps), str(batch)], check=True, capture_output=True, text=True).stdout
    assert said.splitlines() == [f"Y {list(Y.shape)}", f"Y_h {list(Y_h.shape)}"], said
    out = np.fromfile("out", np.float32)
    found, last = out[: Y.size], out[Y.size :]
    far = lambda a, b: np.abs(a.ravel() - b.ravel()).max()
    turned = Y[:, 0].transpose(1, 0, 2)
    print(f"{steps:<6}{batch:<7}{far(found, Y):.1e}  {far(found, turned):.1e}                        {far(last, Y_h):.1e}")
    assert far(found, turned) < 1e-6 and far(last, Y_h) < 1e-6
    assert (far(found, Y) > 0.1) == (steps > 1 and batch > 1)
E2
