/** A size in pixels. */
interface Size {
  width: number;
  height: number;
}

export interface SmartResizeLimits {
  /** Both sides become multiples of it, in pixels. */
  factor: number;
  /** Of the whole picture: width times height. */
  minPixels: number;
  maxPixels: number;
}

/**
 * The size at which a model of any resolution looks at a picture: whole multiples of `factor`, about the picture's
 * own shape, and not too few or too many pixels.
 *
 * transformers: models/qwen2_vl/image_processing_qwen2_vl.py smart_resize. It refuses pictures that are more than 200
 * times as long as wide; here they are squeezed, so that they stay below `maxPixels` too.
 */
export function smartResize(
  { width, height }: Size,
  { factor, minPixels, maxPixels }: SmartResizeLimits,
): Size {
  const near = {
    width: roundHalfToEven(width / factor) * factor,
    height: roundHalfToEven(height / factor) * factor,
  };
  if (near.width * near.height > maxPixels) {
    const beta = Math.sqrt((height * width) / maxPixels);
    const smaller = (side: number): number => Math.max(factor, Math.floor(side / beta / factor) * factor);
    return squeeze({ width: smaller(width), height: smaller(height) }, factor, maxPixels);
  }
  if (near.width * near.height < minPixels) {
    const beta = Math.sqrt(minPixels / (height * width));
    const larger = (side: number): number => Math.ceil((side * beta) / factor) * factor;
    return squeeze({ width: larger(width), height: larger(height) }, factor, maxPixels);
  }
  return near;
}

/** A picture that is one factor wide can only become shorter. */
function squeeze({ width, height }: Size, factor: number, maxPixels: number): Size {
  const longest = (other: number): number =>
    Math.max(factor, Math.floor(maxPixels / other / factor) * factor);
  if (width * height <= maxPixels) return { width, height };
  return width > height ? { width: longest(height), height } : { width, height: longest(width) };
}

/** As Python's `round`. */
function roundHalfToEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
}
