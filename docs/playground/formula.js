import { call } from "./tealight.js";
import { latest, plot, redraw, remember } from "./page.js";

const form = document.querySelector("form");
const status = document.querySelector("[role=status]");
const place = document.querySelector("#place");
const canvas = document.querySelector("canvas");
let study;

const draw = () => study && plot(canvas, study.x, [["violet", study.second], ["orange", study.first], ["teal", study.value]]);

const update = latest(async () => {
  const { f, from, to } = form.elements;
  place.hidden = true;
  status.classList.remove("bad");
  try {
    study = await call("study", f.value, from.valueAsNumber, to.valueAsNumber, 400);
  } catch ({ message }) {
    status.textContent = message;
    status.classList.add("bad");
    const column = message.match(/at column (\d+)$/)?.[1];
    place.hidden = !column;
    place.textContent = `${f.value}\n${" ".repeat(column - 1 || 0)}^`;
    return;
  }
  status.textContent = "";
  for (const name of ["formula", "derivative", "secondDerivative", "keeps", "gradcheck"]) {
    document.querySelector(`#${name}`).textContent = study[name];
  }
  document.querySelector("#gradcheck").className = study.gradcheckPasses ? "good" : "bad";
  draw();
});

remember(form, update);
redraw(draw);
update();

const start = document.querySelector("#start");
const texts = await call("activations");
for (let i = 0; i < texts.length; i += 2) start.append(new Option(texts[i], texts[i + 1]));
start.addEventListener("change", () => {
  if (!start.value) return;
  form.elements.f.value = start.value;
  form.elements.f.dispatchEvent(new Event("input", { bubbles: true }));
});
