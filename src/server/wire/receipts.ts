import { z } from "@hono/zod-openapi";
import type { MediaReceipt } from "../../spec/receipt.ts";

/** Extension in every answer to pictures: what the model really saw of each. */
export const wireReceipts: z.ZodType<MediaReceipt[]> = z
  .array(z.custom<MediaReceipt>().openapi({ type: "object" }))
  .openapi({
    description:
      "Extension, only for requests with pictures: per picture its format, size, SHA-256, what was done to it step " +
      "by step, the rows of the context that it took, and whether it was cached.",
  });
