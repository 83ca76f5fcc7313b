import { createHash } from "node:crypto";
import { MullError } from "../../spec/errors.ts";
import { type Digest, digestOf, digestOfHex } from "../digest.ts";
import type { Blob, BlobFiles } from "./blob-files.ts";
import { openNewFile, writeFully, writeNewFile } from "./durable-files.ts";
import type { StoreFile } from "./file-system.ts";
import { publishBlob } from "./publish-blob.ts";
import { requireWritable, type StoreContext } from "./store-context.ts";
import { CallersError, throwIfAborted } from "./store-error.ts";
import { unlessAborted } from "./turn-queue.ts";

export interface ReceiveOptions {
  expected?: Digest;
  signal?: AbortSignal;
}

/** Bytes in memory to a blob. */
export async function writeBlob(context: StoreContext, blobs: BlobFiles, bytes: Uint8Array): Promise<Blob> {
  requireWritable(context);
  const blob = { digest: digestOf(bytes), size: bytes.byteLength };
  if ((await blobs.state(blob)) === "intact") return blob;
  const { fs, temporaries } = context;
  await temporaries.use(async (path) => {
    await writeNewFile(fs, path, bytes);
    await publishBlob(context, blobs, path, blob);
  });
  return blob;
}

/** A stream to a blob. */
export async function receiveBlob(
  context: StoreContext,
  blobs: BlobFiles,
  body: AsyncIterable<Uint8Array>,
  { expected, signal }: ReceiveOptions,
): Promise<Blob> {
  requireWritable(context);
  const { fs, temporaries } = context;
  return temporaries.use(async (path) => {
    const file = await openNewFile(fs, path);
    let blob: Blob;
    try {
      blob = await writeStream(file, body, signal);
      if (expected !== undefined && blob.digest !== expected) throw mismatch(expected, blob);
      await file.sync();
    } finally {
      await file.close().catch(() => {});
    }
    await publishBlob(context, blobs, path, blob);
    return blob;
  });
}

async function writeStream(
  file: StoreFile,
  body: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): Promise<Blob> {
  const hash = createHash("sha256");
  const chunks = body[Symbol.asyncIterator]();
  let size = 0;
  let isWhole = false;
  try {
    for (;;) {
      throwIfAborted(signal);
      // A body that stands still must not hold back who wants to leave.
      const next = await unlessAborted(nextChunk(chunks), signal);
      if (next.done === true) break;
      // Written by another thread while this one hashes.
      const written = writeFully(file, next.value, size);
      hash.update(next.value);
      await written;
      size += next.value.byteLength;
    }
    isWhole = true;
    return { digest: digestOfHex(hash.digest("hex")), size };
  } finally {
    if (!isWhole) void Promise.resolve(chunks.return?.()).catch(() => {});
  }
}

async function nextChunk(chunks: AsyncIterator<Uint8Array>): Promise<IteratorResult<Uint8Array>> {
  try {
    return await chunks.next();
  } catch (error) {
    throw new CallersError(error);
  }
}

function mismatch(expected: Digest, { digest, size }: Blob): MullError {
  return new MullError("digest_mismatch", `The ${size} bytes that came are not ${expected}, but ${digest}.`, {
    hint: "They were damaged on their way. Repeat.",
    details: { expected, actual: digest },
  });
}
