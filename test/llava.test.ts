import { readFile } from "node:fs/promises";
import { afterAll, describe, expect, it } from "vitest";
import { MTMD_CASES, MTMD_QUESTION, MTMD_TEXT, mtmdPicture } from "../bench/mtmd-llava-cases.ts";
import { encodeRgb, testPicture } from "../bench/test-picture.ts";
import {
  type ImagePart,
  type LoadOptions,
  type MediaReceipt,
  type Message,
  type Model,
  load,
} from "../src/index.ts";
import { temporaryFolder, tinyPair } from "./support/tiny-models.ts";

const folder = temporaryFolder();
const models: Model[] = [];
afterAll(() => Promise.all(models.map((model) => model.close())));

async function open(
  projector: Parameters<typeof tinyPair>[1] & object = {},
  options: LoadOptions = {},
): Promise<Model> {
  return openFiles(await tinyPair(folder.path, projector), options);
}

async function openFiles(files: LoadOptions, options: LoadOptions = {}): Promise<Model> {
  const model = await load({ ...files, diskCache: false, ...options });
  models.push(model);
  return model;
}

const NEXT = {
  classToken: true,
  pinpoints: [32, 64, 64, 32, 64, 64, 96, 32, 32, 96],
  mergeType: "spatial_unpad",
  newline: "model.image_newline",
} as const;

interface Heard {
  text: string;
  receipts: MediaReceipt[];
  image: number;
}

async function hear(model: Model, content: Message["content"], raw = false): Promise<Heard> {
  const heard: Heard = { text: "", receipts: [], image: 0 };
  const messages: Message[] = [{ role: "user", content }];
  for await (const part of model.stream({ messages, raw, maxTokens: 16 })) {
    if (part.type === "text-delta") heard.text += part.delta;
    if (part.type === "media") heard.receipts.push(part.receipt);
    if (part.type === "finish") heard.image = part.usage.inputTokens.image;
  }
  return heard;
}

const picture = (width: number, height: number, seed = 1, rest: Partial<ImagePart> = {}): ImagePart => ({
  type: "image",
  image: testPicture(width, height, seed),
  ...rest,
});
const text = (words: string): { type: "text"; text: string } => ({ type: "text", text: words });

describe("compat llama.cpp", () => {
  it("answers word for word as llama.cpp does", async () => {
    const { cases } = JSON.parse(
      await readFile(new URL("../src/encoders/fixtures/mtmd-llava.json", import.meta.url), "utf8"),
    ) as { cases: Record<string, { rows: number; text: string }> };
    for (const { name, shape, picture: size } of MTMD_CASES) {
      const model = await open(
        { text: MTMD_TEXT, projector: shape },
        { compat: "llama.cpp", encoderPrecision: "f32" },
      );
      const image = encodeRgb(size.width, size.height, mtmdPicture(size));
      const heard = await hear(model, [{ type: "image", image }, text(MTMD_QUESTION)], true);
      await model.close();
      expect(heard.image).toBe(cases[name]?.rows);
      expect({ name, text: heard.text }).toEqual({ name, text: cases[name]?.text });
    }
  });

  it("is named by the model's facts and the receipt, and shares no cached rows", async () => {
    const files = await tinyPair(folder.path, { projector: NEXT });
    const own = await openFiles(files, { diskCache: true });
    const compat = await openFiles(files, { diskCache: true, compat: "llama.cpp" });
    expect(own.info.encoder).not.toHaveProperty("compat");
    expect(compat.info.encoder).toMatchObject({ compat: "llama.cpp" });
    // No larger than a tile: as many rows as an overview has, of another kind.
    const answers: { own: string; compat: string }[] = [];
    for (const seed of [1, 2, 3, 4, 5, 6]) {
      const question = [picture(30, 30, seed, { maxTokens: 16 }), text("What?")];
      const first = await hear(own, question);
      const second = await hear(compat, question);
      expect(first.image).toBe(second.image);
      expect(second.receipts[0]).toMatchObject({
        cached: false,
        steps: [{ action: "compat" }, { action: "resized" }],
      });
      answers.push({ own: first.text, compat: second.text });
    }
    // A random model may say the same about some pictures, but not about all.
    expect(answers.some((answer) => answer.own !== answer.compat)).toBe(true);
  });

  it("is refused by another name", async () => {
    const files = await tinyPair(folder.path);
    const loading = load({ ...files, compat: "ollama" as "llama.cpp" });
    await expect(loading).rejects.toMatchObject({ code: "invalid_argument" });
  });
});

describe("LLaVA 1.6", () => {
  it("shows a picture in tiles, says so, and counts their rows", async () => {
    const model = await open({ projector: NEXT });
    const { receipts, image } = await hear(model, [picture(640, 480), text("What?")]);
    // 16 of the overview, 6 lines of 8 and a newline each.
    expect(image).toBe(16 + 6 * 9);
    expect(receipts[0]).toMatchObject({
      tokens: image,
      seen: { width: 64, height: 64 },
      steps: [
        { action: "resized", width: 64, height: 48 },
        { action: "padded", width: 64, height: 64, colour: [0, 0, 0] },
        { action: "tiled", columns: 2, rows: 2, width: 32, height: 32, overview: true },
      ],
    });
    expect(await model.inspect(testPicture(640, 480, 1))).toMatchObject({ tokens: image });
  });

  it("looks at fewer tiles when a picture may take fewer rows", async () => {
    const model = await open({ projector: NEXT });
    for (const [maxTokens, rows, seen] of [
      [70, 70, { width: 64, height: 64 }],
      [69, 44, { width: 64, height: 32 }],
      [40, 36, { width: 32, height: 64 }],
      [35, 16, { width: 32, height: 32 }],
      [7, 7, { width: 32, height: 32 }],
    ] as const) {
      const { receipts, image } = await hear(model, [picture(640, 480, 2, { maxTokens }), text("What?")]);
      expect(receipts[0]?.seen).toEqual(seen);
      expect([maxTokens, image]).toEqual([maxTokens, rows]);
    }
  });

  it("takes pictures of every shape, and eight of them", async () => {
    const model = await open({ text: { contextLength: 2048 }, projector: NEXT });
    for (const [width, height] of [
      [1, 1],
      [1, 4000],
      [37, 113],
      [1920, 1080],
    ] as const) {
      const { receipts, image } = await hear(model, [picture(width, height), text("What?")]);
      expect(receipts[0]?.tokens).toBe(image);
    }
    for (let count = 1; count <= 8; count++) {
      const pictures = Array.from({ length: count }, (_, index) => picture(50 + 20 * index, 60, index));
      const { receipts, image } = await hear(model, [...pictures, text("Which?")]);
      expect(receipts.map(({ tokens = 0 }) => tokens).reduce((sum, tokens) => sum + tokens, 0)).toBe(image);
    }
  });

  it("answers about two pictures in any order as a fresh process does", async () => {
    const files = await tinyPair(folder.path, { text: { contextLength: 1024 }, projector: NEXT });
    const a = picture(640, 480, 5);
    const b = picture(90, 40, 6);
    const contents = [
      [a, text("one"), b, text("What?")],
      [b, a, text("What?")],
      [text("Before"), a, b, text("What?")],
      [b, text("one"), a, text("What?")],
    ];
    const model = await openFiles(files);
    for (const content of contents) {
      const fresh = await openFiles(files);
      expect((await hear(model, content)).text).toBe((await hear(fresh, content)).text);
      await fresh.close();
    }
  });
});

describe("MobileVLM and Yi-VL", () => {
  it("answer about a picture, whose rows are counted", async () => {
    for (const [projector, rows] of [
      ["ldp", 4],
      ["ldpv2", 4],
      ["mlp_norm", 16],
    ] as const) {
      const model = await open({ projector: { projector, classToken: true } });
      const { image } = await hear(model, [picture(60, 40), text("What?")]);
      expect([projector, image]).toEqual([projector, rows]);
    }
  });
});
