import { z } from "@hono/zod-openapi";
import type { ImagePart } from "../../spec/message.ts";
import type { ReadImage } from "../wire/read-image.ts";
import type { Nullish, WireImage } from "../wire/wire-schemas.ts";

/** How much of the context a picture may take. */
export type WireBudget = Nullish<{
  /** OpenAI's `detail`, with `original` of its newer models: all of the picture. */
  detail: "auto" | "low" | "high" | "original";
  max_tokens: number;
}>;

export const budgetFields: { [Name in keyof WireBudget]-?: z.ZodType<WireBudget[Name]> } = {
  detail: z.enum(["auto", "low", "high", "original"]).nullish().openapi({
    description:
      "`low`: a quarter of the model's rows. `high` and `original`: all. `auto`: all, if they fit.",
  }),
  max_tokens: z.int().min(1).nullish().openapi({
    description: "Extension, experimental: most rows of the context that this picture may take.",
  }),
};

export async function toImagePart(
  image: WireImage,
  { detail, max_tokens: maxTokens }: WireBudget,
  where: string,
  readImage: ReadImage,
): Promise<ImagePart> {
  const part: ImagePart = { type: "image", image: await readImage(image, where) };
  if (detail != null) part.detail = detail === "original" ? "high" : detail;
  if (maxTokens != null) part.maxTokens = maxTokens;
  return part;
}
