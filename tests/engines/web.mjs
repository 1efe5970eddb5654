// Models in onnxruntime-web: node web.mjs models.json NAME ...
import fs from "node:fs";
import * as ort from "onnxruntime-web";

ort.env.logLevel = "fatal";
ort.env.wasm.numThreads = 1;
const TYPES = {
  f32: ["float32", Float32Array], f64: ["float64", Float64Array], i64: ["int64", BigInt64Array], u8: ["uint8", Uint8Array],
};
const [list, ...names] = process.argv.slice(2);
for (const model of JSON.parse(fs.readFileSync(list)).filter((model) => names.includes(model.name))) {
  const name = model.name;
  for (const run of model.runs) {
    try {
      const session = await ort.InferenceSession.create(new Uint8Array(fs.readFileSync(model.file)));
      const inputs = {};
      for (const { name, file, dims, type } of run.inputs) {
        const bytes = new Uint8Array(fs.readFileSync(file));
        inputs[name] = new ort.Tensor(TYPES[type][0], new TYPES[type][1](bytes.buffer), dims);
      }
      const found = await session.run(inputs);
      const outputs = run.outputs.map((name) => ({ dims: found[name].dims, data: Array.from(found[name].data, String) }));
      console.log(JSON.stringify({ name, outputs }));
      await session.release();
    } catch (error) {
      console.log(JSON.stringify({ name, error: String(error.message ?? error) || "an error" }));
    }
  }
}
