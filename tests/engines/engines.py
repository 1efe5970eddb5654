"""Runs the models of tests/interop/onnx_models.rs in engines, and prints how many are as they should be, and which are not.

    engines.py list DIR                      # writes DIR/onnx/models.json and raw inputs that engines outside of Python read
    engines.py run DIR ENGINE [COMMAND ...]  # one engine; COMMAND runs those outside of Python
    engines.py table DIR                     # the table of docs/onnx.md

An engine runs in its own process, model by model, at a batch of 1 and of 5: `same` is within 1e-5, `single` within 1e-3 (rounding of an
engine that computes otherwise), `refuses` an error, `wrong` anything else.
"""

import json
import os
import pathlib
import subprocess
import sys
import warnings

import numpy

warnings.filterwarnings("ignore")
TYPES = {"float32": "f32", "float64": "f64", "int64": "i64", "uint8": "u8"}


def cases(dir):
    """(path, [(inputs by name, outputs by name)]) of every model, for a batch of 1 and the last one of the file."""
    import onnx

    for path in sorted((dir / "onnx").glob("*.onnx")):
        graph = onnx.load(path).graph
        arrays = numpy.load(path.with_suffix(".npz"))
        last = max(int(name.rpartition("_")[2]) for name in arrays)
        runs = []
        for i in (0, last):
            ends = [{end.name: arrays[f"{end.name}_{i}"] for end in side} for side in (graph.input, graph.output)]
            runs.append(ends)
        yield path, runs


def write_list(dir):
    """What engines outside of Python read: the models with raw inputs beside them."""
    models = []
    for path, runs in cases(dir):
        own = []
        for i, (inputs, outputs) in enumerate(runs):
            given = []
            for k, (name, array) in enumerate(inputs.items()):
                file = dir / "onnx" / f"{path.stem}.{i}.{k}.in"
                numpy.ascontiguousarray(array).tofile(file)
                given.append({"name": name, "file": str(file), "dims": array.shape, "type": TYPES[str(array.dtype)]})
            own.append({"inputs": given, "outputs": list(outputs)})
        arrays = [array for ends in runs for side in ends for array in side.values()]
        is_f64 = any(array.dtype == numpy.float64 for array in arrays)
        models.append({"name": path.stem, "file": str(path), "runs": own, "is_f64": is_f64})
    (dir / "onnx" / "models.json").write_text(json.dumps(models))


class OnnxRuntime:
    def __init__(self, path):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def __call__(self, inputs, outputs):
        return self.session.run(outputs, inputs)


class Reference:
    def __init__(self, path):
        from onnx.reference import ReferenceEvaluator

        self.session = ReferenceEvaluator(str(path))

    def __call__(self, inputs, outputs):
        return self.session.run(outputs, inputs)


class OpenVino:
    def __init__(self, path):
        import openvino
        import openvino.properties.hint as hint

        # The default is bf16 on some processors.
        self.model = openvino.Core().compile_model(str(path), "CPU", {hint.execution_mode: hint.ExecutionMode.ACCURACY})

    def __call__(self, inputs, outputs):
        found = self.model(inputs)
        return [found[name] for name in outputs]


class OpenCv:
    def __init__(self, path):
        import cv2

        self.net = cv2.dnn.readNetFromONNX(str(path))

    def __call__(self, inputs, outputs):
        for name, array in inputs.items():
            self.net.setInput(array, name)
        return list(self.net.forward(outputs))


class TinyGrad:
    def __init__(self, path):
        self.path = path

    def __call__(self, inputs, outputs):
        # A runner keeps the sizes of its first inputs.
        from tinygrad import Tensor
        from tinygrad.nn.onnx import OnnxRunner

        found = OnnxRunner(str(self.path))({name: Tensor(array) for name, array in inputs.items()})
        return [found[name].numpy() for name in outputs]


PYTHON = {"onnxruntime": OnnxRuntime, "onnx.reference": Reference, "OpenVINO": OpenVino, "OpenCV": OpenCv, "tinygrad": TinyGrad}


def verdict(found, expected):
    if found.shape != expected.shape:
        # Some engines have no scalars.
        if found.size != expected.size or expected.size != 1:
            return "wrong", f"shape {found.shape}, not {expected.shape}"
        found = found.reshape(expected.shape)
    found, expected = found.astype(numpy.float64), expected.astype(numpy.float64)
    with numpy.errstate(invalid="ignore"):
        off = numpy.abs(found - expected) / numpy.maximum(1.0, numpy.abs(expected))
    off = numpy.where((found == expected) | (numpy.isnan(found) & numpy.isnan(expected)), 0.0, off)
    off = float(numpy.nan_to_num(off, nan=numpy.inf).max(initial=0.0))
    return ("same" if off <= 1e-5 else "single" if off <= 1e-3 else "wrong"), f"off by {off:.1e}"


ORDER = ["same", "single", "wrong", "refuses"]


def judged(expected, found):
    """The worst verdict of the outputs of one run."""
    if isinstance(found, str):
        return "refuses", found
    verdicts = [verdict(numpy.asarray(a), b) for a, b in zip(found, expected.values())]
    return max(verdicts, key=lambda pair: ORDER.index(pair[0]))


def one(engine, path, runs):
    """Runs one model in a Python engine."""
    try:
        model = engine(path)
    except Exception as error:
        return [text(error)] * len(runs)
    results = []
    for inputs, outputs in runs:
        try:
            results.append(model(inputs, list(outputs)))
        except Exception as error:
            results.append(text(error))
    return results


def text(error):
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines)[:160]}"


def outside(dir, command, names):
    """Runs models by a command, which writes a line of JSON for each run; where it ends, it is started again behind that model."""
    results, left = {name: [] for name in names}, list(names)
    while left:
        done = subprocess.run([*command, str(dir / "onnx" / "models.json"), *left], capture_output=True)
        for line in done.stdout.decode(errors="replace").splitlines():
            if line.startswith('{"'):
                run = json.loads(line)
                # Without the calls that some engines add.
                found = run.get("error", "").partition("\n")[0] or [numpy.array([float(x) for x in y["data"]]).reshape(y["dims"]) for y in run["outputs"]]
                results[run["name"]].append(found)
        begun = max((left.index(name) for name in left if results[name]), default=-1)
        end = begun + 1 if begun < 0 or len(results[left[begun]]) == 2 else begun
        for name in left[end : end + 1]:
            results[name] += [f"ended with {done.returncode}"] * (2 - len(results[name]))
        left = left[end + 1 :]
    return results


def run(dir, name, command):
    import multiprocessing

    table, models = {}, list(cases(dir))
    found = outside(dir, command, [path.stem for path, _ in models]) if command else {}
    for path, runs in models:
        if command:
            results = found[path.stem]
        else:
            # An engine that ends its process ends the one model.
            read, write = multiprocessing.Pipe(False)
            child = os.fork()
            if child == 0:
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
                write.send(one(PYTHON[name], path, runs))
                os._exit(0)
            write.close()
            try:
                results = read.recv() if read.poll(300) else ["no answer after 300 s"] * len(runs)
            except EOFError:
                results = ["the process ended"] * len(runs)
            subprocess.run(["kill", "-9", str(child)], capture_output=True)
            os.waitpid(child, 0)
        verdicts = [judged(expected, found) for (_, expected), found in zip(runs, results)]
        table[path.stem] = max(verdicts, key=lambda pair: ORDER.index(pair[0]))
    (dir / f"{name}.json").write_text(json.dumps(table, indent=1))
    counts = {kind: sum(found[0] == kind for found in table.values()) for kind in ORDER}
    print(f"{name}: {counts}")
    for model, (kind, why) in table.items():
        if kind in ("wrong", "refuses"):
            print(f"    {kind:8} {model}: {why}")


def print_table(dir):
    models = json.loads((dir / "onnx" / "models.json").read_text())
    narrow = [model["name"] for model in models if not model["is_f64"]]
    engines = sorted(dir.glob("*.json"))
    print(f"| engine | same | of {len(narrow)} in f32 | single precision | refuses | wrong |\n|---|---|---|---|---|---|")
    for path in engines:
        table = json.loads(path.read_text())
        counts = [sum(found[0] == kind for found in table.values()) for kind in ("same", "single", "refuses", "wrong")]
        counts.insert(1, sum(table[name][0] == "same" for name in narrow))
        print(f"| {path.stem} | " + " | ".join(map(str, counts)) + " |")


if __name__ == "__main__":
    task, dir = sys.argv[1], pathlib.Path(sys.argv[2])
    if task == "list":
        write_list(dir)
    elif task == "table":
        print_table(dir)
    else:
        run(dir, sys.argv[3], sys.argv[4:])
