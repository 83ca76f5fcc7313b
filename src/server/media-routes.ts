import { createRoute, z } from "@hono/zod-openapi";
import { DEFAULT_MEDIA_LIMITS } from "../media/limits.ts";
import { notAPicture } from "../media/resolve-media.ts";
import { sniff } from "../media/sniff.ts";
import { MullError } from "../spec/errors.ts";
import { receiveBody } from "./receive-body.ts";
import { addRoute, jsonResponse, type RouteModule } from "./route-module.ts";

const Upload = z
  .object({
    digest: z
      .string()
      .openapi({ example: "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" }),
    bytes: z.number(),
    format: z.string().openapi({ example: "png" }),
    expires_at: z.iso.datetime(),
  })
  .openapi("MediaUpload");

const upload = createRoute({
  method: "post",
  path: "/api/media",
  tags: ["Media"],
  summary: "Uploads a picture, to be named by its digest in later requests.",
  description:
    "The body is the file itself, of any Content-Type. The digest stands for it, in place of base64, until " +
    "`expires_at`, for requests with the same key.",
  request: { body: { required: true, content: { "*/*": { schema: { type: "string", format: "binary" } } } } },
  responses: { 200: jsonResponse(Upload, "It is there.") },
});

/** `POST /api/media`. */
export const mediaRoutes: RouteModule = (app, context) => {
  addRoute(app, upload, async (c) => {
    const bytes = await receiveBody(c, DEFAULT_MEDIA_LIMITS.fileBytes, "Models look at about one megapixel.");
    if (bytes.length === 0) throw new MullError("invalid_argument", "missing request body");
    const sniffed = sniff(bytes);
    if (sniffed.kind !== "picture") throw notAPicture("The upload", sniffed.format, sniffed.label);
    // WebCrypto computes in another thread; 64 MiB would stop this one for a tenth of a second.
    const digest = Buffer.from(await crypto.subtle.digest("SHA-256", bytes)).toString("hex");
    const { sha256, expiresAt } = context.media.put(c.var.client, bytes, digest);
    return c.json({
      digest: `sha256:${sha256}`,
      bytes: bytes.length,
      format: sniffed.format,
      expires_at: expiresAt.toISOString(),
    });
  });
};
