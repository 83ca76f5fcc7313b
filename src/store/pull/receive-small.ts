import { abortedError } from "../../media/abort.ts";
import { MullError } from "../../spec/errors.ts";
import { digestOf } from "../digest.ts";
import type { ModelStore } from "../model-store.ts";
import type { FetchedBlob, RemoteBlob } from "../remote-model.ts";
import { BackOff } from "./back-off.ts";
import { Connection } from "./connection.ts";
import { connectionError, mismatchError, sizeError } from "./server-errors.ts";
import { DEFAULTS, type DownloadOptions } from "./transfer-options.ts";

/** A blob of at most that size is fetched in one request. */
export const SMALL_BYTES: number = 1024 * 1024;

/** Fetches a small blob into memory, and stores it if it is what its digest names. */
export async function receiveSmall(
  store: ModelStore,
  blob: RemoteBlob,
  size: number,
  options: DownloadOptions,
): Promise<FetchedBlob> {
  const bytes =
    size === 0 ? checked(blob, options.origin, new Uint8Array()) : await tryAgain(blob, options, once);
  options.onProgress(size);
  return store.writeBlob(bytes);

  async function once(): Promise<Uint8Array> {
    const connection = await open(blob, options);
    try {
      const { total } = connection;
      if (total !== undefined && total !== size) throw sizeError(blob, options.origin, total, size);
      const body = new Uint8Array(size);
      let filled = 0;
      for (let chunk = await connection.next(); chunk !== undefined; chunk = await connection.next()) {
        if (filled + chunk.length > size) throw sizeError(blob, options.origin, filled + chunk.length, size);
        body.set(chunk, filled);
        filled += chunk.length;
      }
      // A server that names no total may have less; one that does has lost the connection.
      if (filled < size && total === undefined) throw sizeError(blob, options.origin, filled, size);
      if (filled < size) throw new Error(`it ended after ${filled} of ${size} bytes`);
      return checked(blob, options.origin, body);
    } finally {
      connection.close();
    }
  }
}

/** Fetches a blob of which nobody says how long it is; from the beginning again when a connection breaks. */
export async function receiveSizeless(
  store: ModelStore,
  blob: RemoteBlob,
  options: DownloadOptions,
): Promise<FetchedBlob> {
  const { signal, origin, onProgress } = options;
  const expected = blob.digest === undefined ? {} : { expected: blob.digest };
  return tryAgain(blob, options, async () => {
    const connection = await open(blob, options);
    try {
      return await store.receiveBlob(chunks(connection), { ...expected, signal });
    } catch (error) {
      throw MullError.is(error) && error.code === "digest_mismatch" ? mismatchError(blob, origin) : error;
    } finally {
      connection.close();
    }
  });

  async function* chunks(connection: Connection): AsyncGenerator<Uint8Array> {
    let completed = 0;
    for (let chunk = await connection.next(); chunk !== undefined; chunk = await connection.next()) {
      completed += chunk.length;
      onProgress(completed);
      yield chunk;
    }
  }
}

/** Bytes of the whole blob as the server says before it sends them; undefined if it does not. */
export async function askSize(blob: RemoteBlob, options: DownloadOptions): Promise<number | undefined> {
  return tryAgain(blob, options, async () => {
    const connection = await open(blob, options);
    connection.close();
    return connection.total;
  });
}

async function open(blob: RemoteBlob, options: DownloadOptions): Promise<Connection> {
  const { signal, stallMs = DEFAULTS.stallMs } = options;
  const connection = await Connection.open(blob, { start: 0, end: undefined }, { signal, stallMs });
  if (connection.start === 0) return connection;
  connection.close();
  throw new Error(`it begins at byte ${connection.start}`);
}

async function tryAgain<T>(
  blob: RemoteBlob,
  { origin, signal, retries = DEFAULTS.retries, sleep = DEFAULTS.sleep }: DownloadOptions,
  work: () => Promise<T>,
): Promise<T> {
  const backOff = new BackOff(retries);
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (signal.aborted) throw abortedError(signal);
      const delay = backOff.delayAfter(connectionError(error, blob.label, origin));
      await sleep(delay, signal).catch((failure: unknown) => {
        throw signal.aborted ? abortedError(signal) : failure;
      });
    }
  }
}

function checked(blob: RemoteBlob, origin: string, bytes: Uint8Array): Uint8Array {
  if (blob.digest === undefined || digestOf(bytes) === blob.digest) return bytes;
  throw mismatchError(blob, origin);
}
