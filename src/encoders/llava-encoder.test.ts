import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ProjectorShape, TINY_PROJECTOR, writeRandomProjector } from "../../bench/random-projector.ts";
import type { Gguf } from "../gguf/gguf.ts";
import { readGguf } from "../gguf/read.ts";
import { type TensorSource, writeGguf } from "../gguf/write.ts";
import type { MetadataValue } from "../gguf/metadata.ts";
import {
  type Reference,
  encodeInFloat64,
  readWeights,
  smallestCosine,
} from "../../test/support/reference-llava.ts";
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
  { name: "Yi-VL: norms in the projector", shape: { projector: "mlp_norm", classToken: true } },
  { name: "MobileVLM", shape: { projector: "ldp", patchSize: 4, classToken: true } },
  { name: "MobileVLM of an odd half", shape: { projector: "ldp", imageSize: 48, classToken: true } },
  { name: "MobileVLM V2", shape: { projector: "ldpv2", patchSize: 4, classToken: true } },
  {
    name: "MobileVLM V2 with kernels of three dimensions",
    shape: { projector: "ldpv2", patchSize: 4 },
    tensors: (tensors) =>
      tensors.map((tensor) =>
        tensor.name === "mm.model.peg.0.weight" ? { ...tensor, shape: [3, 3, tensor.shape[3] ?? 0] } : tensor,
      ),
  },
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
