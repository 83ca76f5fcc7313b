import { describe, expect, it } from "vitest";
import { RECEIPT } from "../../../test/support/fake-server.ts";
import type { EmbedInput } from "../../spec/model.ts";
import { schemaError } from "../schema-error.ts";
import { embeddingsRequest, embeddingsResponse, toEmbedInputs } from "./embeddings.ts";

async function convert(input: unknown, more: Record<string, unknown> = {}): Promise<EmbedInput[]> {
  const parsed = embeddingsRequest.safeParse({ model: "pico", input, ...more });
  if (!parsed.success) throw schemaError(parsed.error);
  return toEmbedInputs(parsed.data, async (image, where) => `${where}=${String(image)}`);
}

describe("inputs", () => {
  it.each<[unknown, EmbedInput[]]>([
    ["a", ["a"]],
    [
      ["a", "b"],
      ["a", "b"],
    ],
    [{ type: "text", text: "a" }, ["a"]],
    [[{ type: "image_url", image_url: "data:,x" }], [{ image: "input[0].image_url=data:,x" }]],
    [[{ type: "image_url", image_url: { url: "data:,x" } }], [{ image: "input[0].image_url.url=data:,x" }]],
    [
      ["a", { image: "data:,x" }],
      ["a", { image: "input[1].image=data:,x" }],
    ],
    [[{ text: "a", image: { url: "data:,x" } }], [{ text: "a", image: "input[0].image.url=data:,x" }]],
    [{ text: "a", image: null }, ["a"]],
  ])("%j", async (input, expected) => {
    expect(await convert(input)).toEqual(expected);
  });

  it.each([
    ["input", ""],
    ["input[1]", ["a", ""]],
    ["input[0]", [{}]],
    ["input[0]", [1, 2]],
    ["input[0]", [[1, 2]]],
    ["input", []],
    ["input", Array.from({ length: 2049 }, () => "a")],
    ["input", undefined],
  ])("names %s when it is wrong", async (place, input) => {
    await expect(convert(input)).rejects.toMatchObject({
      code: "invalid_argument",
      details: { param: place },
    });
  });

  it("says that token ids are not for it", async () => {
    await expect(convert([1, 2])).rejects.toThrow(/token ids are not supported/);
  });

  it.each([
    ["dimensions", { dimensions: 0 }],
    ["encoding_format", { encoding_format: "int8" }],
  ])("names %s when it is wrong", async (place, more) => {
    await expect(convert("a", more)).rejects.toMatchObject({ details: { param: place } });
  });
});

describe("answer", () => {
  const embeddings = {
    vectors: [Float32Array.of(0.5, -1.5), Float32Array.of(1, 0)],
    usage: { total: 9, text: 4, image: 5 },
    receipts: [RECEIPT],
  };

  it("is numbers", () => {
    expect(embeddingsResponse({ model: "pico" }, embeddings)).toEqual({
      object: "list",
      data: [
        { object: "embedding", index: 0, embedding: [0.5, -1.5] },
        { object: "embedding", index: 1, embedding: [1, 0] },
      ],
      model: "pico",
      usage: {
        prompt_tokens: 9,
        total_tokens: 9,
        prompt_tokens_details: { image_tokens: 5, text_tokens: 4 },
      },
      receipts: [RECEIPT],
    });
  });

  it("is little-endian float32 in base64 when asked for", () => {
    const { data } = embeddingsResponse({ model: "pico", encoding_format: "base64" }, embeddings);
    const bytes = Buffer.from(data[0]!.embedding as string, "base64");
    expect([bytes.readFloatLE(0), bytes.readFloatLE(4), bytes.length]).toEqual([0.5, -1.5, 8]);
  });
});
