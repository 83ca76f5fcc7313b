import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { encodePng } from "../bench/test-picture.ts";
import { readGguf } from "../src/gguf/read.ts";
import { type Message, type Model, type Part, type StreamPart, load } from "../src/index.ts";
import { openImageEncoder } from "../src/encoders/open-image-encoder.ts";
import { Backend } from "../src/native/backend.ts";
import { loadLibraries } from "../src/native/libraries.ts";
import { type MtmdFigures, type MtmdInput, keptValues, mtmdFigures } from "./support/mtmd-figures.ts";
import { SIGLIP_CASES, type SiglipCase, drawPixels, writeSiglipModels } from "./support/siglip-cases.ts";
import {
  TINY_GEMMA3_PROJECTOR,
  TINY_IDEFICS3_PROJECTOR,
  TINY_LFM2_PROJECTOR,
} from "./support/tiny-siglip.ts";
import { temporaryFolder } from "./support/tiny-models.ts";

const folder = temporaryFolder();
const FIGURES = new URL("../src/encoders/fixtures/mtmd-siglip.json", import.meta.url);

interface Files {
  model: string;
  projector: string;
}

const written = new Map<string, Promise<Files>>();

function filesOf(one: Pick<SiglipCase, "name" | "projector">): Promise<Files> {
  const name = one.name.replaceAll(" ", "-");
  const known = written.get(name);
  if (known !== undefined) return known;
  const files = {
    model: join(folder.path, `${name}.gguf`),
    projector: join(folder.path, `${name}-mmproj.gguf`),
  };
  const done = writeSiglipModels(one, files).then(() => files);
  written.set(name, done);
  return done;
}

const png = (width: number, height: number, seed = 0): Uint8Array => {
  const pixels = drawPixels(width, height);
  return encodePng(width, height, (x, y) =>
    [0, 1, 2].map((channel) => ((pixels[(y * width + x) * 3 + channel] ?? 0) + seed * 40) & 255),
  );
};

async function withModel<Result>(files: Files, use: (model: Model) => Promise<Result>): Promise<Result> {
  const model = await load({ ...files, encoderPrecision: "f32" });
  try {
    return await use(model);
  } finally {
    await model.close();
  }
}

async function ask(
  model: Model,
  messages: readonly Message[],
  options: { raw?: boolean; maxTokens?: number } = {},
): Promise<{ text: string; image: number; total: number; receipts: unknown[] }> {
  const parts: StreamPart[] = [];
  const { maxTokens = 16, ...rest } = options;
  for await (const part of model.stream({ messages, maxTokens, temperature: 0, ...rest })) parts.push(part);
  const finish = parts.findLast((part) => part.type === "finish");
  return {
    text: parts.map((part) => (part.type === "text-delta" ? part.delta : "")).join(""),
    image: finish?.usage.inputTokens.image ?? NaN,
    total: finish?.usage.inputTokens.total ?? NaN,
    receipts: parts.flatMap((part) => (part.type === "media" ? [part.receipt] : [])),
  };
}

const user = (...content: Part[]): Message[] => [{ role: "user", content }];
const text = (words: string): Part => ({ type: "text", text: words });
const image = (data: Uint8Array): Part => ({ type: "image", image: data });

describe("llama.cpp's mtmd, on the same files and pictures,", () => {
  let figures: MtmdFigures[];
  beforeAll(async () => {
    figures = await mtmdFigures(FIGURES, "test/siglip-engine.test.ts", async () => {
      const inputs: MtmdInput[] = [];
      for (const one of SIGLIP_CASES) {
        const { name, width, height, before, around, after } = one;
        const pixels = drawPixels(width, height);
        const prompt = `${before}${around}<__media__>${around}${after}`;
        inputs.push({ name, folder: folder.path, files: await filesOf(one), pixels, width, height, prompt });
      }
      return inputs;
    });
  });

  for (const [place, one] of SIGLIP_CASES.entries()) {
    it(`gives the same rows: ${one.name}`, async () => {
      const figure = figures[place];
      const backend = new Backend(loadLibraries({ device: "cpu" }), { device: "cpu", threads: 2 });
      const { projector } = await filesOf(one);
      const encoder = await openImageEncoder(await readGguf(projector), backend, { precision: "f32" });
      const picture = { width: one.width, height: one.height, data: drawPixels(one.width, one.height) };
      const rows = await encoder.encode(encoder.preprocess(picture));
      await encoder.close();
      await backend.close();
      const width = encoder.embeddingLength;
      expect(rows).toHaveLength((figure?.rows.length ?? NaN) * width);
      for (const [row, expected] of figure?.rows.entries() ?? []) {
        for (const [index, value] of keptValues(rows, row, width).entries()) {
          expect(value).toBeCloseTo(expected[index] ?? NaN, 2);
        }
      }
    });

    it(`reads as many tokens, and answers the same: ${one.name}`, async () => {
      const figure = figures[place];
      await withModel(await filesOf(one), async (model) => {
        const messages = user(text(one.before), image(png(one.width, one.height)), text(one.after));
        const answer = await ask(model, messages, { raw: true });
        const lengths = figure?.prompt.map((part) => (typeof part === "number" ? part : part.length)) ?? [];
        expect(answer.total).toBe(lengths.reduce((sum, length) => sum + length, 0));
        expect(answer.image).toBe(figure?.rows.length);
        expect(answer.text).toBe(Buffer.from(figure?.text ?? "", "hex").toString());
      });
    });
  }
});

const GEMMA3 = { name: "gemma3", projector: TINY_GEMMA3_PROJECTOR };
/** 2 x 2 tiles and the whole: 20 rows of a picture. */
const SMOLVLM = { name: "smolvlm", projector: { ...TINY_IDEFICS3_PROJECTOR, longestEdge: 64 } };
const LFM2 = { name: "lfm2", projector: TINY_LFM2_PROJECTOR };

describe("a message with a picture is written as the model's own processor does:", () => {
  it("gemma3", async () => {
    await withModel(await filesOf(GEMMA3), async (model) => {
      const asked = await ask(model, user(image(png(60, 40)), text("what is it")));
      const before = text("<start_of_turn>user\n");
      const after = text("what is it<end_of_turn>\n<start_of_turn>model\n");
      const raw = await ask(model, user(before, image(png(60, 40)), after), { raw: true });
      expect(asked).toMatchObject({ text: raw.text, total: raw.total, image: 16 });
      const [receipt] = asked.receipts;
      expect(receipt).toMatchObject({ seen: { width: 128, height: 128 }, tokens: 16 });
    });
  });

  it("idefics3", async () => {
    await withModel(await filesOf(SMOLVLM), async (model) => {
      const asked = await ask(model, user(image(png(60, 40)), text("what is it")));
      const before = text("<|im_start|>User:");
      const after = text("what is it<end_of_utterance>\nAssistant:");
      const raw = await ask(model, user(before, image(png(60, 40)), after), { raw: true });
      expect(asked).toMatchObject({ text: raw.text, total: raw.total, image: 20 });
      // Where text comes first, the template puts a space in front of it.
      const late = await ask(model, user(text("look"), image(png(60, 40)), text("what is it")));
      const rawLate = await ask(model, user(text("<|im_start|>User: look"), image(png(60, 40)), after), {
        raw: true,
      });
      expect(late).toMatchObject({ text: rawLate.text, total: rawLate.total });
      const [receipt] = asked.receipts;
      const tiled = { action: "tiled", columns: 2, rows: 2, width: 32, height: 32, overview: true };
      expect(receipt).toMatchObject({ tokens: 20, steps: expect.arrayContaining([tiled]) });
    });
  });

  it("lfm2", async () => {
    await withModel(await filesOf(LFM2), async (model) => {
      const asked = await ask(model, user(image(png(60, 40)), text("what is it")));
      const before = text("<|im_start|>user\n");
      const after = text("what is it<|im_end|>\n<|im_start|>assistant\n");
      const raw = await ask(model, user(before, image(png(60, 40)), after), { raw: true });
      expect(asked).toMatchObject({ text: raw.text, total: raw.total, image: 70 });
    });
  });
});

describe.each([
  { one: GEMMA3, sizes: [16, 16, 16, 16], rows: 16 },
  // A picture that is narrow enough is one tile wide.
  { one: SMOLVLM, sizes: [20, 12, 20, 20], rows: 20 },
  { one: LFM2, sizes: [64, 70, 100, 234], rows: 70 },
])("$one.name", ({ one, sizes, rows }) => {
  it("takes pictures of every size, and up to eight of them", async () => {
    await withModel(await filesOf(one), async (model) => {
      const taken: number[] = [];
      for (const [width, height] of [
        [1, 1],
        [37, 113],
        [336, 336],
        [640, 480],
      ] as const) {
        taken.push((await ask(model, user(image(png(width, height)), text("what")), { maxTokens: 2 })).image);
      }
      expect(taken).toEqual(sizes);
      for (let count = 1; count <= 8; count++) {
        const pictures = Array.from({ length: count }, (_, seed) => image(png(60, 40, seed)));
        const answer = await ask(model, user(...pictures, text("compare")), { maxTokens: 2 });
        expect(answer.image).toBe(count * rows);
        expect(answer.receipts).toHaveLength(count);
      }
    });
  });

  it("answers as a fresh process does, in whatever order pictures and text come", async () => {
    const files = await filesOf(one);
    const [a, b, words] = [image(png(80, 60, 1)), image(png(50, 90, 2)), text("which is it")];
    const orders = [user(a, b, words), user(b, a, words), user(a, words, b), user(words, b, a)];
    await withModel(files, async (model) => {
      for (const messages of orders) {
        const warm = await ask(model, messages);
        const fresh = await withModel(files, (other) => ask(other, messages));
        expect(warm.text).toBe(fresh.text);
        expect(warm.total).toBe(fresh.total);
        expect((await ask(model, messages)).text).toBe(fresh.text);
      }
    });
  });
});

it("idefics3 looks at fewer tiles where a picture may take less", async () => {
  await withModel(await filesOf({ name: "idefics3", projector: TINY_IDEFICS3_PROJECTOR }), async (model) => {
    const taken = async (maxTokens: number): Promise<number> => {
      const part: Part = { type: "image", image: png(640, 480), maxTokens };
      return (await ask(model, user(part, text("what")), { maxTokens: 2 })).image;
    };
    expect(await taken(1000)).toBe(52);
    expect(await taken(40)).toBe(40);
    expect(await taken(20)).toBe(20);
    expect(await taken(4)).toBe(4);
  });
});
