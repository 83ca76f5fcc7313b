import { z } from "@hono/zod-openapi";
import type { CatalogEntry } from "../model-pool.ts";
import { newId } from "../wire/new-id.ts";

/** What all chunks of a completion, or the whole one, have in common. */
export interface CompletionHead {
  id: string;
  /** Unix time in seconds. */
  created: number;
  /** As the request named it. */
  model: string;
  /** Changes when the model's files do. */
  system_fingerprint: string;
}

export const headFields: { [Name in keyof CompletionHead]: z.ZodType<CompletionHead[Name]> } = {
  id: z.string(),
  created: z.int().openapi({ description: "Unix time in seconds." }),
  model: z.string(),
  system_fingerprint: z.string().openapi({ description: "Changes when the model's files do." }),
};

/** @param prefix such as "chatcmpl-" */
export function completionHead(prefix: string, model: string, entry: CatalogEntry): CompletionHead {
  return {
    id: newId(prefix),
    created: Math.floor(Date.now() / 1000),
    model,
    system_fingerprint: `fp_${entry.digest.slice(0, 10)}`,
  };
}
