import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { testPicture } from "../bench/test-picture.ts";
import { type ImagePart, type MediaReceipt, type Model, type StreamRequest, load } from "../src/index.ts";
import { temporaryFolder, tinyPair } from "./support/tiny-models.ts";

const folder = temporaryFolder();
let model: Model;
beforeAll(async () => {
  // 64 rows a picture, 8 x 8.
  const files = await tinyPair(folder.path, { projector: { imageSize: 64 } });
  model = await load({
    ...files,
    template: "plain",
    contextLength: 256,
    diskCache: false,
  });
});
afterAll(() => model.close());

const picture = (seed: number, budget: Partial<ImagePart> = {}): ImagePart => ({
  type: "image",
  image: testPicture(60, 40, seed),
  ...budget,
});

async function see(
  request: Omit<StreamRequest, "messages"> & { text?: string },
  ...pictures: ImagePart[]
): Promise<{ receipts: MediaReceipt[]; image: number; output: number }> {
  const { text = "What?", ...rest } = request;
  const receipts: MediaReceipt[] = [];
  const messages = [{ role: "user" as const, content: [...pictures, { type: "text" as const, text }] }];
  for await (const part of model.stream({ messages, maxTokens: 4, ...rest })) {
    if (part.type === "media") receipts.push(part.receipt);
    if (part.type === "finish") {
      return { receipts, image: part.usage.inputTokens.image, output: part.usage.outputTokens };
    }
  }
  throw new Error("no finish");
}

describe("a picture's budget", () => {
  it("is all rows by default and for detail high", async () => {
    for (const budget of [{}, { detail: "high" }, { detail: "auto" }] as const) {
      const { receipts, image } = await see({}, picture(1, budget));
      expect(image).toBe(64);
      expect(receipts[0]?.steps.some(({ action }) => action === "merged")).toBe(false);
    }
  });

  it("is a quarter for detail low, and never more than maxTokens; the receipt says so", async () => {
    expect((await see({}, picture(2, { detail: "low" }))).image).toBe(16);
    const { receipts, image } = await see({}, picture(2, { maxTokens: 7 }));
    expect(image).toBe(7);
    expect(receipts[0]).toMatchObject({ tokens: 7 });
    expect(receipts[0]?.steps.at(-1)).toMatchObject({ action: "merged", tokens: 7, of: 64 });
  });

  it("of one picture is nothing to the other, nor to the same picture with all rows", async () => {
    const { receipts, image } = await see(
      {},
      picture(3),
      picture(3, { maxTokens: 3 }),
      picture(4, { detail: "low" }),
    );
    expect(receipts.map(({ tokens }) => tokens)).toEqual([64, 3, 16]);
    expect(image).toBe(83);
  });

  it("needs no second encoding", async () => {
    const before = (await model.stats()).encodedImages;
    await see({}, picture(5));
    const { receipts } = await see({ text: "Else" }, picture(5, { detail: "low" }));
    expect(receipts[0]).toMatchObject({ cached: true, cachedIn: "rows", tokens: 16 });
    expect((await model.stats()).encodedImages).toBe(before + 1);
  });

  it("can be seen before asking", async () => {
    const receipt = await model.inspect(testPicture(60, 40, 1), { maxTokens: 5 });
    expect(receipt).toMatchObject({ tokens: 5 });
  });

  it.each([{ maxTokens: 0 }, { maxTokens: 1.5 }, { detail: "medium" as "low" }])(
    "refuses %o",
    async (budget) => {
      await expect(see({}, picture(1, budget))).rejects.toMatchObject({ code: "invalid_argument" });
    },
  );
});

describe("pictures that do not fit", () => {
  const many = (count: number, budget: Partial<ImagePart> = {}): ImagePart[] =>
    Array.from({ length: count }, (_, seed) => picture(seed, budget));

  it("are refused with how much is too much and what to shrink", async () => {
    await expect(see({}, ...many(5))).rejects.toMatchObject({
      code: "context_overflow",
      message: expect.stringMatching(/320 for 5 pictures.*has 256: \d+ too many/) as string,
      hint: expect.stringMatching(/shrink every picture to at most \d+ tokens/) as string,
    });
    await expect(
      see(
        { text: "word ".repeat(30) },
        picture(1),
        picture(2, { detail: "low" }),
        picture(3, { name: "scan.png" }),
      ),
    ).rejects.toMatchObject({
      code: "context_overflow",
      hint: expect.stringMatching(/shrink picture 1 to at most \d+ tokens/) as string,
    });
  });

  it("are shrunk where the caller allows it, and leave room for an answer", async () => {
    const shrunk = await see({ overflow: "shrink", maxTokens: 8 }, ...many(5));
    expect(shrunk.image).toBeLessThan(256);
    expect(shrunk.image).toBeGreaterThan(150);
    expect(shrunk.output).toBe(8);
    expect(shrunk.receipts.every(({ steps }) => steps.at(-1)?.action === "merged")).toBe(true);
    await expect(see({ overflow: "shrink" }, ...many(20))).rejects.toMatchObject({
      code: "context_overflow",
    });
  });

  it("are shrunk alone where only they may be: detail auto, said by the caller", async () => {
    const { receipts } = await see(
      { maxTokens: 8 },
      ...many(2, { detail: "high" }),
      ...many(2, { detail: "auto" }),
    );
    expect(receipts.map(({ tokens }) => tokens).slice(0, 2)).toEqual([64, 64]);
    expect(
      receipts
        .map(({ tokens }) => tokens as number)
        .slice(2)
        .every((tokens) => tokens < 64),
    ).toBe(true);
  });
});
