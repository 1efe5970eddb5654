"""Times of a step and of an answer in Chromium, in turns with native ones: speed.py PLACE NATIVE, with packages and builds in PLACE."""

import functools
import http.server
import pathlib
import shutil
import statistics
import subprocess
import sys
import threading

from playwright.sync_api import sync_playwright

PLACE, NATIVE = map(pathlib.Path, sys.argv[1:])
ROUNDS, BATCH = 100, 64

PAGE = """<!doctype html>
<script src="node_modules/@tensorflow/tfjs/dist/tf.min.js"></script>
<script src="node_modules/@tensorflow/tfjs-backend-wasm/dist/tf-backend-wasm.min.js"></script>
<script src="node_modules/onnxruntime-web/dist/ort.wasm.min.js"></script>
<script type="module">
const pixels = Float32Array.from({ length: BATCH * 64 }, (_, i) => ((i * 7919) % 17) / 16);
const labels = Uint32Array.from({ length: BATCH }, (_, i) => (i * 7) % 10);

const tealight = {};
for (const build of ["simd128", "relaxed"]) {
  const module = await import(`./${build}/tealight_wasm.js`);
  await module.default({ module_or_path: `${build}/tealight_wasm_bg.wasm` });
  tealight[build] = new module.Mlp(pixels, labels);
}

tf.wasm.setWasmPaths("node_modules/@tensorflow/tfjs-backend-wasm/dist/");
tf.wasm.setThreadsCount(1);
await tf.setBackend("wasm");
const parameters = tealight.simd128.parameters();
const part = (from, ...shape) => tf.variable(tf.tensor(parameters.slice(from, from + shape.reduce((a, b) => a * b)), shape));
const [w1, b1, w2, b2] = [part(0, 128, 64), part(8192, 128), part(8320, 10, 128), part(9600, 10)];
const [x, y] = [tf.tensor(pixels, [BATCH, 64]), tf.oneHot(tf.tensor1d([...labels], "int32"), 10)];
const scores = () => x.matMul(w1, false, true).add(b1).relu().matMul(w2, false, true).add(b2);
const optimizer = tf.train.sgd(0.1);
const step = () => optimizer.minimize(() => tf.losses.softmaxCrossEntropy(y, scores()), true);

ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create("mlp.onnx", { executionProviders: ["wasm"] });

/** Each job, called so often, and its last result. */
const jobs = {
  "answer, tealight, relaxed SIMD": (n) => tealight.relaxed.answer(n)[0],
  "answer, tealight, simd128": (n) => tealight.simd128.answer(n)[0],
  "answer, TensorFlow.js": async (n) => {
    let last;
    for (let i = 0; i < n; i++) {
      const result = tf.tidy(scores);
      last = (await result.data())[0];
      result.dispose();
    }
    return last;
  },
  "answer, onnxruntime-web": async (n) => {
    let last;
    for (let i = 0; i < n; i++) last = (await session.run({ input: new ort.Tensor("float32", pixels, [BATCH, 64]) })).output.data[0];
    return last;
  },
  "step, tealight, relaxed SIMD": (n) => tealight.relaxed.train(n),
  "step, tealight, simd128": (n) => tealight.simd128.train(n),
  "step, TensorFlow.js": async (n) => {
    let loss;
    for (let i = 0; i < n; i++) {
      loss?.dispose();
      loss = step();
    }
    return (await loss.data())[0];
  },
};
window.round = async () => {
  const times = {};
  for (const [name, job] of Object.entries(jobs)) {
    const start = performance.now();
    const result = await job(100);
    times[name] = [10 * (performance.now() - start), result];
  }
  return times;
};
window.ready = tf.getBackend();
</script>
""".replace("BATCH", str(BATCH))


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def main():
    (PLACE / "index.html").write_text(PAGE)
    native = subprocess.Popen([NATIVE, str(BATCH), PLACE / "mlp.onnx"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def natively():
        native.stdin.write("\n")
        rows = iter(native.stdout.readline, "\n")
        return {name: (float(took), float(result)) for name, took, result in (row.split("\t") for row in rows)}

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=PLACE))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.on("pageerror", lambda error: print(error))
        rounds = [natively()]  # which also writes the file
        page.goto(f"http://127.0.0.1:{server.server_port}/index.html")
        page.wait_for_function("window.ready")
        assert page.evaluate("ready") == "wasm"
        rounds[0] |= page.evaluate("round()")
        rounds += [natively() | page.evaluate("round()") for _ in range(1, ROUNDS)]
        browser.close()
    native.stdin.close()
    print("| job | fastest, µs | median, µs | result |\n|---|---|---|---|")
    for name, (_, first) in rounds[0].items():
        # All compute the same: the answers before, and the loss after the same steps.
        expected = rounds[0][name.split(",")[0] + ", native"][1]
        assert abs(first - expected) < 1e-3 * abs(expected), (name, first, expected)
        times = [times[name][0] for times in rounds]
        print(f"| {name} | {min(times):.1f} | {statistics.median(times):.1f} | {first:.6f} |")


main()
