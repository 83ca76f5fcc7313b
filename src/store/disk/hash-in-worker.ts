import { Worker } from "node:worker_threads";
import { processEntry } from "../../process/entry.ts";
import { MullError } from "../../spec/errors.ts";
import { type FileSystem, fileSystem } from "./file-system.ts";
import { type HashedFile, hashFile, type HashOptions } from "./hash-file.ts";
import type { HashMessage } from "./hash-worker.ts";
import { abortedError } from "./store-error.ts";

/** Below this a thread takes longer to start than the file to hash. */
const INLINE_BYTES = 16 * 1024 * 1024;

/**
 * SHA-256 of a file, without holding up this thread for long.
 *
 * @throws errors of the system; MullError `aborted`
 */
export async function hashInWorker(
  fs: FileSystem,
  path: string,
  options: HashOptions = {},
): Promise<HashedFile> {
  const { size } = await fs.stat(path);
  // Another file system than the real one is in this thread only.
  if (size < INLINE_BYTES || fs !== fileSystem) return hashFile(fs, path, options);
  const { signal, onProgress } = options;
  if (signal?.aborted) throw abortedError(signal);
  const worker = new Worker(processEntry("store/disk/hash-worker.js"), {
    workerData: { path },
    env: {},
    execArgv: [],
  });
  const stop = (): void => void worker.terminate();
  signal?.addEventListener("abort", stop);
  try {
    return await new Promise<HashedFile>((resolve, reject) => {
      worker.on("message", (message: HashMessage) => {
        if (message.type === "progress") onProgress?.(message.completed, message.total);
        else if (message.type === "done") resolve(message.hashed);
        else reject(errorFrom(message.error));
      });
      worker.on("error", reject);
      worker.on("exit", () =>
        reject(signal?.aborted ? abortedError(signal) : new MullError("internal", `${path} was not hashed.`)),
      );
    });
  } finally {
    signal?.removeEventListener("abort", stop);
    await worker.terminate();
  }
}

function errorFrom(error: Extract<HashMessage, { type: "failed" }>["error"]): Error {
  if ("code" in error) return MullError.from(error);
  return Object.assign(new Error(error.message), { code: error.system });
}
