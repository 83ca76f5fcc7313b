import { z } from "@hono/zod-openapi";
import type { Embeddings, EmbedInput } from "../../spec/model.ts";
import type { MediaReceipt } from "../../spec/receipt.ts";
import { mediaInput } from "../route-module.ts";
import type { ReadImage } from "../wire/read-image.ts";
import { invalidRequest } from "../wire/invalid-request.ts";
import { wireReceipts } from "../wire/receipts.ts";
import { withoutEffect, type Nullish, type WireImage } from "../wire/wire-schemas.ts";

type WireUrl = WireImage | { url: WireImage };

/** An input that is not plain text, in either of the two ways in which such servers write it. */
export type WireEmbedItem =
  | { type: "text"; text: string }
  | { type: "image_url"; image_url: WireUrl }
  | Nullish<{ text: string; image: WireUrl }>;

/** Body of `POST /v1/embeddings`. */
export interface EmbeddingsRequest extends Nullish<{
  encoding_format: "float" | "base64";
  dimensions: number;
}> {
  model: string;
  input: string | WireEmbedItem | (string | WireEmbedItem)[];
}

export interface EmbeddingsResponse {
  object: "list";
  data: { object: "embedding"; index: number; embedding: number[] | string }[];
  model: string;
  usage: {
    prompt_tokens: number;
    total_tokens: number;
    prompt_tokens_details: { image_tokens: number; text_tokens: number };
  };
  receipts?: MediaReceipt[];
}

const url: z.ZodType<WireUrl> = z.union([mediaInput, z.object({ url: mediaInput })]);

const noTokens = "token ids are not supported: send text";

const item: z.ZodType<WireEmbedItem> = z.union([
  z.object({ type: z.literal("text"), text: z.string() }),
  z.object({ type: z.literal("image_url"), image_url: url }),
  z.strictObject({ text: z.string().nullish(), image: url.nullish() }),
]);

const input: z.ZodType<string | WireEmbedItem> = z.union([z.string({ error: noTokens }), item], {
  error: ({ input: value }) => (typeof value === "number" || Array.isArray(value) ? noTokens : undefined),
});

export const embeddingsRequest: z.ZodType<EmbeddingsRequest> = z
  .object({
    model: z.string().min(1).openapi({ example: "pico" }),
    input: z.union([z.string(), item, z.array(input).min(1).max(2048)]).openapi({
      description:
        "A text or up to 2048. Extension: items {type: text, text}, {type: image_url, image_url}, or {text, image} " +
        "for a picture with words about it; all of them fall into the same space.",
    }),
    encoding_format: z.enum(["float", "base64"]).nullish().openapi({
      description: "base64: of float32, little-endian. Default `float`.",
    }),
    dimensions: z.int().min(1).nullish().openapi({ description: "Keep this many. Default: all." }),
    user: withoutEffect.optional(),
  })
  .openapi("OpenAIEmbeddingsRequest");

/** @throws MullError `invalid_argument` for an empty input, and whatever `readImage` throws */
export async function toEmbedInputs(body: EmbeddingsRequest, readImage: ReadImage): Promise<EmbedInput[]> {
  if (!Array.isArray(body.input)) return [await toEmbedInput(body.input, "input", readImage)];
  const inputs: EmbedInput[] = [];
  for (const [index, one] of body.input.entries()) {
    inputs.push(await toEmbedInput(one, `input[${index}]`, readImage));
  }
  return inputs;
}

async function toEmbedInput(
  wire: string | WireEmbedItem,
  where: string,
  readImage: ReadImage,
): Promise<EmbedInput> {
  const text = typeof wire === "string" ? wire : "text" in wire ? wire.text : undefined;
  const [image, key] = typeof wire === "string" ? [undefined, ""] : imageOf(wire);
  if (image == null) {
    if (text == null || text === "") throw invalidRequest(where, `${where} is empty.`);
    return text;
  }
  const [value, place] =
    typeof image === "string" || image instanceof Uint8Array ? [image, key] : [image.url, `${key}.url`];
  const input = { image: await readImage(value, `${where}.${place}`) };
  return text == null || text === "" ? input : { ...input, text };
}

function imageOf(wire: WireEmbedItem): [image: WireUrl | null | undefined, key: string] {
  if ("image_url" in wire) return [wire.image_url, "image_url"];
  return ["image" in wire ? wire.image : undefined, "image"];
}

export function embeddingsResponse(
  { model, encoding_format: format }: Pick<EmbeddingsRequest, "model" | "encoding_format">,
  { vectors, usage, receipts }: Embeddings,
): EmbeddingsResponse {
  return {
    object: "list",
    data: vectors.map((vector, index) => ({
      object: "embedding",
      index,
      embedding: format === "base64" ? toBase64(vector) : Array.from(vector),
    })),
    model,
    usage: {
      prompt_tokens: usage.total,
      total_tokens: usage.total,
      prompt_tokens_details: { image_tokens: usage.image, text_tokens: usage.text },
    },
    ...(receipts.length === 0 ? {} : { receipts: [...receipts] }),
  };
}

/** @param vector (dimensions) float32 */
function toBase64(vector: Float32Array): string {
  const bytes = Buffer.alloc(vector.length * 4);
  for (const [index, value] of vector.entries()) bytes.writeFloatLE(value, index * 4);
  return bytes.toString("base64");
}

export const embeddingsResponseSchema: z.ZodType = z
  .object({
    object: z.literal("list"),
    data: z.array(
      z.object({
        object: z.literal("embedding"),
        index: z.int(),
        embedding: z.union([z.array(z.number()), z.string()]),
      }),
    ),
    model: z.string(),
    usage: z.object({
      prompt_tokens: z.int(),
      total_tokens: z.int(),
      prompt_tokens_details: z.object({ image_tokens: z.int(), text_tokens: z.int() }),
    }),
    receipts: wireReceipts.optional(),
  })
  .openapi("OpenAIEmbeddingsResponse");
