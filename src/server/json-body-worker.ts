import { parentPort } from "node:worker_threads";
import { MullError, type SerializedError } from "../spec/errors.ts";
import { parseJson } from "./parse-json.ts";

/** Worker entry: one body in, one reply out, in order. */
export type JsonBodyReply = { value: unknown } | { error: SerializedError };

parentPort?.on("message", (body: Uint8Array) => {
  try {
    const { value, buffers } = parseJson(body);
    parentPort?.postMessage({ value } satisfies JsonBodyReply, buffers);
  } catch (error) {
    parentPort?.postMessage({ error: MullError.wrap(error).toJSON() } satisfies JsonBodyReply);
  }
});
