// The page to try a model on.
"use strict";

const SHOWN = 10; // classes and
const ROWS = 100; // rows that are shown
let model;

function say(text, error = false) {
  $("status").textContent = text;
  $("status").className = error ? "error" : "";
}

const size = (bytes) => `${(bytes / 1048576).toFixed(1)} MB`;

/** The server's answer, or an Error with a message for people. */
async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("The program does not answer. Is “tealight serve” still running?");
  }
  if (!response.ok) {
    const { error } = await response.json().catch(() => ({}));
    throw new Error(`That did not work: ${error ?? `error ${response.status}`}`);
  }
  return response;
}

function predict(body, type, { query = "", accept = "application/json" } = {}) {
  if (body.size > model.max_bytes) {
    throw new Error(`“${body.name ?? "This"}” is too large: ${size(body.size)}, and at most ${size(model.max_bytes)} are accepted.`);
  }
  return ask(`/predict${query}`, { method: "POST", body, headers: { "content-type": type, accept } });
}

/** Runs what a button or a file asks for; an error is said. */
async function attempt(work) {
  $("answers").replaceChildren();
  say("Working …");
  document.body.ariaBusy = "true";
  try {
    say(await work());
  } catch (error) {
    say(error.message, true);
  }
  document.body.ariaBusy = "false";
}

/** The classes with bars, the likeliest first. */
function bars(answer) {
  const all = Object.entries(answer.probabilities).sort((a, b) => b[1] - a[1]);
  const list = make("ul", { className: "bars" });
  for (const [name, share] of all.slice(0, SHOWN)) {
    const fill = make("div", { className: "fill" });
    fill.style.width = percent(share).replace(" ", "");
    const track = make("div", { className: "track", ariaHidden: "true" }, fill);
    list.append(make("li", {}, make("span", { textContent: name }), track, make("span", { className: "share", textContent: percent(share) })));
  }
  const parts = [list];
  if (all.length > SHOWN) parts.push(make("p", { textContent: `Less likely: ${all.length - SHOWN} other class${all.length - SHOWN === 1 ? "" : "es"}.` }));
  return parts;
}

/** The sentence of an answer. */
function sentence(answer) {
  if (answer.problem) return answer.problem;
  if ("prediction" in answer) return `${model.target}: ${Number(answer.prediction.toPrecision(6))}`;
  return `${answer.class}, ${percent(answer.probability)}`;
}

function card(answer, title, pictures = []) {
  const box = make("article", { className: "answer" }, make("h3", { textContent: title ?? sentence(answer) }));
  if (title) box.append(make("p", { textContent: sentence(answer), className: answer.problem ? "error" : "" }));
  if (pictures.length) box.append(make("div", { className: "pictures" }, ...pictures));
  if (answer.probabilities) box.append(...bars(answer));
  return box;
}

async function photos(files) {
  let wrong = 0;
  let last = "";
  for (const [i, file] of files.entries()) {
    if (files.length > 1) say(`Working: photo ${i + 1} of ${files.length} …`);
    try {
      const response = await predict(file, file.type.startsWith("image/") ? file.type : "application/octet-stream", { query: "?saliency=true" });
      const answer = (await response.json()).predictions[0];
      last = sentence(answer);
      const photo = make("img", { src: URL.createObjectURL(file), alt: `The photo ${file.name}` });
      photo.onload = () => URL.revokeObjectURL(photo.src);
      $("answers").append(card(answer, file.name, [figure(photo, "The photo"), ...views(answer.picture)]));
    } catch (error) {
      wrong += 1;
      last = error.message;
      if (files.length > 1) $("answers").append(card({ problem: error.message.replace("image:", "") }, file.name));
    }
  }
  if (files.length === 1) {
    if (wrong) throw new Error(last.replace("image: ", ""));
    return last;
  }
  return `Answers: ${files.length - wrong} of ${counted(files.length, "photo")}.`;
}

/** Files that are dropped on a place, or chosen there. */
function receive(place, input, use) {
  const zone = $(place);
  for (const type of ["dragover", "dragleave", "drop"]) {
    zone.addEventListener(type, (event) => {
      event.preventDefault();
      zone.classList.toggle("over", type === "dragover");
      if (type === "drop" && event.dataTransfer.files.length) use([...event.dataTransfer.files]);
    });
  }
  $(input).addEventListener("change", (event) => {
    const files = [...event.target.files];
    event.target.value = ""; // the same file can be chosen again
    if (files.length) use(files);
  });
}

/** The area to draw in: strokes in the colour of the model's pictures. */
function drawing() {
  const canvas = $("canvas");
  const context = canvas.getContext("2d");
  const [paper, ink] = model.inputs.dark ? ["#000", "#fff"] : ["#fff", "#000"];
  const pen = { x: 140, y: 140, down: false };
  let drawn = false;
  let shown;
  const clear = () => {
    context.fillStyle = paper;
    context.fillRect(0, 0, canvas.width, canvas.height);
    drawn = false;
    shown = undefined;
  };
  const line = (x, y, draw) => {
    if (draw) {
      Object.assign(context, { strokeStyle: ink, lineWidth: 26, lineCap: "round", lineJoin: "round" });
      context.beginPath();
      context.moveTo(pen.x, pen.y);
      context.lineTo(x, y);
      context.stroke();
      drawn = true;
    }
    Object.assign(pen, { x, y });
  };
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * canvas.width / box.width, (event.clientY - box.top) * canvas.height / box.height];
  };
  // The pen of the keyboard is a mark that is no part of the drawing.
  const hide = () => { if (shown) context.putImageData(shown, 0, 0); shown = undefined; };
  const show = () => {
    shown = context.getImageData(0, 0, canvas.width, canvas.height);
    Object.assign(context, { strokeStyle: pen.down ? "#d33" : "#48f", lineWidth: 3 });
    context.beginPath();
    context.arc(pen.x, pen.y, 13, 0, 7);
    context.stroke();
  };
  const run = () => attempt(async () => {
    hide();
    if (!drawn) throw new Error("Nothing is drawn yet.");
    const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
    const answer = (await (await predict(blob, "image/png", { query: "?saliency=true" })).json()).predictions[0];
    $("answers").append(card(answer, undefined, views(answer.picture)));
    return sentence(answer);
  });
  canvas.addEventListener("pointerdown", (event) => {
    hide();
    canvas.setPointerCapture(event.pointerId);
    [pen.x, pen.y] = place(event);
    line(pen.x, pen.y, true);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.buttons) line(...place(event), true);
  });
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  canvas.addEventListener("keydown", (event) => {
    const step = steps[event.key];
    if (!step && event.key !== " " && event.key !== "Enter") return;
    event.preventDefault();
    hide();
    if (event.key === "Enter") { run(); return; }
    if (step) {
      const inside = (x) => Math.min(270, Math.max(10, x));
      line(inside(pen.x + 10 * step[0]), inside(pen.y + 10 * step[1]), pen.down);
    } else {
      pen.down = !pen.down;
      line(pen.x, pen.y, pen.down);
      $("pen").textContent = pen.down ? "The pen is down: the arrow keys draw." : "The pen is up: the arrow keys move it.";
    }
    show();
  });
  canvas.addEventListener("blur", hide);
  $("clear").addEventListener("click", () => { clear(); say("The drawing is cleared."); $("answers").replaceChildren(); });
  $("ask").addEventListener("click", run);
  clear();
}

const TYPES = { number: "number", date: "date", "date-time": "datetime-local", time: "time" };

/** A field for each column. */
function fields() {
  const form = $("fields");
  const inputs = model.inputs.columns.map((column, i) => {
    const id = `field-${i}`;
    let input;
    if (column.type === "category") {
      const options = ["", ...column.categories].map((value) => make("option", { value, textContent: value || "unknown" }));
      input = make("select", { id, name: column.name }, ...options);
      input.value = column.example;
    } else {
      input = make("input", { id, name: column.name, type: TYPES[column.type], step: "any", value: column.example });
    }
    form.append(make("div", {}, make("label", { htmlFor: id, textContent: column.name }), input));
    return input;
  });
  form.append(make("button", { textContent: "Predict" }));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(async () => {
      const wrong = inputs.find((input) => input.validity.badInput);
      if (wrong) {
        wrong.focus();
        throw new Error(`“${wrong.name}” needs a ${wrong.type === "number" ? "number" : "date or time"}.`);
      }
      const value = (input) => (input.value === "" ? null : input.type === "number" ? Number(input.value) : input.value);
      const row = inputs.map(value);
      const response = await predict(JSON.stringify({ rows: [row] }), "application/json");
      const answer = (await response.json()).predictions[0];
      $("answers").append(card(answer));
      return sentence(answer);
    });
  });
}

/** The answers for the rows of a file, and a file of them. */
function table([file]) {
  attempt(async () => {
    const response = await predict(file, "text/csv", { query: "?keep=true" });
    const { predictions } = await response.json();
    const number = "prediction" in (predictions.find((answer) => !answer.problem) ?? {});
    const there = Object.keys(predictions[0]?.columns ?? {});
    const names = [...new Set([...model.inputs.columns.map(({ name }) => name), ...there])].filter((name) => there.includes(name));
    const head = ["row", number ? model.target : "class", ...(number ? [] : ["probability"]), ...names];
    const cells = (answer) => {
      const told = answer.problem ? [answer.problem] : number ? [String(answer.prediction)] : [answer.class, percent(answer.probability)];
      const rest = names.map((name) => answer.columns[name] ?? "");
      return [String(answer.row), ...told, ...Array(number || !answer.problem ? 0 : 1).fill(""), ...rest];
    };
    const line = (tag, texts) => make("tr", {}, ...texts.map((textContent) => make(tag, tag === "th" ? { textContent, scope: "col" } : { textContent })));
    const rows = predictions.slice(0, ROWS).map((answer) => line("td", cells(answer)));
    const more = predictions.length > ROWS ? `: the first ${ROWS} rows of ${predictions.length}` : "";
    const caption = make("caption", { textContent: `Answers for ${file.name}${more}` });
    const grid = make("table", {}, caption, make("thead", {}, line("th", head)), make("tbody", {}, ...rows));
    const button = make("button", { type: "button", textContent: "Save all answers as CSV" });
    button.addEventListener("click", async () => {
      try {
        const text = await (await predict(file, "text/csv", { query: "?keep=true", accept: "text/csv" })).blob();
        const link = make("a", { href: URL.createObjectURL(text), download: `answers-${file.name.replace(/\.[^.]*$/, "")}.csv` });
        link.click();
        setTimeout(() => URL.revokeObjectURL(link.href), 10000);
        say(`Saved as ${link.download}.`);
      } catch (error) {
        say(error.message, true);
      }
    });
    const scroll = make("div", { className: "scroll", tabIndex: 0, role: "region" }, grid);
    scroll.ariaLabel = "Answers";
    $("answers").append(make("div", { className: "buttons" }, button), scroll);
    const wrong = predictions.filter((answer) => answer.problem).length;
    return `Answers: ${predictions.length - wrong} of ${counted(predictions.length, "row")}.`;
  });
}

async function start() {
  try {
    model = await (await ask("/model.json")).json();
  } catch (error) {
    say(error.message, true);
    return;
  }
  const { inputs, classes, target, measured } = model;
  const listed = (names) => (names.length > 12 ? `${names.slice(0, 12).join(", ")} and ${names.length - 12} more` : names.join(", "));
  const what = inputs.type === "image" ? "pictures" : `rows of ${counted(inputs.columns.length, "column")}`;
  const told = classes.length ? `${target ? `${target}: ` : ""}${listed(classes)}` : `the number ${target}`;
  const [name, value] = measured ?? [];
  const right = name?.startsWith("accuracy") ? ` Of examples that it had not learned from, ${percent(Number(value))} were right.` : name ? ` Its ${name}: ${value}.` : "";
  $("about").textContent = `It looks at ${what} and answers ${told}.${right}`;
  if (inputs.type === "image") {
    $("photos").hidden = false;
    receive("photo-drop", "photo-files", (files) => attempt(() => photos(files)));
    if (inputs.color === "grey" && inputs.size <= 64) {
      $("drawing").hidden = false;
      drawing();
    }
  } else {
    $("row").hidden = false;
    $("table").hidden = false;
    fields();
    receive("table-drop", "table-file", table);
  }
}

start();
