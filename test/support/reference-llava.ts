import type { ProjectorShape } from "../../bench/random-projector.ts";
import { dequantize } from "../../src/gguf/dequantize.ts";
import type { Gguf } from "../../src/gguf/gguf.ts";

/** LLaVA's encoder and projectors in float64, with loops and nothing else, from weights under their names in GGUF. */
export type Rows = number[][];
export type Weights = Map<string, { shape: readonly number[]; values: Float32Array }>;

export async function readWeights(gguf: Gguf): Promise<Weights> {
  const weights: Weights = new Map();
  for (const info of gguf.tensors.values()) {
    weights.set(info.name, { shape: info.shape, values: dequantize(info.type, await gguf.readTensor(info)) });
  }
  return weights;
}

function erf(x: number): number {
  // Maclaurin series; exact to float64 rounding for the arguments that occur here.
  let [term, sum] = [x, x];
  for (let n = 1; n < 200; n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return Math.abs(x) > 5 ? Math.sign(x) : (2 / Math.sqrt(Math.PI)) * sum;
}

const activations = {
  quick_gelu: (x: number): number => x / (1 + Math.exp(-1.702 * x)),
  gelu: (x: number): number => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  silu: (x: number): number => x / (1 + Math.exp(-x)),
  gelu_erf: (x: number): number => 0.5 * x * (1 + erf(x / Math.SQRT2)),
};

export interface Reference {
  shape: ProjectorShape;
  activation: keyof typeof activations;
  projectorGelu: keyof typeof activations;
  blocks: number;
  postNorm: boolean;
  /** llama.cpp's place of the class token. */
  classTokenLast?: boolean;
}

/** tile: (3, size, size) → rows (patches, text width) */
export function encodeInFloat64(weights: Weights, tile: Float32Array, reference: Reference): Rows {
  const { imageSize, patchSize, embedding, heads } = reference.shape;
  const at = (name: string): Float32Array | undefined => weights.get(name)?.values;
  const linear = (rows: Rows, name: string): Rows => {
    const weight = weights.get(`${name}.weight`);
    if (weight === undefined) throw new Error(`no ${name}`);
    const [inputs = 0, outputs = 0] = weight.shape;
    const bias = at(`${name}.bias`);
    return rows.map((row) =>
      Array.from({ length: outputs }, (_, output) => {
        let sum = bias?.[output] ?? 0;
        for (let input = 0; input < inputs; input++) {
          sum += (row[input] ?? NaN) * (weight.values[output * inputs + input] ?? NaN);
        }
        return sum;
      }),
    );
  };
  const norm = (rows: Rows, name: string): Rows => {
    const weight = at(`${name}.weight`);
    if (weight === undefined) return rows;
    return rows.map((row) => {
      const mean = row.reduce((sum, value) => sum + value, 0) / row.length;
      const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / row.length;
      return row.map(
        (value, index) =>
          ((value - mean) / Math.sqrt(variance + 1e-5)) * (weight[index] ?? 0) +
          (at(`${name}.bias`)?.[index] ?? 0),
      );
    });
  };
  const add = (a: Rows, b: Rows): Rows =>
    a.map((row, y) => row.map((value, x) => value + (b[y]?.[x] ?? NaN)));
  const project = (rows: Rows, block: string, third: number): Rows => {
    if (at(`${block}.attn_qkv.weight`) === undefined) return linear(rows, `${block}.attn_${"qkv"[third]}`);
    return linear(rows, `${block}.attn_qkv`).map((row) =>
      row.slice(third * embedding, (third + 1) * embedding),
    );
  };
  const attend = (q: Rows, k: Rows, v: Rows): Rows =>
    q.map((query) => {
      const result = Array.from({ length: embedding }, () => 0);
      const width = embedding / heads;
      for (let start = 0; start < embedding; start += width) {
        const scores = k.map((key) => {
          let sum = 0;
          for (let x = start; x < start + width; x++) sum += (query[x] ?? NaN) * (key[x] ?? NaN);
          return Math.exp(sum / Math.sqrt(width));
        });
        const total = scores.reduce((sum, score) => sum + score, 0);
        for (let x = start; x < start + width; x++) {
          result[x] = scores.reduce((sum, score, y) => sum + (score / total) * (v[y]?.[x] ?? NaN), 0);
        }
      }
      return result;
    });

  const kernel = at("v.patch_embd.weight") ?? new Float32Array();
  const across = imageSize / patchSize;
  let rows: Rows = Array.from({ length: across * across }, (_, patch) =>
    Array.from({ length: embedding }, (__, output) => {
      let sum = at("v.patch_embd.bias")?.[output] ?? 0;
      for (let channel = 0; channel < 3; channel++) {
        for (let y = 0; y < patchSize; y++) {
          for (let x = 0; x < patchSize; x++) {
            const row = Math.floor(patch / across) * patchSize + y;
            const column = (patch % across) * patchSize + x;
            const weight = kernel[((output * 3 + channel) * patchSize + y) * patchSize + x] ?? NaN;
            sum += (tile[(channel * imageSize + row) * imageSize + column] ?? NaN) * weight;
          }
        }
      }
      return sum;
    }),
  );
  const classToken = at("v.class_embd");
  if (classToken !== undefined) {
    rows = reference.classTokenLast === true ? [...rows, [...classToken]] : [[...classToken], ...rows];
  }
  const positions = at("v.position_embd.weight") ?? new Float32Array();
  rows = rows.map((row, y) => row.map((value, x) => value + (positions[y * embedding + x] ?? NaN)));
  rows = norm(rows, "v.pre_ln");
  for (let index = 0; index < reference.blocks; index++) {
    const block = `v.blk.${index}`;
    const normed = norm(rows, `${block}.ln1`);
    const [q, k, v] = [0, 1, 2].map((third) => project(normed, block, third)) as [Rows, Rows, Rows];
    rows = add(rows, linear(attend(q, k, v), `${block}.attn_out`));
    const swapped = weights.get(`${block}.ffn_down.weight`)?.shape[0] === embedding;
    const hidden = linear(norm(rows, `${block}.ln2`), `${block}.${swapped ? "ffn_down" : "ffn_up"}`);
    const active = hidden.map((row) => row.map(activations[reference.activation]));
    rows = add(rows, linear(active, `${block}.${swapped ? "ffn_up" : "ffn_down"}`));
  }
  if (reference.postNorm) rows = norm(rows, "v.post_ln");
  if (classToken !== undefined) rows = rows.slice(1);
  const gelu = activations[reference.projectorGelu];
  const activate = (input: Rows, apply: (x: number) => number): Rows => input.map((row) => row.map(apply));
  if (weights.has("mm.model.mlp.1.weight")) {
    rows = linear(activate(linear(rows, "mm.model.mlp.1"), gelu), "mm.model.mlp.3");
    const parts = { at, linear, norm };
    rows = add(rows, invertedResidual(rows, "mm.model.mb_block.1.block", 1, parts));
    return invertedResidual(rows, "mm.model.mb_block.2.block", 2, parts);
  }
  if (weights.has("mm.model.mlp.0.weight")) {
    rows = linear(activate(linear(rows, "mm.model.mlp.0"), gelu), "mm.model.mlp.2");
    const side = Math.sqrt(rows.length);
    const halved = Array.from({ length: rows.length / 4 }, (_, place) => {
      const [y, x] = [Math.floor(place / (side / 2)) * 2, (place % (side / 2)) * 2];
      const four = [y * side + x, y * side + x + 1, (y + 1) * side + x, (y + 1) * side + x + 1];
      return (rows[0] ?? []).map((__, column) =>
        four.reduce((sum, index) => sum + (rows[index]?.[column] ?? NaN) / 4, 0),
      );
    });
    const placed = convolve(halved, at("mm.model.peg.0.weight"), 1, at("mm.model.peg.0.bias"));
    return add(halved, placed);
  }
  rows = norm(linear(rows, "mm.0"), "mm.1");
  const second = ["mm.2", "mm.3"].find((name) => weights.has(`${name}.weight`));
  return second === undefined ? rows : norm(linear(activate(rows, gelu), second), "mm.4");
}

/** 3 x 3, each column of the rows with a kernel of its own, zeros around. */
function convolve(rows: Rows, kernel: Float32Array | undefined, stride: number, bias?: Float32Array): Rows {
  const side = Math.sqrt(rows.length);
  const sideOut = Math.ceil(side / stride);
  return Array.from({ length: sideOut ** 2 }, (_, place) =>
    (rows[0] ?? []).map((__, column) => {
      let sum = bias?.[column] ?? 0;
      for (let tap = 0; tap < 9; tap++) {
        const y = Math.floor(place / sideOut) * stride + Math.floor(tap / 3) - 1;
        const x = (place % sideOut) * stride + (tap % 3) - 1;
        if (y < 0 || x < 0 || y >= side || x >= side) continue;
        sum += (rows[y * side + x]?.[column] ?? NaN) * (kernel?.[column * 9 + tap] ?? NaN);
      }
      return sum;
    }),
  );
}

/** torchvision's InvertedResidual as MobileVLM sets it up, without the addition. */
function invertedResidual(
  rows: Rows,
  block: string,
  stride: number,
  {
    at,
    linear,
    norm,
  }: {
    at: (name: string) => Float32Array | undefined;
    linear: (rows: Rows, name: string) => Rows;
    norm: (rows: Rows, name: string) => Rows;
  },
): Rows {
  const hardSigmoid = (x: number): number => Math.min(6, Math.max(0, x + 3)) / 6;
  const convolved = norm(convolve(rows, at(`${block}.0.0.weight`), stride), `${block}.0.1`);
  const active = convolved.map((row) => row.map((x) => x * hardSigmoid(x)));
  const means = (active[0] ?? []).map(
    (_, column) => active.reduce((sum, row) => sum + (row[column] ?? NaN), 0) / active.length,
  );
  const squeezed = linear([means], `${block}.1.fc1`).map((row) => row.map((x) => Math.max(0, x)));
  const [scale = []] = linear(squeezed, `${block}.1.fc2`).map((row) => row.map(hardSigmoid));
  const excited = active.map((row) => row.map((x, column) => x * (scale[column] ?? NaN)));
  return norm(linear(excited, `${block}.2.0`), `${block}.2.1`);
}

export function smallestCosine(expected: Rows, actual: Float32Array): number {
  return Math.min(
    ...expected.map((row, y) => {
      let [product, a, b] = [0, 0, 0];
      for (const [x, value] of row.entries()) {
        const other = actual[y * row.length + x] ?? NaN;
        product += value * other;
        a += value * value;
        b += other * other;
      }
      return product / Math.sqrt(a * b);
    }),
  );
}
