import { createRoute, z } from "@hono/zod-openapi";
import type { MediaReceipt } from "../spec/receipt.ts";
import { readBody } from "./read-body.ts";
import { countImages, createReadMediaInput } from "./read-media-input.ts";
import type { ReadMediaInput } from "./media-input.ts";
import { addRoute, jsonBody, jsonResponse, mediaInput, type RouteModule } from "./route-module.ts";

const InspectRequest = z
  .object({
    model: z.string().min(1).openapi({ example: "pico" }),
    images: z.array(mediaInput).min(1),
    detail: z.enum(["auto", "low", "high"]).optional(),
    max_tokens: z
      .int()
      .min(1)
      .optional()
      .openapi({ description: "Most rows of the context for each picture." }),
  })
  .openapi("InspectRequest");

const InspectResponse = z
  .object({
    receipts: z.array(
      z.looseObject({
        name: z.string(),
        format: z.string(),
        bytes: z.number(),
        sha256: z.string(),
        original: z.object({ width: z.number(), height: z.number() }),
        steps: z.array(z.looseObject({ action: z.string() })),
        tokens: z.number().optional(),
      }),
    ),
    tokens: z.number().openapi({ description: "Rows of the context that all of them take." }),
  })
  .openapi("InspectResponse");

const inspect = createRoute({
  method: "post",
  path: "/api/inspect",
  tags: ["Media"],
  summary: "What a model would see of pictures, and what they would cost, without asking it.",
  request: { body: jsonBody(InspectRequest) },
  responses: { 200: jsonResponse(InspectResponse, "One receipt per picture, in order.") },
});

/** `POST /api/inspect`. */
export function inspectRoutes(readMedia: ReadMediaInput = createReadMediaInput()): RouteModule {
  return (app, context) => {
    addRoute(app, inspect, async (c) => {
      const body = await readBody(c, InspectRequest);
      countImages(body.images.length, context);
      const { client, signal } = c.var;
      const entry = await context.models.find(body.model);
      const leave = context.admission.enter(client, entry.name);
      try {
        const request = { context, client, signal };
        const pictures = await Promise.all(
          body.images.map((image, index) => readMedia(image, `images[${index}]`, request)),
        );
        const lease = await context.models.acquire(body.model, { signal });
        try {
          const receipts: MediaReceipt[] = [];
          for (const [index, picture] of pictures.entries()) {
            const receipt = await lease.model.inspect(picture, {
              name: `image ${index + 1}`,
              ...(body.detail === undefined ? {} : { detail: body.detail }),
              ...(body.max_tokens === undefined ? {} : { maxTokens: body.max_tokens }),
              signal,
            });
            receipts.push(receipt);
          }
          return c.json({ receipts, tokens: receipts.reduce((sum, { tokens = 0 }) => sum + tokens, 0) });
        } finally {
          lease.release();
        }
      } finally {
        leave();
      }
    });
  };
}
