"""Checks the ONNX files of onnx_models.rs: that they are valid, and that onnxruntime computes what tealight does."""

import pathlib

import numpy
import onnx
import onnxruntime

TOLERANCE = 1e-5


def difference(found, expected):
    """The largest difference, absolute or relative, whichever is smaller."""
    if found.shape != expected.shape or found.dtype != expected.dtype:
        raise ValueError(f"expected {expected.dtype}{expected.shape}, got {found.dtype}{found.shape}")
    if found.size == 0:
        return 0.0
    found, expected = (numpy.atleast_1d(x).astype(numpy.float64) for x in (found, expected))
    if not numpy.array_equal(numpy.isnan(found), numpy.isnan(expected)):
        return float("inf")
    with numpy.errstate(invalid="ignore"):
        off = numpy.abs(found - expected) / numpy.maximum(1.0, numpy.abs(expected))
    off[(found == expected) | numpy.isnan(expected)] = 0.0
    return float(off.max())


def check_one(path):
    """The number of nodes and the worst difference of a model."""
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    [(domain, version)] = [(opset.domain, opset.version) for opset in model.opset_import]
    expected = 19 if any(node.op_type == "QuantizeLinear" for node in model.graph.node) else 17
    if (domain, version) != ("", expected):
        raise ValueError(f"expected opset {expected}, got {domain!r} {version}")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    given, results = ([end.name for end in ends] for ends in (session.get_inputs(), session.get_outputs()))
    arrays = numpy.load(path.with_suffix(".npz"))
    # NAME_0, NAME_1, … of each input and output.
    if {name.rpartition("_")[0] for name in arrays} != {*given, *results}:
        raise ValueError(f"expected the inputs and outputs of {sorted(arrays)}, got {given} and {results}")
    worst, count = 0.0, 0
    while f"{given[0]}_{count}" in arrays:
        found = session.run(results, {name: arrays[f"{name}_{count}"] for name in given})
        for name, array in zip(results, found):
            worst = max(worst, difference(array, arrays[f"{name}_{count}"]))
        count += 1
    if count < 3:
        raise ValueError(f"expected three batches or more, got {count}")
    return len(model.graph.node), worst


def check(dir):
    """Checks all models in `dir/onnx`, and raises if one is not as it should be."""
    paths = sorted((pathlib.Path(dir) / "onnx").glob("*.onnx"))
    if not paths:
        raise SystemExit(f"onnx: expected models in {dir}/onnx, got none")
    failed = []
    print(f"{'model':32} {'nodes':>6} {'worst difference':>18}")
    for path in paths:
        try:
            nodes, worst = check_one(path)
            print(f"{path.stem:32} {nodes:6} {worst:18.1e}")
            if not worst <= TOLERANCE:
                failed.append(f"{path.stem}: expected a difference of at most {TOLERANCE}, got {worst:.1e}")
        except Exception as error:  # whatever is wrong with one model, the others are looked at too
            text = str(error).strip().splitlines()
            failed.append(f"{path.stem}: {type(error).__name__}: {text[0] if text else error!r}")
            print(f"{path.stem:32} {'':6} {'failed':>18}")
    if failed:
        raise SystemExit("onnx: " + "\nonnx: ".join(failed))
    print(f"onnx: {len(paths)} models are as they should be")


if __name__ == "__main__":
    import sys

    check(sys.argv[1])
