import { z } from "@hono/zod-openapi";

/** One line of `/api/pull`, `/api/push` and `/api/create`. */
export const progressLine: z.ZodType = z
  .object({
    status: z.string().openapi({ example: "pulling 8eeb52dfb3bb" }),
    digest: z.string().optional(),
    total: z.int().optional().openapi({ description: "In bytes." }),
    completed: z.int().optional().openapi({ description: "In bytes." }),
  })
  .openapi("OllamaProgress");
