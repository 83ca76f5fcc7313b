import type { Weights } from "./write-safetensors.ts";

/**
 * Text and vision transformers as transformers (the library) computes them, from weights under its names, in float64,
 * with loops and nothing else.
 */
export type Rows = number[][];
export type NamedWeights = ReadonlyMap<string, Weights>;

export interface ReferenceText {
  blocks: number;
  heads: number;
  keyValueHeads: number;
  headLength: number;
  epsilon: number;
  /** What the angle of pair i grows by per position. */
  frequencies: readonly number[];
}

export interface ReferenceVision {
  imageSize: number;
  patchSize: number;
  heads: number;
  /** Blocks before the rows that are used. */
  blocks: number;
  epsilon: number;
  activation: "quick_gelu" | "gelu";
}

const silu = (x: number): number => x / (1 + Math.exp(-x));
const quickGelu = (x: number): number => x / (1 + Math.exp(-1.702 * x));
const tanhGelu = (x: number): number =>
  0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
const exactGelu = (x: number): number => 0.5 * x * (1 + erf(x / Math.SQRT2));

function erf(x: number): number {
  if (Math.abs(x) > 5) return Math.sign(x);
  let [term, sum] = [x, x];
  for (let n = 1; n < 200; n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

function get(weights: NamedWeights, name: string): Weights {
  const found = weights.get(name);
  if (found === undefined) throw new Error(`no ${name}`);
  return found;
}

function linear(weights: NamedWeights, name: string, rows: Rows): Rows {
  const { shape, values } = get(weights, `${name}.weight`);
  const [outputs = 0, inputs = 0] = shape;
  const bias = weights.get(`${name}.bias`)?.values;
  return rows.map((row) =>
    Array.from({ length: outputs }, (_, output) => {
      let sum = bias?.[output] ?? 0;
      for (let input = 0; input < inputs; input++) {
        sum += (row[input] as number) * (values[output * inputs + input] as number);
      }
      return sum;
    }),
  );
}

function add(a: Rows, b: Rows): Rows {
  return a.map((row, y) => row.map((value, x) => value + (b[y]?.[x] as number)));
}

function softmaxMix(scores: readonly number[], values: readonly (readonly number[])[]): number[] {
  const largest = Math.max(...scores);
  const shares = scores.map((score) => Math.exp(score - largest));
  const total = shares.reduce((sum, share) => sum + share, 0);
  return Array.from({ length: values[0]?.length ?? 0 }, (_, x) =>
    values.reduce((sum, row, y) => sum + ((shares[y] as number) / total) * (row[x] as number), 0),
  );
}

function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, index) => sum + value * (b[index] as number), 0);
}

/** Rows of the token embedding. */
export function embedTokens(weights: NamedWeights, tokens: readonly number[]): Rows {
  const { shape, values } = get(weights, "model.embed_tokens.weight");
  const width = shape[1] as number;
  return tokens.map((token) => [...values.subarray(token * width, (token + 1) * width)]);
}

/** @returns logits behind the last row */
export function runText(weights: NamedWeights, model: ReferenceText, input: Rows): number[] {
  const { heads, keyValueHeads, headLength, epsilon } = model;
  const norm = (name: string, rows: Rows): Rows => {
    const { values } = get(weights, `${name}.weight`);
    return rows.map((row) => {
      const scale = 1 / Math.sqrt(dot(row, row) / row.length + epsilon);
      return row.map((value, x) => value * scale * (values[x] as number));
    });
  };
  // Value i and value i + half of a head are a pair.
  const rotate = (head: readonly number[], position: number): number[] =>
    head.map((value, x) => {
      const half = headLength / 2;
      const angle = position * (model.frequencies[x % half] as number);
      const other = x < half ? -(head[x + half] as number) : (head[x - half] as number);
      return value * Math.cos(angle) + other * Math.sin(angle);
    });
  const slice = (row: readonly number[], head: number): number[] =>
    row.slice(head * headLength, (head + 1) * headLength);
  let rows = input;
  for (let block = 0; block < model.blocks; block++) {
    const layer = `model.layers.${block}`;
    const normed = norm(`${layer}.input_layernorm`, rows);
    const [q, k, v] = ["q", "k", "v"].map((letter) =>
      linear(weights, `${layer}.self_attn.${letter}_proj`, normed),
    ) as [Rows, Rows, Rows];
    const attended = q.map((query, y) =>
      Array.from({ length: heads }, (_, head) => {
        const group = Math.floor((head * keyValueHeads) / heads);
        const turned = rotate(slice(query, head), y);
        const past = k.slice(0, y + 1);
        const scores = past.map(
          (key, at) => dot(turned, rotate(slice(key, group), at)) / Math.sqrt(headLength),
        );
        return softmaxMix(
          scores,
          v.slice(0, y + 1).map((value) => slice(value, group)),
        );
      }).flat(),
    );
    rows = add(rows, linear(weights, `${layer}.self_attn.o_proj`, attended));
    const inner = norm(`${layer}.post_attention_layernorm`, rows);
    const gate = linear(weights, `${layer}.mlp.gate_proj`, inner);
    const up = linear(weights, `${layer}.mlp.up_proj`, inner);
    const gated = gate.map((row, y) => row.map((value, x) => silu(value) * (up[y]?.[x] as number)));
    rows = add(rows, linear(weights, `${layer}.mlp.down_proj`, gated));
  }
  const last = norm("model.norm", rows.slice(-1));
  const head = weights.has("lm_head.weight") ? "lm_head" : "model.embed_tokens";
  return linear(weights, head, last)[0] as number[];
}

/**
 * The vision tower and projector of LLaVA.
 * @param image (3, imageSize, imageSize), normalised
 * @returns (patches, text width)
 */
export function runVision(weights: NamedWeights, model: ReferenceVision, image: Float32Array): Rows {
  const { imageSize, patchSize, heads, epsilon } = model;
  const norm = (name: string, rows: Rows): Rows => {
    const scale = get(weights, `${name}.weight`).values;
    const shift = get(weights, `${name}.bias`).values;
    return rows.map((row) => {
      const mean = row.reduce((sum, value) => sum + value, 0) / row.length;
      const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / row.length;
      return row.map(
        (value, x) =>
          ((value - mean) / Math.sqrt(variance + epsilon)) * (scale[x] as number) + (shift[x] as number),
      );
    });
  };
  const kernel = get(weights, "vision.embeddings.patch_embedding.weight");
  const [width = 0] = kernel.shape;
  const across = imageSize / patchSize;
  const patches: Rows = Array.from({ length: across * across }, (_, patch) =>
    Array.from({ length: width }, (__, output) => {
      let sum = 0;
      for (let channel = 0; channel < 3; channel++) {
        for (let y = 0; y < patchSize; y++) {
          for (let x = 0; x < patchSize; x++) {
            const row = Math.floor(patch / across) * patchSize + y;
            const column = (patch % across) * patchSize + x;
            const weight = kernel.values[((output * 3 + channel) * patchSize + y) * patchSize + x] as number;
            sum += (image[(channel * imageSize + row) * imageSize + column] as number) * weight;
          }
        }
      }
      return sum;
    }),
  );
  const classRow = [...get(weights, "vision.embeddings.class_embedding").values];
  const positions = get(weights, "vision.embeddings.position_embedding.weight").values;
  let rows: Rows = [classRow, ...patches].map((row, y) =>
    row.map((value, x) => value + (positions[y * width + x] as number)),
  );
  rows = norm("vision.pre_layrnorm", rows);
  for (let block = 0; block < model.blocks; block++) {
    const layer = `vision.encoder.layers.${block}`;
    const normed = norm(`${layer}.layer_norm1`, rows);
    const [q, k, v] = ["q", "k", "v"].map((letter) =>
      linear(weights, `${layer}.self_attn.${letter}_proj`, normed),
    ) as [Rows, Rows, Rows];
    const length = width / heads;
    const attended = q.map((query) =>
      Array.from({ length: heads }, (_, head) => {
        const slice = (row: readonly number[]): number[] => row.slice(head * length, (head + 1) * length);
        const scores = k.map((key) => dot(slice(query), slice(key)) / Math.sqrt(length));
        return softmaxMix(scores, v.map(slice));
      }).flat(),
    );
    rows = add(rows, linear(weights, `${layer}.self_attn.out_proj`, attended));
    const activate = model.activation === "quick_gelu" ? quickGelu : tanhGelu;
    const hidden = linear(weights, `${layer}.mlp.fc1`, norm(`${layer}.layer_norm2`, rows));
    rows = add(
      rows,
      linear(
        weights,
        `${layer}.mlp.fc2`,
        hidden.map((row) => row.map(activate)),
      ),
    );
  }
  const first = linear(weights, "projector.0", rows.slice(1));
  if (!weights.has("projector.2.weight")) return first;
  return linear(
    weights,
    "projector.2",
    first.map((row) => row.map(exactGelu)),
  );
}
