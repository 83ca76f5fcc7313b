import { createRoute } from "@hono/zod-openapi";
import { stat } from "node:fs/promises";
import { MullError } from "../../../spec/errors.ts";
import { type Digest, parseDigest } from "../../../store/digest.ts";
import type { ModelStore } from "../../../store/model-store.ts";
import { bodyChunks } from "../../receive-body.ts";
import { addRoute, type RequestContext, type RouteModule } from "../../route-module.ts";

const path = "/api/blobs/{digest}";
const tags = ["Ollama"];

const upload = createRoute({
  method: "post",
  path,
  tags,
  summary: "Uploads a file that `/api/create` then names by its digest",
  description: "The body is the file itself. It is hashed while it comes; other bytes leave nothing behind.",
  request: { body: { required: true, content: { "*/*": { schema: { type: "string", format: "binary" } } } } },
  responses: {
    200: { description: "It was there already." },
    201: { description: "It is there now." },
    400: { description: "The bytes are not those of the digest." },
  },
});

const head = createRoute({
  method: "head",
  path,
  tags,
  summary: "Whether a file is there",
  responses: { 200: { description: "It is." }, 404: { description: "It is not." } },
});

/** `/api/blobs/:digest`. */
export const blobRoutes: RouteModule = (app, context) => {
  const { store } = context;
  addRoute(app, head, async (c) => c.body(null, (await isThere(store, requireDigest(c))) ? 200 : 404));

  addRoute(app, upload, async (c) => {
    const expected = requireDigest(c);
    c.var.takeYourTime();
    if (await isThere(store, expected)) return c.body(null, 200);
    const claimed = Number(c.req.header("content-length") ?? 0);
    if (claimed > 0) await store.requireSpace(claimed);
    try {
      await store.receiveBlob(bodyChunks(c), { expected, signal: c.var.signal });
    } catch (error) {
      if (!MullError.is(error) || error.code !== "digest_mismatch") throw error;
      // Here it is the client that sent other bytes than it said.
      throw new MullError("invalid_argument", error.message, { cause: error });
    }
    return c.body(null, 201);
  });
};

function requireDigest(c: RequestContext): Digest {
  const digest = parseDigest(c.req.param("digest") ?? "");
  if (digest !== undefined) return digest;
  throw new MullError("invalid_argument", "The path names no digest: it ends in sha256: and 64 hex digits.");
}

async function isThere(store: ModelStore, digest: Digest): Promise<boolean> {
  const size = await stat(store.paths.blob(digest)).then(
    (stats) => stats.size,
    () => undefined,
  );
  return size !== undefined && (await store.checkBlob({ digest, size }));
}
