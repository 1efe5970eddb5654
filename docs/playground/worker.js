// tealight runs here, so that the page never waits for it. One message is one call; objects stay here, and have numbers.

// A function with an instruction of relaxed SIMD: a browser that knows it takes the faster build.
const relaxed = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11]);
const asked = new URL(self.location).searchParams.get("simd");
const build = asked === "simd128" || !WebAssembly.validate(relaxed) ? "simd128" : "relaxed";
const loaded = import(`./build/${build}/tealight_wasm.js`).then(async (tealight) => {
  await tealight.default({ module_or_path: new URL(`build/${build}/tealight_wasm_bg.wasm`, import.meta.url) });
  return tealight;
});

const objects = new Map();
let last = 0;

/** What can be sent: the fields of an object of Rust's. */
function plain(value) {
  if (!value || typeof value !== "object" || !("free" in value)) return value;
  const fields = Object.entries(Object.getOwnPropertyDescriptors(Object.getPrototypeOf(value))).filter(([, field]) => field.get);
  const copy = Object.fromEntries(fields.map(([name]) => [name, value[name]]));
  value.free();
  return copy;
}

/** The shortest of five means of `runs` calls, in milliseconds. */
function time(object, name, runs) {
  const means = Array.from({ length: 5 }, () => {
    const start = performance.now();
    for (let i = 0; i < runs; i++) object[name]();
    return (performance.now() - start) / runs;
  });
  return Math.min(...means);
}

function answer(tealight, { make, object, call, args }) {
  if (make) {
    objects.set(++last, new tealight[make](...args));
    return last;
  }
  if (call === "free") {
    objects.get(object).free();
    return objects.delete(object);
  }
  if (call === "time") return time(objects.get(object), ...args);
  return plain(object ? objects.get(object)[call](...args) : tealight[call](...args));
}

self.onmessage = async ({ data }) => {
  try {
    self.postMessage({ id: data.id, result: answer(await loaded, data) });
  } catch (error) {
    self.postMessage({ id: data.id, error: error.message ?? String(error) });
  }
};
