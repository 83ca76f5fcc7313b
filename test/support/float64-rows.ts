import { dequantize } from "../../src/gguf/dequantize.ts";
import type { Gguf } from "../../src/gguf/gguf.ts";

/** What a reference in float64 is made of: loops and nothing else. */
export type Rows = number[][];

/** Tensors of a file by name, as they were before they were packed. */
export class PlainWeights {
  readonly #values: ReadonlyMap<string, Float32Array>;

  private constructor(values: ReadonlyMap<string, Float32Array>) {
    this.#values = values;
  }

  static async read(gguf: Gguf): Promise<PlainWeights> {
    const values = new Map<string, Float32Array>();
    for (const info of gguf.tensors.values()) {
      values.set(info.name, dequantize(info.type, await gguf.readTensor(info)));
    }
    return new PlainWeights(values);
  }

  find(name: string): Float32Array | undefined {
    return this.#values.get(name);
  }

  get(name: string): Float32Array {
    const found = this.#values.get(name);
    if (found === undefined) throw new Error(`no ${name}`);
    return found;
  }

  linear(rows: Rows, name: string): Rows {
    const weight = this.get(`${name}.weight`);
    const bias = this.find(`${name}.bias`);
    const inputs = rows[0]?.length ?? 0;
    return rows.map((row) =>
      Array.from({ length: weight.length / inputs }, (_, output) => {
        let sum = bias?.[output] ?? 0;
        for (let input = 0; input < inputs; input++) {
          sum += (row[input] ?? Number.NaN) * (weight[output * inputs + input] ?? Number.NaN);
        }
        return sum;
      }),
    );
  }

  norm(rows: Rows, name: string, epsilon: number, kind: "layer" | "rms"): Rows {
    const weight = this.get(`${name}.weight`);
    const bias = kind === "layer" ? this.get(`${name}.bias`) : undefined;
    return rows.map((row) => {
      const mean = kind === "rms" ? 0 : row.reduce((sum, value) => sum + value, 0) / row.length;
      const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / row.length;
      return row.map(
        (value, x) =>
          ((value - mean) / Math.sqrt(variance + epsilon)) * (weight[x] ?? Number.NaN) + (bias?.[x] ?? 0),
      );
    });
  }

  /** One row per square of `patchSize` pixels. @param planes (3, height, width) */
  patches(
    planes: Float32Array,
    { width, height }: { width: number; height: number },
    patchSize: number,
  ): Rows {
    const kernel = this.get("v.patch_embd.weight");
    const bias = this.find("v.patch_embd.bias");
    const across = width / patchSize;
    const area = patchSize ** 2;
    return Array.from({ length: across * (height / patchSize) }, (_, patch) =>
      Array.from({ length: kernel.length / (3 * area) }, (__, output) => {
        let sum = bias?.[output] ?? 0;
        for (let inside = 0; inside < 3 * area; inside++) {
          const y = Math.floor(patch / across) * patchSize + (Math.floor(inside / patchSize) % patchSize);
          const x = (patch % across) * patchSize + (inside % patchSize);
          const pixel = planes[(Math.floor(inside / area) * height + y) * width + x] ?? Number.NaN;
          sum += pixel * (kernel[output * 3 * area + inside] ?? Number.NaN);
        }
        return sum;
      }),
    );
  }
}

export function add(a: Rows, b: Rows): Rows {
  return a.map((row, y) => row.map((value, x) => value + (b[y]?.[x] ?? Number.NaN)));
}

export function multiply(a: Rows, b: Rows): Rows {
  return a.map((row, y) => row.map((value, x) => value * (b[y]?.[x] ?? Number.NaN)));
}

export function apply(rows: Rows, f: (x: number) => number): Rows {
  return rows.map((row) => row.map(f));
}

export function attend(q: Rows, k: Rows, v: Rows, heads: number): Rows {
  const columns = q[0]?.length ?? 0;
  const width = columns / heads;
  return q.map((query) => {
    const result = Array.from({ length: columns }, () => 0);
    for (let start = 0; start < columns; start += width) {
      const scores = k.map((key) => {
        let sum = 0;
        for (let x = start; x < start + width; x++) sum += (query[x] ?? Number.NaN) * (key[x] ?? Number.NaN);
        return Math.exp(sum / Math.sqrt(width));
      });
      const total = scores.reduce((sum, score) => sum + score, 0);
      for (let x = start; x < start + width; x++) {
        result[x] = scores.reduce((sum, score, y) => sum + (score / total) * (v[y]?.[x] ?? Number.NaN), 0);
      }
    }
    return result;
  });
}

export const silu = (x: number): number => x / (1 + Math.exp(-x));
/** PyTorch's GELU. */
export const gelu = (x: number): number => 0.5 * x * (1 + erf(x / Math.SQRT2));

/** Maclaurin series; exact to float64 rounding for the arguments that occur here. */
function erf(x: number): number {
  let [term, sum] = [x, x];
  for (let n = 1; n < 200; n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return Math.abs(x) > 5 ? Math.sign(x) : (2 / Math.sqrt(Math.PI)) * sum;
}

/** The least of all rows. @param actual (rows, columns) float32 */
export function smallestCosine(expected: Rows, actual: Float32Array): number {
  return Math.min(
    ...expected.map((row, y) => {
      let [product, a, b] = [0, 0, 0];
      for (const [x, value] of row.entries()) {
        const other = actual[y * row.length + x] ?? Number.NaN;
        product += value * other;
        a += value * value;
        b += other * other;
      }
      return product / Math.sqrt(a * b);
    }),
  );
}
