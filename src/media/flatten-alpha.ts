/** Picture files are mostly looked at on a light page, and so do the programs whose pictures models were trained on. */
export const BACKGROUND = [255, 255, 255] as const;

/**
 * Lays pixels on white, in place: the result is the front of the given buffer.
 *
 * @param pixels (rows, cols, 4) uint8, RGB not premultiplied by alpha
 * @returns `rgb` (rows, cols, 3) uint8, and whether any pixel was transparent at all
 */
export function flattenAlpha(pixels: Uint8Array): { rgb: Uint8Array; transparent: boolean } {
  let transparent = false;
  let to = 0;
  // A pixel is read before its place is written: `to` never passes `from`.
  for (let from = 0; from < pixels.length; from += 4) {
    const alpha = pixels[from + 3]!;
    if (alpha === 255) {
      pixels[to++] = pixels[from]!;
      pixels[to++] = pixels[from + 1]!;
      pixels[to++] = pixels[from + 2]!;
      continue;
    }
    transparent = true;
    for (let channel = 0; channel < 3; channel++) {
      const over = pixels[from + channel]! * alpha + BACKGROUND[channel]! * (255 - alpha);
      pixels[to++] = Math.round(over / 255);
    }
  }
  return { rgb: pixels.subarray(0, to), transparent };
}
