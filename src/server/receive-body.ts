import type { Readable } from "node:stream";
import { MullError } from "../spec/errors.ts";
import type { RequestContext } from "./route-module.ts";

/** Until this much has come, a Content-Length is only a claim and gets no memory. */
const TRUSTED_BYTES = 1024 ** 2;

/**
 * The bytes of a JSON body.
 *
 * `curl -d` sends application/x-www-form-urlencoded, and Ollama takes it, so a Content-Type matters only when a
 * browser is at work: with JSON it must ask first whether the page may (a preflight request).
 */
export async function receiveJsonBody(
  c: RequestContext,
  limitBytes: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const type = c.req.header("content-type") ?? "";
  if (c.req.header("origin") !== undefined && !/^application\/(?:[\w.-]+\+)?json\s*(?:;|$)/i.test(type)) {
    throw new MullError(
      "unsupported_media",
      "A web page must send its request as Content-Type: application/json.",
    );
  }
  const hint = "Upload large pictures with POST /api/media, and name them by their digest.";
  const bytes = await receiveBody(c, limitBytes, hint);
  if (bytes.length === 0) throw new MullError("invalid_argument", "missing request body");
  return bytes;
}

/**
 * All bytes of a body, in a buffer of their own: (bytes) uint8.
 *
 * @param hint what to do when there are too many
 * @throws MullError `body_too_large`, before anything is read if the request says so itself; `unsupported_media`
 *   for a Content-Encoding; `aborted` when the client goes away
 */
export async function receiveBody(
  c: RequestContext,
  limitBytes: number,
  hint: string,
): Promise<Uint8Array<ArrayBuffer>> {
  refuseEncoding(c);
  const claimed = Number(c.req.header("content-length") ?? 0);
  if (claimed > limitBytes) throw tooLarge(limitBytes, hint);
  let buffer = new Uint8Array(Math.min(claimed || 4096, TRUSTED_BYTES));
  let length = 0;
  for await (const chunk of chunksOf(c)) {
    const total = length + chunk.length;
    if (total > limitBytes) throw tooLarge(limitBytes, hint);
    if (total > buffer.length) {
      const larger = new Uint8Array(claimed >= total ? claimed : Math.min(total * 2, limitBytes));
      larger.set(buffer.subarray(0, length));
      buffer = larger;
    }
    buffer.set(chunk, length);
    length = total;
  }
  return length === buffer.length ? buffer : buffer.slice(0, length);
}

/**
 * A body as it comes, of any length: chunks of (n,) uint8.
 *
 * @throws MullError `unsupported_media` for a Content-Encoding; `aborted` when the client goes away
 */
export async function* bodyChunks(c: RequestContext): AsyncGenerator<Uint8Array, void, undefined> {
  refuseEncoding(c);
  yield* chunksOf(c);
}

function refuseEncoding(c: RequestContext): void {
  const encoding = c.req.header("content-encoding") ?? "identity";
  if (encoding.toLowerCase() === "identity") return;
  throw new MullError(
    "unsupported_media",
    `A body with Content-Encoding ${encoding.slice(0, 40)} is not read.`,
    { hint: "Send it as it is." },
  );
}

/** Leaving the loop must not destroy the connection: the answer goes over it. */
async function* chunksOf(c: RequestContext): AsyncGenerator<Uint8Array, void, undefined> {
  const { incoming, outgoing } = c.env ?? {};
  if (incoming?.headers.expect !== undefined) outgoing?.writeContinue();
  const source: Readable | undefined = c.env?.incoming;
  try {
    if (source !== undefined) yield* source.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>;
    else if (c.req.raw.body !== null) yield* c.req.raw.body as unknown as AsyncIterable<Uint8Array>;
  } catch (error) {
    if (MullError.is(error)) throw error;
    throw new MullError("aborted", "The client went away while it sent its request.", { cause: error });
  }
}

function tooLarge(limitBytes: number, hint: string): MullError {
  const limit = limitBytes < 1024 ** 2 ? `${limitBytes} bytes` : `${Math.floor(limitBytes / 1024 ** 2)} MiB`;
  return new MullError("body_too_large", `The request's body is over the limit of ${limit}.`, { hint });
}
