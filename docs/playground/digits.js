import { digits } from "./data.js";
import { make } from "./tealight.js";
import { diverging, grey, latest, pixels, plot, redraw, remember } from "./page.js";

const SIDE = 8;
const $ = (selector) => document.querySelector(selector);
const [form, status, pad] = [$("form"), $("[role=status]"), $("#pad")];

const pictures = Array.from({ length: 10 }, (_, digit) => {
  const figure = $("#weights").appendChild(document.createElement("figure"));
  figure.innerHTML = `<canvas class="pixels" role="img" aria-label="The weights of ${digit}"></canvas><figcaption>${digit}</figcaption>`;
  return figure.firstChild;
});

const [ink, labels] = await digits();
let model, losses, steps, training = false;

const settings = () => {
  const { rate, batch, seed } = form.elements;
  return [10 ** rate.value, Math.min(1437, 2 ** batch.value), Number(seed.value) || 0];
};

const begin = latest(async () => {
  training = false;
  const [rate, batch, seed] = settings();
  $("#rateShown").textContent = rate.toPrecision(2);
  $("#batchShown").textContent = batch;
  const old = model;
  model = await make("Digits", ink, labels, rate, batch, seed);
  await old?.free();
  [losses, steps] = [[], 0];
  await show();
});

const draw = () => plot($("canvas.chart"), losses.length ? losses.map((_, i) => ((i + 1) * steps) / losses.length) : [0, 1], [["teal", losses]], { low: 0 });

async function show() {
  const [weights, [train, test]] = await Promise.all([model.call("weights"), model.call("accuracy")]);
  const most = weights.reduce((most, weight) => Math.max(most, Math.abs(weight)), 1e-9);
  pictures.forEach((canvas, digit) => pixels(canvas, weights.subarray(64 * digit, 64 * digit + 64), (w) => diverging(w / most)));
  const percent = (share) => `${(100 * share).toFixed(1)} %`;
  status.textContent = `${steps} steps: ${percent(train)} of the training digits are right, ${percent(test)} of those by other people.`;
  draw();
  await Promise.all([answer(), mistakes()]);
}

async function mistakes() {
  const wrong = await model.call("mistakes", 8);
  $("#mistakes").replaceChildren();
  for (let i = 0; i < wrong.length; i += 3) {
    const figure = $("#mistakes").appendChild(document.createElement("figure"));
    figure.innerHTML = `<canvas class="pixels" role="img"></canvas><figcaption></figcaption>`;
    const text = `${wrong[i + 1]}, ${Math.round(100 * wrong[i + 2])} %; it is ${labels[wrong[i]]}`;
    figure.firstChild.setAttribute("aria-label", text);
    figure.lastChild.textContent = text;
    pixels(figure.firstChild, [...ink.subarray(64 * wrong[i], 64 * wrong[i] + 64)], (x) => grey(x / 16));
  }
}

async function train() {
  if (training) return (training = false);
  training = true;
  $("#train").textContent = "Pause";
  const mine = model;
  try {
    // About fifteen passes over the digits, in pieces of which each is drawn.
    const piece = Math.max(1, Math.round((1437 * 0.3) / settings()[1]));
    for (let i = 0; i < 50 && training && mine === model; i++) {
      const loss = await mine.call("train", piece);
      if (mine !== model) break;
      losses.push(loss);
      steps += piece;
      await show();
      await new Promise(requestAnimationFrame);
    }
  } catch ({ message }) {
    if (mine === model) status.textContent = message;
  }
  if (mine === model) training = false;
  $("#train").textContent = "Train";
}

// The drawing.
const pen = pad.getContext("2d");
let [x, y, down, drawn] = [128, 128, false, false];
function wipe() {
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, 256, 256);
  drawn = false;
}
function line(toX, toY) {
  Object.assign(pen, { lineWidth: 22, lineCap: "round", strokeStyle: "#000" });
  pen.beginPath();
  pen.moveTo(x, y);
  pen.lineTo(toX, toY);
  pen.stroke();
  drawn = true;
}

/** The drawing as the digits are: as high as the picture, in the middle, and 8 × 8 means. */
function seen() {
  const { data } = pen.getImageData(0, 0, 256, 256);
  let [left, right, top, bottom] = [256, -1, 256, -1];
  for (let i = 0; i < 65536; i++) {
    if (data[4 * i] < 128) {
      [left, right] = [Math.min(left, i % 256), Math.max(right, i % 256)];
      [top, bottom] = [Math.min(top, i >> 8), Math.max(bottom, i >> 8)];
    }
  }
  const size = Math.max(bottom - top, right - left) + 1;
  const small = new OffscreenCanvas(32, 32).getContext("2d");
  small.fillStyle = "#fff";
  small.fillRect(0, 0, 32, 32);
  small.drawImage(pad, (left + right + 1 - size) / 2, (top + bottom + 1 - size) / 2, size, size, 0, 0, 32, 32);
  const pixelsOf = small.getImageData(0, 0, 32, 32).data;
  const means = new Float32Array(64);
  for (let i = 0; i < 1024; i++) means[(i >> 7) * SIDE + ((i % 32) >> 2)] += (255 - pixelsOf[4 * i]) / 255 / 16;
  return means;
}

const answer = latest(async () => {
  if (!drawn) return;
  const image = seen();
  pixels($("#seen"), image, grey);
  const probabilities = await model.call("answer", image);
  const order = [...probabilities.keys()].sort((a, b) => probabilities[b] - probabilities[a]);
  $("#answer").textContent = `It is a ${order[0]}: ${order.slice(0, 3).map((digit) => `${digit} with ${(100 * probabilities[digit]).toFixed(1)} %`).join(", ")}.`;
  const evidence = await model.call("evidence", image, order[0]);
  const most = evidence.reduce((most, part) => Math.max(most, Math.abs(part)), 1e-9);
  pixels($("#evidence"), evidence, (part) => diverging(part / most));
});

function at(event) {
  const box = pad.getBoundingClientRect();
  return [((event.clientX - box.left) * 256) / box.width, ((event.clientY - box.top) * 256) / box.height];
}
pad.addEventListener("pointerdown", (event) => {
  pad.setPointerCapture(event.pointerId);
  [x, y] = at(event);
  line(x, y);
});
pad.addEventListener("pointermove", (event) => {
  if (!event.buttons) return;
  const to = at(event);
  line(...to);
  [x, y] = to;
  answer();
});
pad.addEventListener("pointerup", answer);
pad.addEventListener("keydown", (event) => {
  const move = { ArrowLeft: [-8, 0], ArrowRight: [8, 0], ArrowUp: [0, -8], ArrowDown: [0, 8] }[event.key];
  if (event.key === " ") down = !down;
  else if (!move) return;
  event.preventDefault();
  const to = [Math.min(250, Math.max(6, x + (move?.[0] ?? 0))), Math.min(250, Math.max(6, y + (move?.[1] ?? 0)))];
  if (down) line(...to);
  [x, y] = to;
  answer();
});
$("#clear").addEventListener("click", () => {
  wipe();
  $("#answer").textContent = "Nothing is drawn yet.";
  for (const name of ["#seen", "#evidence"]) $(name).getContext("2d").clearRect(0, 0, 8, 8);
});

wipe();
remember(form, begin);
redraw(draw);
await begin();
$("#train").addEventListener("click", train);
$("#reset").addEventListener("click", begin);
