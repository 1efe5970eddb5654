// The handwritten digits.

const SIDE = 8;

/** The ink of each digit, 0 to 16 a pixel, from the sheet of all, and what each is. */
export async function digits() {
  const [sheet, labels] = await Promise.all(["digits.png", "digits-labels.txt"].map((name) => fetch(new URL(`build/${name}`, import.meta.url))));
  const picture = await createImageBitmap(await sheet.blob(), { colorSpaceConversion: "none" });
  const context = new OffscreenCanvas(picture.width, picture.height).getContext("2d");
  context.drawImage(picture, 0, 0);
  const bytes = context.getImageData(0, 0, picture.width, picture.height).data;
  const known = [...(await labels.text()).trim()].map(Number);
  const columns = picture.width / SIDE;
  const ink = new Uint8Array(known.length * SIDE * SIDE);
  for (let i = 0; i < ink.length; i++) {
    const [digit, pixel] = [Math.floor(i / 64), i % 64];
    const row = Math.floor(digit / columns) * SIDE + Math.floor(pixel / SIDE);
    // The sheet has 15 steps of grey for one of ink.
    ink[i] = Math.round(bytes[4 * (row * picture.width + (digit % columns) * SIDE + (pixel % SIDE))] / 15);
  }
  return [ink, new Uint8Array(known)];
}
