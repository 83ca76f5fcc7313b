import { z } from "@hono/zod-openapi";

/** One string or several. Empty ones end nothing. */
export const stopStrings: z.ZodType<string | string[]> = z
  .union([z.string(), z.array(z.string()).max(16)])
  .openapi({ description: "The answer ends before any of these strings; at most 16." });

export const temperature: z.ZodType<number> = z
  .number()
  .min(0)
  .max(2)
  .openapi({ description: "0 is greedy: the same request gives the same answer. Default 1." });

export const topP: z.ZodType<number> = z
  .number()
  .min(0)
  .max(1)
  .openapi({ description: "Keep the smallest set of tokens whose probabilities add up to this. Default 1." });

export const penalty: z.ZodType<number> = z.number().min(-2).max(2).openapi({ description: "0 is off." });
