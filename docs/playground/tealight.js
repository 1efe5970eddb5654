// The page's side of the worker: every call is a promise.

const worker = new Worker(new URL(`worker.js${location.search}`, import.meta.url), { type: "module" });
const waiting = new Map();
let last = 0;

worker.onmessage = ({ data: { id, result, error } }) => {
  const { done, failed } = waiting.get(id);
  waiting.delete(id);
  if (error === undefined) done(result);
  else failed(new Error(error));
};

function ask(message) {
  return new Promise((done, failed) => {
    waiting.set(++last, { done, failed });
    worker.postMessage({ id: last, ...message });
  });
}

/** Calls a function of tealight's. */
export const call = (name, ...args) => ask({ call: name, args });

/** The rank, the shape and the numbers of nested arrays. */
function packed(array) {
  const shape = [];
  for (let part = array; Array.isArray(part); part = part[0]) shape.push(part.length);
  return [shape.length, ...shape, ...[array].flat(Infinity)];
}

/** Runs a script of the calculator's with the arrays that `given` names. */
export const calculate = (given, lines) =>
  call("calculate", [Object.keys(given).join(" "), ...lines].join("\n"), Float64Array.from(Object.values(given).flatMap(packed)));

/** Makes an object in the worker; `call` is one of its methods. */
export async function make(kind, ...args) {
  const object = await ask({ make: kind, args });
  return {
    call: (name, ...args) => ask({ object, call: name, args }),
    free: () => ask({ object, call: "free", args: [] }),
  };
}
