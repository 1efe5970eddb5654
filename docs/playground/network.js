import { call, make } from "./tealight.js";
import { diverging, latest, pixels, plot, redraw, remember } from "./page.js";

const SIDE = 48;
const REACH = 1.9;
const $ = (selector) => document.querySelector(selector);
const [form, status] = [$("form"), $("[role=status]")];
let model, points, plane, losses, steps, training = false;

const begin = latest(async () => {
  training = false;
  const { data, noise, layers, optimizer, rate, seed, f } = form.elements;
  status.classList.remove("bad");
  try {
    const widths = layers.value.trim() ? layers.value.trim().split(/[\s,]+/).map(Number) : [];
    if (!widths.every((width) => Number.isInteger(width) && width > 0)) throw new Error("expected whole numbers of units, such as 16 16");
    points = await call("points", data.value, 300, noise.valueAsNumber || 0, Number(seed.value) || 0);
    const old = model;
    model = await make("Network", points, new Uint32Array(widths), f.value, optimizer.value, rate.valueAsNumber, Number(seed.value) || 0);
    await old?.free();
    [losses, steps] = [[], 0];
    $("#graph").textContent = await model.call("graph");
    await show();
  } catch ({ message }) {
    status.textContent = message;
    status.classList.add("bad");
  }
});

async function show() {
  const accuracy = await model.call("accuracy");
  plane = await model.call("plane", SIDE, REACH);
  const loss = losses.length ? ` The loss is ${losses[losses.length - 1].toPrecision(3)}.` : "";
  status.textContent = `${steps} steps: ${(100 * accuracy).toFixed(1)} % of the points are on the right side.${loss}`;
  draw();
}

const small = document.createElement("canvas");
function draw() {
  if (!plane) return;
  const canvas = $("canvas.plane");
  const size = Math.round(canvas.clientWidth * (devicePixelRatio || 1));
  [canvas.width, canvas.height] = [size, size];
  const context = canvas.getContext("2d");
  pixels(small, plane, (share) => diverging((2 * share - 1) * 0.8));
  context.drawImage(small, 0, 0, size, size);
  for (let i = 0; i < points.length; i += 3) {
    context.beginPath();
    context.arc(((points[i] / REACH + 1) * size) / 2, ((1 - points[i + 1] / REACH) * size) / 2, size / 110, 0, 7);
    Object.assign(context, { fillStyle: points[i + 2] ? "#b84a00" : "#1f4fb0", strokeStyle: "#fff", lineWidth: size / 400 });
    context.fill();
    context.stroke();
  }
  plot($("canvas.chart"), losses.length ? losses.map((_, i) => (i + 1) * 10) : [0, 1], [["teal", losses]], { low: 0 });
}

async function train() {
  if (training) return (training = false);
  training = true;
  $("#train").textContent = "Pause";
  const mine = model;
  try {
    for (let i = 0; i < 60 && training && mine === model; i++) {
      const loss = await mine.call("train", 10);
      if (mine !== model) break;
      losses.push(loss);
      steps += 10;
      await show();
      await new Promise(requestAnimationFrame);
    }
  } catch ({ message }) {
    if (mine === model) Object.assign(status, { textContent: message, className: "bad" });
  }
  if (mine === model) training = false;
  $("#train").textContent = "Train";
}

remember(form, begin);
redraw(draw);
await begin();
$("#train").addEventListener("click", train);
$("#reset").addEventListener("click", begin);
const texts = await call("activations");
for (let i = 0; i < texts.length; i += 2) $("#known").append(new Option(texts[i], texts[i + 1]));
