// What the pages share: the links between them, the state in the address, and drawings.

const PAGES = [["formula", "A formula is written once"], ["notebook", "The notebook, alive"], ["digits", "Digits"], ["network", "A network"]];

const here = location.pathname.split("/").pop();
const nav = document.querySelector('nav[aria-label="Pages"]');
for (const [file, title] of [["index", "tealight"], ...PAGES]) {
  const link = Object.assign(document.createElement("a"), { href: `${file}.html`, textContent: title });
  if (here === `${file}.html` || (file === "index" && here === "")) link.setAttribute("aria-current", "page");
  // The book draws with this module, and has its own links.
  nav?.append(link);
}

/** Keeps the named fields of a form in the address, and takes them from there; `changed` is told of each change. */
export function remember(form, changed) {
  const fields = () => [...form.elements].filter((field) => field.name);
  const read = () => {
    const state = new URLSearchParams(location.hash.slice(1));
    for (const field of fields()) if (state.has(field.name)) field.value = state.get(field.name);
  };
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => {
    history.replaceState(null, "", `#${new URLSearchParams(fields().map((field) => [field.name, field.value]))}`);
    changed(event.target.name);
  });
  addEventListener("hashchange", () => (read(), changed("")));
  read();
}

/** The numbers of a text, in rows. */
export function matrix(text) {
  const rows = text.split(/[\n;]/).map((row) => row.split(/[\s,]+/).filter(Boolean)).filter((row) => row.length);
  if (!rows.length) throw new Error("expected numbers, got none");
  rows.forEach((row, i) => {
    const wrong = row.find((word) => !Number.isFinite(Number(word)));
    if (wrong) throw new Error(`expected a number, got "${wrong}" in row ${i + 1}`);
    if (row.length !== rows[0].length) throw new Error(`expected rows of one length, got ${rows[0].length} numbers in row 1 and ${row.length} in row ${i + 1}`);
  });
  return rows.map((row) => row.map(Number));
}

export const color = (name) => {
  // A canvas takes no light-dark(): the computed colour of an element is one colour.
  const probe = document.body.appendChild(Object.assign(document.createElement("i"), { hidden: true }));
  probe.style.color = `var(--${name})`;
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
};

function sharp(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const scale = devicePixelRatio || 1;
  [canvas.width, canvas.height] = [Math.max(1, width * scale), Math.max(1, height * scale)];
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  return [context, width, height];
}

/** Curves over x: `series` is a list of [name of colour, numbers]. */
export function plot(canvas, x, series, { low, high } = {}) {
  const [context, width, height] = sharp(canvas);
  const finite = series.flatMap(([, y]) => [...y]).filter(Number.isFinite).sort((a, b) => a - b);
  // The few largest numbers of a steep curve would make all others flat.
  const at = (share) => finite[Math.min(finite.length - 1, Math.floor(share * finite.length))] ?? 0;
  let [bottom, top] = [low ?? Math.min(0, at(0.01)), high ?? Math.max(0, at(0.99))];
  if (bottom === top) [bottom, top] = [bottom - 1, top + 1];
  const margin = (top - bottom) * 0.06;
  [bottom, top] = [bottom - margin, top + margin];
  const first = x[0], last = x[x.length - 1] === first ? first + 1 : x[x.length - 1];
  // Room for half of the last number.
  const right = width - 18;
  const px = (value) => 44 + ((value - first) / (last - first)) * (right - 44);
  const py = (value) => height - 22 - ((value - bottom) / (top - bottom)) * (height - 30);
  context.font = "12px system-ui, sans-serif";
  context.fillStyle = color("quiet");
  context.strokeStyle = color("line");
  const step = (range) => {
    const power = 10 ** Math.floor(Math.log10(range / 4));
    return [1, 2, 5, 10].map((n) => n * power).find((n) => range / n <= 6);
  };
  const label = (value, step) => value.toFixed(Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
  const [dx, dy] = [step(last - first), step(top - bottom)];
  context.beginPath();
  context.textAlign = "center";
  for (let value = Math.ceil(first / dx) * dx; value <= last; value += dx) {
    context.moveTo(px(value), 8);
    context.lineTo(px(value), height - 22);
    context.fillText(label(value, dx), px(value), height - 6);
  }
  context.textAlign = "right";
  for (let value = Math.ceil(bottom / dy) * dy; value <= top; value += dy) {
    context.moveTo(44, py(value));
    context.lineTo(right, py(value));
    context.fillText(label(value, dy), 38, py(value) + 4);
  }
  context.stroke();
  context.save();
  context.beginPath();
  context.rect(44, 4, right - 43, height - 24);
  context.clip();
  context.lineWidth = 2;
  for (const [name, y] of series) {
    context.strokeStyle = color(name);
    context.beginPath();
    let drawn = false;
    for (let i = 0; i < x.length; i++) {
      if (Number.isFinite(y[i])) context[drawn ? "lineTo" : "moveTo"](px(x[i]), py(y[i]));
      drawn = Number.isFinite(y[i]);
    }
    context.stroke();
  }
  context.restore();
}

/** A square picture of numbers, `paint` makes each red, green and blue. */
export function pixels(canvas, numbers, paint) {
  const side = Math.round(Math.sqrt(numbers.length));
  [canvas.width, canvas.height] = [side, side];
  const context = canvas.getContext("2d");
  const image = context.createImageData(side, side);
  numbers.forEach((number, i) => image.data.set([...paint(number), 255], 4 * i));
  context.putImageData(image, 0, 0);
}

/** Between blue (−1), white (0) and orange (1). */
export function diverging(value) {
  const share = Math.min(1, Math.abs(value));
  const end = value < 0 ? [40, 90, 200] : [225, 95, 0];
  return end.map((channel) => Math.round(250 + (channel - 250) * share));
}

export const grey = (ink) => Array(3).fill(Math.round(255 * (1 - ink)));

/** Runs `job` again once it has ended, if it was asked for in between: never twice at a time. */
export function latest(job) {
  let [running, again] = [false, false];
  return async function run() {
    if (running) return (again = true);
    running = true;
    do {
      again = false;
      await job();
    } while (again);
    running = false;
  };
}

/** Draws again when the page gets another width, or the system other colours. */
export function redraw(draw) {
  addEventListener("resize", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
}
