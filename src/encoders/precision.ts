import type { RgbImage } from "../media/rgb-image.ts";
import type { Gguf } from "../gguf/gguf.ts";
import type { Backend } from "../native/backend.ts";
import { measureMatmul } from "../native/matmul-speed.ts";
import type { WeightType } from "../native/weights.ts";
import type { ImageEncoder } from "./image-encoder.ts";
import { rowsOf } from "./picture-layout.ts";
import { readPrecisionDecision, writePrecisionDecision } from "./precision-cache.ts";
import { isSmallEncoder } from "./small-encoder.ts";

/** Least cosine between a row and the same row of the f32 encoder. */
export const MIN_COSINE = 0.998;
/** Of the fixed picture, where the family can make fewer: one tile tells as much as seventeen. */
const CALIBRATION_ROWS = 256;
/** Side of the matrix whose product is timed: that of a usual encoder, about 10 ms. */
const MEASURED_WIDTH = 1024;

type Open = (precision: WeightType) => Promise<ImageEncoder>;

/**
 * Opens an encoder in the precision that is the fastest here among those that keep its rows: every row of a fixed
 * picture must have a cosine of at least `MIN_COSINE` to its float32 self.
 *
 * Takes some seconds for a large encoder, but only once: the decision is kept on disk. The float32 copy is freed
 * before the next one is loaded.
 */
export async function openFastestPrecision(gguf: Gguf, backend: Backend, open: Open): Promise<ImageEncoder> {
  if (isSmallEncoder(gguf)) return open("f32");
  const known = await readPrecisionDecision(gguf, backend.name);
  if (known !== undefined) return open(known);

  const reference = await open("f32");
  const expected = await encodeCalibrationPicture(reference);
  const { embeddingLength, imageSize } = reference;
  const rows = rowsOf(reference.layout(imageSize, imageSize, CALIBRATION_ROWS));
  await reference.close();

  for (const precision of await rankBySpeed(backend, rows)) {
    const encoder = await open(precision);
    const rowsOfPicture = precision === "f32" ? expected : await encodeCalibrationPicture(encoder);
    if (smallestCosine(expected, rowsOfPicture, embeddingLength) >= MIN_COSINE) {
      await writePrecisionDecision(gguf, backend.name, precision);
      return encoder;
    }
    await encoder.close();
  }
  return open("f32");
}

/** Fastest first. The exact one is among them, so that one is always good enough. */
async function rankBySpeed(backend: Backend, rows: number): Promise<WeightType[]> {
  const size = { inputs: MEASURED_WIDTH, outputs: MEASURED_WIDTH, rows };
  const timed: { type: WeightType; milliseconds: number }[] = [];
  for (const type of ["q8_0", "bf16", "f16", "f32"] as const) {
    timed.push({ type, milliseconds: await measureMatmul(backend, type, size) });
  }
  return timed.sort((a, b) => a.milliseconds - b.milliseconds).map(({ type }) => type);
}

async function encodeCalibrationPicture(encoder: ImageEncoder): Promise<Float32Array> {
  const picture = drawCalibrationPicture(encoder.imageSize);
  return encoder.encode(encoder.preprocess(picture, CALIBRATION_ROWS));
}

/** Smooth colours, edges and grain, as photographs have them; the same on every machine. */
function drawCalibrationPicture(side: number): RgbImage {
  const data = new Uint8Array(side * side * 3); // (side, side, 3) uint8
  let random = 1;
  for (let index = 0; index < data.length; index++) {
    const pixel = Math.floor(index / 3);
    const x = (pixel % side) / side;
    const y = Math.floor(pixel / side) / side;
    const wave = Math.sin(9 * x + 2 * (index % 3)) * Math.cos(7 * y - (index % 3));
    const disc = Math.hypot(x - 0.6, y - 0.4) < 0.25 ? 70 : 0;
    // Park and Miller's minimal standard generator.
    random = (random * 48_271) % 2_147_483_647;
    data[index] = Math.max(0, Math.min(255, 110 + 90 * wave + disc + (random % 32) - 16));
  }
  return { width: side, height: side, data };
}

/** Over rows of `width` values. */
function smallestCosine(expected: Float32Array, actual: Float32Array, width: number): number {
  let smallest = 1;
  for (let start = 0; start < expected.length; start += width) {
    let [product, expectedSquare, actualSquare] = [0, 0, 0];
    for (let index = start; index < start + width; index++) {
      const [a, b] = [expected[index] as number, actual[index] as number];
      product += a * b;
      expectedSquare += a * a;
      actualSquare += b * b;
    }
    const cosine = product / Math.sqrt(expectedSquare * actualSquare);
    // A row that is not a number, or zero in one of them only, is as bad as a row can be.
    smallest = Math.min(smallest, expectedSquare === 0 && actualSquare === 0 ? 1 : cosine || 0);
  }
  return smallest;
}
