import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { encodePng } from "../bench/test-picture.ts";
import { openImageEncoder } from "../src/encoders/open-image-encoder.ts";
import { readGguf } from "../src/gguf/read.ts";
import { type MediaReceipt, type Message, type Model, type Part, load } from "../src/index.ts";
import { Backend } from "../src/native/backend.ts";
import { loadLibraries } from "../src/native/libraries.ts";
import { type MtmdFigures, type MtmdInput, keptValues, mtmdFigures } from "./support/mtmd-figures.ts";
import { temporaryFolder } from "./support/tiny-models.ts";
import { type QwenType, TINY_QWENS, writeTinyQwen } from "./support/tiny-qwen.ts";

/** Made with a text model whose answers depend on every token before them. */
const TEXT_SEED = 20_000;
const FIGURES = new URL("../src/encoders/fixtures/mtmd-qwen.json", import.meta.url);
const TYPES = Object.keys(TINY_QWENS) as QwenType[];
/** Multiples of 16 pixels, so that neither side scales them. */
const PROMPTS = [
  { name: "one picture", width: 144, height: 128, texts: ["a ", "what"] },
  { name: "an upright one, after nothing", width: 48, height: 144, texts: ["", "which one?"] },
  { name: "the same one twice", width: 128, height: 32, texts: ["", "and ", "same?"] },
] as const;

const CONTROL_TOKENS = ["<s>", "<|vision_start|>", "<|vision_end|>"];

const folder = temporaryFolder();
const files = new Map<QwenType, { model: string; projector: string }>();

beforeAll(async () => {
  for (const type of TYPES) {
    // mtmd does not read the size of a window, and takes that of the published models: 7 rows of these.
    const shape = { type, windowSize: undefined };
    files.set(type, await writeTinyQwen(join(folder.path, type), shape, { seed: TEXT_SEED }));
  }
});

const pixelsOf = (width: number, height: number, seed: number): Uint8Array =>
  Uint8Array.from(
    { length: width * height * 3 },
    (_, index) => (index * 89 + ((index * index) % 31) * 5 + seed * 40) % 256,
  ); // (height, width, 3) uint8

function picture(width: number, height: number, seed = 0): Part {
  const pixels = pixelsOf(width, height, seed);
  const pixel = (x: number, y: number): number[] => [
    ...pixels.subarray((y * width + x) * 3, (y * width + x) * 3 + 3),
  ];
  return { type: "image", image: encodePng(width, height, pixel) };
}

const text = (words: string): Part => ({ type: "text", text: words });
const user = (...content: Part[]): Message[] => [{ role: "user", content }];

async function withModel<Result>(
  type: QwenType,
  use: (model: Model) => Promise<Result>,
  options: Parameters<typeof load>[0] extends infer Options ? Partial<Options> : never = {},
): Promise<Result> {
  const model = await load({
    ...(files.get(type) as { model: string; projector: string }),
    template: "plain",
    encoderPrecision: "f32",
    diskCache: false,
    ...(options as object),
  });
  try {
    return await use(model);
  } finally {
    await model.close();
  }
}

interface Answer {
  bytes: string;
  /** Of each token. */
  logprobs: number[];
  image: number;
  total: number;
  cached: number;
  receipts: MediaReceipt[];
}

async function ask(model: Model, messages: readonly Message[], raw = false): Promise<Answer> {
  const answer: Answer = { bytes: "", logprobs: [], image: 0, total: 0, cached: 0, receipts: [] };
  for await (const part of model.stream({ messages, maxTokens: 16, temperature: 0, logprobs: 1, raw })) {
    if (part.type === "media") answer.receipts.push(part.receipt);
    if (part.type === "text-delta") {
      for (const { token, bytes, logprob } of part.logprobs ?? []) {
        // What it would print: nothing of a control token.
        if (!CONTROL_TOKENS.includes(token)) answer.bytes += Buffer.from(bytes).toString("hex");
        answer.logprobs.push(logprob);
      }
    }
    if (part.type === "finish") Object.assign(answer, part.usage.inputTokens);
  }
  return answer;
}

describe("llama.cpp's mtmd, on the same files and pictures,", () => {
  let figures: MtmdFigures[];
  beforeAll(async () => {
    figures = await mtmdFigures(FIGURES, "test/qwen-engine.test.ts", async () =>
      TYPES.flatMap((type) =>
        PROMPTS.map(({ name, width, height, texts }): MtmdInput => {
          const pixels = pixelsOf(width, height, 0);
          const prompt = texts.join("<__media__>");
          const both = files.get(type) as { model: string; projector: string };
          return {
            name: `${type}: ${name}`,
            folder: folder.path,
            files: both,
            pixels,
            width,
            height,
            prompt,
          };
        }),
      ),
    );
  });

  for (const type of TYPES) {
    for (const { name, width, height, texts } of PROMPTS) {
      const figure = (): MtmdFigures => figures.find((one) => one.name === `${type}: ${name}`) as MtmdFigures;

      it(`gives the same rows: ${type}, ${name}`, async () => {
        const backend = new Backend(loadLibraries({ device: "cpu" }), { device: "cpu", threads: 2 });
        const gguf = await readGguf(files.get(type)?.projector ?? "");
        const encoder = await openImageEncoder(gguf, backend, { precision: "f32" });
        const data = pixelsOf(width, height, 0);
        const rows = await encoder.encode(encoder.preprocess({ width, height, data }));
        await encoder.close();
        await backend.close();
        const count = rows.length / encoder.embeddingLength;
        expect(figure().rows).toHaveLength(count * (texts.length - 1));
        // mtmd's activations are half-precision tables, and the tanh approximation between the projector's layers.
        for (const [row, expected] of figure().rows.entries()) {
          for (const [index, value] of keptValues(rows, row % count, encoder.embeddingLength).entries()) {
            expect(value).toBeCloseTo(expected[index] ?? Number.NaN, 2);
          }
        }
      });

      it(`reads the same prompt, and answers the same: ${type}, ${name}`, async () => {
        await withModel(type, async (model) => {
          const parts = texts.flatMap((words, place) => [
            ...(words === "" ? [] : [text(words)]),
            ...(place === texts.length - 1 ? [] : [picture(width, height)]),
          ]);
          const answer = await ask(model, user(...parts), true);
          const lengths = figure().prompt.map((part) => (typeof part === "number" ? part : part.length));
          expect(answer.total).toBe(lengths.reduce((sum, length) => sum + length, 0));
          expect(answer.image).toBe(figure().rows.length);
          expect(answer.bytes).toBe(figure().text);
        });
      });
    }
  }
});

describe.each(TYPES)("%s in the engine", (type) => {
  const [wide, tall, small] = [picture(128, 96, 1), picture(50, 130, 2), picture(30, 30, 3)];
  const questions = [
    user(wide, text("What?")),
    user(wide, text("Where is it?")),
    user(wide, tall, text("Which?")),
    user(text("First"), tall, text("then"), wide, text("and"), small),
    user(tall, wide, text("Which?")),
    user(wide, tall, text("Which?")),
  ];

  const told = ({ bytes, logprobs }: Answer): string => `${bytes} ${logprobs.join(" ")}`;

  it("answers as a fresh process does, whatever was asked before", async () => {
    const fresh: string[] = [];
    for (const question of questions) {
      fresh.push(await withModel(type, async (model) => told(await ask(model, question))));
    }
    // All depends on the pictures, their order and the words: only the last question was there before.
    expect(new Set(fresh).size).toBe(questions.length - 1);
    await withModel(type, async (model) => {
      const answers: Answer[] = [];
      for (const question of questions) answers.push(await ask(model, question));
      expect(answers.map(told)).toEqual(fresh);
      expect(answers[1]?.cached).toBeGreaterThan(answers[1]?.image ?? Number.NaN);
      const together = await Promise.all(questions.map((question) => ask(model, question)));
      expect(together.map(told)).toEqual(fresh);
    });
  });

  it("goes on from a snapshot on disk", async () => {
    const question = user(wide, text("What do you see?"), tall, text("And here?"));
    const first = await withModel(type, (model) => ask(model, question), { diskCache: true });
    const second = await withModel(type, (model) => ask(model, question), { diskCache: true });
    expect(second.receipts.map(({ cachedIn }) => cachedIn)).toEqual(["snapshot", "snapshot"]);
    expect(told(second)).toBe(told(first));
    expect(await withModel(type, async (model) => told(await ask(model, question)))).toBe(told(first));
  });

  it("reads one to eight pictures", async () => {
    await withModel(type, async (model) => {
      for (let count = 1; count <= 8; count++) {
        const pictures = Array.from({ length: count }, (_, seed) => picture(64, 64, seed));
        const { image, receipts } = await ask(model, user(...pictures, text("How many?")));
        expect(image).toBe(16 * count);
        expect(receipts.map(({ tokens }) => tokens)).toEqual(pictures.map(() => 16));
      }
    });
  });

  it("looks at less of a picture that may take less, and says so", async () => {
    await withModel(type, async (model) => {
      const [part] = [{ ...picture(256, 192), maxTokens: 50 } as Part];
      const { image, receipts } = await ask(model, user(part, text("What?")));
      expect(image).toBe(48);
      expect(receipts[0]).toMatchObject({
        tokens: 48,
        seen: { width: 128, height: 96 },
        steps: [{ action: "resized", width: 128, height: 96, filter: "bicubic, antialiased" }],
      });
      const whole = await ask(model, user(picture(256, 192), text("What?")));
      expect(whole.image).toBe(192);
      const low = await ask(model, user({ ...picture(256, 192), detail: "low" } as Part, text("What?")));
      expect(low.image).toBe(48);
    });
  });

  it("takes pictures of every size", async () => {
    await withModel(
      type,
      async (model) => {
        for (const [width, height] of [
          [1, 1],
          [1, 4000],
          [37, 113],
          [336, 336],
          [640, 480],
        ] as const) {
          const { image, receipts } = await ask(model, user(picture(width, height), text("What?")));
          expect(receipts[0]).toMatchObject({ original: { width, height }, tokens: image });
          expect(image).toBeGreaterThan(0);
        }
      },
      { contextLength: 2048 },
    );
  });
});
