// What the pages share. All text goes through textContent, so a name of a class or a file cannot be markup.
"use strict";

const $ = (id) => document.getElementById(id);
const counted = (n, unit) => `${n} ${unit}${n === 1 ? "" : "s"}`;
const percent = (share) => `${(100 * share).toFixed(1)} %`;

function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

function figure(node, caption) {
  return make("figure", {}, node, make("figcaption", { textContent: caption }));
}

/** What the model sees, and with `heat` where it looks. */
function seen({ width, height, channels, pixels, saliency }, heat) {
  const canvas = make("canvas", { width, height, role: "img" });
  canvas.ariaLabel = heat ? "The picture as the model sees it, with the pixels that matter most in red" : "The picture as the model sees it";
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    const color = [0, 1, 2].map((c) => pixels[i * channels + (channels === 3 ? c : 0)]);
    const share = heat ? saliency[i] / 255 : 0;
    const grey = heat ? color.map(() => (color[0] + color[1] + color[2]) / 3) : color;
    const red = [255, 40, 0];
    [0, 1, 2].forEach((c) => { image.data[4 * i + c] = grey[c] * (1 - share) + red[c] * share; });
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

const views = (picture) => [
  figure(seen(picture, false), "What the model sees"),
  figure(seen(picture, true), "What matters most, in red"),
];
