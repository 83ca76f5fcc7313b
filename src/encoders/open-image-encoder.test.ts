import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ProjectorShape, writeRandomProjector } from "../../bench/random-projector.ts";
import type { Gguf } from "../gguf/gguf.ts";
import { type MetadataValue, bool, float32, float32s, int32s, string, uint32 } from "../gguf/metadata.ts";
import { readGguf } from "../gguf/read.ts";
import { type TensorSource, writeGguf } from "../gguf/write.ts";
import { Backend } from "../native/backend.ts";
import { loadLibraries } from "../native/libraries.ts";
import { openImageEncoder } from "./open-image-encoder.ts";

let folder: string;
let backend: Backend;
let files = 0;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "mull-open-"));
  backend = new Backend(loadLibraries({ device: "cpu" }), { device: "cpu", threads: 2 });
});
afterAll(async () => {
  await backend.close();
  await rm(folder, { recursive: true });
});

async function write(
  shape: Partial<ProjectorShape>,
  keys: Record<string, MetadataValue> = {},
  change: (tensors: TensorSource[]) => TensorSource[] = (tensors) => tensors,
): Promise<Gguf> {
  const file = path.join(folder, `${files++}.gguf`);
  await writeRandomProjector(file, shape);
  const original = await readGguf(file);
  const tensors: TensorSource[] = [];
  for (const info of original.tensors.values()) {
    tensors.push({
      name: info.name,
      type: info.type,
      shape: info.shape,
      data: await original.readTensor(info),
    });
  }
  const metadata = new Map([...original.metadata, ...Object.entries(keys)]);
  await writeGguf(file, { metadata, tensors: change(tensors) });
  return readGguf(file);
}

const picture = { width: 3, height: 2, data: new Uint8Array(18).fill(90) };

describe("openImageEncoder", () => {
  test("says what it opened", async () => {
    const encoder = await openImageEncoder(await write({ classToken: true }), backend, { precision: "f16" });
    expect(encoder).toMatchObject({ projector: "mlp", imageSize: 32, embeddingLength: 64, precision: "f16" });
    expect(encoder.layout(640, 480)).toEqual([{ rows: 16, grid: { rows: 4, columns: 4 } }]);
    await encoder.close();
  });

  test("takes f32 for a small encoder that was left to choose", async () => {
    const encoder = await openImageEncoder(await write({ type: "f16" }), backend);
    expect(encoder.precision).toBe("f32");
    await encoder.close();
  });

  test("encodes pictures in the order of the calls, and ends them before it closes", async () => {
    const encoder = await openImageEncoder(await write({}), backend);
    const [first, second] = [90, 200].map((level) =>
      encoder.preprocess({ ...picture, data: new Uint8Array(18).fill(level) }),
    );
    if (first === undefined || second === undefined) throw new Error("two pictures");
    const running = [encoder.encode(first), encoder.encode(second), encoder.encode(first)];
    const closing = encoder.close();
    const [a, b, c] = await Promise.all(running);
    await closing;
    expect(a).toEqual(c);
    expect(a).not.toEqual(b);
    expect(a).toHaveLength(16 * 64);
  });

  test("stops encoding when the signal fires", async () => {
    const encoder = await openImageEncoder(await write({}), backend);
    const encoding = encoder.encode(encoder.preprocess(picture), AbortSignal.abort());
    await expect(encoding).rejects.toMatchObject({ code: "aborted" });
    await encoder.close();
  });

  test("packs matrices whose rows are not whole blocks as f32", async () => {
    const gguf = await write({ embedding: 40, feedForward: 72, heads: 4, textEmbedding: 48 });
    const encoder = await openImageEncoder(gguf, backend, { precision: "q8_0" });
    expect(await encoder.encode(encoder.preprocess(picture))).toHaveLength(16 * 48);
    await encoder.close();
  });
});

describe("a file that does not fit is an error that says why", () => {
  const drop = (name: string) => (tensors: TensorSource[]) =>
    tensors.filter((tensor) => tensor.name !== name);
  const cases: [problem: string, message: RegExp, file: () => Promise<Gguf>][] = [
    ["unknown projector", /type "janus"/, async () => write({}, { "clip.projector_type": string("janus") })],
    ["another projector", /mlp\.2/, async () => write({}, { "clip.projector_type": string("ldpv2") })],
    [
      "a name of Object's",
      /type "constructor"/,
      async () => write({}, { "clip.projector_type": string("constructor") }),
    ],
    [
      "no vision encoder",
      /no vision encoder/,
      async () => write({}, { "clip.has_vision_encoder": bool(false) }),
    ],
    [
      "patches that do not fit",
      /patches of 7/,
      async () => write({}, { "clip.vision.patch_size": uint32(7) }),
    ],
    ["an absurd size", /patches of 8/, async () => write({}, { "clip.vision.image_size": uint32(80_000) })],
    ["size 0", /patch_size is 0/, async () => write({}, { "clip.vision.patch_size": uint32(0) })],
    ["heads", /5 attention heads/, async () => write({}, { "clip.vision.attention.head_count": uint32(5) })],
    ["epsilon", /epsilon/, async () => write({}, { "clip.vision.attention.layer_norm_epsilon": float32(0) })],
    ["mean", /image_mean/, async () => write({}, { "clip.vision.image_mean": float32s([0.5]) })],
    ["deviation", /image_std/, async () => write({}, { "clip.vision.image_std": float32s([1, 0, 1]) })],
    ["NaN", /image_mean/, async () => write({}, { "clip.vision.image_mean": float32s([1, NaN, 1]) })],
    ["feature layer", /feature layer 9/, async () => write({}, { "clip.vision.feature_layer": int32s([9]) })],
    ["feature layers", /several/, async () => write({}, { "clip.vision.feature_layer": int32s([1, 2]) })],
    ["tiles that are not whole", /multiples of 32/, async () => write({ pinpoints: [32, 70] })],
    ["half a size", /pairs/, async () => write({ pinpoints: [32, 64, 32] })],
    ["tiles without number", /64 tiles/, async () => write({ pinpoints: [32 * 1000, 32 * 1000] })],
    ["tiles of size 0", /multiples/, async () => write({ pinpoints: [0, 64] })],
    [
      "tiles that are merged",
      /anyres_max_9/,
      async () => write({ pinpoints: [32, 64], aspectRatio: "anyres_max_9" }),
    ],
    ["an unknown merge", /maxpool/, async () => write({ pinpoints: [32, 64], mergeType: "maxpool2x2" })],
    [
      "a newline of another width",
      /image_newline/,
      async () =>
        write({ pinpoints: [32, 64] }, {}, (tensors) => [
          ...tensors,
          { name: "v.image_newline", type: "f32", shape: [2], data: new Uint8Array(8) },
        ]),
    ],
    ["MobileVLM's halves", /cannot be halved/, async () => write({ projector: "ldpv2", imageSize: 40 })],
    ["gelu", /projector_gelu/, async () => write({}, { "mull.projector_gelu": string("quick") })],
    ["missing tensor", /attn_k\.weight/, async () => write({}, {}, drop("v.blk.1.attn_k.weight"))],
    ["missing projector", /mm\.0/, async () => write({ projector: "linear" }, {}, drop("mm.0.weight"))],
    ["blocks", /v\.blk\.2/, async () => write({}, { "clip.vision.block_count": uint32(3) })],
    ["fewer blocks", /v\.blk\.1/, async () => write({}, { "clip.vision.block_count": uint32(1) })],
    ["width", /instead of/, async () => write({}, { "clip.vision.embedding_length": uint32(64) })],
    [
      "a tensor without a place",
      /ffn_gate/,
      async () =>
        write({}, {}, (tensors) => [
          ...tensors,
          { name: "v.blk.0.ffn_gate.weight", type: "f32", shape: [1], data: new Uint8Array(4) },
        ]),
    ],
    ["norms in the projector", /mm\.4/, async () => write({ projector: "mlp_norm" }, {}, drop("mm.4.bias"))],
  ];
  for (const [problem, message, file] of cases) {
    test(`about ${problem}`, async () => {
      const opening = openImageEncoder(await file(), backend, { precision: "f32" });
      await expect(opening).rejects.toMatchObject({
        code: "invalid_model",
        message: expect.stringMatching(message) as unknown,
      });
    });
  }
});
