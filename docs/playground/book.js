// The book runs: beside the blocks of code that the playground's functions can compute, a button does it in the page. The book reads as
// well without it.

(() => {
  const rows = (...numbers) => [new Float64Array(numbers.flat()), numbers[0].length];
  /** Of each chapter, the heading of a block, and what its button computes. */
  const BLOCKS = {
    "01-formulas": { "many-numbers-by-a-tensor": ["sigmoid", rows([1, 2, 3])], "the-derivative": ["sigmoid", rows([1, 2, 3])] },
    "02-broadcasting": { "the-rule": ["broadcast", [new Uint32Array([4, 1, 3]), new Uint32Array([2, 3])]] },
    "03-images": { "unrolling-by-tensors": ["unroll", rows([0, 0.4, 0.8], [0.2, 1, 0.2])] },
    "04-normalising": { "rows-of-length-1": ["normalize", rows([0, 3, 4], [1, 6, 4])] },
    "05-softmax": { "by-tensors": ["softmax", rows([0, 3, 4], [1, 6, 4])] },
    "06-products": { "the-dot-product": ["products", rows([9, 2, 5], [9, 2, 2])], "the-outer-product": ["products", rows([9, 2, 5], [9, 2, 2])] },
    "07-losses": { "l1-the-absolute-differences": ["losses", rows([0.9, 0.2, 0.1], [1, 0, 0])], "l2-the-squared-differences": ["losses", rows([0.9, 0.2, 0.1], [1, 0, 0])] },
    "08-graph": { backward: ["gradient", rows([1, 2, 3])], "a-number-that-is-used-twice": ["gradient", rows([1, 2, 3])] },
    "09-logistic-regression": { "gradient-descent": ["train", []] },
    "10-mlp": { "the-ring": ["train", [16]] },
    "11-cnn": { "by-loops": ["convolution", rows([0, 0, 1, 1, 0], [0, 0, 1, 1, 0], [0, 0, 1, 1, 0])] },
    "12-second-derivatives": { "the-sigmoid-once-more": ["second", rows([-1, 0, 1])] },
  };

  // Beside this file, wherever the book lies.
  const folder = new URL(".", document.currentScript.src);
  const load = (file) => import(new URL(file, folder));

  async function compute(name, given) {
    const { call, make } = await load("tealight.js");
    if (name === "broadcast") return `[${[...(await call("broadcast", ...given))].join(", ")}]`;
    if (name !== "train") return call("section", name, ...given);
    const points = await call("points", "circles", 200, 0.05, 1);
    const network = await make("Network", points, new Uint32Array(given), "tanh(x)", "adam", 0.05, 1);
    const lines = [];
    for (let step = 0; step <= 200; step += 40) {
      const loss = await network.call("train", step ? 40 : 1);
      lines.push(`step ${String(step).padStart(3)}: loss ${loss.toFixed(4)}, ${(100 * (await network.call("accuracy"))).toFixed(1)} % of two circles right`);
    }
    await network.free();
    return lines.join("\n");
  }

  function addButton(block, [name, given]) {
    const output = Object.assign(document.createElement("pre"), { hidden: true });
    output.setAttribute("role", "status");
    const button = Object.assign(document.createElement("button"), { textContent: "run", title: "Computes this in your browser", type: "button" });
    button.addEventListener("click", async () => {
      output.hidden = false;
      output.textContent = "…";
      try {
        output.textContent = await compute(name, given);
      } catch ({ message }) {
        output.textContent = message;
      }
    });
    block.after(button, output);
  }

  const chapter = location.pathname.split("/").pop().replace(/\.html$/, "");
  for (const [heading, block] of Object.entries(BLOCKS[chapter] ?? {})) {
    let node = document.getElementById(heading);
    node = node?.closest("h2") ?? node;
    // The first block of Rust below its heading.
    while (node && !node.querySelector?.("code.language-rust")) node = node.nextElementSibling;
    if (node) addButton(node, block);
  }
})();
