import { calculate, make } from "./tealight.js";
import { latest, matrix, grey, pixels, remember } from "./page.js";

const SECTIONS = [
  ["sigmoid", "Sigmoid", "Any number becomes one between 0 and 1. Its slope s(1 − s) is largest at 0.", "1 2 3", ["s(x) = sigmoid x", "s′(x) = sigmoid_derivative x"]],
  ["softmax", "Softmax, in its steps", "The exponentials, their sums by row, and one divided by the other: each row becomes probabilities.", "9 2 5 0 0\n7 5 0 0 0", ["exp(x) = exp x", "sums = sum_keepdim exp(x) 1", "exp(x) / sums = div exp(x) sums", "softmax(x) = softmax x 1"]],
  ["normalize", "Rows of length 1", "Each row is divided by the root of the sum of its squares; a row of zeros stays.", "0 3 4\n1 6 4", ["squares := sqr x", "sums := sum_keepdim squares 1", "lengths = sqrt sums", "rows = normalize_rows x"]],
  ["losses", "L1 and L2", "How far a prediction (the first row) is from the truth (the second): the sum of the distances, and of their squares.", "0.9 0.2 0.1 0.4 0.9\n1 0 0 1 1", ["a := i x 0", "b := i x 1", "differences = sub a b", "L1 = l1 a b", "L2 = l2 a b"]],
  ["products", "Products", "The dot product of two rows is one number, the outer product a matrix, and * goes element by element.", "9 2 5\n9 2 2", ["a := i x 0", "b := i x 1", "dot = dot a b", "outer = outer a b", "a * b = mul a b"]],
  ["gradient", "A gradient through a graph", "x·s(x), summed: the graph below is what backward walks, with the derivative of each formula.", "1 2 3", ["p := parameter x", "s := sigmoid p", "products := mul s p", "Σx·s(x) = sum_all products", "gradient = grad Σx·s(x) p", "graph = graph Σx·s(x)"]],
  ["second", "A derivative of a derivative", "The gradient is recorded as well, so it has a gradient of its own.", "-1 0 1", ["p := parameter x", "s := sigmoid p", "y := sum_all s", "s′(x) = grad y p", "z := sum_all s′(x)", "s″(x) = grad z p"]],
  ["unroll", "A picture, unrolled", "A picture is a matrix of numbers; row after row they make one vector. A picture of your own is shrunk to 8 × 8 shades of grey first.", "0 0.4 0.8\n0.2 1 0.2\n0.8 0.4 0", ["image := unsqueeze x 2", "column := image_to_vector image", "vector = flatten column"]],
];

function wrong(output, message) {
  output.textContent = message;
  output.classList.add("wrong");
}

const form = document.querySelector("form");
const jobs = {};
for (const [name, title, text, numbers, lines] of SECTIONS) {
  const part = form.appendChild(document.createElement("section"));
  part.innerHTML = `<h2></h2><p></p><div class="halves"><label>Numbers <textarea rows="3" spellcheck="false"></textarea></label><pre aria-live="polite"></pre></div>`;
  part.querySelector("h2").textContent = title;
  part.querySelector("p").textContent = text;
  const [area, output] = [part.querySelector("textarea"), part.querySelector("pre")];
  Object.assign(area, { name, value: numbers });
  output.id = `${name}-steps`;
  let shown;
  // Of a file that is no picture: it stays until the numbers change.
  let refusal = {};
  if (name === "unroll") {
    part.querySelector("label").insertAdjacentHTML("afterend", `<div class="row"><canvas class="pixels" role="img" aria-label="The picture"></canvas><label>Picture <input type="file" accept="image/*"></label></div>`);
    shown = part.querySelector("canvas");
    part.querySelector("input").addEventListener("change", async ({ target }) => {
      const [file] = target.files;
      const picture = file && (await createImageBitmap(file, { resizeWidth: 8, resizeHeight: 8 }).catch(() => null));
      if (!file) return;
      refusal = picture ? {} : { numbers: area.value, message: `expected a picture, got ${file.name}` };
      if (!picture) return jobs[name]();
      const context = new OffscreenCanvas(8, 8).getContext("2d");
      context.drawImage(picture, 0, 0);
      const { data } = context.getImageData(0, 0, 8, 8);
      const light = Array.from({ length: 64 }, (_, i) => ((data[4 * i] + data[4 * i + 1] + data[4 * i + 2]) / 765).toFixed(2));
      area.value = Array.from({ length: 8 }, (_, row) => light.slice(8 * row, 8 * row + 8).join(" ")).join("\n");
      area.dispatchEvent(new Event("input", { bubbles: true }));
    });
  }
  jobs[name] = latest(async () => {
    try {
      if (area.value === refusal.numbers) throw new Error(refusal.message);
      const rows = matrix(area.value);
      if (shown && rows.length === rows[0].length) pixels(shown, rows.flat(), (x) => grey(1 - Math.min(1, Math.max(0, x))));
      if (lines.includes("b := i x 1") && rows.length !== 2) throw new Error(`${name}: expected two rows of numbers, one below the other, got ${rows.length} of them`);
      output.textContent = (await calculate({ x: rows }, lines)).text;
      output.classList.remove("wrong");
    } catch ({ message }) {
      wrong(output, message);
    }
  });
}

remember(form, (name) => (name ? jobs[name]?.() : Object.values(jobs).forEach((job) => job())));
Object.values(jobs).forEach((job) => job());

document.querySelector("#race").addEventListener("click", async () => {
  const length = Number(document.querySelector("#length").value);
  const race = await make("Race", length);
  const time = async (name) => 1000 * (await race.call("time", name, Math.ceil(1e7 / length)));
  const [loop, vector] = [await time("looped"), await time("vectorised")];
  await race.free();
  document.querySelector("#times").textContent =
    `The loop takes ${loop.toFixed(1)} µs, one call ${vector.toFixed(1)} µs: ${(loop / vector).toFixed(1)} times as fast.`;
});
