import { open } from "node:fs/promises";
import { MullError } from "../../spec/errors.ts";

const READ_BYTES = 256 * 1024;

/**
 * Bytes `start` to `end` (exclusive) of a file, in chunks of (n,) uint8.
 *
 * @param onProgress gets the offset up to which bytes were taken
 * @throws MullError `store_unavailable` when the file cannot be read, or is shorter
 */
export async function* readFilePart(
  path: string,
  start: number,
  end: number,
  onProgress: (offset: number) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  const failed = (problem: string, cause?: unknown): MullError =>
    new MullError("store_unavailable", `'${path}' could not be read: ${problem}.`, {
      hint: "`mull verify` says what is missing.",
      cause,
    });
  const orFail = (error: Error): never => {
    throw failed(error.message, error);
  };
  const file = await open(path, "r").catch(orFail);
  try {
    for (let offset = start; offset < end;) {
      const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, end - offset));
      const { bytesRead } = await file.read(buffer, 0, buffer.length, offset).catch(orFail);
      if (bytesRead === 0) throw failed(`it ends at ${offset}, before ${end}`);
      yield buffer.subarray(0, bytesRead);
      offset += bytesRead;
      onProgress(offset);
    }
  } finally {
    await file.close();
  }
}
