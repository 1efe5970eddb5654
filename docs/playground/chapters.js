// Beside the book's blocks of code that the playground's functions can compute, a button does it in the page; below its figures, another
// one draws them anew from numbers that are computed there. Nothing is loaded before a button is pressed.

const load = () => Promise.all([import("./tealight.js"), import("./page.js")]);

/** The digits that trainings take. */
let digits;
const ink = async () => (digits ??= (await import("./data.js")).digits());

const rows = [[0, 3, 4], [1, 6, 4]];
const three = [1, 2, 3];
const [a, b] = [[9, 2, 5, 0, 0, 7, 5, 0, 0], [2, 5, 2, 9, 0, 0, 8, 5, 0]];
const losses = { yhat: [0.9, 0.2, 0.1, 0.4, 0.9], y: [1, 0, 0, 1, 1] };
const shapes = (first, second) => [{ first, second }, "a := ones first", "b := ones second", "sum := add a b", "shape = shape sum"];

/** Trains a lesson, and tells of each of its epochs. */
async function train(kind, epochs, told, each = 1) {
  const [{ make }] = await load();
  const lesson = await make("Lesson", kind, ...(await ink()));
  const curves = [[], []];
  for (let epoch = 1; epoch <= epochs; epoch++) {
    (await lesson.call("epoch")).forEach((loss, i) => curves[i].push(loss));
    if (epoch % each === 0 || epoch === epochs) await told(curves, lesson, epoch);
  }
  await lesson.free();
}

/** The share of right answers among the digits by other people, of `width` scores each; `right` says whether an answer is. */
function share(scores, width, right) {
  const answers = Array.from({ length: scores.length / width }, (_, i) => {
    const own = [...scores.subarray(i * width, (i + 1) * width)];
    return width === 1 ? own[0] > 0 : own.indexOf(Math.max(...own));
  });
  return `${((100 * answers.filter(right).length) / answers.length).toFixed(1)} %`;
}

/** Trains, and writes a line for each of `lines` epochs. */
const training = (kind, epochs, width, right, each) => async (say) => {
  const [, labels] = await ink();
  const test = labels.slice(1437);
  await train(kind, epochs, async ([loss, valid], lesson, epoch) => {
    const found = share(await lesson.call("scores"), width, (answer, i) => right(answer, test[i]));
    say(`epoch ${epoch}: loss ${loss.at(-1).toFixed(4)}; by other people: loss ${valid.at(-1).toFixed(4)}, ${found} right`);
  }, each);
};
const zero = training("zero", 500, 1, (answer, digit) => answer === (digit === 0), 100);

/** The ring of chapter 10, without a hidden layer and with one. */
async function ring(say) {
  for (const widths of [[], [16]]) {
    await rings(widths, async (network, step) => {
      if (step === 300) say(`${widths.length ? "a hidden layer of 16" : "a linear layer"}: ${(100 * (await network.call("accuracy"))).toFixed(1)} % right`);
    });
  }
}
async function rings(widths, told) {
  const [{ call, make }] = await load();
  const points = await call("points", "ring", 200, 0, 7);
  const network = await make("Network", points, new Uint32Array(widths), "tanh(x)", "adam", 0.02, 1);
  for (let step = 20; step <= 300; step += 20) {
    await network.call("train", 20);
    await told(network, step, points);
  }
  await network.free();
}

/** All digits in one batch, and a row for each. */
async function many(say) {
  const [{ calculate }] = await load();
  const [all] = await ink();
  const inputs = Array.from({ length: all.length / 64 }, (_, i) => Array.from({ length: 8 }, (_, row) => [...all.subarray(64 * i + 8 * row, 64 * i + 8 * row + 8)]));
  say((await calculate({ inputs, shape: [inputs.length, 64] }, ["before = shape inputs", "rows := reshape inputs shape", "after = shape rows"])).text);
}

const studied = (formula, from, to, ...fields) => async (say) => {
  const [{ call }] = await load();
  const study = await call("study", formula, from, to, 100);
  for (const [label, field] of fields) say(`${label} = ${study[field]}`);
};

/** Of each chapter, the heading of blocks, and what the button of each block computes, where it has one: scripts of the calculator, one after
 * the other, or a function that says lines. */
const BLOCKS = {
  "01-formulas": {
    "one-number": [[[{ x: [0, 3] }, "s(x) = sigmoid x"]]],
    "many-numbers-by-a-loop": [[[{ x: three }, "s(x) = sigmoid x"]]],
    "many-numbers-by-a-tensor": [[[{ x: three, m: [[1, 2], [3, 1]] }, "shape = shape x", "exp(x) = exp x", "s(x) = sigmoid x", "s(m) = sigmoid m"]]],
    "the-derivative": [[[{ x: three }, "s = sigmoid x", "1-s = sub 1 s", "s·(1-s) = mul s 1-s", "sigmoid_derivative(x) = sigmoid_derivative x"]]],
    "a-formula-is-written-once": [studied("1 / (1 + exp(-x))", -5, 5, ["s(x)", "formula"], ["s′(x)", "derivative"], ["s″(x)", "secondDerivative"], ["gradcheck", "gradcheck"])],
    "what-can-go-wrong": [
      [[{ x: [-1000, 0, 1000] }, "e := exp x", "more := add e 1", "ln(exp(x)+1) = ln more", "softplus(x) = softplus x", "sigmoid(x) = sigmoid x"]],
      [[{ x: [1, 2] }, "u := u32 x", "s = sigmoid u"], [{ x: [1, 2] }, "single := f32 x", "sum = add single x"]],
    ],
  },
  "02-broadcasting": {
    "by-loops": [[[{ matrix: [[1, 2, 3], [4, 5, 6]], offsets: [10, 20, 30] }, "sums = add matrix offsets"]]],
    "by-tensors": [[[{ matrix: [[1, 2, 3], [4, 5, 6]], offsets: [10, 20, 30] }, "sums = add matrix offsets"]]],
    "the-rule": [[shapes([2, 3], [3]), shapes([2, 3], [2, 1]), shapes([2, 1], [3]), shapes([4, 1, 3], [2, 3])]],
    "a-number-for-each-row": [[[{ x: [[1, 3], [2, 6]] }, "sum(1) = sum x 1", "sum_keepdim(1) = sum_keepdim x 1", "shares = div x sum_keepdim(1)", "sum(0) = sum x 0"]]],
    "what-can-go-wrong": [
      [[{ x: [[0, 0, 0], [0, 0, 0]], v: [1, 2] }, "sum = add x v"], [{ x: [[0, 0, 0], [0, 0, 0]], v: [1, 2] }, "column := unsqueeze v 1", "with a column = add x column"]],
      [[{ p: [[1], [2]], t: [1, 2] }, "differences = sub p t"], [{ p: [[1], [2]], t: [1, 2] }, "loss = l1 p t"]],
    ],
  },
  "03-images": {
    "unrolling-by-loops": [[[{ picture: [[[1, 2]], [[3, 4]]] }, "column := image_to_vector picture", "vector = flatten column"]]],
    "unrolling-by-tensors": [[[{ image: [[[0.67826139, 0.29380381], [0.90714982, 0.52835647], [0.4215251, 0.45017551]], [[0.92814219, 0.96677647], [0.85304703, 0.52351845], [0.19981397, 0.27417313]], [[0.60659855, 0.00533165], [0.10820313, 0.49978937], [0.34144279, 0.94630077]]] }, "column := image_to_vector image", "shape = shape column", "vector = flatten column"]]],
    "many-images": [many],
    "what-can-go-wrong": [null, [[{ grey: [[0, 0, 0], [0, 0, 0]], shape: [4, 2] }, "x := f32 grey", "other = reshape x shape"], [{ grey: [[0, 0, 0], [0, 0, 0]] }, "x := f32 grey", "column = image_to_vector x"]]],
  },
  "04-normalising": {
    "rows-of-length-1": [
      [[{ x: rows }, "rows = normalize_rows x"]],
      [[{ x: rows }, "squares := sqr x", "sums := sum_keepdim squares 1", "lengths = sqrt sums", "by hand = div x lengths", "normalize_rows(x) = normalize_rows x"]],
    ],
    "columns-with-mean-0-and-deviation-1": [[[{ x: [[1, 1000], [3, 5000]] }, "mean = mean x 0", "less := sub x mean", "squares := sqr less", "variance := mean squares 0", "std = sqrt variance", "by hand = div less std", "standardised = standardize x x"]]],
    "fit-on-the-training-data-only": [[[{ train: [[1, 5], [3, 5]], test: [[5, 6]] }, "standardised = standardize train test", "from 0 to 1 = min_max train test"]]],
    "what-can-go-wrong": [
      [[{ x: [[0, 0], [3, 4]] }, "squares := sqr x", "sums := sum_keepdim squares 1", "lengths := sqrt sums", "by hand = div x lengths", "normalize_rows(x) = normalize_rows x"]],
      [[{ holed: [[1, NaN]] }, "scaled = standardize holed holed"], [{ x: [[1, 2], [3, 4]], other: [[0, 0, 0]] }, "scaled = standardize x other"]],
    ],
  },
  "05-softmax": {
    "by-loops": [[[{ row: [0, 3, 4], two: [1.5, 0] }, "shares = softmax row 0", "of two = softmax two 0", "s(1.5) = sigmoid 1.5"]]],
    "by-tensors": [[[{ x: rows }, "exp = exp x", "sums = sum_keepdim exp 1", "by hand = div exp sums", "softmax(x) = softmax x 1"]]],
    "how-sure-it-is": [[[{ x: [[0, 1, 2]] }, "softmax(x) = softmax x 1", "more := add x 100", "softmax(x+100) = softmax more 1", "less := mul x 0.1", "softmax(x/10) = softmax less 1", "ten := mul x 10", "softmax(10x) = softmax ten 1"]]],
    "the-logarithm-of-it": [[[{ x: [[0, 1000]] }, "shares := softmax x 1", "ln(softmax(x)) = ln shares", "log_softmax(x) = log_softmax x 1"]]],
    "what-can-go-wrong": [
      [[{ x: [[1000, 1001]] }, "exp = exp x", "sums := sum_keepdim exp 1", "as it stands = div exp sums", "largest := max_keepdim x 1", "shifted = sub x largest", "softmax(x) = softmax x 1"]],
      [[{ x: [[0, 0, 0], [0, 0, 0]] }, "along the rows = softmax x 1", "along the columns = softmax x 0"], [{ x: [[0, 0, 0], [0, 0, 0]] }, "along none = softmax x 2"]],
    ],
  },
  "06-products": {
    "element-by-element": [[[{ a, b }, "a * b = mul a b"]]],
    "the-dot-product": [[[{ a, b }, "dot = dot a b"]]],
    "the-outer-product": [[[{ a: [9, 2, 5], b: [2, 5] }, "outer = outer a b"]]],
    "a-matrix-times-a-vector": [[[{ w: [[1, 2, 3], [4, 5, 6]], x: [1, 0.5, 2] }, "w·x = matvec w x"]]],
    "a-matrix-times-a-matrix": [[[{ batch: [[1, 2, 3], [4, 5, 6]], weight: [[0.1, 0.2, 0.3], [-0.1, 0, 0.1]], bias: [1, 2] }, "wᵀ = t weight", "product := matmul batch wᵀ", "batch·wᵀ + bias = add product bias"]]],
    "what-can-go-wrong": [[
      [{ a: [[0, 0, 0], [0, 0, 0]] }, "product = matmul a a"],
      [{ a: [[0, 0, 0], [0, 0, 0]] }, "aᵀ := t a", "a·aᵀ = matmul a aᵀ", "aᵀ·a = matmul aᵀ a"],
      [{ b: [1, 2], c: three }, "b·c = dot b c"],
    ]],
  },
  "07-losses": {
    "l1-the-absolute-differences": [[[losses, "L1 = l1 yhat y"]]],
    "l2-the-squared-differences": [[[losses, "difference = sub y yhat", "difference·difference = dot difference difference", "L2 = l2 yhat y"]]],
    "sum-or-mean": [[[{ p: [1, 2, 4, 8], t: [0, 0, 0, 0] }, "sum = l1 p t", "mean = mean_l1 p t", "each squared = each_squared p t"]]],
    "cross-entropy-of-a-probability": [[[{ z: [2, -1], t: [1, 0] }, "p = sigmoid z", "from probabilities = bce p t", "from scores = bce_with_logits z t"]]],
    "cross-entropy-of-classes": [[[{ scores: rows, right: [2, 1] }, "classes := u32 right", "shares = softmax scores 1", "loss = cross_entropy scores classes"]]],
    "what-can-go-wrong": [
      [[{ z: [40], t: [0] }, "p := sigmoid z", "1-p = sub 1 p", "ln(1-p) = ln 1-p", "from the score = bce_with_logits z t"]],
      [[{ score: [1.5], one: [1] }, "loss = bce score one"], [{ score: [1.5], two: [2] }, "loss = bce_with_logits score two"], [{ x: [[0, 0, 0], [0, 0, 0]], right: [0, 3] }, "classes := u32 right", "loss = cross_entropy x classes"]],
    ],
  },
  "08-graph": {
    "parameters-and-their-history": [[[{ numbers: three }, "x := parameter numbers", "s := sigmoid x", "y = sum_all s", "graph = graph y"]]],
    backward: [[[{ numbers: three }, "x := parameter numbers", "s := sigmoid x", "y := sum_all s", "slope = grad y x", "sigmoid_derivative(x) = sigmoid_derivative x"]]],
    "a-number-that-is-used-twice": [[[{ numbers: three }, "x := parameter numbers", "s := sigmoid x", "product := mul s x", "y = sum_all product", "slopes = grad y x"]]],
    "checking-a-gradient": [studied("x / (1 + exp(-x))", -1, 2, ["f′(x)", "derivative"], ["gradcheck", "gradcheck"])],
    "without-a-history": [[[{}, "x := parameter 2", "square := mul x x", "slope of x·x = grad square x", "same := detach x", "product := mul x same", "slope of x·detach(x) = grad product x"]]],
    "what-can-go-wrong": [
      [[{ numbers: [1, 2] }, "x := parameter numbers", "s := sigmoid x", "slopes = backward s"], [{ numbers: [1, 2] }, "x := parameter numbers", "above := gt x 1.5", "y := sum_all above", "slopes = backward y"]],
      [[{ numbers: [1, -1] }, "x := parameter numbers", "ln := ln x", "sum = sum_all ln"], [{ numbers: [1, -1] }, "x := parameter numbers", "sum = watched_ln x"]],
    ],
  },
  "09-logistic-regression": {
    "the-gradient-by-hand": [[[{ x: [[1, 2], [0.5, -1], [-2, 0.3]], t: [[1], [0], [1]], w0: [[0.2, -0.4]], b0: [0.1] }, "w := parameter w0", "b := parameter b0", "wᵀ := t w", "x·wᵀ := matmul x wᵀ", "scores = add x·wᵀ b", "loss = bce_with_logits scores t", "∂L/∂w = grad loss w", "∂L/∂b = grad loss b"]]],
    "gradient-descent": [training("zero", 100, 1, (answer, digit) => answer === (digit === 0), 20)],
    "the-same-with-the-trainer": [zero],
    "what-can-go-wrong": [null, [[{ x: [[1, 1], [1, 1], [1, 1], [1, 1]], w0: [[0.3, -0.2]] }, "w := parameter w0", "wᵀ := t w", "scores := matmul x wᵀ", "sum := sum_all scores", "step = step_of_another_layer sum"]]],
    "how-good-it-is": [[[{ scores: [0.1, 0.4, 0.35, 0.8], right: [0, 0, 1, 1] }, "classes := u32 right", "area under the curve = roc_auc scores classes"]]],
  },
  "10-mlp": {
    "a-hidden-layer": [[[{ x: [[0.5, -1]], w1: [[0.3, -0.2], [0.5, 0.1], [-0.4, 0.6]], b1: [0.1, 0, -0.1], w2: [[1, -1, 0.5], [0.2, 0.3, -0.7]], b2: [0, 0.1] }, "w1ᵀ := t w1", "sums := matmul x w1ᵀ", "before := add sums b1", "hidden = tanh before", "w2ᵀ := t w2", "products := matmul hidden w2ᵀ", "scores = add products b2"]]],
    "the-ring": [ring],
    digits: [training("mlp", 15, 10, (answer, digit) => answer === digit, 3)],
  },
  "11-cnn": {
    "by-loops": [[[{ picture: [[[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1]]], kernel: [[[[-1, 1], [-1, 1]]]] }, "x := unsqueeze picture 0", "y := conv2d x kernel", "one := i y 0", "edges = i one 0"]]],
    "channels-and-padding": [[[{ sizes: [2, 3, 32, 32] }, "photos := ones sizes", "y := conv_layer photos 3 16 1", "shape = shape y"]]],
    "training-and-evaluating": [[[{ sizes: [10] }, "x = ones sizes", "trained = dropout x"]]],
    "what-can-go-wrong": [[[{ sizes: [1797, 8, 8] }, "digits := ones sizes", "y = conv_layer digits 1 4 0"], [{ sizes: [1797, 8, 8] }, "digits := ones sizes", "channel := unsqueeze digits 1", "y := conv_layer channel 1 4 0", "shape = shape y"]]],
    pooling: [[[{ x: [[[[1, 2, 0, 0], [3, 4, 0, 5]]]] }, "pooled := max_pool2d x 2", "largest = flatten pooled"]]],
    "digits-again": [training("cnn", 3, 10, (answer, digit) => answer === digit, 1)],
  },
  "12-second-derivatives": {
    "the-sigmoid-once-more": [[[{ numbers: three }, "x := parameter numbers", "s := sigmoid x", "y := sum_all s", "s′(x) = grad y x", "z := sum_all s′(x)", "s″(x) = grad z x"]]],
    "all-second-derivatives-of-a-function-of-many-numbers": [
      [[{ numbers: [3, 5] }, "x := parameter numbers", "x0 := i x 0", "x1 := i x 1", "square := mul x0 x0", "y = mul square x1", "hessian = hessian y x"]],
      [[{ numbers: [3, 5], v: [1, -1] }, "x := parameter numbers", "x0 := i x 0", "x1 := i x 1", "square := mul x0 x0", "y := mul square x1", "product = hvp y x v"]],
    ],
    "newtons-method": [newton],
    "what-can-go-wrong": [[["relu", "softplus"].map((name) => [{}, "x := parameter 2", `y := ${name} x`, "first := grad y x", `second derivative of ${name} at 2 = grad first x`])].flat()],
  },
};

async function newton(say) {
  const [{ calculate }] = await load();
  let x = 0;
  for (let step = 1; step <= 20; step++) {
    const found = async (last) =>
      (await calculate({}, ["x := parameter " + x, "e := exp x", "twice := mul x 2", "y := sub e twice", "slope := grad y x", ...last])).numbers[0];
    const move = (await found([])) / (await found(["curvature := grad slope x"]));
    x -= move;
    say(`step ${step}: x = ${x}`);
    if (Math.abs(move) < 1e-12) break;
  }
  say(`ln 2 = ${Math.LN2}`);
}

// The figures.

const curve = (names, study) => async (canvas) => {
  const [, { plot }] = await load();
  const [x, ys] = await study();
  plot(canvas, x, ys.map((y, i) => [["teal", "orange", "violet", "red"][i], y]));
  return names.map((name, i) => `${name}: ${["green", "orange", "violet", "red"][i]}`).join(", ");
};
const studies = (from, to, formulas) => async () => {
  const [{ call }] = await load();
  const found = await Promise.all(formulas.map(([formula]) => call("study", formula, from, to, 301)));
  return [found[0].x, found.map((study, i) => study[formulas[i][1]])];
};
const sigmoid = "1 / (1 + exp(-x))";

/** Rows of shades. */
const shades = (script) => async (canvas) => {
  const [{ calculate }, { grey }] = await load();
  const { given, lines, width } = await script();
  const { numbers } = await calculate(given, lines);
  cells(canvas, [...numbers], width, grey);
};
function cells(canvas, numbers, width, color) {
  [canvas.width, canvas.height] = [width, numbers.length / width];
  canvas.className = width > 4 * (numbers.length / width) ? "cells wide" : "cells";
  canvas.style.aspectRatio = `${width} / ${numbers.length / width}`;
  const context = canvas.getContext("2d");
  numbers.forEach((x, i) => {
    context.fillStyle = `rgb(${color(x).join(" ")})`;
    context.fillRect(i % width, Math.floor(i / width), 1, 1);
  });
}
/** The first digit, `width` pixels in each row. */
const digit = (width) => shades(async () => {
  const [all] = await ink();
  const image = Array.from({ length: 8 }, (_, row) => Array.from(all.slice(8 * row, 8 * row + 8), (x) => [x / 16]));
  return { given: { image }, lines: ["vector := image_to_vector image"], width };
});

/** The graph that a script recorded, from its text: what is computed from what, from the left to the right. */
const graph = (given, ...lines) => async (canvas) => {
  const [{ calculate }, { color }] = await load();
  const nodes = (await calculate(given, [...lines, "graph = graph y"])).text.split("\n").map((line) => {
    const [, name, inputs, shape] = line.match(/^\d+: ([\w ]+?)(?:\(([^)]*)\))? (\[.*?\])/);
    return { name, shape, inputs: (inputs ?? "").split(/[^\d]+/).filter(Boolean).map(Number) };
  });
  for (const node of nodes) node.depth = Math.max(-1, ...node.inputs.map((i) => nodes[i].depth)) + 1;
  const columns = Math.max(...nodes.map(({ depth }) => depth)) + 1;
  const edges = nodes.flatMap((to) => to.inputs.map((i) => [nodes[i], to]));
  // Where an edge passes over a column, its nodes stand lower.
  const passed = (depth) => edges.some(([from, to]) => from.depth < depth && depth < to.depth);
  const most = Math.max(...nodes.map(({ depth }) => nodes.filter((other) => other.depth === depth).length + (passed(depth) ? 1 : 0)));
  for (const node of nodes) {
    const column = nodes.filter(({ depth }) => depth === node.depth);
    const above = passed(node.depth) ? 1 : 0;
    node.y = ((column.indexOf(node) + above + 0.5) * 60 * most) / (column.length + above) + 5;
  }
  const scale = devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, 60 * most + 10];
  canvas.style.height = `${height}px`;
  [canvas.width, canvas.height] = [width * scale, height * scale];
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  const step = width / columns;
  context.textAlign = "center";
  context.strokeStyle = color("orange");
  context.beginPath();
  for (const [from, to] of edges) {
    const [left, right] = [(from.depth + 0.9) * step, (to.depth + 0.1) * step];
    const over = to.depth - from.depth > 1;
    context.moveTo(left, from.y);
    context.bezierCurveTo(left + step * 0.2, over ? 0 : from.y, right - step * 0.2, over ? 0 : to.y, right, to.y);
    context.moveTo(right - 5, to.y - 4);
    context.lineTo(right, to.y);
    context.lineTo(right - 5, to.y + 4);
  }
  context.stroke();
  context.strokeStyle = color("teal");
  for (const { name, shape, depth, y } of nodes) {
    context.strokeRect((depth + 0.1) * step, y - 20, step * 0.8, 40);
    context.font = `${Math.min(13, (step * 1.3) / name.length)}px system-ui, sans-serif`;
    context.fillStyle = color("ink");
    context.fillText(name, (depth + 0.5) * step, y - 3);
    context.fillStyle = color("quiet");
    context.fillText(shape, (depth + 0.5) * step, y + 13);
  }
};

/** The two losses of a training, while it goes on. */
const learning = (kind, epochs, each, names = ["training", "by other people"]) => async (canvas) => {
  const [, { plot }] = await load();
  await train(kind, epochs, ([loss, valid]) => plot(canvas, [...loss.keys()].map((i) => i + 1), [["teal", loss], ["orange", valid]], { low: 0, high: Math.max(...loss, ...valid) }), each);
  return `${names[0]}: green, ${names[1]}: orange`;
};
/** What a training made, drawn while it goes on. */
const made = (kind, epochs, each, draw) => async (canvas) => {
  const pages = await load();
  let caption;
  await train(kind, epochs, async (_, lesson) => (caption = await draw(canvas, lesson, pages)), each);
  return caption;
};

async function irises(canvas) {
  const [, { plot }] = await load();
  const both = [];
  for (const kind of ["iris", "standardised"]) {
    await train(kind, 100, ([loss]) => {
      both[kind === "iris" ? 0 : 1] = [...loss];
      plot(canvas, [...both[0].keys()].map((i) => i + 1), both.map((y, i) => [["orange", "teal"][i], y]), { low: 0, high: Math.max(...both.flat()) });
    }, 10);
  }
  return "as measured: orange, standardised: green";
}

const boundary = (widths) => async (canvas) => {
  const [, { diverging }] = await load();
  await rings(widths, async (network, _, points) => {
    cells(canvas, [...(await network.call("plane", 96, 2.2))], 96, (share) => diverging((2 * share - 1) * 0.8));
    const context = canvas.getContext("2d");
    for (let i = 0; i < points.length; i += 3) {
      context.fillStyle = points[i + 2] ? "#b84a00" : "#1f4fb0";
      context.fillRect((points[i] / 2.2 + 1) * 48 - 0.75, (1 - points[i + 1] / 2.2) * 48 - 0.75, 1.5, 1.5);
    }
  });
};

async function roc(canvas) {
  const [{ calculate }, { plot }] = await load();
  const [, labels] = await ink();
  let scores;
  await train("eight", 500, async (_, lesson) => (scores = [...(await lesson.call("scores"))]), 500);
  const eights = [...labels.slice(1437)].map((label) => label === 8);
  const order = [...scores.keys()].sort((i, j) => scores[j] - scores[i]);
  const [x, y] = [[0], [0]];
  for (const i of order) {
    x.push(x.at(-1) + (eights[i] ? 0 : 1));
    y.push(y.at(-1) + (eights[i] ? 1 : 0));
  }
  const share = (counts) => counts.map((count) => count / counts.at(-1));
  plot(canvas, share(x), [["teal", share(y)]], { low: 0, high: 1 });
  const area = await calculate({ scores, right: eights.map(Number) }, ["classes := u32 right", "area = roc_auc scores classes"]);
  return `The area is ${area.numbers[0].toFixed(3)}.`;
}

async function confusion(canvas, lesson, [, { grey }]) {
  const [, labels] = await ink();
  const scores = await lesson.call("scores");
  const counts = new Array(100).fill(0);
  labels.slice(1437).forEach((label, i) => {
    const own = [...scores.subarray(10 * i, 10 * i + 10)];
    counts[10 * label + own.indexOf(Math.max(...own))]++;
  });
  cells(canvas, counts.map((count) => count / 40), 10, grey);
  const right = counts.filter((_, i) => i % 11 === 0).reduce((sum, count) => sum + count);
  return `Row: what it is. Column: what it was taken for. ${right} of 360 digits by other people are right.`;
}

/** Squares of 3 × 3 beside each other. */
async function kernels(canvas, lesson, [, { diverging }]) {
  const weights = await lesson.call("weights");
  const most = weights.reduce((most, weight) => Math.max(most, Math.abs(weight)), 0);
  const [count, rowsOf] = [weights.length / 9, []];
  for (let row = 0; row < 3; row++) {
    for (let kernel = 0; kernel < count; kernel++) rowsOf.push(...weights.subarray(9 * kernel + 3 * row, 9 * kernel + 3 * row + 3), NaN);
  }
  cells(canvas, rowsOf, 4 * count, (w) => (Number.isNaN(w) ? [128, 128, 128] : diverging(w / most)));
}

async function zeroWeights(canvas, lesson, [, { diverging }]) {
  const weights = await lesson.call("weights");
  const most = weights.reduce((most, weight) => Math.max(most, Math.abs(weight)), 0);
  cells(canvas, [...weights], 8, (w) => diverging(w / most));
}

const FIGURES = {
  "sigmoid.png": curve(["s", "s′"], studies(-8, 8, [[sigmoid, "value"], [sigmoid, "first"]])),
  "image.svg": digit(8),
  "unrolled.svg": digit(64),
  "normalise.svg": irises,
  "softmax.svg": shades(() => ({ given: { scores: [[0, 1, 2, 3, 4, 5]], factors: [[0.125], [0.25], [0.5], [1], [2], [4]] }, lines: ["x := mul scores factors", "shares := softmax x 1"], width: 6 })),
  "losses.svg": curve(["L1", "L2", "Huber"], studies(-3, 3, [["|x|", "value"], ["x^2", "value"], ["(|x| > 1 ? |x| - 0.5 : x^2 / 2)", "value"]])),
  "cross-entropy.svg": curve(["target 1", "target 0"], studies(-6, 6, [["max(-x, 0) + ln_1p(exp(-|x|))", "value"], ["max(x, 0) + ln_1p(exp(-|x|))", "value"]])),
  "graph-sigmoid.svg": graph({ numbers: three }, "x := parameter numbers", "s := sigmoid x", "y := sum_all s"),
  "graph-shared.svg": graph({ numbers: three }, "x := parameter numbers", "s := sigmoid x", "product := mul s x", "y := sum_all product"),
  "graph-logistic.svg": graph({ sizes: [360, 64], one: [360, 1] }, "x := ones sizes", "t := ones one", "scores := linear x 1", "y := bce_with_logits scores t"),
  "loss.svg": learning("zero", 500, 20),
  "weights.png": made("zero", 500, 20, zeroWeights),
  "roc.svg": roc,
  "boundary-linear.svg": boundary([]),
  "boundary.svg": boundary([16]),
  "cnn.svg": learning("cnn", 5, 1),
  "confusion.svg": made("cnn", 5, 1, confusion),
  "kernels.svg": made("cnn", 5, 1, kernels),
  "graph-slope.svg": graph({ numbers: three }, "x := parameter numbers", "s := sigmoid x", "all := sum_all s", "y := grad all x"),
  "derivatives.svg": curve(["s", "s′", "s″", "s‴"], async () => {
    const [{ call }] = await load();
    const study = await call("study", sigmoid, -8, 8, 401);
    // A derivative is a formula again, and is read as it is printed.
    const third = await call("study", study.derivative, -8, 8, 401);
    return [study.x, [study.value, study.first, study.second, third.second]];
  }),
};

function button(after, text, title) {
  const made = Object.assign(document.createElement("button"), { textContent: text, title, type: "button" });
  after.after(made);
  return made;
}

async function guarded(pressed, work, failed) {
  pressed.disabled = true;
  try {
    await work();
  } catch ({ message }) {
    failed(message);
  }
  pressed.disabled = false;
}

function addRun(block, work) {
  const pressed = button(block, "run", "Computes this in your browser");
  const output = Object.assign(document.createElement("pre"), { hidden: true });
  output.setAttribute("role", "status");
  pressed.after(output);
  const say = (line) => (output.textContent += `${output.textContent && "\n"}${line}`);
  pressed.addEventListener("click", () =>
    guarded(pressed, async () => {
      output.hidden = false;
      output.textContent = "";
      output.setAttribute("aria-busy", "true");
      if (typeof work === "function") await work(say);
      else {
        const [{ calculate }] = await load();
        // What goes wrong in one script is what it shows.
        for (const [given, ...lines] of work) say(await calculate(given, lines).then(({ text }) => text, ({ message }) => message));
      }
      output.removeAttribute("aria-busy");
    }, say),
  );
}

function addFigure(image, draw) {
  const pressed = button(image, "draw it here", "Computes and draws this in your browser");
  pressed.addEventListener("click", () =>
    guarded(pressed, async () => {
      const figure = Object.assign(document.createElement("span"), { className: "live" });
      figure.innerHTML = '<canvas role="img"></canvas><span role="status"></span>';
      const [canvas, caption] = figure.children;
      canvas.setAttribute("aria-label", image.alt);
      if (pressed.nextElementSibling?.className === "live") pressed.nextElementSibling.remove();
      pressed.after(figure);
      caption.textContent = "…";
      caption.textContent = (await draw(canvas)) ?? "";
      figure.dataset.drawn = "";
    }, (message) => (pressed.nextElementSibling.lastChild.textContent = message)),
  );
}

const chapter = location.pathname.split("/").pop().replace(/\.html$/, "");
for (const [heading, works] of Object.entries(BLOCKS[chapter] ?? {})) {
  let node = document.getElementById(heading);
  node = (node?.closest("h2") ?? node)?.nextElementSibling;
  for (const work of works) {
    // The next block of Rust below the heading.
    while (node && node.tagName !== "H2" && !node.querySelector?.("code.language-rust")) node = node.nextElementSibling;
    if (!node || node.tagName === "H2") {
      console.error(`${chapter}: expected a block of code below ${heading}`);
      break;
    }
    const block = node;
    node = node.nextElementSibling;
    if (work) addRun(block, work);
  }
}
if (BLOCKS[chapter]) {
  for (const image of document.querySelectorAll("img")) {
    const draw = FIGURES[image.getAttribute("src").split("/").pop()];
    if (draw) addFigure(image, draw);
  }
}
