/** Fixed-point weights of a one-dimensional resampling: output i is the sum of `count[i]` inputs from `first[i]` on. */
export interface ResampleFilter {
  first: Int32Array; // (outputs) int32
  count: Int32Array; // (outputs) int32
  /** Weights of output i start at i * stride. In units of 2^-22; those of one output add up to about 2^22. */
  weights: Int32Array; // (outputs, stride) int32
  stride: number;
}

/** Bits behind the binary point of a weight. */
export const WEIGHT_BITS = 22;

/**
 * Weights of Pillow's antialiased bicubic filter. When a picture shrinks, the cubic is stretched to cover all the
 * pixels that fall into one, so that none is skipped.
 *
 * Pillow, src/libImaging/Resample.c: precompute_coeffs and normalize_coeffs_8bpc.
 */
export function bicubicFilter(inputs: number, outputs: number): ResampleFilter {
  const scale = inputs / outputs;
  const stretch = Math.max(scale, 1);
  const support = 2 * stretch;
  const stride = Math.ceil(support) * 2 + 1;
  const first = new Int32Array(outputs);
  const count = new Int32Array(outputs);
  const weights = new Int32Array(outputs * stride);
  const exact = new Float64Array(stride);
  for (let output = 0; output < outputs; output++) {
    const centre = (output + 0.5) * scale;
    const start = Math.max(0, Math.trunc(centre - support + 0.5));
    const end = Math.min(inputs, Math.trunc(centre + support + 0.5));
    let sum = 0;
    for (let input = start; input < end; input++) {
      const weight = cubic((input - centre + 0.5) / stretch);
      exact[input - start] = weight;
      sum += weight;
    }
    for (let index = 0; index < end - start; index++) {
      const weight = ((exact[index] as number) / sum) * 2 ** WEIGHT_BITS;
      weights[output * stride + index] = Math.trunc(weight + (weight < 0 ? -0.5 : 0.5));
    }
    first[output] = start;
    count[output] = end - start;
  }
  return { first, count, weights, stride };
}

/** Keys' cubic convolution kernel with a = -0.5. */
function cubic(distance: number): number {
  const a = -0.5;
  const x = Math.abs(distance);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}
