import { createRoute } from "@hono/zod-openapi";
import { stat } from "node:fs/promises";
import { MullError } from "../../../spec/errors.ts";
import { type Digest, parseDigest } from "../../../store/digest.ts";
import type { ModelStore } from "../../../store/model-store.ts";
import { bodyChunks } from "../../receive-body.ts";
import { addRoute, type RequestContext, type RouteModule } from "../../route-module.ts";
import type { HeldUploads } from "./held-uploads.ts";

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
export function blobRoutes(uploads: HeldUploads): RouteModule {
  return (app, { store }) => {
    addRoute(app, head, async (c) => {
      const digest = requireDigest(c);
      c.var.takeYourTime();
      if (!(await isThere(store, digest))) return c.body(null, 404);
      // Its client will not send it, and will name it soon.
      await uploads.hold(digest);
      return c.body(null, (await isThere(store, digest)) ? 200 : 404);
    });

    addRoute(app, upload, async (c) => {
      const expected = requireDigest(c);
      c.var.takeYourTime();
      const pin = await store.pin([expected]);
      try {
        const isNew = !(await isThere(store, expected));
        if (isNew) await receive(c, store, expected);
        else await discardBody(c);
        await uploads.hold(expected);
        return c.body(null, isNew ? 201 : 200);
      } finally {
        await pin.release();
      }
    });
  };
}

async function receive(c: RequestContext, store: ModelStore, expected: Digest): Promise<void> {
  const claimed = Number(c.req.header("content-length") ?? 0);
  if (claimed > 0) await store.requireSpace(claimed);
  try {
    await store.receiveBlob(bodyChunks(c), { expected, signal: c.var.signal });
  } catch (error) {
    if (!MullError.is(error) || error.code !== "digest_mismatch") throw error;
    // Here it is the client that sent other bytes than it said.
    throw new MullError("invalid_argument", error.message, { cause: error });
  }
}

/** Many clients do not look for an answer before they have sent everything. */
async function discardBody(c: RequestContext): Promise<void> {
  for await (const _ of bodyChunks(c)) if (c.var.signal.aborted) return;
}

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
