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
import { temporaryFolder } from "./support/tiny-models.ts";

const folder = temporaryFolder();
const FIGURES = new URL("../src/encoders/fixtures/mtmd-siglip.json", import.meta.url);

interface Files {
  model: string;
  projector: string;
}

const written = new Map<string, Promise<Files>>();

function filesOf(one: SiglipCase): Promise<Files> {
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
