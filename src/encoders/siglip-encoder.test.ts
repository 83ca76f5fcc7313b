import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { encodeInFloat64, readWeights, smallestCosine } from "../../test/support/float64-siglip.ts";
import { drawPixels } from "../../test/support/siglip-cases.ts";
import { temporaryFolder } from "../../test/support/tiny-models.ts";
import {
  type SiglipShape,
  TINY_GEMMA3_PROJECTOR,
  TINY_IDEFICS3_PROJECTOR,
  TINY_LFM2_PROJECTOR,
  writeTinySiglip,
} from "../../test/support/tiny-siglip.ts";
import type { Gguf } from "../gguf/gguf.ts";
import { readGguf } from "../gguf/read.ts";
import { type TensorSource, writeGguf } from "../gguf/write.ts";
import type { MetadataValue } from "../gguf/metadata.ts";
import { validateProjector } from "../gguf/validate-projector.ts";
import type { RgbImage } from "../media/rgb-image.ts";
import { Backend } from "../native/backend.ts";
import { loadLibraries } from "../native/libraries.ts";
import type { EncoderPrecision } from "../spec/options.ts";
import { estimateEncoder } from "./estimate-encoder.ts";
import type { ImageEncoder } from "./image-encoder.ts";
import { openImageEncoder } from "./open-image-encoder.ts";
import { rowsOf, rowsParts } from "./picture-layout.ts";

const folder = temporaryFolder();
let backend: Backend;
let files = 0;

beforeAll(() => {
  backend = new Backend(loadLibraries({ device: "cpu" }), { device: "cpu", threads: 2 });
});
afterAll(() => backend.close());

async function write(shape: SiglipShape): Promise<Gguf> {
  const path = join(folder.path, `${files++}.gguf`);
  await writeTinySiglip(path, shape);
  return readGguf(path);
}

async function change(
  shape: SiglipShape,
  keys: Record<string, MetadataValue>,
  tensors: (tensors: TensorSource[]) => TensorSource[] = (same) => same,
): Promise<Gguf> {
  const original = await write(shape);
  const sources: TensorSource[] = [];
  for (const { name, type, shape: lengths, ...info } of original.tensors.values()) {
    const data = await original.readTensor({ name, type, shape: lengths, ...info });
    sources.push({ name, type, shape: lengths, data });
  }
  const path = join(folder.path, `${files++}.gguf`);
  const metadata = new Map([...original.metadata, ...Object.entries(keys)]);
  await writeGguf(path, { metadata, tensors: tensors(sources) });
  return readGguf(path);
}

async function withEncoder<Result>(
  gguf: Gguf,
  use: (encoder: ImageEncoder) => Promise<Result>,
  precision: EncoderPrecision = "f32",
): Promise<Result> {
  validateProjector(gguf);
  const encoder = await openImageEncoder(gguf, backend, { precision });
  try {
    return await use(encoder);
  } finally {
    await encoder.close();
  }
}

const picture = (width: number, height: number): RgbImage => ({
  width,
  height,
  data: drawPixels(width, height),
});

const LARGE = 3 * 512 * 512;

/** Of the rows of a picture to those that loops in float64 make of the same tiles. */
async function cosineToFloat64(
  shape: SiglipShape,
  image: RgbImage,
  precision: EncoderPrecision = "f32",
): Promise<number> {
  const gguf = await write(shape);
  return withEncoder(
    gguf,
    async (encoder) => {
      const preprocessed = encoder.preprocess(image);
      const rows = await encoder.encode(preprocessed);
      const weights = await readWeights(gguf);
      const { textEmbedding } = shape;
      const parts = rowsParts(encoder.layout(image.width, image.height));
      const cosines: number[] = [];
      let start = 0;
      for (const [index, tile] of preprocessed.tiles.entries()) {
        const count = (parts[index]?.rows ?? NaN) * textEmbedding;
        // Loops over tiles of 512 x 512 take their time, and they are all alike.
        if (tile.length < LARGE || index === 0) {
          const expected = encodeInFloat64(weights, tile, shape, preprocessed.tileSizes?.[index]);
          cosines.push(smallestCosine(expected, rows.subarray(start, start + count)));
        }
        start += count;
      }
      expect(rows).toHaveLength(start);
      expect(preprocessed.tiles).toHaveLength(parts.length);
      return Math.min(...cosines);
    },
    precision,
  );
}

const GEMMA3 = TINY_GEMMA3_PROJECTOR;
const IDEFICS3 = TINY_IDEFICS3_PROJECTOR;
const LFM2 = TINY_LFM2_PROJECTOR;

describe("rows against float64", () => {
  const variants: [string, SiglipShape][] = [
    ["gemma3", GEMMA3],
    ["gemma3 of another scale factor", { ...GEMMA3, imageSize: 64, scaleFactor: 2 }],
    ["idefics3", IDEFICS3],
    ["idefics3 of a scale factor of 4, and 12 blocks", { ...IDEFICS3, scaleFactor: 4, blocks: 12 }],
    ["idefics3 of 3 by 3 patches", { ...IDEFICS3, imageSize: 48, scaleFactor: 3, longestEdge: 192 }],
  ];
  for (const [name, shape] of variants) {
    test(`of ${name}`, async () => {
      expect(await cosineToFloat64(shape, picture(90, 70))).toBeGreaterThanOrEqual(0.99999);
    });
  }

  for (const [width, height] of [
    [256, 256],
    [90, 70],
    [600, 200],
    [40, 900],
    [1100, 520],
  ] as const) {
    test(`of lfm2, a picture of ${width} x ${height}`, async () => {
      expect(await cosineToFloat64(LFM2, picture(width, height))).toBeGreaterThanOrEqual(0.99999);
    });
  }

  for (const shape of [GEMMA3, IDEFICS3]) {
    for (const [precision, least] of [
      ["f16", 0.9999],
      ["bf16", 0.999],
      ["q8_0", 0.998],
    ] as const) {
      test(`of ${shape.projector} re-quantised from f16 to ${precision}`, async () => {
        const wide = { ...shape, type: "f16", embedding: 64, feedForward: 128, blocks: 2 } as const;
        const cosine = await cosineToFloat64(wide, picture(60, 60), precision);
        expect(cosine).toBeGreaterThanOrEqual(least);
        // Rounding must show, or the weights were not re-quantised at all.
        expect(cosine).toBeLessThan(1 - 1e-9);
      });
    }
  }
});

describe("pictures of every size", () => {
  const sizes = [
    [1, 1],
    [1, 4000],
    [37, 113],
    [336, 336],
    [640, 480],
    [1920, 1080],
    [8000, 6000],
  ] as const;
  for (const shape of [GEMMA3, IDEFICS3, LFM2]) {
    test(`give ${shape.projector} as many rows as their layout says`, async () => {
      await withEncoder(await write(shape), async (encoder) => {
        for (const [width, height] of sizes) {
          const image = picture(width, height);
          for (const limit of width > 1000 ? [undefined] : [undefined, 40, 1]) {
            const preprocessed = encoder.preprocess(image, limit);
            const rows = await encoder.encode(preprocessed);
            const layout = encoder.layout(width, height, limit);
            expect(rows).toHaveLength(rowsOf(layout) * encoder.embeddingLength);
            expect(rows.every(Number.isFinite)).toBe(true);
            expect(preprocessed.steps.length).toBeGreaterThan(0);
          }
        }
      });
    });
  }
});

describe("gemma3", () => {
  test("shows every picture stretched to a square, between its own tokens", async () => {
    await withEncoder(await write(GEMMA3), async (encoder) => {
      expect(encoder.layout(300, 20)).toEqual([
        { text: "\n\n<start_of_image>" },
        { rows: 16, grid: { rows: 4, columns: 4 } },
        { text: "<end_of_image>\n\n" },
      ]);
      expect(encoder).toMatchObject({ rowsSeeEachOther: true, mostRows: 16, projector: "gemma3" });
      const { steps, seen } = encoder.preprocess(picture(300, 20));
      expect(seen).toEqual({ width: 128, height: 128 });
      const filter = "bilinear, antialiased";
      expect(steps).toEqual([{ action: "resized", width: 128, height: 128, filter }]);
      expect(encoder.preprocess(picture(128, 128)).steps).toEqual([]);
    });
  });
});

describe("idefics3", () => {
  test("cuts a picture into tiles, line by line, and shows the whole at the end", async () => {
    await withEncoder(await write({ ...IDEFICS3, longestEdge: 64 }), async (encoder) => {
      const rows = { rows: 4 };
      expect(encoder.layout(640, 480)).toEqual([
        { text: "<fake_token_around_image><row_1_col_1>" },
        rows,
        { text: "<fake_token_around_image><row_1_col_2>" },
        rows,
        { text: "\n<fake_token_around_image><row_2_col_1>" },
        rows,
        { text: "<fake_token_around_image><row_2_col_2>" },
        rows,
        { text: "\n\n<fake_token_around_image><global-img>" },
        rows,
        { text: "<fake_token_around_image>" },
      ]);
      const { steps, seen, tiles } = encoder.preprocess(picture(640, 480));
      expect(tiles).toHaveLength(5);
      expect(seen).toEqual({ width: 64, height: 64 });
      const filter = "lanczos, antialiased";
      expect(steps).toEqual([
        { action: "resized", width: 64, height: 48, filter },
        { action: "resized", width: 64, height: 64, filter },
        { action: "tiled", columns: 2, rows: 2, width: 32, height: 32, overview: true },
      ]);
    });
  });

  test("makes fewer tiles of a picture that may take fewer rows", async () => {
    await withEncoder(await write(IDEFICS3), async (encoder) => {
      const rows = (limit?: number): number => rowsOf(encoder.layout(640, 480, limit));
      expect([rows(), rows(51), rows(40), rows(20), rows(19), rows(1)]).toEqual([52, 40, 40, 20, 4, 4]);
      expect(encoder.layout(640, 480, 4)).toEqual([
        { text: "<fake_token_around_image><global-img>" },
        { rows: 4, grid: { rows: 2, columns: 2 } },
        { text: "<fake_token_around_image>" },
      ]);
    });
  });

  test("cuts as the header says, and into four tiles along the longer side where it says nothing", async () => {
    const { longestEdge: _, scaleFactor: __, ...rest } = IDEFICS3;
    const silent = await change({ ...rest, scaleFactor: 2 }, {});
    await withEncoder(silent, async (encoder) => {
      expect(encoder.preprocess(picture(500, 500)).seen).toEqual({ width: 128, height: 128 });
    });
    // A length that is no whole number of tiles: both sides are rounded up, the shorter after it has followed.
    await withEncoder(await write({ ...IDEFICS3, longestEdge: 100 }), async (encoder) => {
      expect(encoder.preprocess(picture(640, 300)).seen).toEqual({ width: 128, height: 64 });
      expect(encoder.preprocess(picture(300, 640)).seen).toEqual({ width: 64, height: 128 });
    });
  });
});

describe("lfm2", () => {
  test("shows a picture as it is, and one that is too large in tiles and as a whole", async () => {
    await withEncoder(await write(LFM2), async (encoder) => {
      expect(encoder.layout(640, 400)).toEqual([
        { text: "<|image_start|>" },
        { rows: 240, grid: { rows: 12, columns: 20 } },
        { text: "<|image_end|>" },
      ]);
      expect(encoder.preprocess(picture(640, 400)).seen).toEqual({ width: 640, height: 384 });
      const texts = encoder.layout(1920, 1080).flatMap((part) => ("text" in part ? [part.text] : []));
      const marks = [1, 2].flatMap((row) => [1, 2, 3, 4].map((column) => `<|img_row_${row}_col_${column}|>`));
      const [first = "", ...others] = marks;
      expect(texts).toEqual([`<|image_start|>${first}`, ...others, "<|img_thumbnail|>", "<|image_end|>"]);
      expect(rowsParts(encoder.layout(1920, 1080)).map(({ rows }) => rows)).toEqual([
        ...marks.map(() => 256),
        252,
      ]);
    });
  });

  test("looks at fewer tiles, or at a smaller picture, where it may take less", async () => {
    await withEncoder(await write(LFM2), async (encoder) => {
      for (const [limit, least] of [
        [10_000, 2000],
        [1000, 700],
        [250, 200],
        [100, 60],
        [20, 10],
        [1, 1],
      ] as const) {
        const rows = rowsOf(encoder.layout(3000, 3100, limit));
        expect(rows).toBeLessThanOrEqual(limit);
        expect(rows).toBeGreaterThanOrEqual(least);
      }
    });
  });
});

describe("a file that contradicts itself is refused", () => {
  const refusal = (gguf: Gguf): Promise<unknown> =>
    openImageEncoder(gguf, backend, { precision: "f32" }).then(
      (encoder) => encoder.close(),
      (error: unknown) => error,
    );
  const saying = (words: string): unknown =>
    expect.objectContaining({ code: "invalid_model", message: expect.stringContaining(words) });
  const uint32 = (value: number): MetadataValue => ({ type: "uint32", value });

  test("scale factor", async () => {
    for (const factor of [0, 3, 99]) {
      const key = { "clip.vision.projector.scale_factor": uint32(factor) };
      expect(await refusal(await change(GEMMA3, key))).toEqual(saying("scale factor"));
      expect(await refusal(await change(IDEFICS3, key))).toEqual(saying("scale factor"));
    }
  });

  test("length of the longer side", async () => {
    for (const length of [0, 10_000_000]) {
      expect(
        await refusal(await change(IDEFICS3, { "clip.vision.preproc_image_size": uint32(length) })),
      ).toEqual(saying("pixels"));
    }
  });

  test("missing, superfluous and misshapen tensors", async () => {
    const without = (name: string) => (tensors: TensorSource[]) => tensors.filter((one) => one.name !== name);
    for (const name of ["mm.soft_emb_norm.weight", "mm.input_projection.weight", "v.position_embd.weight"]) {
      expect(await refusal(await change(GEMMA3, {}, without(name)))).toEqual(saying(name));
    }
    expect(await refusal(await change(IDEFICS3, {}, without("mm.model.fc.weight")))).toEqual(
      saying("mm.model.fc.weight"),
    );
    const vector = { type: "f32", shape: [32], data: new Uint8Array(128) } as const;
    for (const name of ["v.class_embd", "v.pooler.weight"]) {
      const more = (tensors: TensorSource[]): TensorSource[] => [...tensors, { name, ...vector }];
      expect(await refusal(await change(IDEFICS3, {}, more))).toEqual(
        saying(name === "v.class_embd" ? "class token" : name),
      );
    }
    expect(
      await refusal(
        await change({ ...GEMMA3, embedding: 64 }, { "clip.vision.embedding_length": uint32(32) }),
      ),
    ).toEqual(saying("["));
  });
});

test("memory is estimated from the header", async () => {
  for (const shape of [GEMMA3, IDEFICS3]) {
    const { weights, picture: bytes } = estimateEncoder(await write(shape), "f32");
    expect(weights).toBeGreaterThan(30_000);
    expect(bytes).toBeGreaterThan(3 * shape.imageSize ** 2 * 4);
  }
  // Ten tiles of 512 x 512, and the whole.
  expect(estimateEncoder(await write(LFM2), "f32").picture).toBeGreaterThan(11 * 3 * 512 ** 2 * 4);
  const edges = await Promise.all(
    [32, 64, 128].map(async (longestEdge) =>
      estimateEncoder(await write({ ...IDEFICS3, longestEdge }), "f32"),
    ),
  );
  expect(edges.map(({ picture: bytes }) => bytes)).toEqual(
    edges.map(({ picture: bytes }) => bytes).toSorted((a, b) => a - b),
  );
});
