import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ProjectorShape, TINY_PROJECTOR, writeRandomProjector } from "../../bench/random-projector.ts";
import { dequantize } from "../gguf/dequantize.ts";
import type { Gguf } from "../gguf/gguf.ts";
import { readGguf } from "../gguf/read.ts";
import { type TensorSource, writeGguf } from "../gguf/write.ts";
import type { MetadataValue } from "../gguf/metadata.ts";
import { Backend } from "../native/backend.ts";
import { loadLibraries } from "../native/libraries.ts";
import { openImageEncoder } from "./open-image-encoder.ts";
import type { ImageEncoder } from "./image-encoder.ts";

let folder: string;
let backend: Backend;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "mull-encoder-"));
  backend = new Backend(loadLibraries({ device: "cpu" }), { device: "cpu", threads: 2 });
});

afterAll(async () => {
  await backend.close();
  await rm(folder, { recursive: true });
});

// What follows computes the same in float64, with loops and nothing else.

type Rows = number[][];
type Weights = Map<string, { shape: readonly number[]; values: Float32Array }>;

async function readWeights(gguf: Gguf): Promise<Weights> {
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
  quick_gelu: (x: number) => x / (1 + Math.exp(-1.702 * x)),
  gelu: (x: number) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  silu: (x: number) => x / (1 + Math.exp(-x)),
  gelu_erf: (x: number) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
};

interface Reference {
  shape: ProjectorShape;
  activation: keyof typeof activations;
  projectorGelu: keyof typeof activations;
  blocks: number;
  postNorm: boolean;
}

/** tile: (3, size, size) → rows (patches, text width) */
function encodeInFloat64(weights: Weights, tile: Float32Array, reference: Reference): Rows {
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
  if (classToken !== undefined) rows = [[...classToken], ...rows];
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
  rows = linear(rows, "mm.0");
  if (!weights.has("mm.2.weight")) return rows;
  return linear(
    rows.map((row) => row.map(activations[reference.projectorGelu])),
    "mm.2",
  );
}

function smallestCosine(expected: Rows, actual: Float32Array): number {
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

const picture = {
  width: 40,
  height: 24,
  data: Uint8Array.from(
    { length: 40 * 24 * 3 },
    (_, index) => (index * 89 + ((index * index) % 31) * 5) % 256,
  ),
};

async function encode(encoder: ImageEncoder): Promise<{ tile: Float32Array; rows: Float32Array }> {
  const preprocessed = encoder.preprocess(picture);
  const rows = await encoder.encode(preprocessed);
  await encoder.close();
  return { tile: preprocessed.tiles[0] ?? new Float32Array(), rows };
}

interface Variant {
  name: string;
  shape?: Partial<ProjectorShape>;
  /** Changes to the file that the generator makes. */
  keys?: Record<string, MetadataValue | undefined>;
  tensors?: (tensors: TensorSource[]) => TensorSource[];
  reference?: Partial<Reference>;
}

function mergeAttention(tensors: TensorSource[]): TensorSource[] {
  const bytes = (name: string): Buffer =>
    Buffer.from(tensors.find((tensor) => tensor.name === name)?.data as Uint8Array);
  return tensors.flatMap((tensor) => {
    const match = /^(v\.blk\.\d+)\.attn_([qkv])\.(weight|bias)$/.exec(tensor.name);
    if (match === null) return [tensor];
    const [, block, letter, kind] = match;
    if (letter !== "q") return [];
    const data = Buffer.concat(["q", "k", "v"].map((other) => bytes(`${block}.attn_${other}.${kind}`)));
    const [first = 0, ...rest] = tensor.shape;
    const shape = rest.length === 0 ? [first * 3] : [first, (rest[0] ?? 0) * 3];
    return [{ ...tensor, name: `${block}.attn_qkv.${kind}`, shape, data: new Uint8Array(data) }];
  });
}

const variants: Variant[] = [
  { name: "CLIP: class token, pre-norm, quick_gelu", shape: { classToken: true } },
  { name: "no class token, tanh gelu", shape: { activation: "gelu" } },
  { name: "no pre-norm", shape: { preNorm: false } },
  { name: "post-norm", shape: { postNorm: true } },
  { name: "both norms and a class token", shape: { postNorm: true, classToken: true, activation: "gelu" } },
  { name: "no norm around the blocks", shape: { preNorm: false, postNorm: false, classToken: true } },
  { name: "linear projector", shape: { projector: "linear" } },
  { name: "old file: no projector type, swapped names", shape: { legacy: true, swappedFeedForward: true } },
  {
    name: "old file of LLaVA 1.0: one layer",
    shape: { legacy: true, projector: "linear", classToken: true },
  },
  {
    name: "feature layer before the last block; post-norm is not applied",
    shape: { blocks: 3, featureLayer: 2, postNorm: true },
    reference: { blocks: 2, postNorm: false },
  },
  {
    name: "feature layer -2",
    shape: { blocks: 3, featureLayer: -2 },
    reference: { blocks: 2, postNorm: false },
  },
  { name: "a whole tower without a feature layer", shape: { blocks: 12 }, reference: { blocks: 11 } },
  {
    name: "tanh gelu in the projector",
    keys: { "mull.projector_gelu": { type: "string", value: "tanh" } },
    reference: { projectorGelu: "gelu" },
  },
  {
    name: "silu",
    keys: { "clip.use_silu": { type: "bool", value: true } },
    reference: { activation: "silu" },
  },
  {
    name: "type in clip.vision.projector_type",
    shape: { legacy: true },
    keys: { "clip.vision.projector_type": { type: "string", value: "mlp" } },
  },
  { name: "one matrix for q, k and v", tensors: mergeAttention },
  { name: "no biases", tensors: (tensors) => tensors.filter(({ name }) => !/(attn|ffn)_.*bias$/.test(name)) },
  {
    name: "a bias on the patches",
    tensors: (tensors) => [
      ...tensors,
      {
        name: "v.patch_embd.bias",
        type: "f32",
        shape: [TINY_PROJECTOR.embedding],
        data: new Uint8Array(
          Float32Array.from({ length: TINY_PROJECTOR.embedding }, (_, x) => x / 9 - 1).buffer,
        ),
      },
    ],
  },
];

async function writeVariant({ name, shape = {}, keys = {}, tensors }: Variant): Promise<Gguf> {
  const file = path.join(folder, `${name.replaceAll(/\W+/g, "-")}.gguf`);
  await writeRandomProjector(file, shape);
  const original = await readGguf(file);
  const sources: TensorSource[] = [];
  for (const info of original.tensors.values()) {
    sources.push({
      name: info.name,
      type: info.type,
      shape: info.shape,
      data: await original.readTensor(info),
    });
  }
  const metadata = new Map(original.metadata);
  for (const [key, value] of Object.entries(keys)) {
    if (value !== undefined) metadata.set(key, value);
  }
  await writeGguf(file, { metadata, tensors: tensors === undefined ? sources : tensors(sources) });
  return readGguf(file);
}

describe("the encoder against float64", () => {
  for (const variant of variants) {
    test(`of ${variant.name}`, async () => {
      const gguf = await writeVariant(variant);
      const encoder = await openImageEncoder(gguf, backend, { precision: "f32" });
      const { tile, rows } = await encode(encoder);
      const shape = { ...TINY_PROJECTOR, ...variant.shape };
      const { activation, blocks, postNorm } = shape;
      const expected = encodeInFloat64(await readWeights(gguf), tile, {
        shape,
        activation,
        blocks,
        postNorm,
        projectorGelu: "gelu_erf",
        ...variant.reference,
      });
      expect(rows).toHaveLength(expected.length * shape.textEmbedding);
      expect(smallestCosine(expected, rows)).toBeGreaterThanOrEqual(0.99999);
    });
  }

  for (const type of ["f32", "f16"] as const) {
    for (const [precision, least] of [
      ["f16", 0.9999],
      ["bf16", 0.9999],
      ["q8_0", 0.998],
    ] as const) {
      test(`${type} weights re-quantised to ${precision}`, async () => {
        const shape = {
          ...TINY_PROJECTOR,
          classToken: true,
          type,
          embedding: 64,
          feedForward: 256,
          blocks: 4,
        };
        const gguf = await writeVariant({ name: `${type} ${precision}`, shape });
        const encoder = await openImageEncoder(gguf, backend, { precision });
        expect(encoder.precision).toBe(precision);
        const { tile, rows } = await encode(encoder);
        const expected = encodeInFloat64(await readWeights(gguf), tile, {
          shape,
          activation: "quick_gelu",
          blocks: 4,
          postNorm: false,
          projectorGelu: "gelu_erf",
        });
        const cosine = smallestCosine(expected, rows);
        expect(cosine).toBeGreaterThanOrEqual(least);
        // Rounding must show, or the weights were not re-quantised at all.
        expect(cosine).toBeLessThan(1 - 1e-9);
      });
    }
  }
});
