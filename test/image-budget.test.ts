import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { testPicture } from "../bench/test-picture.ts";
import { type ImagePart, type MediaReceipt, type Model, type StreamRequest, load } from "../src/index.ts";
import { temporaryFolder, tinyPair } from "./support/tiny-models.ts";

const folder = temporaryFolder();
let model: Model;
beforeAll(async () => {
  model = await load({
    ...(await tinyPair(folder.path)),
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
      expect(image).toBe(16);
      expect(receipts[0]?.steps.some(({ action }) => action === "merged")).toBe(false);
    }
  });

  it("is a quarter for detail low, and never more than maxTokens; the receipt says so", async () => {
    expect((await see({}, picture(2, { detail: "low" }))).image).toBe(4);
    const { receipts, image } = await see({}, picture(2, { maxTokens: 7 }));
    expect(image).toBe(7);
    expect(receipts[0]).toMatchObject({ tokens: 7 });
    expect(receipts[0]?.steps.at(-1)).toMatchObject({ action: "merged", tokens: 7, of: 16 });
  });

  it("of one picture is nothing to the other, nor to the same picture with all rows", async () => {
    const { receipts, image } = await see(
      {},
      picture(3),
      picture(3, { maxTokens: 3 }),
      picture(4, { detail: "low" }),
    );
    expect(receipts.map(({ tokens }) => tokens)).toEqual([16, 3, 4]);
    expect(image).toBe(23);
  });

  it("needs no second encoding", async () => {
    const before = (await model.stats()).encodedImages;
    await see({}, picture(5));
    const { receipts } = await see({ text: "Else" }, picture(5, { detail: "low" }));
    expect(receipts[0]).toMatchObject({ cached: true, cachedIn: "rows", tokens: 4 });
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
  const many = (budget: Partial<ImagePart> = {}): ImagePart[] =>
    Array.from({ length: 20 }, (_, seed) => picture(seed, budget));

  it("are refused with how much is too much and what to shrink", async () => {
    await expect(see({}, ...many())).rejects.toMatchObject({
      code: "context_overflow",
      message: expect.stringMatching(/320 for 20 pictures.*has 256: \d+ too many/) as string,
      hint: expect.stringMatching(/shrink/) as string,
    });
    await expect(
      see({ text: "word ".repeat(80) }, picture(1), picture(2, { name: "scan.png" })),
    ).rejects.toMatchObject({
      code: "context_overflow",
      hint: expect.stringMatching(/shrink picture \d.* to at most \d+ tokens/) as string,
    });
  });

  it("are shrunk where the caller allows it, and leave room for an answer", async () => {
    const shrunk = await see({ overflow: "shrink", maxTokens: 8 }, ...many().slice(0, 12));
    expect(shrunk.image).toBe(192);
    const text = "word ".repeat(18);
    const tight = await see({ overflow: "shrink", maxTokens: 8, text }, ...many().slice(0, 12));
    expect(tight.output).toBe(8);
    await expect(see({ overflow: "shrink" }, ...many())).rejects.toMatchObject({ code: "context_overflow" });
  });
});
