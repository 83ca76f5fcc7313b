import { parentPort, workerData } from "node:worker_threads";
import { fileSystem } from "./file-system.ts";
import { type HashedFile, hashFile } from "./hash-file.ts";
import { MullError, type SerializedError } from "../../spec/errors.ts";

export type HashMessage =
  | { type: "progress"; completed: number; total: number }
  | { type: "done"; hashed: HashedFile }
  /** `code`: of the system, or of a MullError. */
  | { type: "failed"; error: SerializedError | { system: string; message: string } };

const { path } = workerData as { path: string };

const send = (message: HashMessage): void => parentPort?.postMessage(message);

try {
  const onProgress = (completed: number, total: number): void => send({ type: "progress", completed, total });
  send({ type: "done", hashed: await hashFile(fileSystem, path, { onProgress }) });
} catch (error) {
  const { code = "", message } = error as NodeJS.ErrnoException;
  send({ type: "failed", error: MullError.is(error) ? error.toJSON() : { system: code, message } });
}
