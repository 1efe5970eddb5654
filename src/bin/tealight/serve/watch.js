// Shows a training while it runs: asks for its state again and again.
"use strict";

const EVERY = 500; // milliseconds
const SVG = "http://www.w3.org/2000/svg";

function draw(tag, attributes, text) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

const short = (x) => (x === null || x === undefined ? "–" : Number(x.toPrecision(4)).toString());
const time = (s) => (s < 90 ? `${Math.ceil(s)} s` : s < 5400 ? `${Math.round(s / 60)} min` : `${(s / 3600).toFixed(1)} h`);

/** The curves of one score: training, and validation if there is one. */
function chart(name, curves) {
  const [w, h, left, bottom, top] = [Math.min(720, $("charts").clientWidth), 240, 64, 28, 28];
  const known = Object.entries(curves).filter(([, y]) => y.some((v) => v !== null));
  const all = known.flatMap(([, y]) => y).filter((v) => v !== null);
  if (!all.length) return "";
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const n = Math.max(...known.map(([, y]) => y.length));
  const x = (i) => left + (n < 2 ? 0 : (i * (w - left - 12)) / (n - 1));
  const y = (v) => h - bottom - (high > low ? (v - low) / (high - low) : 0.5) * (h - bottom - top);
  const told = known.map(([label, values]) => `${label} ${short(values.at(-1))}`).join(", ");
  const svg = draw("svg", { viewBox: `0 0 ${w} ${h}`, role: "img", "aria-label": `${name} after epoch ${n}: ${told}`, class: "chart" });
  svg.append(draw("line", { x1: left, y1: h - bottom, x2: w, y2: h - bottom, class: "axis" }), draw("line", { x1: left, y1: top, x2: left, y2: h - bottom, class: "axis" }));
  for (const value of new Set([low, high])) svg.append(draw("text", { x: left - 6, y: y(value) + 5, "text-anchor": "end" }, short(value)));
  svg.append(draw("text", { x: Math.max(x(n - 1), left + 60), y: h - 8, "text-anchor": "end" }, `epoch ${n}`));
  known.forEach(([label, values], place) => {
    const k = label === "training" ? 0 : 1;
    const points = values.map((v, i) => (v === null ? "" : `${x(i)},${y(v)}`)).filter(Boolean);
    svg.append(draw("polyline", { points: points.join(" "), class: `curve curve-${k}` }));
    const [cx, cy] = points.at(-1).split(",");
    svg.append(draw("circle", { cx, cy, r: 4, class: `dot-${k}` }));
    svg.append(draw("text", { x: left + 12 + 110 * place, y: 16, class: `name-${k}` }, `${k ? "┅" : "━"} ${label}`));
  });
  return make("figure", {}, make("figcaption", { textContent: name }), svg);
}

/** The epoch with the smallest validation loss. */
function best(losses = []) {
  const known = losses.filter((loss) => loss !== null);
  return known.length ? `epoch ${losses.indexOf(Math.min(...known)) + 1}, validation loss ${short(Math.min(...known))}` : "–";
}

function charts({ curves = {} }) {
  const names = Object.keys(curves).filter((name) => !name.startsWith("valid_") && !curves[`valid_${name}`]);
  const pairs = Object.keys(curves).filter((name) => curves[`valid_${name}`]).map((name) => [name, { training: curves[name], validation: curves[`valid_${name}`] }]);
  const only = Object.keys(curves).filter((name) => name.startsWith("valid_") && !curves[name.slice(6)]).map((name) => [name.slice(6), { validation: curves[name] }]);
  const single = names.map((name) => [name.replace("_", " "), { training: curves[name] }]);
  $("charts").replaceChildren(...[...pairs, ...only, ...single].map(([name, of]) => chart(name, of)));
}

async function worst(stage) {
  const { worst: list, epoch } = await (await fetch("/worst.json")).json();
  $("worst").hidden = false;
  $("worst-when").textContent = list.length ? `Validation pictures after epoch ${epoch.split(" ").at(-1)}${stage && ` of ${stage}`}.` : `No validation picture is wrong after epoch ${epoch.split(" ").at(-1)}.`;
  $("pictures").replaceChildren(...list.map(({ name, true: truth, answer, probability, picture }) =>
    make("article", { className: "answer" },
      make("h3", { textContent: `${truth}, taken for ${answer}` }),
      make("p", { textContent: `${name}: ${percent(probability)} sure` }),
      make("div", { className: "pictures" }, ...views(picture)))));
}

let state = {};

function show() {
  const { stage, epochs = 1, epoch = 0, seconds, steps_here: here, steps_left: left, curves = {}, stopping, done, summary, keeps_best: keepsBest = true } = state;
  $("progress").max = epochs;
  $("progress").value = epoch;
  const facts = [
    ...(stage ? [["part", stage]] : []),
    ["epoch", `${epoch} of at most ${epochs}`],
    ["best so far", best(curves.valid_loss)],
    ["loss of the last step", short(state.loss)],
    ["learning rate", short(state.rate)],
    ["steps per second", here ? short(here / seconds) : "–"],
    ["time left, at most", here && !done ? time(left * seconds / here) : "–"],
  ];
  $("facts").replaceChildren(...facts.flatMap(([name, value]) => [make("dt", { textContent: name }), make("dd", { textContent: value })]));
  const running = stopping ? "Stopping …" : here ? `Training${stage ? `: ${stage}` : ""} …` : "The training begins …";
  const ended = summary ? "The training has ended." : "The training has ended early: the terminal says why.";
  const text = done ? ended : running;
  if ($("status").textContent !== text) $("status").textContent = text;
  $("stop").textContent = keepsBest ? "Stop and keep the best" : "Stop after this epoch";
  $("stop").disabled = Boolean(done || stopping || !("epochs" in state));
  $("summary").hidden = !summary;
  $("summary").textContent = summary ?? "";
}

async function follow() {
  try {
    const before = state;
    state = await (await fetch("/state.json")).json();
    const drawn = `${before.stage} ${before.epoch}`;
    if (`${state.stage} ${state.epoch}` !== drawn) charts(state);
    if (state.worst && state.worst !== before.worst) await worst(state.stage);
    show();
  } catch {
    $("status").textContent = "The program does not answer: the training has ended, or the terminal was closed.";
    $("stop").disabled = true;
    return;
  }
  if (!state.done) setTimeout(follow, EVERY);
}

$("stop").addEventListener("click", async () => {
  $("stop").disabled = true;
  $("status").textContent = "Stopping …";
  await fetch("/stop", { method: "POST" }).catch(() => {});
});
addEventListener("resize", () => charts(state));
follow();
