import type { ResampleKernel } from "./resample-kernels.ts";

/**
 * Fixed-point weights of a one-dimensional resampling of a line that is of one colour, except for a picture on it:
 * output i is the sum of `count[i]` pixels of the picture from `first[i]` on, each times its weight, plus the colour
 * times `outside[i]`. Weights are in units of 2^-22; those of one output add up to about 2^22.
 */
export interface ResampleFilter {
  first: Int32Array; // (outputs) int32
  count: Int32Array; // (outputs) int32
  /** Where in `weights` those of output i start. */
  start: Int32Array; // (outputs) int32
  weights: Int32Array; // int32
  /** Sum of the weights of pixels that are not in the picture. */
  outside: Int32Array; // (outputs) int32
}

/** Where on a line the picture lies, in pixels. */
export interface Span {
  start: number;
  length: number;
}

/** Bits behind the binary point of a weight. */
export const WEIGHT_BITS = 22;

/**
 * Weights of Pillow's antialiased filters for `inputs` pixels that become `outputs`. When a picture shrinks, the kernel
 * is stretched to cover all the pixels that fall into one, so that none is skipped.
 *
 * Pillow, src/libImaging/Resample.c: precompute_coeffs and normalize_coeffs_8bpc.
 *
 * @param window the outputs that are wanted. Default: all
 */
export function resampleFilter(
  kernel: ResampleKernel,
  inputs: number,
  outputs: number,
  picture: Span,
  window: Span = { start: 0, length: outputs },
): ResampleFilter {
  const scale = inputs / outputs;
  const stretch = Math.max(scale, 1);
  const support = kernel.support * stretch;
  const stride = Math.ceil(support) * 2 + 1;
  const filter: ResampleFilter = {
    first: new Int32Array(window.length),
    count: new Int32Array(window.length),
    start: new Int32Array(window.length),
    weights: new Int32Array(window.length * stride),
    outside: new Int32Array(window.length),
  };
  const exact = new Float64Array(stride);
  for (let output = 0; output < window.length; output++) {
    const centre = (window.start + output + 0.5) * scale;
    const from = Math.max(0, Math.trunc(centre - support + 0.5));
    const to = Math.min(inputs, Math.trunc(centre + support + 0.5));
    let sum = 0;
    for (let input = from; input < to; input++) {
      const weight = kernel.weight((input - centre + 0.5) / stretch);
      exact[input - from] = weight;
      sum += weight;
    }
    const inside = Math.min(to, Math.max(from, picture.start));
    const insideEnd = Math.max(inside, Math.min(to, picture.start + picture.length));
    for (let input = from; input < to; input++) {
      const real = ((exact[input - from] as number) / sum) * 2 ** WEIGHT_BITS;
      const weight = Math.trunc(real + (real < 0 ? -0.5 : 0.5));
      if (input >= inside && input < insideEnd) filter.weights[output * stride + input - inside] = weight;
      else filter.outside[output] = (filter.outside[output] as number) + weight;
    }
    filter.first[output] = inside - picture.start;
    filter.count[output] = insideEnd - inside;
    filter.start[output] = output * stride;
  }
  return filter;
}
