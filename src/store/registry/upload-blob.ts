import { MullError } from "../../spec/errors.ts";
import { type Digest, parseDigest, shortDigest } from "../digest.ts";
import type { HttpClient, HttpResponse } from "../http/http-client.ts";
import { nextHop } from "../http/next-hop.ts";
import { requireOk } from "../http/response-error.ts";
import { showUrl } from "../http/server-text.ts";
import { unreachableFor } from "../http/unreachable.ts";
import { readFilePart } from "./read-file-part.ts";
import type { Repository } from "./registry.ts";
import { retry } from "./retry.ts";

export interface UploadOptions {
  client: HttpClient;
  repository: Repository;
  signal?: AbortSignal | undefined;
  /** Another repository of the same registry that may have the blob. */
  mountFrom?: string | undefined;
  /** What one request carries, in bytes. Default 64 MiB. */
  chunkBytes?: number | undefined;
  /** Bytes that are at the registry. */
  onProgress: (completed: number) => void;
}

interface Blob {
  digest: Digest;
  size: number;
  path: string;
}

/** One request's worth: below what proxies in front of registries take. */
const CHUNK_BYTES = 64 * 1024 * 1024;
/** A registry may pass a chunk on, or hash the whole blob, before it answers. */
const CHUNK_TIMEOUT_MS = 2 * 60 * 1000;
const COMMIT_TIMEOUT_MS = 15 * 60 * 1000;

/** Registries that have lost an upload, or mixed it up, are given the blob anew so many times. */
const MOST_RESTARTS = 3;

/** Where an upload goes on. */
interface Session {
  location: URL;
  /** Bytes that the registry has. */
  offset: number;
  chunkBytes: number;
}

/**
 * Brings one blob to a repository, unless it is there: from another repository of the registry if that has it, else in
 * chunks. After an interruption the registry is asked how far it got.
 */
export async function uploadBlob(blob: Blob, options: UploadOptions): Promise<void> {
  for (let restarts = 0; ; restarts++) {
    let session: Session | undefined;
    try {
      await retry(
        async (progressed) => {
          if (session !== undefined) session = await resume(session, options);
          else if (await isThere(blob, options)) return;
          else session = await start(blob, options);
          if (session === undefined) return; // it was mounted
          while (session.offset < blob.size) {
            options.onProgress(session.offset);
            session = await sendChunk(session, blob, options);
            progressed();
          }
          await commit(session, blob, options);
        },
        { clock: options.client.clock, signal: options.signal },
      );
      options.onProgress(blob.size);
      return;
    } catch (error) {
      if (session === undefined || !isLost(error) || restarts === MOST_RESTARTS) throw error;
      await options.client.clock.sleep(1000 * 2 ** restarts, options.signal);
    }
  }
}

async function isThere({ digest }: Blob, options: UploadOptions): Promise<boolean> {
  const { repository, signal, client } = options;
  const url = repository.url(`blobs/${digest}`);
  const response = await repository.send({ method: "HEAD", url, signal }, "push");
  response.discard();
  if (response.status === 404) return false;
  await requireOk(response, client, errors(digest, options));
  return true;
}

/** Undefined: the registry took the blob from another repository. */
async function start(blob: Blob, options: UploadOptions): Promise<Session | undefined> {
  const { repository, client, signal, mountFrom, chunkBytes = CHUNK_BYTES } = options;
  const url = repository.url("blobs/uploads/");
  const post = async (url: URL): Promise<HttpResponse> =>
    await repository.send({ method: "POST", url, headers: { "content-length": "0" }, signal }, "push");
  if (mountFrom !== undefined) {
    const mount = new URL(url);
    mount.searchParams.set("mount", blob.digest);
    mount.searchParams.set("from", mountFrom);
    const response = await post(mount);
    if (response.status === 201) {
      response.discard();
      return undefined;
    }
    if (response.status === 202) return sessionOf(response, 0, chunkBytes, options);
    // It may not know the other repository, or not let us in there: that is no reason not to upload.
    response.discard();
  }
  const response = await requireOk(await post(url), client, errors(blob.digest, options));
  return sessionOf(response, 0, chunkBytes, options);
}

/** @throws MullError with status 404 when the registry does not know the upload any more */
async function resume(session: Session, options: UploadOptions): Promise<Session> {
  const { repository, client, signal } = options;
  const response = await repository.send({ url: session.location, signal }, "push");
  await requireOk(response, client, repository.errors("The upload"));
  const known = sessionOf(response, 0, session.chunkBytes, options);
  // Without an answer to the question, what is there cannot be added to.
  if (known.offset === 0 && session.offset > 0) throw lost(session.location);
  return known;
}

async function sendChunk(session: Session, blob: Blob, options: UploadOptions): Promise<Session> {
  const { repository, client, signal, onProgress } = options;
  const { offset, location, chunkBytes } = session;
  const end = Math.min(offset + chunkBytes, blob.size);
  const response = await repository.send(
    {
      method: "PATCH",
      url: location,
      headers: {
        "content-type": "application/octet-stream",
        "content-length": String(end - offset),
        "content-range": `${offset}-${end - 1}`,
      },
      body: () => readFilePart(blob.path, offset, end, onProgress),
      signal,
      headersTimeoutMs: CHUNK_TIMEOUT_MS,
    },
    "push",
  );
  if (response.status === 416) {
    response.discard();
    return await resume(session, options);
  }
  await requireOk(response, client, errors(blob.digest, options));
  const next = sessionOf(response, end, chunkBytes, options);
  if (next.offset <= offset || next.offset > end) {
    throw unreachableFor("protocol", location, `it was sent ${end} bytes and says it has ${next.offset}`);
  }
  return next;
}

async function commit({ location }: Session, { digest }: Blob, options: UploadOptions): Promise<void> {
  const { repository, client, signal } = options;
  // By hand: a signed address must stay as it is to the letter.
  const url = new URL(
    `${location.href}${location.search === "" ? "?" : "&"}digest=${encodeURIComponent(digest)}`,
  );
  const response = await requireOk(
    await repository.send(
      {
        method: "PUT",
        url,
        headers: { "content-length": "0", "content-type": "application/octet-stream" },
        body: new Uint8Array(),
        signal,
        headersTimeoutMs: COMMIT_TIMEOUT_MS,
      },
      "push",
    ),
    client,
    errors(digest, options),
  );
  response.discard();
  const stored = response.headers["docker-content-digest"];
  if (stored !== undefined && parseDigest(stored) !== digest) {
    throw new MullError(
      "digest_mismatch",
      `${location.host} stored blob ${shortDigest(digest)} as something else.`,
    );
  }
}

/** @param sent how many bytes it must have by now, if it does not say */
function sessionOf(
  { headers, url, discard }: HttpResponse,
  sent: number,
  chunkBytes: number,
  { repository }: UploadOptions,
): Session {
  discard();
  // Ollama's registry names the upload in a header of its own.
  const location = headers["docker-upload-location"] ?? headers["location"];
  if (location === undefined)
    throw unreachableFor("protocol", url, "it does not say where an upload goes on");
  const range = /^(?:bytes=)?0-(\d+)$/.exec(headers["range"]?.trim() ?? "")?.[1];
  const least = Number(headers["oci-chunk-min-length"] ?? 0);
  // "0-0" is said of no byte and of one; what is sent once too often fails when it is hashed, and is sent anew.
  const offset = range === undefined ? sent : Number(range) === 0 ? Math.min(sent, 1) : Number(range) + 1;
  return {
    location: nextHop(url, location, repository.allowPlainHttp),
    offset,
    chunkBytes: Number.isSafeInteger(least) ? Math.max(chunkBytes, least) : chunkBytes,
  };
}

function lost(location: URL): MullError {
  const message = `${showUrl(location)} does not say how far the upload got.`;
  return new MullError("server_unreachable", message, { details: { status: 404 } });
}

/** The registry forgot the upload, or has bytes that are not ours. */
function isLost(error: unknown): boolean {
  if (!MullError.is(error)) return false;
  return (
    error.code === "digest_mismatch" || error.details["status"] === 404 || error.details["status"] === 400
  );
}

function errors(digest: Digest, { repository }: UploadOptions): ReturnType<Repository["errors"]> {
  return repository.errors(`A place for blob ${shortDigest(digest)}`);
}
